"""Which atoms of one set are which atoms of another.

Found atoms are judged against known ones pair by pair, each atom in one pair at most, so that two found
atoms cannot both be the same known one. Among all ways to pair atoms closer than the tolerance, the one
with the most pairs is taken, and of those the one with the least total distance. Atoms that no chain of
near pairs connects do not compete: a pair that is alone is taken, and what is left is one assignment
that knows near pairs only, so that neither many atoms nor unlike models are an obstacle.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree


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

        >>> paired = match(np.array([[0.1, 0, 0], [9.0, 0, 0]]), np.array([[0.0, 0, 0], [3.0, 0, 0]]))
        >>> paired.found.tolist(), paired.known.tolist(), paired.missing, paired.false
        ([0], [0], 1, 1)
    """
    rows, columns = _near_pairs(found, known, tolerance)
    distances = np.linalg.norm(found[rows] - known[columns], axis=1)
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    pairs = np.concatenate(
        [np.flatnonzero(alone), _best(rows, columns, distances, np.flatnonzero(~alone), tolerance)]
    )
    return Match(
        rows[pairs],
        columns[pairs],
        distances[pairs],
        missing=len(known) - len(pairs),
        false=len(found) - len(pairs),
    )


def _near_pairs(
    found: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"], tolerance: float
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    if not len(found) or not len(known):
        return np.zeros(0, int), np.zeros(0, int)
    near = cKDTree(known).query_ball_point(found, tolerance)
    rows = np.repeat(np.arange(len(found)), [len(x) for x in near])
    return rows, np.array([j for x in near for j in x], int)


def _best(
    rows: Int[np.ndarray, " k"],
    columns: Int[np.ndarray, " k"],
    distances: Float[np.ndarray, " k"],
    which: Int[np.ndarray, " q"],
    tolerance: float,
) -> Int[np.ndarray, " p"]:
    """Of some near pairs as many as can be, and of those the nearest."""
    if not len(which):
        return which
    found, i = np.unique(rows[which], return_inverse=True)
    known, j = np.unique(columns[which], return_inverse=True)
    n, m = len(found), len(known)
    # Each found atom may also stay alone, which costs more than all near pairs together: none is given up
    # for it. The tolerance, which all have added, is there because zeros would be no pairs.
    costs = tolerance + np.concatenate([distances[which], np.full(n, (1 + min(n, m)) * 2 * tolerance)])
    ends = np.concatenate([i, np.arange(n)]), np.concatenate([j, m + np.arange(n)])
    taken, partner = min_weight_full_bipartite_matching(csr_array((costs, ends), shape=(n, m + n)))
    paired = partner < m
    of_pair = csr_array((which + 1, (i, j)), shape=(n, m))
    return np.asarray(of_pair[taken[paired], partner[paired]]).ravel().astype(int) - 1
