"""What was measured of a structure: data, their noise, and what a structure would look like.

An observation of one's own needs one function, `predict`. Its derivatives, the curvature of the objective
and what it tells of each number follow by automatic differentiation. What it does not know of itself (a
background, a scale, a defocus) are the floating-point arrays of its `nuisance`, which a fit refines
together with the structure, and whose uncertainty is part of the structure's.
"""

import abc
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from atomfit.inference.noise import AbstractNoise
from atomfit.structure.canvas import AbstractStructure, Leaf

#: Minus the logarithm of a probability, of a structure or of what an observation has for itself.
Prior = Callable[[Any], Float[Array, ""]]


class _Plain(eqx.Module):
    """A function that is no part of a tree, as a compiled program needs it."""

    function: Prior = eqx.field(static=True)

    def __call__(self, numbers: Any) -> Float[Array, ""]:
        return self.function(numbers)


def as_modules(priors: Iterable[Prior]) -> tuple[Prior, ...]:
    """Priors, of which those that are plain functions are made modules."""
    return tuple(p if isinstance(p, eqx.Module) else _Plain(p) for p in priors)


class AbstractObservation(eqx.Module):
    """Data that depend on a structure.

    **Fields:**

    - `data`: what was measured.
    - `counted`: how much each value counts: whether it was measured, or any weight.
    - `noise`: how it errs.
    - `nuisance`: what the observation has for itself; None for nothing.
    """

    data: eqx.AbstractVar[Float[Leaf, "..."]]
    counted: eqx.AbstractVar[Leaf]
    noise: eqx.AbstractVar[AbstractNoise]
    nuisance: eqx.AbstractVar[PyTree]

    @abc.abstractmethod
    def predict(self, structure: AbstractStructure, nuisance: PyTree) -> Float[Array, "..."]:
        """What would be measured without noise.

        **Arguments:**

        - `structure`: what is in the specimen.
        - `nuisance`: what the observation has for itself, as `self.nuisance` has it at the start.
        """

    def negative_log_likelihood(self, structure: AbstractStructure, nuisance: PyTree) -> Float[Array, ""]:
        """How unlikely the data are, up to a constant."""
        return self.noise.negative_log_likelihood(
            self.predict(structure, nuisance), jnp.asarray(self.data), jnp.asarray(self.counted)
        )

    def known(self, nuisance: PyTree) -> Float[Array, ""] | float:
        """What is known beforehand of what the observation has for itself: minus a log probability."""
        return 0.0

    def planned(self, structure: AbstractStructure, nuisance: PyTree) -> "AbstractObservation":
        """The same made ready for atoms that are about where a structure has them; called on the host."""
        return self

    def interacting(self, structure: AbstractStructure) -> Bool[np.ndarray, "n n"]:
        """Which atoms may share data: those that do not are never told apart."""
        return np.ones((len(structure), len(structure)), bool)

    @property
    def measurements(self) -> int:
        """How many values count."""
        return int(np.count_nonzero(np.asarray(self.counted)))

    @property
    def volume(self) -> float:
        """In which atoms may be found (Å³, of a map of two dimensions Å²); NaN if it cannot tell."""
        return float("nan")


def with_own(structure: Any, own: dict[str, Any], which: Any = None) -> Any:
    """A structure as an observation sees it that shows some atoms, or has parts for itself.

    **Arguments:**

    - `structure`: with all of its atoms.
    - `own`: parts that are the observation's, by the names of the structure's fields; of the atoms it
        shows.
    - `which`: indices of these; all if None.
    """
    if which is not None:
        structure = jax.tree.map(lambda leaf: leaf[which], structure)
    if not own:
        return structure
    names = tuple(sorted(own))
    return eqx.tree_at(
        lambda s: [getattr(s, name) for name in names], structure, [own[name] for name in names]
    )
