"""Free numbers as one vector, and what they mean: the coordinates in which solvers work.

A parametrisation turns named arrays of free numbers, all zero at the start, into a model. Solvers see one
vector of them: those that each atom has for itself stand together, atom by atom, so that a solver may
limit how far any one atom steps.
"""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.structure.canvas import Leaf

#: The free numbers, by name; parts that are frozen are absent.
Free = dict[str, Leaf]


class AbstractParametrisation(eqx.Module):
    """Free numbers, all zero at the start, of which some belong to atoms.

    **Fields:**

    - `start`: the model at zero, which has `atoms`.
    - `steps`: by name, how much of each quantity is one unit of its free number.
    """

    start: eqx.AbstractVar[Any]
    steps: eqx.AbstractVar[dict[str, Leaf]]

    @property
    @abc.abstractmethod
    def rows(self) -> tuple[str, ...]:
        """Names of the free numbers that each atom has for itself, in the order of `flat`."""

    @abc.abstractmethod
    def __call__(self, free: Free) -> Any:
        """The model of free numbers."""

    @property
    def columns(self) -> tuple[int, int]:
        """Number of atoms (padding included), and of free numbers that each has for itself."""
        return len(self.start.atoms), sum(
            int(np.prod(np.shape(self.steps[name])[1:], dtype=int)) for name in self.rows
        )

    def zeros(self) -> Free:
        """The free numbers of the start."""
        return {name: np.zeros(np.shape(step), np.float32) for name, step in self.steps.items()}

    def flat(self, free: Free) -> Float[Array, " k"]:
        """Free numbers as one vector: atom by atom, then the others."""
        atoms, count = self.columns
        parts = [jnp.reshape(free[name], (atoms, -1)) for name in self.rows]
        rows = jnp.concatenate(parts, axis=1) if parts else jnp.zeros((atoms, count))
        return jnp.concatenate([rows.ravel(), *(jnp.ravel(free[name]) for name in self._others)])

    def unflat(self, vector: Float[Leaf, " k"]) -> Free:
        """The inverse of `flat`, also of a vector of numpy, and then in its arrays."""
        atoms, count = self.columns
        rows, rest = vector[: atoms * count].reshape(atoms, count), vector[atoms * count :]
        free: Free = {}
        column = 0
        for name in self.rows:
            shape = np.shape(self.steps[name])
            width = int(np.prod(shape[1:], dtype=int))
            free[name] = rows[:, column : column + width].reshape(shape)
            column += width
        for name in self._others:
            shape = np.shape(self.steps[name])
            size = int(np.prod(shape, dtype=int))
            free[name], rest = rest[:size].reshape(shape), rest[size:]
        return free

    @property
    def _others(self) -> list[str]:
        return sorted(self.steps.keys() - set(self.rows))
