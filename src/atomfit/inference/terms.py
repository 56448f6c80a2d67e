"""Parts of an objective that are functions of its free numbers, and of no structure.

A prior on a structure holds whatever its numbers are called. What belongs to one fit alone (numbers that a
sample draws, a correction of what some of them take from others) is said of the free numbers themselves.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.structure.canvas import Leaf


class AbstractTerm(eqx.Module):
    """A part of an objective that is a function of its free numbers, in the objective's unit."""

    @abc.abstractmethod
    def __call__(self, parametrisation: AbstractParametrisation, free: Free) -> Float[Array, ""]:
        """Its value."""

    @abc.abstractmethod
    def curvature(
        self, parametrisation: AbstractParametrisation, free: Free
    ) -> Callable[[Float[Array, " k"]], Float[Array, " k"]]:
        """Products with what steps take for its second derivatives; they must not be negative."""


class KnownNumbers(AbstractTerm):
    """Free numbers that are known beforehand.

    **Fields:**

    - `values`: what they are expected to be, in the order of `flat`.
    - `precisions`: inverse variances about that.
    """

    values: Float[Leaf, " k"]
    precisions: Float[Leaf, " k"]

    def __call__(self, parametrisation: AbstractParametrisation, free: Free) -> Float[Array, ""]:
        off = parametrisation.flat(free) - jnp.asarray(self.values)
        return 0.5 * jnp.vdot(off, jnp.asarray(self.precisions) * off)

    def curvature(
        self, parametrisation: AbstractParametrisation, free: Free
    ) -> Callable[[Float[Array, " k"]], Float[Array, " k"]]:
        return lambda vector: jnp.asarray(self.precisions) * vector
