"""A particle seen twice, with known changes: what `atomfit.compare` is measured by.

Both models have noise of known size. Some atoms of the second are not there, others lie elsewhere, and the
whole is turned, shifted and in another order. A moved atom that comes to a place that another atom has left
cannot be told from one that stayed; `decidable` leaves such moves out.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from atomfit.statistics.rigid import Motion

_TRIALS = 200


@dataclass(frozen=True, eq=False)
class Change:
    """Two models and what happened between them.

    **Fields:**

    - `a`, `b`: positions (Å), each in its own frame.
    - `origin`: which atom of the first each atom of the second is.
    - `statuses`: of the first model's atoms: common, displaced or lost.
    - `motion`: takes the second model into the first's frame.
    """

    a: Float[np.ndarray, "n 3"]
    b: Float[np.ndarray, "m 3"]
    origin: Int[np.ndarray, " m"]
    statuses: np.ndarray
    motion: Motion


def changed(
    positions: Float[np.ndarray, "n 3"],
    seed: int,
    *,
    noise: float | Float[np.ndarray, "n 3"] = 0.05,
    lost: float = 0.1,
    moved: float = 0.05,
    moves: tuple[float, float] = (2.0, 3.0),
    rotate: bool = True,
    decidable: bool = True,
    clearance: float = 0.0,
) -> Change:
    """See a particle twice.

    **Arguments:**

    - `positions`: where its atoms are (Å).
    - `seed`: of everything random.
    - `noise`: of either model along each axis (Å).
    - `lost`, `moved`: parts of the atoms.
    - `moves`: least and largest distance of a move (Å).
    - `rotate`: whether the second model is turned and shifted, at random.
    - `decidable`: whether moved atoms keep farther from places that others have left than from their own.
    - `clearance`: least distance of a moved atom from others (Å).
    """
    rng = np.random.default_rng(seed)
    n = len(positions)
    statuses = np.full(n, "common", dtype=object)
    gone, others = np.split(rng.permutation(n), [round(lost * n)])
    statuses[gone] = "lost"
    after, count = positions.copy(), round(moved * n)
    for i in others:
        if (
            count
            and (place := _place(rng, positions, after, statuses, i, moves, decidable, clearance))
            is not None
        ):
            after[i], statuses[i] = place, "displaced"
            count -= 1
    a = positions + noise * rng.normal(size=(n, 3))
    seen = after + noise * rng.normal(size=(n, 3))
    origin = rng.permutation(np.setdiff1d(np.arange(n), gone))
    turn = Rotation.random(rng=rng).as_matrix() if rotate else np.eye(3)
    shift = rng.uniform(-20, 20, 3) if rotate else np.zeros(3)
    return Change(a, (seen[origin] - shift) @ turn, origin, statuses, Motion(turn, shift))


def _place(
    rng: np.random.Generator,
    before: Float[np.ndarray, "n 3"],
    after: Float[np.ndarray, "n 3"],
    statuses: np.ndarray,
    i: np.integer,
    moves: tuple[float, float],
    decidable: bool,
    clearance: float,
) -> Float[np.ndarray, "3"] | None:
    """Where an atom moves to (Å); None if there is no such place."""
    left = before[statuses != "common"]
    there = after[(statuses != "lost") & (np.arange(len(after)) != i)]
    for _ in range(_TRIALS):
        step = rng.normal(size=3)
        length = rng.uniform(*moves)
        place = before[i] + step * (length / np.linalg.norm(step))
        free = np.linalg.norm(there - place, axis=1).min(initial=np.inf) >= clearance
        taken = np.linalg.norm(left - place, axis=1).min(initial=np.inf) < length + 0.3
        # Nor may it leave a place to which another has come near.
        others = after[statuses == "displaced"]
        came = np.linalg.norm(others - before[i], axis=1).min(initial=np.inf) < moves[1] + 0.3
        if free and not (decidable and (taken or came)):
            return place
    return None
