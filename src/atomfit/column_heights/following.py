"""Columns of many frames in, which of them are the same out: by where they are, drift taken off.

Frame by frame columns are laid on those that are known by a shift that is common to all, the median of what
pairs of nearest neighbours are apart, beginning with that of the frame before; what is then within reach of
one that is known is it, and what is not is new. So drift from one frame to the next may be as large as half
of what columns are apart. Positions are told in the first frame's place.

What frames say of a column's height is averaged, as a mixture. It is not multiplied: a network errs in all
frames alike, and so may a likelihood whose conditions are off.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from atomfit.column_heights.found import Condition, Heights

#: Columns of two frames that are nearer may be one (Å).
_REACH = 1.2
#: How often a shift is found anew.
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class FollowedHeights:
    """Columns of all frames together.

    **Fields:**

    - `frames`: as each was found.
    - `columns`: of each frame's columns, which of the common ones they are.
    - `shifts`: of each frame against the first (Å).
    - `together`: the common columns in the first frame's place; probabilities are means of the frames that
        show a column, and conditions means of all.
    - `seen`: frames that show each.
    - `numbers`: of the frames in their stack, from 0; those that are no image are not among them.
    """

    frames: tuple[Heights, ...]
    columns: tuple[Int[np.ndarray, " _"], ...]
    shifts: Float[np.ndarray, "frames 2"]
    together: Heights
    seen: Int[np.ndarray, " n"]
    numbers: Int[np.ndarray, " frames"]

    @property
    def atoms(self) -> Float[np.ndarray, "frames 2"]:
        """Atoms of each frame: mean and standard uncertainty."""
        return np.array([one.atoms for one in self.frames]).reshape(-1, 2)


def follow_heights(frames: Sequence[Heights], numbers: Sequence[int] | None = None) -> FollowedHeights:
    """Find the common columns of frames.

    **Arguments:**

    - `frames`: in their order; one or more.
    - `numbers`: of these in their stack; all of them, from 0, if not given.
    """
    places = np.zeros((0, 2))
    counts = np.zeros(0, int)
    shift, shifts, which = np.zeros(2), [], []
    for one in frames:
        shift = _shift(places, one.positions, shift)
        moved = one.positions - shift
        found = _matched(places, moved)
        new = np.flatnonzero(found < 0)
        found[new] = len(places) + np.arange(len(new))
        places = np.concatenate([places, np.zeros((len(new), 2))])
        counts = np.concatenate([counts, np.zeros(len(new), int)])
        counts[found] += 1
        places[found] += (moved - places[found]) / counts[found][:, None]
        shifts.append(shift)
        which.append(found)
    together = _together(frames, which, places, counts)
    known = np.arange(len(frames)) if numbers is None else np.asarray(numbers, int)
    return FollowedHeights(tuple(frames), tuple(which), np.array(shifts), together, counts, known)


def _shift(
    places: Float[np.ndarray, "n 2"], positions: Float[np.ndarray, "m 2"], before: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, " 2"]:
    """By how much positions are from known places, most of them."""
    if not len(places) or not len(positions):
        return before
    tree, shift = cKDTree(places), before
    for _ in range(_ROUNDS):
        away, nearest = tree.query(positions - shift, distance_upper_bound=_REACH)
        near = np.isfinite(away)
        if not near.any():
            return before
        shift = np.median(positions[near] - places[nearest[near]], axis=0)
    return shift


def _matched(
    places: Float[np.ndarray, "n 2"], positions: Float[np.ndarray, "m 2"]
) -> Int[np.ndarray, " m"]:
    """Which place each position is; -1 for none. Each place once, for the nearest."""
    found = np.full(len(positions), -1)
    if not len(places):
        return found
    away, nearest = cKDTree(places).query(positions, distance_upper_bound=_REACH)
    for k in np.argsort(away, kind="stable"):
        if np.isfinite(away[k]) and nearest[k] not in found:
            found[k] = nearest[k]
    return found


def _together(
    frames: Sequence[Heights],
    which: Sequence[Int[np.ndarray, " _"]],
    places: Float[np.ndarray, "n 2"],
    counts: Int[np.ndarray, " n"],
) -> Heights:
    """Means over frames."""
    n, first = len(places), frames[0]
    levels = max(one.probabilities.shape[1] for one in frames)
    probabilities, squares = np.zeros((n, levels)), np.zeros((n, 2))
    numbers, off = np.zeros((n, 4)), np.zeros(n)
    for one, of in zip(frames, which, strict=True):
        probabilities[of, : one.probabilities.shape[1]] += one.probabilities
        squares[of] += one.position_esds**2
        numbers[of, 0] += one.starts
        numbers[of, 1] += one.start_esds
        off[of] += ~one.on_lattice
    each = np.maximum(counts, 1)[:, None]
    return replace(
        first,
        positions=places,
        position_esds=np.sqrt(squares) / each,
        probabilities=probabilities / each,
        starts=numbers[:, 0] / each[:, 0],
        start_esds=numbers[:, 1] / each[:, 0],
        on_lattice=off <= 0.5 * counts,
        conditions=_mean_conditions([one.conditions for one in frames]),
        dose=float(np.mean([one.dose for one in frames])),
        expected=None,
        misfit=float(np.mean([one.misfit for one in frames])),
        settled=all(one.settled for one in frames),
        levels=None,
        draws=None,
    )


def _mean_conditions(all_of_them: Sequence[tuple[Condition, ...]]) -> tuple[Condition, ...]:
    """Means over frames, known as well as a typical frame knows them."""
    found = []
    for one in all_of_them[0]:
        same = [each for others in all_of_them for each in others if each.name == one.name]
        value, esd = (float(np.mean([getattr(each, name) for each in same])) for name in ("value", "esd"))
        found.append(replace(one, value=value, esd=esd))
    return tuple(found)
