"""What is minimised: the difference of map and model, where there are atoms.

Voxels far from any atom say nothing of the atoms, and much of what is wrong with a map (a mask's edge,
a neighbouring particle, a drifting background), so the objective counts voxels within a few
standard deviations of an atom. The region that holds them is cut out of the map, measured in multiples
of a typical atom's peak and padded to a multiple of 16 voxels, and to a cube if it nearly is one, so that
maps of any unit look alike to the optimiser and particles of similar size share compiled code. Voxels
that were not measured do not count.

Gaussian noise makes the difference a sum of squares, with weights for voxels (`LeastSquares`) or for
spatial frequencies (`SpectralLeastSquares`): a quadratic form of the density, whose curvature is known in
closed form. Any other likelihood of single voxels is a `Pointwise` misfit, whose curvature changes from
voxel to voxel: the solver multiplies with it by drawing (`posterior`), which costs more.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from atomfit.fitting.model import MapModel
from atomfit.gaussians.overlaps import derivatives_of_gaussian, weighted_derivatives
from atomfit.noise.likelihood import AbstractLoss
from atomfit.rendering import Gaussians, WindowPlan, render

#: The mean of a weight around an atom is taken over a Gaussian of this part of its variance: between those
#: that squares of an atom (1/2) and of its second derivatives have, and about that of the first ones.
_AROUND = 2 / 3


class AbstractMisfit(eqx.Module):
    """Minus the logarithm of the likelihood, as a function of the model's density.

    **Fields:**

    - `values`: the region's voxels, in multiples of a typical peak.
    - `spacing`: voxel edges along x, y, z (Å).
    - `plan`: windows of the atoms.
    """

    values: eqx.AbstractVar[Float[Array | np.ndarray, "..."]]
    spacing: eqx.AbstractVar[Float[Array | np.ndarray, " d"]]
    plan: eqx.AbstractVar[WindowPlan]

    @abc.abstractmethod
    def value_and_slope(self, density: Float[Array, "..."]) -> tuple[Float[Array, ""], Float[Array, "..."]]:
        """Of the misfit, at a density on the region's voxels."""

    @abc.abstractmethod
    def weighted(self, field: Float[Array, "..."], density: Float[Array, "..."]) -> Float[Array, "..."]:
        """W times a field on the region's voxels: the curvature at a density, symmetric and positive."""

    def __call__(self, model: MapModel) -> Float[Array, ""]:
        return self.value_and_slope(model.density(self.plan, self.spacing))[0]

    def background(self, model: MapModel) -> Float[Array, "..."]:
        """The background at every voxel of the region."""
        return jnp.broadcast_to(model.background.density(self.plan.shape, self.spacing), self.plan.shape)


class AbstractLeastSquares(AbstractMisfit):
    """Gaussian noise: ½ rᵀ W r, with one W for all densities."""

    #: Atoms whose overlaps are computed at a time.
    atoms_at_a_time: eqx.AbstractClassVar[int]

    @abc.abstractmethod
    def overlap(
        self, apart: Float[Array, "... d"], variances: Float[Array, "... d d"]
    ) -> Float[Array, "... m"]:
        """Derivatives (as in `overlaps`) of gᵀ W h, for two normalised atoms.

        **Arguments:**

        - `apart`: vector between the atoms (Å).
        - `variances`: sum of their displacement matrices (Å²).
        """


def _of_squares(residual: Float[Array, "..."], weighted: Float[Array, "..."]) -> tuple[Array, Array]:
    """½ rᵀ W r and its slope by the density."""
    return 0.5 * jnp.sum(residual * weighted), -weighted


class LeastSquares(AbstractLeastSquares):
    """White noise: ½ rᵀ W r, where every voxel that counts counts alike.

    **Fields:**

    - `weights`: of each voxel; numbers, or simply whether it counts.
    """

    values: Float[Array | np.ndarray, "..."]
    weights: Num[Array | np.ndarray, "..."] | Bool[Array | np.ndarray, "..."]
    spacing: Float[Array | np.ndarray, " d"]
    plan: WindowPlan
    atoms_at_a_time: ClassVar[int] = 1024

    def value_and_slope(self, density: Float[Array, "..."]) -> tuple[Float[Array, ""], Float[Array, "..."]]:
        residual = jnp.asarray(self.values) - density
        return _of_squares(residual, self.weighted(residual, density))

    def weighted(self, field: Float[Array, "..."], density: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.asarray(self.weights) * field

    def overlap(
        self, apart: Float[Array, "... d"], variances: Float[Array, "... d d"]
    ) -> Float[Array, "... m"]:
        # All voxels of an atom count, as if none were masked: those that are lie where it has faded away.
        overlaps = jnp.asarray(derivatives_of_gaussian(apart, variances))
        return overlaps / jnp.prod(jnp.asarray(self.spacing))


class SpectralLeastSquares(AbstractLeastSquares):
    """Coloured noise: ½ rᵀ W r, where every spatial frequency has its weight, the same in the whole region.

    **Fields:**

    - `weights`: on the half transform of the region.
    - `inside`: which part of each voxel counts: 1 near the atoms, falling to 0 at the region's faces.
    - `frequencies`, `parts`: where overlaps are summed (1/Å), and the weight of each place.
    """

    values: Float[Array | np.ndarray, "..."]
    weights: Float[Array | np.ndarray, "..."]
    inside: Float[Array | np.ndarray, "..."]
    frequencies: Float[Array | np.ndarray, "k d"]
    parts: Float[Array | np.ndarray, " k"]
    spacing: Float[Array | np.ndarray, " d"]
    plan: WindowPlan
    atoms_at_a_time: ClassVar[int] = 32

    def value_and_slope(self, density: Float[Array, "..."]) -> tuple[Float[Array, ""], Float[Array, "..."]]:
        residual = jnp.asarray(self.values) - density
        return _of_squares(residual, self.weighted(residual, density))

    def weighted(self, field: Float[Array, "..."], density: Float[Array, "..."]) -> Float[Array, "..."]:
        inside = jnp.asarray(self.inside)
        return inside * jnp.fft.irfftn(self.weights * jnp.fft.rfftn(inside * field), s=field.shape)

    def overlap(
        self, apart: Float[Array, "... d"], variances: Float[Array, "... d d"]
    ) -> Float[Array, "... m"]:
        overlaps = jnp.asarray(weighted_derivatives(apart, variances, self.frequencies, self.parts))
        return overlaps / jnp.prod(jnp.asarray(self.spacing))


class Pointwise(AbstractMisfit):
    """Any likelihood of single voxels.

    **Fields:**

    - `weights`: of each voxel; numbers, or simply whether it counts.
    - `loss`: what a voxel's difference costs.
    """

    values: Float[Array | np.ndarray, "..."]
    weights: Num[Array | np.ndarray, "..."] | Bool[Array | np.ndarray, "..."]
    loss: AbstractLoss
    spacing: Float[Array | np.ndarray, " d"]
    plan: WindowPlan

    def value_and_slope(self, density: Float[Array, "..."]) -> tuple[Float[Array, ""], Float[Array, "..."]]:
        def total(density: Float[Array, "..."]) -> Float[Array, ""]:
            return jnp.sum(jnp.asarray(self.weights) * self.loss.value(density, self.values))

        return jax.value_and_grad(total)(density)

    def weighted(self, field: Float[Array, "..."], density: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.asarray(self.weights) * self.loss.curvature(density, self.values) * field

    def around(self, model: MapModel) -> Float[Array, " n"]:
        """Mean curvature around each atom."""
        density = model.density(self.plan, self.spacing)
        weight = self.weighted(jnp.ones_like(density), density)
        atoms = model.atoms

        def draw(amplitudes: Float[Array, " n"]) -> Float[Array, "..."]:
            narrower = Gaussians(atoms.positions, _AROUND * jnp.asarray(atoms.matrices()), amplitudes)
            return render(narrower, self.plan, self.spacing, np.zeros(len(self.spacing)))

        mean = jax.vjp(draw, jnp.ones(len(atoms)))[1](weight)[0]
        return mean * jnp.prod(jnp.asarray(self.spacing))
