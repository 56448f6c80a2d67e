"""The model of a map: atoms on a background.

    ρ(r) = b(r) + Σ_i A_i Σ_k a_k N(r - x_i; U_i + β_k 1)

All parts are equinox modules and can be replaced: a background is anything that turns coordinates,
measured from the middle of the fitted region, into a density, and is linear in its own numbers;
`scatterers` tells what the terms of an atom are (one, with β = 0, by default) and what else may be in U.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from atomfit.gaussians.scatterers import AbstractScattering, OneGaussian
from atomfit.observation.background import AbstractBackground
from atomfit.rendering import Gaussians, WindowPlan, render
from atomfit.structure.atoms import Atoms, Leaf


class MapModel(eqx.Module):
    """Atoms on a background, as a density on a region of voxels.

    **Fields:**

    - `atoms`: their displacements are all that widens them, their scattering apart.
    - `background`: what lies beneath them.
    - `scattering`: what they look like at rest.
    """

    atoms: Atoms
    background: AbstractBackground
    scattering: AbstractScattering = OneGaussian()

    def density(self, plan: WindowPlan, spacing: Float[Leaf, " d"]) -> Float[Array, "..."]:
        """Density at the region's voxel centres.

        **Arguments:**

        - `plan`: windows of the atoms' Gaussians, whose centres are measured from the region's first voxel.
        - `spacing`: voxel edges along x, y, z (Å).
        """
        atoms = render(self.gaussians, plan, spacing, np.zeros(len(spacing)))
        return atoms + self.background.density(plan.shape, spacing)

    @property
    def gaussians(self) -> Gaussians:
        """What the renderer draws for the atoms."""
        atoms = self.atoms
        return self.scattering.gaussians(atoms.positions, atoms.matrices(), atoms.amplitudes)
