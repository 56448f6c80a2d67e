"""What is known of a structure beforehand, or should hold for it.

A prior is any function of the structure that gives minus the logarithm of a probability, up to a constant:
an interatomic potential divided by kT, springs, where atoms are known to be. It needs no derivatives; what
it says of atoms is in steps, standard uncertainties, evidence and bias alike.

Of Gaussians the curvature is taken in the numbers that they are Gaussians of, as Gauss and Newton would:
it is the same where it counts, and never negative elsewhere.
"""

import abc
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from atomfit.structure.canvas import Leaf
from atomfit.support.errors import InputError

#: Minus the logarithm of a probability, of a structure or of what an observation has for itself.
Prior = Callable[[Any], Float[Array, ""]]


class AbstractPrior(eqx.Module):
    """A function of a structure, or of what an observation has for itself; any callable will do as well."""

    @abc.abstractmethod
    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        """Minus the logarithm of the probability, up to a constant."""

    def curvature(self, structure: PyTree) -> Callable[[PyTree], PyTree]:
        """Its second derivatives by the numbers of a structure, as a function of changes of these."""
        moving, still = eqx.partition(structure, eqx.is_inexact_array)
        slope = jax.grad(lambda numbers: self(eqx.combine(numbers, still)))
        return jax.linearize(slope, moving)[1]


class AbstractGaussianPrior(AbstractPrior):
    """Numbers that are Gaussian."""

    @abc.abstractmethod
    def away(self, structure: PyTree) -> Float[Array, "..."]:
        """How far the numbers are from what is expected."""

    @abc.abstractmethod
    def weighted(self, away: Float[Array, "..."]) -> Float[Array, "..."]:
        """Their inverse covariance, times such a difference."""

    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        away = self.away(structure)
        return 0.5 * jnp.sum(away * self.weighted(away))

    def curvature(self, structure: PyTree) -> Callable[[PyTree], PyTree]:
        moving, still = eqx.partition(structure, eqx.is_inexact_array)
        _, push = jax.linearize(lambda numbers: self.away(eqx.combine(numbers, still)), moving)
        pull = jax.linear_transpose(push, moving)
        return lambda changes: pull(self.weighted(push(changes)))[0]


class Known(AbstractGaussianPrior):
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

    def __check_init__(self) -> None:
        if not isinstance(self.deviations, jax.core.Tracer) and not np.all(np.asarray(self.deviations) > 0):
            raise InputError(
                "a standard deviation is not positive",
                "give positive ones, and infinity where nothing is known",
                "deviations",
            )

    def away(self, structure: PyTree) -> Float[Array, "..."]:
        return self.of(structure) - jnp.asarray(self.values)

    def weighted(self, away: Float[Array, "..."]) -> Float[Array, "..."]:
        return away / jnp.asarray(self.deviations) ** 2


class Correlated(AbstractGaussianPrior):
    """Gaussians of several numbers of each atom.

    **Fields:**

    - `of`: the numbers that are known, one row an atom.
    - `means`: what they are expected to be.
    - `precision`: inverse covariance about that, of all atoms or of each.
    """

    of: Callable[[Any], Float[Array, "n q"]] = eqx.field(static=True)
    means: Float[Leaf, "n q"]
    precision: Float[Leaf, "q q"] | Float[Leaf, "n q q"]

    def away(self, structure: PyTree) -> Float[Array, "n q"]:
        return self.of(structure) - jnp.asarray(self.means)

    def weighted(self, away: Float[Array, "n q"]) -> Float[Array, "n q"]:
        # Written out, because XLA compiles a batched product of small matrices slowly on a CPU.
        return jnp.sum(jnp.asarray(self.precision) * away[:, None, :], axis=2)


class Alike(AbstractGaussianPrior):
    """Numbers that scatter about their mean, which is not known (an element's amplitudes, say).

    **Fields:**

    - `of`: the numbers, of the structure.
    - `deviation`: standard deviation about their mean.
    """

    of: Callable[[Any], Float[Array, "..."]] = eqx.field(static=True)
    deviation: Float[Leaf, ""] | float

    def away(self, structure: PyTree) -> Float[Array, "..."]:
        numbers = self.of(structure)
        return numbers - jnp.mean(numbers, axis=0)

    def weighted(self, away: Float[Array, "..."]) -> Float[Array, "..."]:
        return away / jnp.asarray(self.deviation) ** 2


class _Plain(AbstractPrior):
    """A function that is no part of a tree, as a compiled program needs it.

    An object may have changed since it was compiled, which nothing tells: then it is compiled anew.
    """

    function: Prior = eqx.field(static=True)
    when: object = eqx.field(static=True, default=None)

    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        return self.function(structure)


class _Module(AbstractPrior):
    """A function that is one."""

    function: Prior

    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        return self.function(structure)


def as_priors(functions: Iterable[Prior]) -> tuple[AbstractPrior, ...]:
    """Any functions as priors.

    **Arguments:**

    - `functions`: of a structure, or of what an observation has for itself; their arrays are numbers of the
        problem if they are modules.
    """

    def prior(function: Prior) -> AbstractPrior:
        if isinstance(function, AbstractPrior):
            return function
        if isinstance(function, eqx.Module):
            return _Module(function)
        by_value = isinstance(function, FunctionType) or (
            type(function).__hash__ is not object.__hash__ and not isinstance(function, MethodType)
        )
        return _Plain(function, None if by_value else object())

    return tuple(prior(function) for function in functions)
