"""The particle of the accuracy study, a truncated octahedron of 807 Pt atoms, and the bound on any fit."""

from dataclasses import dataclass, replace

import numpy as np
from ase.cluster import Octahedron
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.uncertainty import uncertainty
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation.disturbances import noise, without_wedge
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.neighbours import find_neighbours

VOXEL = 0.358
_LATTICE = 3.92
#: Atoms with fewer neighbours are at the surface.
_BULK_COORDINATION = 12
_CUTOFF = 3.3
_JITTER = 0.03
_MARGIN = 8.0


@dataclass(frozen=True, eq=False)
class Case:
    """A map with known atoms.

    **Fields:**

    - `map`: with noise; the peak of an atom is 1.
    - `atoms`: the truth.
    - `noise`: standard deviation of a voxel.
    - `surface`: atoms with fewer than 12 neighbours.
    """

    map: DensityMap
    atoms: FittedAtoms
    noise: float
    surface: Bool[np.ndarray, " n"]

    def bound(self) -> Float[np.ndarray, "n 10"]:
        """Cramér-Rao bound of each number of each atom, for white noise and a background that is known."""
        return uncertainty(self.atoms, self.noise, VOXEL**3).deviations


def octahedron(sigma: float, seed: int, doi: float = 1.0, edge: int = 11, cut: int = 3) -> Case:
    """The particle in a random orientation, without noise.

    **Arguments:**

    - `sigma`: standard deviation of every atom's density (Å).
    - `doi`: U_min / U_maj; the long axis points outwards.
    - `edge`, `cut`: of ase's octahedron; 807 atoms.
    """
    rng = np.random.default_rng(seed)
    sites = Octahedron("Pt", edge, cut, latticeconstant=_LATTICE).get_positions()
    sites = Rotation.random(rng=rng).apply(sites - sites.mean(axis=0))
    surface = find_neighbours(sites, _CUTOFF).coordination_numbers < _BULK_COORDINATION
    half = np.ceil((np.abs(sites).max() + _MARGIN) / VOXEL)
    grid = Grid((int(2 * half),) * 3, np.full(3, VOXEL), np.zeros(3))
    outward = sites / np.maximum(np.linalg.norm(sites, axis=1, keepdims=True), 1e-6)
    shape = doi * np.eye(3) + (1 - doi) * outward[:, :, None] * outward[:, None, :]
    matrices = sigma**2 * 3 / (1 + 2 * doi) * shape
    atoms = FittedAtoms(
        sites + rng.normal(0, _JITTER, sites.shape) + grid.centre,
        np.full(len(sites), (2 * np.pi * sigma**2) ** 1.5),
        np.full(len(sites), sigma**2),
        matrices,
    )
    return Case(
        DensityMap(
            render_map(Gaussians(atoms.positions, atoms.matrices, atoms.amplitudes), grid, 6.0), grid
        ),
        atoms,
        0.0,
        surface,
    )


def disturbed(case: Case, level: float, seed: int, correlation: float = 0.0, wedge: float = 0.0) -> Case:
    """The case with noise of a given level (part of a peak) and, if asked, a missing wedge (degrees)."""
    grid = case.map.grid
    values = case.map.values + noise(grid, level, correlation, seed)
    if wedge:
        values = without_wedge(values, grid, wedge)
    return replace(case, map=DensityMap(values.astype(np.float32), grid), noise=level)
