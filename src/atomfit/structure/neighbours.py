"""Who is next to whom: distances between atoms, coordination numbers and their cutoff.

The paper counts an atom's neighbours within `(a/2)(1 + 1/√2)` of a fitted fcc lattice, half-way
between the first and the second shell. The same distance is `(1 + √2)/2` times the mean distance to
the first shell, which needs no lattice and no orientation; it is found by iterating from the median
nearest-neighbour distance.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

#: Half-way between the first two shells of fcc, in first-shell distances.
CUTOFF_PER_DISTANCE = (1 + 2**0.5) / 2
#: The first shell, and the gap behind it, in the mean distance of the first shell.
_SHELL, _GAP = (0.85, 1.12), (1.17, 1.33)
#: Atoms are in order below this gap between shells; noise has 0.35 and more.
_ORDERED = 0.3


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Neighbourhoods of n atoms.

    **Fields:**

    - `coordination_numbers`: atoms within the cutoff.
    - `nearest`: index of the nearest other atom; its own for a single atom.
    - `nearest_distances`: to it (Å); NaN for a single atom.
    - `mean_distances`: mean over the atoms within the cutoff (Å); NaN where there are none.
    - `cutoff`: the distance within which atoms count as neighbours (Å).
    """

    coordination_numbers: Int[np.ndarray, " n"]
    nearest: Int[np.ndarray, " n"]
    nearest_distances: Float[np.ndarray, " n"]
    mean_distances: Float[np.ndarray, " n"]
    cutoff: float


def nearest_distances(positions: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Distance from each atom to the nearest other one (Å); NaN for a single atom.

    **Arguments:**

    - `positions`: in Å.
    """
    return _nearest(positions)[0]


def _nearest(positions: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    n = len(positions)
    if n < 2:
        return np.full(n, np.nan), np.arange(n)
    distances, which = cKDTree(positions).query(positions, k=2)
    # Of two atoms at one place either may come first.
    other = np.where(which[:, 1] == np.arange(n), which[:, 0], which[:, 1])
    return distances[:, 1], other


def find_neighbours(
    positions: Float[np.ndarray, "n d"], cutoff: float | None = None, typical: float = np.inf
) -> Neighbours:
    """Count neighbours.

    **Arguments:**

    - `positions`: of the atoms (Å).
    - `cutoff`: distance within which atoms are neighbours (Å); found from the atoms if not given.
    - `typical`: nearest-neighbour distance of the bulk element (Å). A cutoff from the atoms never
        exceeds that of a lattice 1.25 times as wide, so that scattered atoms do not count as bonded.
    """
    n = len(positions)
    distances, nearest = _nearest(positions)
    if cutoff is None:
        cutoff = cutoff_from_atoms(positions, distances, typical)
    pairs = (
        cKDTree(positions).query_pairs(cutoff, output_type="ndarray")
        if n > 1 and np.isfinite(cutoff)
        else np.zeros((0, 2), int)
    )
    ends = np.concatenate([pairs[:, 0], pairs[:, 1]])
    length = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    count = np.bincount(ends, minlength=n)
    total = np.bincount(ends, weights=np.tile(length, 2), minlength=n)
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Neighbours(count, nearest, distances, mean, float(cutoff))


def shell_distance(positions: Float[np.ndarray, "n d"]) -> float:
    """Mean distance of the first shell (Å), as the atoms themselves have it; NaN for a lone atom."""
    if len(positions) < 2:
        return float("nan")
    return cutoff_from_atoms(positions, nearest_distances(positions)) / CUTOFF_PER_DISTANCE


def shell_gap(positions: Float[np.ndarray, "n d"], fewest: int = 15) -> float:
    """Density of pairs between the first two shells in that of the first.

    Zero in a crystal, a third in an amorphous metal, half to one for places that only keep apart.

    **Arguments:**

    - `positions`: of the atoms (Å).
    - `fewest`: pairs in the first shell; of fewer the answer is NaN.
    """
    first = shell_distance(positions)
    if not np.isfinite(first) or first <= 0:
        return float("nan")
    pairs = cKDTree(positions).query_pairs(_GAP[1] * first, output_type="ndarray")
    apart = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1) / first
    between = np.sum((apart > _GAP[0]) & (apart < _GAP[1])) / (_GAP[1] ** 3 - _GAP[0] ** 3)
    inside = (apart > _SHELL[0]) & (apart < _SHELL[1])
    if inside.sum() < fewest:
        return float("nan")
    return float(between / (inside.sum() / (_SHELL[1] ** 3 - _SHELL[0] ** 3)))


def in_order(positions: Float[np.ndarray, "n d"], fewest: int) -> bool:
    """Whether neighbours have a distance of their own, as so many pairs must tell at least."""
    return shell_gap(positions, fewest) < _ORDERED


def cutoff_from_atoms(
    positions: Float[np.ndarray, "n d"],
    nearest: Float[np.ndarray, " n"],
    typical: float = np.inf,
) -> float:
    """Half-way between the first two shells (Å), from the atoms' own distances."""
    limit = 1.25 * typical * CUTOFF_PER_DISTANCE
    if len(positions) < 2:
        return min(limit, float("inf"))
    cutoff = min(CUTOFF_PER_DISTANCE * float(np.median(nearest)), limit)
    tree = cKDTree(positions)
    for _ in range(5):
        pairs = tree.query_pairs(cutoff, output_type="ndarray")
        if len(pairs) == 0:
            break
        shell = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1).mean()
        cutoff = min(CUTOFF_PER_DISTANCE * float(shell), limit)
    return cutoff
