"""What lies beneath the atoms of a map: a smooth density that is linear in its own numbers.

A background of one's own is anything that turns coordinates, measured from the middle of the fitted
region, into a density.
"""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.options.build import Background
from atomfit.structure.atoms import Leaf
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError


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


def background_of(background: Background | AbstractBackground, level: float, d: int) -> AbstractBackground:
    """A background by its name, at a level; or one's own, whose plain numbers count as arrays."""
    match background:
        case "none":
            return NoBackground()
        case "constant":
            return ConstantBackground(np.asarray(level))
        case "linear":
            return LinearBackground(np.asarray(level), np.zeros(d))
        case AbstractBackground():
            return jax.tree.map(np.asarray, background)
        case _:
            raise InputError(
                f"there is no background {background!r}",
                "give none, constant, linear, or an AbstractBackground",
                "background",
            )
