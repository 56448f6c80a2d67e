"""The model of a map: atoms on a background.

    ρ(r) = b(r) + Σ_i A_i Σ_k a_k N(r - x_i; U_i + β_k 1)

All parts are equinox modules and can be replaced: a background is anything that turns coordinates,
measured from the middle of the fitted region, into a density; `scatterers` tells what the terms of an atom
are (one, with β = 0, by default) and what else may be in U.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from atomfit.atoms import Atoms, Leaf
from atomfit.fitting.scatterers import AbstractScattering, OneGaussian
from atomfit.grid import Grid
from atomfit.rendering import Gaussians, WindowPlan, render


class AbstractBackground(eqx.Module):
    """A smooth density beneath the atoms (map units)."""

    @abc.abstractmethod
    def density(self, shape: tuple[int, ...], spacing: Float[Leaf, " d"]) -> Float[Array, "..."]:
        """Density on a region of voxels; broadcastable to its shape (array order)."""

    @abc.abstractmethod
    def on(self, grid: Grid, fitted: Grid) -> Float[np.ndarray, "..."]:
        """Density on any grid, of a background that was fitted on another; broadcastable."""

    def fields(self, grid: Grid) -> list[Float[np.ndarray, "..."]]:
        """Density on a grid of each of its numbers at one, the others at zero; it is linear in them."""
        numbers, unravel = ravel_pytree(jax.tree.map(np.zeros_like, self))
        units: Any = np.eye(len(numbers), dtype=np.float32)
        return [np.broadcast_to(unravel(unit).on(grid, grid), grid.shape) for unit in units]

    @abc.abstractmethod
    def numbers(self) -> dict[str, float | list[float]]:
        """Its values by name, for reports."""

    @abc.abstractmethod
    def times(self, factor: float) -> "AbstractBackground":
        """The same background in another unit of density."""


class NoBackground(AbstractBackground):
    """Zero everywhere."""

    def density(self, shape: tuple[int, ...], spacing: Float[Leaf, " d"]) -> Float[Array, "..."]:
        return jnp.zeros((1,) * len(shape))

    def on(self, grid: Grid, fitted: Grid) -> Float[np.ndarray, "..."]:
        return np.zeros((1,) * grid.ndim)

    def numbers(self) -> dict[str, float | list[float]]:
        return {}

    def times(self, factor: float) -> "NoBackground":
        return self


class ConstantBackground(AbstractBackground):
    """The same level everywhere.

    **Fields:**

    - `level`: map units.
    """

    level: Float[Leaf, ""]

    def density(self, shape: tuple[int, ...], spacing: Float[Leaf, " d"]) -> Float[Array, "..."]:
        return jnp.reshape(jnp.asarray(self.level), (1,) * len(shape))

    def on(self, grid: Grid, fitted: Grid) -> Float[np.ndarray, "..."]:
        return np.full((1,) * grid.ndim, float(self.level))

    def numbers(self) -> dict[str, float | list[float]]:
        return {"level": float(self.level)}

    def times(self, factor: float) -> "ConstantBackground":
        return ConstantBackground(np.asarray(float(self.level) * factor))


class LinearBackground(AbstractBackground):
    """A level and a slope.

    **Fields:**

    - `level`: in the middle of the region (map units).
    - `slope`: along x, y, z (map units / Å).
    """

    level: Float[Leaf, ""]
    slope: Float[Leaf, " d"]

    def density(self, shape: tuple[int, ...], spacing: Float[Leaf, " d"]) -> Float[Array, "..."]:
        total = jnp.reshape(jnp.asarray(self.level), (1,) * len(shape))
        for axis, n in enumerate(shape):
            k = len(shape) - 1 - axis
            ramp = (jnp.arange(n) - 0.5 * (n - 1)) * spacing[k] * self.slope[k]
            total = total + ramp.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        return total

    def on(self, grid: Grid, fitted: Grid) -> Float[np.ndarray, "..."]:
        total = np.full((1,) * grid.ndim, float(self.level))
        for axis, n in enumerate(grid.shape):
            k = grid.ndim - 1 - axis
            ramp = grid.origin[k] + grid.spacing[k] * np.arange(n) - fitted.centre[k]
            shape = [-1 if a == axis else 1 for a in range(grid.ndim)]
            total = total + (ramp * float(self.slope[k])).reshape(shape)
        return total

    def numbers(self) -> dict[str, float | list[float]]:
        return {"level": float(self.level), "slope": np.asarray(self.slope).tolist()}

    def times(self, factor: float) -> "LinearBackground":
        slope = np.asarray(self.slope, np.float64) * factor
        return LinearBackground(np.asarray(float(self.level) * factor), slope)


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
