"""The model of a map: atoms on a background.

    ρ(r) = b(r) + Σ_i A_i Σ_k a_k N(r - x_i; U_i + β_k 1)

All parts are equinox modules and can be replaced: a background is anything that turns coordinates,
measured from the middle of the fitted region, into a density, and is linear in its own numbers;
`scatterers` tells what the terms of an atom are (one, with β = 0, by default) and what else may be in U.
"""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.fitting.scatterers import AbstractScattering, OneGaussian
from atomfit.rendering import Gaussians, WindowPlan, render
from atomfit.structure.atoms import Atoms, Leaf
from atomfit.structure.grid import Grid


class AbstractBackground(eqx.Module):
    """A smooth density beneath the atoms (map units).

    What a fit refines are its numbers: the elements of its floating-point leaves, in order. The density is
    linear in them. What shall stay as it is belongs into static fields.
    """

    @abc.abstractmethod
    def at(self, *coordinates: Float[Leaf, "..."]) -> Float[Leaf, "..."] | float:
        """Density at places, of jax and of numpy arrays alike.

        **Arguments:**

        - `coordinates`: x, y, z from the middle of the fitted region (Å), broadcastable with each other.
        """

    def density(self, shape: tuple[int, ...], spacing: Float[Leaf, " d"]) -> Float[Array, "..."]:
        """Density on the fitted region; broadcastable to its shape (array order)."""
        axes = [(np.arange(n) - 0.5 * (n - 1)).astype(np.float32) for n in shape[::-1]]
        return jnp.asarray(self.at(*_open_mesh([axis * spacing[k] for k, axis in enumerate(axes)])))

    def on(self, grid: Grid, fitted: Grid) -> Float[np.ndarray, "..."]:
        """Density on any grid, of a background that was fitted on another; broadcastable."""
        away = grid.origin - fitted.centre
        axes = [away[k] + grid.spacing[k] * np.arange(n) for k, n in enumerate(grid.shape[::-1])]
        return np.asarray(self.at(*_open_mesh(axes)), np.float64)

    def fields(self, grid: Grid) -> list[Float[np.ndarray, "..."]]:
        """Density on a grid of each of its numbers at one, the others at zero."""
        zero = self.times(0.0)
        units = np.eye(zero.count)
        return [np.broadcast_to(zero.plus(unit).on(grid, grid), grid.shape) for unit in units]

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(self) if eqx.is_inexact_array(leaf))

    def plus(self, changes: Float[Leaf, " b"]) -> "AbstractBackground":
        """The same background with its numbers changed."""
        leaves, structure = jax.tree.flatten(self)
        begin = 0
        for i, leaf in enumerate(leaves):
            if eqx.is_inexact_array(leaf):
                size = int(np.size(leaf))
                leaves[i] = (leaf.reshape(-1) + changes[begin : begin + size]).reshape(leaf.shape)
                begin += size
        return jax.tree.unflatten(structure, leaves)

    def times(self, factor: float) -> "AbstractBackground":
        """The same background in another unit of density, in float64."""

        def scaled(leaf: Any) -> Any:
            return np.asarray(np.float64(factor) * leaf) if eqx.is_inexact_array(leaf) else leaf

        return jax.tree.map(scaled, self)

    def numbers(self) -> dict[str, Any]:
        """Its arrays by the names of its fields, for reports."""
        named = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: np.asarray(x).tolist() for name, x in named.items() if eqx.is_inexact_array(x)}


def _open_mesh(axes: list[Any]) -> list[Any]:
    """Coordinates along x, y, z as arrays that span a region together (array order)."""
    d = len(axes)
    return [axis.reshape([-1 if a == d - 1 - k else 1 for a in range(d)]) for k, axis in enumerate(axes)]


class NoBackground(AbstractBackground):
    """Zero everywhere."""

    def at(self, *coordinates: Float[Leaf, "..."]) -> float:
        return 0.0


class ConstantBackground(AbstractBackground):
    """The same level everywhere.

    **Fields:**

    - `level`: map units.
    """

    level: Float[Leaf, ""]

    def at(self, *coordinates: Float[Leaf, "..."]) -> Float[Leaf, ""]:
        return self.level


class LinearBackground(AbstractBackground):
    """A level and a slope.

    **Fields:**

    - `level`: in the middle of the region (map units).
    - `slope`: along x, y, z (map units / Å).
    """

    level: Float[Leaf, ""]
    slope: Float[Leaf, " d"]

    def at(self, *coordinates: Float[Leaf, "..."]) -> Float[Leaf, "..."]:
        return sum((self.slope[k] * x for k, x in enumerate(coordinates)), start=self.level)


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
