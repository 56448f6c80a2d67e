"""What solvers see: an objective of free numbers, its gradient, and products with its curvature."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from atomfit.optimisation.parameters import AbstractParametrisation, Free


class Evaluation(NamedTuple):
    """What the objective is at one place.

    **Fields:**

    - `value`, `gradient`: of the objective; the gradient in the order of `Parametrisation.flat`.
    """

    value: Float[Array, ""]
    gradient: Float[Array, " k"]


class AbstractPosterior(eqx.Module):
    """An objective whose curvature is known, up to what Gauss-Newton leaves out.

    **Fields:**

    - `parametrisation`: of its free numbers.
    """

    parametrisation: eqx.AbstractVar[AbstractParametrisation]

    @abc.abstractmethod
    def __call__(self, free: Free) -> Float[Array, ""]:
        """The objective."""

    @abc.abstractmethod
    def evaluate(self, free: Free) -> Evaluation:
        """Objective and gradient."""

    @abc.abstractmethod
    def misfit(self, free: Free, value: Float[Array, ""] | float) -> Float[Array, ""] | float:
        """What the data have in the objective.

        **Arguments:**

        - `free`, `value`: the free numbers and the objective there.
        """

    @abc.abstractmethod
    def curvature(
        self, free: Free
    ) -> tuple[Callable[[Float[Array, " k"]], Float[Array, " k"]], Float[Array, " k"]]:
        """Products with the curvature, and its diagonal, about."""
