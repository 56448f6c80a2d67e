"""Which atoms of one set are which atoms of another.

Found atoms are judged against known ones pair by pair, each atom in one pair at most, so that two found
atoms cannot both be the same known one. Among all ways to pair atoms closer than the tolerance, the one
with the most pairs is taken, and of those the one with the least total distance. Atoms that no chain of
near pairs connects do not compete, which keeps the assignments small: a million atoms are no obstacle.
Where chains do run through all of two unlike models, the assignment knows near pairs only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

#: Possible pairs of a piece that are written out.
_WRITTEN_OUT = 1_000_000


@dataclass(frozen=True, eq=False)
class Match:
    """Pairs of found and known atoms.

    **Fields:**

    - `found`, `known`: indices of the pairs.
    - `distances`: of the pairs (Å).
    - `missing`: known atoms that nothing was found for.
    - `false`: found atoms that are none of the known ones.
    """

    found: Int[np.ndarray, " pairs"]
    known: Int[np.ndarray, " pairs"]
    distances: Float[np.ndarray, " pairs"]
    missing: int
    false: int

    @property
    def rmsd(self) -> float:
        """Root mean square distance of the pairs, in all dimensions (Å); NaN without pairs."""
        return float(np.sqrt(np.mean(self.distances**2))) if len(self.distances) else float("nan")

    @property
    def precision(self) -> float:
        """Part of the found atoms that are real."""
        return len(self.distances) / max(len(self.distances) + self.false, 1)

    @property
    def recall(self) -> float:
        """Part of the known atoms that were found."""
        return len(self.distances) / max(len(self.distances) + self.missing, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        pairs = 2 * len(self.distances)
        return pairs / max(pairs + self.missing + self.false, 1)


def match(
    found: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"], tolerance: float = 1.0
) -> Match:
    """Pair atoms that are closer than a tolerance.

    **Arguments:**

    - `found`, `known`: positions in one frame (Å).
    - `tolerance`: largest distance of a pair (Å).
    """
    rows, columns = _near_pairs(found, known, tolerance)
    n = len(found)
    links = coo_array((np.ones(len(rows)), (rows, n + columns)), shape=(n + len(known),) * 2)
    _, cluster = connected_components(links, directed=False)
    order = np.argsort(cluster[rows], kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(cluster[rows][order])) + 1) if len(order) else []
    pairs = [
        _assign(found, known, np.unique(rows[piece]), np.unique(columns[piece]), tolerance)
        for piece in pieces
    ]
    i, j = np.concatenate([np.zeros((2, 0), int), *pairs], axis=1)
    distances = np.linalg.norm(found[i] - known[j], axis=1)
    return Match(i, j, distances, missing=len(known) - len(j), false=n - len(i))


def _near_pairs(
    found: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"], tolerance: float
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    if not len(found) or not len(known):
        return np.zeros(0, int), np.zeros(0, int)
    near = cKDTree(known).query_ball_point(found, tolerance)
    rows = np.repeat(np.arange(len(found)), [len(x) for x in near])
    return rows, np.array([j for x in near for j in x], int)


def _assign(
    found: Float[np.ndarray, "n d"],
    known: Float[np.ndarray, "m d"],
    rows: Int[np.ndarray, " r"],
    columns: Int[np.ndarray, " c"],
    tolerance: float,
) -> Int[np.ndarray, "2 k"]:
    """The best pairs of atoms that chains of near pairs connect."""
    if len(rows) * len(columns) > _WRITTEN_OUT:
        return _assign_near(found, known, rows, columns, tolerance)
    distances = cdist(found[rows], known[columns])
    # A pair beyond the tolerance costs more than all near ones together: no near pair is given up for it.
    cost = np.where(distances <= tolerance, distances, (1 + min(distances.shape)) * 2 * tolerance)
    r, c = linear_sum_assignment(cost)
    near = distances[r, c] <= tolerance
    return np.stack([rows[r[near]], columns[c[near]]])


def _assign_near(
    found: Float[np.ndarray, "n d"],
    known: Float[np.ndarray, "m d"],
    rows: Int[np.ndarray, " r"],
    columns: Int[np.ndarray, " c"],
    tolerance: float,
) -> Int[np.ndarray, "2 k"]:
    """The same of many: near pairs only, and for each found atom one with nothing, which costs more."""
    i, j = _near_pairs(found[rows], known[columns], tolerance)
    apart = np.linalg.norm(found[rows][i] - known[columns][j], axis=1)
    r, c = len(rows), len(columns)
    alone = np.arange(r)
    # Zeros would not be pairs. Each found atom has one partner: what is added to all changes nothing.
    costs = tolerance + np.concatenate([apart, np.full(r, (1 + min(r, c)) * 2 * tolerance)])
    pairs = csr_array(
        (costs, (np.concatenate([i, alone]), np.concatenate([j, c + alone]))), shape=(r, c + r)
    )
    a, b = min_weight_full_bipartite_matching(pairs)
    return np.stack([rows[a[b < c]], columns[b[b < c]]])
