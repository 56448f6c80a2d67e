"""Which neighbours the columns of a domain should have, and which of them are there.

What is expected follows from the lattice alone: all sites nearer than a few spacings. Whether one is there
is asked beside the column itself, not at the lattice's own place for it, so that strain does not matter. A
column that lacks a neighbour of its first shell is at the surface of its domain.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_lattice import PlaneLattice


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Of m columns of a domain: e expected neighbours, sorted by column.

    **Fields:**

    - `begin`: number of each one's column within the domain.
    - `cells`: by how many a and b away it is.
    - `kinds`: its sublattice.
    - `places`: where it is expected (Å).
    - `columns`: the column of the image that is there; -1 for none.
    """

    begin: Int[np.ndarray, " e"]
    cells: Int[np.ndarray, "e 2"]
    kinds: Int[np.ndarray, " e"]
    places: Float[np.ndarray, "e 2"]
    columns: Int[np.ndarray, " e"]

    def surface(self, m: int) -> Bool[np.ndarray, " m"]:
        """Which of the m columns lack a neighbour."""
        return np.bincount(self.begin, weights=self.columns < 0, minlength=m) > 0


def surroundings(positions: Float[np.ndarray, "n 2"], lattice: PlaneLattice, reach: float) -> Surroundings:
    """Neighbours of a domain's columns that are nearer than a distance (Å).

    **Arguments:**

    - `positions`: of all columns of the image (Å).
    - `lattice`: of the domain.
    - `reach`: how far neighbours are.
    """
    basis, offsets = lattice.basis, lattice.offsets
    most = int(np.ceil(reach / _thickness(basis))) + 1
    steps = np.stack(np.meshgrid(*[np.arange(-most, most + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(positions).all(axis=1))
    tree, parts = cKDTree(positions[finite]), []
    for kind in range(len(offsets)):
        own = np.flatnonzero(lattice.sublattices == kind)
        vectors = (steps[:, None] + offsets - offsets[kind]) @ basis.T
        lengths = np.linalg.norm(vectors, axis=2)
        cell, end = np.nonzero((lengths < reach) & (lengths > 1e-6))
        places = positions[lattice.columns[own], None] + vectors[cell, end]
        distance, which = tree.query(
            places, distance_upper_bound=LIMITS.plane_site * site_distance(lattice)
        )
        columns = np.where(np.isfinite(distance), finite[np.minimum(which, len(finite) - 1)], -1)
        shape = places.shape[:2]
        parts.append(
            (
                np.broadcast_to(own[:, None], shape).ravel(),
                np.broadcast_to(steps[cell], (*shape, 2)).reshape(-1, 2),
                np.broadcast_to(end, shape).ravel(),
                places.reshape(-1, 2),
                columns.ravel(),
            )
        )
    begin, cells, kinds, places, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(begin, kind="stable")
    return Surroundings(begin[order], cells[order], kinds[order], places[order], columns[order])


def site_distance(lattice: PlaneLattice) -> float:
    """Distance of the nearest two sites (Å)."""
    steps = np.array([[h, k] for h in (-1, 0, 1) for k in (-1, 0, 1)])
    between = steps[:, None, None] + lattice.offsets[:, None] - lattice.offsets
    lengths = np.linalg.norm(between @ lattice.basis.T, axis=-1)
    return float(lengths[lengths > 1e-6].min())


def _thickness(basis: Float[np.ndarray, "2 2"]) -> float:
    """Distance of the densest rows that a or b run along (Å)."""
    return float(abs(np.linalg.det(basis)) / np.linalg.norm(basis, axis=0).max())
