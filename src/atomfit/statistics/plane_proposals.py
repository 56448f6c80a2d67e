"""Which plane lattice the columns around one of them have, found from vectors between columns.

A vector of the lattice leads from every column to another one, and so does its opposite; one between the
two columns of a dumbbell does so from one of the two only. So vectors are counted, of the columns around a
seed, at both of whose ends there is a column. The two shortest of those that are found so often span the
lattice. What the columns around the seed are in its cell are the sublattices.

Seeds are the columns whose neighbourhoods are most like their own inversion. Nothing is known of
orientation, spacing or number of columns in a cell, and lengths are in the root of the area of a column,
which follows from how densely they lie.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_cells import reduced

#: How long vectors of the lattice may be, and how far a seed's neighbourhood reaches (roots of the area).
_REACH, _AROUND = 4.5, 5.5
#: Neighbours that the density follows from.
_NEAREST = 6


@dataclass(frozen=True, eq=False)
class Proposal:
    """A lattice, before it has been fitted.

    **Fields:**

    - `seed`: the column that it was found around.
    - `basis`: a and b as columns (Å).
    - `offsets`: of the sublattices from the seed, in a and b; the first is zero.
    - `tolerance`: how near columns lie to its sites (Å).
    """

    seed: int
    basis: Float[np.ndarray, "2 2"]
    offsets: Float[np.ndarray, "s 2"]
    tolerance: float


class Vicinity:
    """Columns, who is near whom, and how far apart they lie.

    **Fields:**

    - `positions`: of the columns (Å).
    - `tree`: of these.
    - `spacing`: root of the area of a column (Å).
    """

    def __init__(self, positions: Float[np.ndarray, "n 2"]) -> None:
        self.positions = positions
        self.tree = cKDTree(positions)
        count = min(_NEAREST, max(1, len(positions) // 2))
        far = self.tree.query(positions, k=count + 1)[0][:, -1] if len(positions) > 1 else np.ones(1)
        self.spacing = float(np.median(far)) * (np.pi / (count + 0.5)) ** 0.5

    def occupied(self, places: Float[np.ndarray, "... 2"], tolerance: float) -> Bool[np.ndarray, "..."]:
        """Whether a column lies near each place."""
        return np.isfinite(self.tree.query(places, distance_upper_bound=tolerance)[0])

    def pairs(self, reach: float) -> Int[np.ndarray, "p 2"]:
        """All ordered pairs of columns that are nearer than so (Å)."""
        pairs = self.tree.query_pairs(reach, output_type="ndarray")
        both = np.concatenate([pairs, pairs[:, ::-1]])
        return both[np.lexsort((both[:, 1], both[:, 0]))]

    def inversion(self) -> Float[np.ndarray, " n"]:
        """Which part of each column's neighbours have a column opposite; less where there are few."""
        pairs = self.pairs(_REACH / 2 * self.spacing)
        x = self.positions
        opposite = self.occupied(2 * x[pairs[:, 0]] - x[pairs[:, 1]], LIMITS.plane_near * self.spacing)
        near = np.bincount(pairs[:, 0], minlength=len(x))
        return np.bincount(pairs[:, 0], weights=opposite, minlength=len(x)) / np.maximum(near, 6)


def propose(vicinity: Vicinity, seed: int) -> Proposal | None:
    """The lattice around a column; None if there is none."""
    x, spacing = vicinity.positions, vicinity.spacing
    near = LIMITS.plane_near * spacing
    around = np.array(vicinity.tree.query_ball_point(x[seed], _AROUND * spacing))
    ends = np.array(vicinity.tree.query_ball_point(x[seed], _REACH * spacing))
    vectors = x[ends[ends != seed]] - x[seed]
    # A column is not to be at the end of its own vector.
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 2 * near]
    if len(vectors) < 4:
        return None
    places = x[around, None], vectors[None]
    there = vicinity.occupied(places[0] + places[1], near)
    back = vicinity.occupied(places[0] - places[1], near)
    at_seed = vicinity.occupied(x[seed] - vectors, near)
    both, either = np.sum(there & back, axis=0), np.sum(there | back, axis=0)
    # Of seven columns of a hexagon only one has a neighbour on both sides.
    good = at_seed & (both + 2 >= LIMITS.plane_opposite * either)
    basis = _two_shortest(vectors[good])
    if basis is None:
        return None
    basis = _refined(vicinity, basis, around, near)
    if abs(np.linalg.det(basis)) < LIMITS.plane_across * spacing**2 / 2:
        return None
    basis = reduced(basis)
    offsets, tolerance = _sublattices(vicinity, basis, around, seed)
    return Proposal(seed, basis, offsets, tolerance)


def _two_shortest(vectors: Float[np.ndarray, "v 2"]) -> Float[np.ndarray, "2 2"] | None:
    lengths = np.linalg.norm(vectors, axis=1)
    order = np.argsort(lengths)
    for i in order[1:]:
        a, b = vectors[order[0]], vectors[i]
        if abs(a[0] * b[1] - a[1] * b[0]) > LIMITS.plane_across * lengths[order[0]] * lengths[i]:
            return np.column_stack([a, b])
    return None


def _refined(
    vicinity: Vicinity, basis: Float[np.ndarray, "2 2"], around: Int[np.ndarray, " k"], near: float
) -> Float[np.ndarray, "2 2"]:
    """Means of the vectors that lead from columns to columns."""
    x, found = vicinity.positions, []
    for vector in basis.T:
        distance, which = vicinity.tree.query(x[around] + vector, distance_upper_bound=near)
        met = np.isfinite(distance)
        found.append(np.median(x[which[met]] - x[around[met]], axis=0))
    return np.column_stack(found)


def explained(vicinity: Vicinity, proposal: Proposal) -> Bool[np.ndarray, " n"]:
    """Columns that have another one at the end of a, b and their opposites."""
    ends = [sign * vector for vector in proposal.basis.T for sign in (-1, 1)]
    near = LIMITS.plane_near * vicinity.spacing
    return np.all([vicinity.occupied(vicinity.positions + end, near) for end in ends], axis=0)


def _sublattices(
    vicinity: Vicinity, basis: Float[np.ndarray, "2 2"], around: Int[np.ndarray, " k"], seed: int
) -> tuple[Float[np.ndarray, "s 2"], float]:
    """Places in the cell that columns around the seed have, and how near to them columns lie (Å)."""
    away = (vicinity.positions[around] - vicinity.positions[seed]) @ np.linalg.inv(basis).T
    # Far from the seed strain has moved them.
    away = away[np.linalg.norm(away, axis=1) < LIMITS.plane_seed]
    cells = max(len(np.unique(np.rint(away), axis=0)), 1)
    offsets = [np.zeros(2)]
    near = LIMITS.plane_near * vicinity.spacing
    rest = away
    while len(rest):
        apart = (rest - offsets[-1] + 0.5) % 1 - 0.5
        own = np.linalg.norm(apart @ basis.T, axis=1) < near
        if len(offsets) == 1 or own.sum() >= LIMITS.plane_occupied * cells:
            offsets[-1] = offsets[-1] + apart[own].mean(axis=0) * (len(offsets) > 1)
        else:
            offsets.pop()
        rest = rest[~own] if own.any() else rest[1:]
        if not len(rest):
            break
        # The place that most of what is left has.
        apart = (rest[:, None] - rest + 0.5) % 1 - 0.5
        crowd = np.sum(np.linalg.norm(apart @ basis.T, axis=2) < near, axis=1)
        offsets.append(rest[int(crowd.argmax())] % 1)
    shifts = np.array([[h, k] for h in (-1, 0, 1) for k in (-1, 0, 1)])
    between = np.concatenate([(np.array(offsets) - o)[:, None] + shifts for o in offsets]).reshape(-1, 2)
    apart = np.linalg.norm(between @ basis.T, axis=1)
    return np.array(offsets), LIMITS.plane_site * float(apart[apart > 1e-6].min())
