"""Compare found atoms with planted ones."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist


@dataclass(frozen=True)
class Match:
    found: np.ndarray
    planted: np.ndarray
    distances: np.ndarray
    missing: int
    false: int

    @property
    def rmsd(self) -> float:
        return float(np.sqrt(np.mean(self.distances**2)))

    @property
    def f1(self) -> float:
        hits = len(self.distances)
        return 2 * hits / (2 * hits + self.missing + self.false)


def match(found: np.ndarray, planted: np.ndarray, tolerance: float = 1.0) -> Match:
    """One-to-one pairs closer than a tolerance (Å), with the least total distance."""
    distances = cdist(found, planted)
    # Beyond the tolerance all distances cost the same, so that no near pair is given up for a far one.
    rows, columns = linear_sum_assignment(np.minimum(distances, 10 * tolerance))
    near = distances[rows, columns] <= tolerance
    rows, columns = rows[near], columns[near]
    return Match(
        rows,
        columns,
        distances[rows, columns],
        missing=len(planted) - len(rows),
        false=len(found) - len(rows),
    )
