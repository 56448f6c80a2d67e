"""What is known of a structure beforehand, or should hold for it.

A prior is any function of the structure that gives minus the logarithm of a probability, up to a constant:
an interatomic potential divided by kT, springs, where atoms are known to be. It needs no derivatives; what
it says of atoms is in steps, standard uncertainties, evidence and bias alike.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from atomfit.structure.canvas import Leaf


class AbstractPrior(eqx.Module):
    """A function of a structure, or of what an observation has for itself; any callable will do as well."""

    @abc.abstractmethod
    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        """Minus the logarithm of the probability, up to a constant."""


class Known(AbstractPrior):
    """Independent Gaussians.

    **Fields:**

    - `of`: the numbers that are known, of the structure.
    - `values`: their means.
    - `deviations`: standard deviations about these; infinite where nothing is known.

    For places that another experiment tells: `Known(lambda s: s.positions, places, 0.05)`.
    """

    of: Callable[[Any], Float[Array, "..."]] = eqx.field(static=True)
    values: Float[Leaf, "..."] | float
    deviations: Float[Leaf, "..."] | float

    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        away = (self.of(structure) - jnp.asarray(self.values)) / jnp.asarray(self.deviations)
        return 0.5 * jnp.sum(away**2)


class Correlated(AbstractPrior):
    """Gaussians of several numbers of each atom, alike for all atoms.

    **Fields:**

    - `of`: the numbers that are known, one row an atom.
    - `means`: what they are expected to be.
    - `precision`: inverse covariance about that.
    """

    of: Callable[[Any], Float[Array, "n q"]] = eqx.field(static=True)
    means: Float[Leaf, "n q"]
    precision: Float[Leaf, "q q"]

    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        away = self.of(structure) - jnp.asarray(self.means)
        return 0.5 * jnp.sum((away @ jnp.asarray(self.precision)) * away)


class Alike(AbstractPrior):
    """Numbers that scatter about their mean, which is not known (an element's amplitudes, say).

    **Fields:**

    - `of`: the numbers, of the structure.
    - `deviation`: standard deviation about their mean.
    """

    of: Callable[[Any], Float[Array, "..."]] = eqx.field(static=True)
    deviation: Float[Leaf, ""] | float

    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        numbers = self.of(structure)
        away = (numbers - jnp.mean(numbers, axis=0)) / jnp.asarray(self.deviation)
        return 0.5 * jnp.sum(away**2)
