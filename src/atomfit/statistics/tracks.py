"""Atoms of many models followed, one model at a time: which atom of each is which of the particle.

Models come one after the other, already in one frame, and each is compared with what is known of all
before it: the places at which atoms were seen last. So hundreds of models need one comparison each, and
the memory of their places alone.

An atom is the one that was last seen within half a neighbour distance of it, paired one to one; whoever
lies farther is nearer to another site. This holds over gaps: one that was missed for some models and is
found at its site again is the same atom. Whatever remains begins anew. At the end, an atom that was never
seen again from some model on, and one that was first seen in that very model within 1.2 neighbour
distances, are one that `moved` to another site. Before the end nobody knows: it might have been missed.

`place_together` then lays all models on the mean of all of them, each by the rigid motion that is the
likeliest with its error bars, in the frame of one: no model's own errors are in the others' positions. How
much larger each is than the mean is found with it, as voxel sizes differ and particles expand.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.rigid import Motion, fit_motion
from atomfit.structure.matching import match

_ROUNDS = 4
#: Standard uncertainties that no position falls below (Å), that none alone says where a model lies.
_LEAST_ESD = 1e-3


class Tracker:
    """The atoms that were seen so far.

    **Arguments:**

    - `spacing`: distance of neighbours (Å).
    """

    def __init__(self, spacing: float) -> None:
        self._near, self._reach = LIMITS.atom_stays * spacing, LIMITS.displaced * spacing
        self._places = self._begins = np.zeros((0, 3))
        self._first = self._last = np.zeros(0, int)
        self._frame = -1

    def __len__(self) -> int:
        return len(self._places)

    def follow(self, positions: Float[np.ndarray, "m 3"]) -> Int[np.ndarray, " m"]:
        """Which atoms those of the next model are.

        **Arguments:**

        - `positions`: of the next model's atoms (Å).
        """
        self._frame += 1
        near = match(positions, self._places, self._near)
        track = np.full(len(positions), -1)
        track[near.found] = near.known
        new = np.flatnonzero(track < 0)
        track[new] = len(self._places) + np.arange(len(new))
        self._places = np.concatenate([self._places, positions[new]])
        self._begins = np.concatenate([self._begins, positions[new]])
        self._first, self._last = (
            np.concatenate([frames, np.full(len(new), self._frame)]) for frames in (self._first, self._last)
        )
        self._places[track], self._last[track] = positions, self._frame
        return track

    def moved(self) -> tuple[Int[np.ndarray, " n"], list[tuple[int, int]]]:
        """What each atom is called once those that moved to another site are one, and who moved when.

        **Returns:** a new number of each; and of each that moved, its new number and the model that has it
        at its new site first.
        """
        into = np.arange(len(self))
        moves: list[tuple[int, int]] = []
        for k in range(1, self._frame + 1):
            gone, come = np.flatnonzero(self._last == k - 1), np.flatnonzero(self._first == k)
            pairs = match(self._places[gone], self._begins[come], self._reach)
            into[come[pairs.known]] = into[gone[pairs.found]]
            moves += [(int(i), k) for i in come[pairs.known]]
        kept, numbers = np.unique(into, return_inverse=True)
        assert len(kept) == len(self) - len(moves)
        return numbers, [(int(numbers[i]), k) for i, k in moves]


@dataclass(frozen=True, eq=False)
class Together:
    """Models laid on their mean.

    **Fields:**

    - `positions`: in the common frame (Å); NaN where an atom is not.
    - `esds`: standard uncertainties of these (Å).
    - `sizes`: of each model, in that of the mean.
    - `misfits`: root mean square distance of each model's atoms from the mean ones (Å).
    """

    positions: Float[np.ndarray, "t n 3"]
    esds: Float[np.ndarray, "t n 3"]
    sizes: Float[np.ndarray, " t"]
    misfits: Float[np.ndarray, " t"]


def place_together(
    positions: Float[np.ndarray, "t n 3"], esds: Float[np.ndarray, "t n 3"], frame: int | None = 0
) -> Together:
    """Lay models on their mean.

    **Arguments:**

    - `positions`: of followed atoms, already nearly in one frame (Å); NaN where an atom is not.
    - `esds`: standard uncertainties of these (Å); NaN where not known.
    - `frame`: of which model the common frame is; None if none is to be moved.
    """
    places, errors = positions.copy(), _filled(esds)
    there = np.isfinite(places).all(axis=2)
    often = there.sum(axis=0) >= min(2, len(places))
    total = [Motion(np.eye(3), np.zeros(3)) for _ in places]
    for _ in range(_ROUNDS if frame is not None else 0):
        mean = _mean(places, errors, there)
        for k in range(len(places)):
            pairs = _pairs(places[k], mean, there[k] & often)
            if len(pairs) < 3:
                continue
            own = errors[k, pairs] ** 2
            fitted = fit_motion(
                mean[pairs], places[k, pairs], np.zeros((len(pairs), 3, 3)), own[:, :, None] * np.eye(3)
            )
            places[k], total[k] = fitted.motion(places[k]), _after(fitted.motion, total[k])
    back = total[frame or 0]
    inverse = Motion(back.rotation.T, -back.rotation.T @ back.translation)
    turned = [_after(inverse, motion).rotation for motion in total]
    places = np.stack([inverse(x) for x in places])
    variances = np.einsum("tij,tnj->tni", np.stack(turned) ** 2, esds**2)
    mean = _mean(places, np.sqrt(np.where(np.isfinite(variances), variances, errors**2)), there)
    sizes, misfits = np.ones(len(places)), np.full(len(places), np.nan)
    for k in range(len(places)):
        pairs = _pairs(places[k], mean, there[k] & often)
        if len(pairs) >= 3:
            a, b = (x[pairs] - x[pairs].mean(axis=0) for x in (places[k], mean))
            sizes[k] = np.sum(a * b) / max(np.sum(b * b), 1e-300)
            misfits[k] = np.sqrt(np.mean(np.sum((a - b) ** 2, axis=1)))
    return Together(places, np.sqrt(variances), sizes, misfits)


def without_sizes(together: Together) -> Float[np.ndarray, "t n 3"]:
    """Positions as if all models were of the mean's size (Å)."""
    places = together.positions
    middle = np.nanmean(places.reshape(-1, 3), axis=0)
    return middle + (places - middle) / together.sizes[:, None, None]


def _after(then: Motion, before: Motion) -> Motion:
    """Two motions in one."""
    return Motion(then.rotation @ before.rotation, then.rotation @ before.translation + then.translation)


def _filled(esds: Float[np.ndarray, "t n 3"]) -> Float[np.ndarray, "t n 3"]:
    """Known standard uncertainties, and the median for others; alike if none is known (Å)."""
    known = np.isfinite(esds) & (esds > 0)
    middle = float(np.median(esds[known])) if known.any() else 1.0
    return np.maximum(np.where(known, esds, middle), _LEAST_ESD)


def _mean(
    places: Float[np.ndarray, "t n 3"], errors: Float[np.ndarray, "t n 3"], there: Bool[np.ndarray, "t n"]
) -> Float[np.ndarray, "n 3"]:
    """Weighted mean places of atoms (Å)."""
    weights = np.where(there[..., None], 1 / errors**2, 0.0)
    total = np.maximum(weights.sum(axis=0), 1e-300)
    return np.sum(weights * np.where(there[..., None], places, 0.0), axis=0) / total


def _pairs(
    places: Float[np.ndarray, "n 3"], mean: Float[np.ndarray, "n 3"], there: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " k"]:
    """Atoms that did not move far: within three medians of the distance."""
    which = np.flatnonzero(there)
    if len(which) < 3:
        return which
    apart = np.linalg.norm(places[which] - mean[which], axis=1)
    return which[apart <= 3 * np.median(apart) + 1e-9]
