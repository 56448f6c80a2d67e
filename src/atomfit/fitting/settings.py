"""How a map is to be fitted: what a program may choose, apart from what `build` asks its users."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from atomfit.fitting.problem import Term
from atomfit.gaussians.scatterers import AbstractScattering
from atomfit.noise.likelihood import AbstractLoss
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.observation.background import AbstractBackground
from atomfit.optimisation.solvers import AbstractSolver
from atomfit.options.build import Background, Displacements, Prior, Scattering, Voxels


@dataclass(frozen=True, eq=False)
class MapSettings:
    """How a map is to be fitted.

    **Fields:**

    - `numbers`: atomic numbers, where there are several elements.
    - `displacements`: one number an atom, or a matrix.
    - `scattering`: what atoms look like at rest: "gaussian" leaves that to their displacements,
        "form-factor" takes it from their elements; or densities of one's own, of each atom.
    - `u_mean`: mean displacement (Å²), if it is known; with form factors it tells displacements from
        resolution, see `resolution`.
    - `voxels`: what a voxel holds: the density at its centre, or its mean over the voxel.
    - `background`: what lies beneath the atoms, by name or as the background to start from (map units).
    - `frozen`: parts that keep their starting values.
    - `solver`: Gauss-Newton if not given.
    - `terms`: what else good atoms keep to: functions of them, in squared typical peaks.
    - `noise`: its spectrum; "residual" to count frequencies alike, but take uncertainties from what the fit
        leaves; white if not given.
    - `likelihood`: of a voxel, if noise is not Gaussian; spatial frequencies have no weights then.
    - `prior`: "empirical" draws displacements towards those of the other atoms, as far as the map supports
        (see `prior`); "auto" does so if the map alone leaves them uncertain.
    - `max_iterations`: the most iterations, those before `start` included.
    - `devices`: how many of JAX's devices draw the atoms.
    - `progress`: called with iterations done and the objective.
    - `region_widths`: how far from an atom voxels count, in widths of the mean atom.
    - `held_out`: voxels of the map that the fit may not see.
    """

    numbers: Int[np.ndarray, " n"] | None = None
    displacements: Displacements = "anisotropic"
    scattering: Scattering | AbstractScattering = "gaussian"
    u_mean: float | None = None
    voxels: Voxels = "point"
    background: Background | AbstractBackground = "constant"
    frozen: Collection[str] = ()
    solver: AbstractSolver | None = None
    terms: tuple[Term, ...] = ()
    noise: NoiseSpectrum | Literal["residual"] | None = None
    likelihood: AbstractLoss | None = None
    prior: Prior = "none"
    max_iterations: int = 300
    devices: int = 1
    progress: Callable[[int, float], None] = field(default_factory=lambda: _silent)
    region_widths: float = 4.5
    held_out: Bool[np.ndarray, "..."] | None = None


def _silent(iteration: int, value: float) -> None:
    """Nobody is told."""
