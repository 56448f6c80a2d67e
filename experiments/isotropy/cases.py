"""Maps of atoms whose degree of isotropy is known, and what `build` says of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from atomfit.fitting.prior import MapAlone
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.rendering import Gaussians, render_map
from atomfit.statistics.displacements import principal_displacements
from atomfit.structure.atoms import matrices_of_elements
from atomfit.structure.grid import DensityMap
from atomfit.structure.matching import match
from atomfit.workflows.build import build
from experiments.accuracy.octahedron import Case, disturbed, octahedron

#: ase's edge and cut of an octahedron of 201 atoms.
SMALL = {"edge": 7, "cut": 2}
SIGMA = 0.5

#: Degrees of isotropy of atoms, from whether they are at the surface, and a generator.
POPULATIONS: dict[str, Callable[[Bool[np.ndarray, " n"], np.random.Generator], Float[np.ndarray, " n"]]] = {
    "1": lambda surface, rng: np.full(len(surface), 1.0),
    "0.8": lambda surface, rng: np.full(len(surface), 0.8),
    "0.6": lambda surface, rng: np.full(len(surface), 0.6),
    "0.45": lambda surface, rng: np.full(len(surface), 0.45),
    "0.3": lambda surface, rng: np.full(len(surface), 0.3),
    "core 1, surface 0.6": lambda surface, rng: np.where(surface, 0.6, 1.0),
    "0.3 to 1": lambda surface, rng: rng.uniform(0.3, 1, len(surface)),
}


@dataclass(frozen=True, eq=False)
class Found:
    """Degrees of isotropy of n atoms that were found and are true.

    **Fields:**

    - `truth`: the true ones.
    - `plain`: the column `doi`.
    - `shrunk`: of each matrix by itself, its anisotropic part made shorter by what noise has added.
    - `debiased`, `esd`: columns `doi_debiased` and `doi_debiased_esd`.
    """

    truth: Float[np.ndarray, " n"]
    plain: Float[np.ndarray, " n"]
    shrunk: Float[np.ndarray, " n"]
    debiased: Float[np.ndarray, " n"]
    esd: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, all_of: list["Found"]) -> "Found":
        """Atoms of several particles as those of one."""
        names = ("truth", "plain", "shrunk", "debiased", "esd")
        return cls(*(np.concatenate([getattr(one, name) for one in all_of]) for name in names))


def planted(population: str, seed: int) -> Case:
    """A particle of 201 atoms, without noise; axes at random, half of its atoms long, half of them flat.

    **Arguments:**

    - `population`: of `POPULATIONS`.
    - `seed`: of the particle.
    """
    rng = np.random.default_rng([seed, 7])
    case = octahedron(SIGMA, seed, **SMALL)
    doi = POPULATIONS[population](case.surface, rng)
    middle = np.where(rng.random(len(doi)) < 0.5, doi, 1.0)
    values = np.column_stack([np.ones_like(doi), middle, doi])
    values *= 3 * SIGMA**2 / values.sum(axis=1, keepdims=True)
    axes = Rotation.random(len(doi), rng=rng).as_matrix()
    matrices = np.einsum("nik,nk,njk->nij", axes, values, axes)
    a = case.atoms
    # Peaks are alike, so that noise means the same to all.
    amplitudes = np.sqrt(np.linalg.det(2 * np.pi * matrices))
    atoms = FittedAtoms(a.positions, amplitudes, a.u_iso, matrices)
    density = render_map(Gaussians(a.positions, matrices, amplitudes), case.map.grid, 6.0)
    return replace(case, map=DensityMap(density, case.map.grid), atoms=atoms)


def found(population: str, snr: float, seed: int) -> Found:
    """What `build` says of a planted particle.

    **Arguments:**

    - `population`: of `POPULATIONS`.
    - `snr`: height of an atom over the standard deviation of a voxel's noise.
    - `seed`: of the particle; its noise has another.
    """
    case = disturbed(planted(population, seed), 1 / snr, 100 + seed)
    result = build(case.map, "Pt")
    if result.joint is None:
        raise RuntimeError("nothing was fitted")
    pairs = match(result.positions, case.atoms.positions)
    s = result.statistics
    return Found(
        principal_displacements(case.atoms.matrices[pairs.known]).degree_of_isotropy,
        s.principal.degree_of_isotropy[pairs.found],
        shrunk(result.joint.alone)[pairs.found],
        s.uncertainties.debiased_isotropy[pairs.found],
        s.uncertainties.debiased_isotropy_esd[pairs.found],
    )


def shrunk(alone: MapAlone) -> Float[np.ndarray, " n"]:
    """A rival: DOI of each matrix by itself, drawn to a sphere as James and Stein (1961) draw a mean.

    With a the anisotropic part of U and q = aᵀ C⁻¹ a, to which noise adds 5 on average, a is made shorter
    by √max(0, 1 - 5 / q): its square is right then on average, if it is not cut at zero.
    """
    turn = np.zeros((5, 6))
    turn[:2, :3] = np.eye(3)[1:] - 1 / 3
    turn[2:, 3:] = np.eye(3)
    a, c = alone.displacements @ turn.T, turn @ alone.covariances @ turn.T
    known = np.all(np.isfinite(a), axis=1) & np.all(np.isfinite(c), axis=(1, 2))
    strength = np.einsum("ni,nij,nj->n", a, np.linalg.inv(np.where(known[:, None, None], c, np.eye(5))), a)
    part = np.sqrt(np.maximum(1 - 5 / np.where(known, strength, np.nan), 0))[:, None, None]
    matrices = np.asarray(matrices_of_elements(alone.displacements))
    sphere = np.trace(matrices, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    isotropy = principal_displacements(sphere + part * (matrices - sphere)).degree_of_isotropy
    return np.where(isotropy > 0, isotropy, np.nan)
