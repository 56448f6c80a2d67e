"""What was measured of a structure: data, their noise, and what a structure would look like.

An observation of one's own needs one function, `predict`. Its derivatives, the curvature of the objective
and what it tells of each number follow by automatic differentiation. What it does not know of itself (a
background, a scale, a defocus) are the floating-point arrays of its `nuisance`, which a fit refines
together with the structure, and whose uncertainty is part of the structure's.

An observation that knows better may say so: `value_and_gradient` and `steepness` are what solvers ask for,
and may be computed in any way that is quicker (view by view, or in closed form). Standard uncertainties
are taken from the exact derivatives of what is predicted, whatever those say.
"""

import abc
from collections.abc import Callable, Collection
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from atomfit.inference.noise import AbstractNoise, forget
from atomfit.structure.canvas import AbstractStructure, Leaf
from atomfit.support.errors import InputError

#: A symmetric matrix, as a function of changes of structure and nuisance.
Product = Callable[[tuple[PyTree, PyTree]], tuple[PyTree, PyTree]]
#: What follows from a prediction.
_CLOSED = ("value_and_gradient", "steepness", "information", "overlaps")


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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        forget(cls, ("predict",), _CLOSED, AbstractObservation)

    @abc.abstractmethod
    def predict(self, structure: AbstractStructure, nuisance: PyTree) -> Float[Array, "..."]:
        """What would be measured without noise; closed forms of another prediction are not inherited.

        **Arguments:**

        - `structure`: what is in the specimen.
        - `nuisance`: what the observation has for itself, as `self.nuisance` has it at the start.
        """

    def negative_log_likelihood(self, structure: AbstractStructure, nuisance: PyTree) -> Float[Array, ""]:
        """How unlikely the data are, up to a constant."""
        return self.noise.negative_log_likelihood(
            self.predict(structure, nuisance), jnp.asarray(self.data), jnp.asarray(self.counted)
        )

    def value_and_gradient(
        self, structure: AbstractStructure, nuisance: PyTree
    ) -> tuple[Float[Array, ""], tuple[PyTree, PyTree]]:
        """How unlikely the data are, and its derivatives by the numbers of structure and nuisance."""

        def cost(both: tuple[AbstractStructure, PyTree]) -> Float[Array, ""]:
            return self.negative_log_likelihood(*both)

        return eqx.filter_value_and_grad(cost)((structure, nuisance))

    def steepness(self, structure: AbstractStructure, nuisance: PyTree) -> Product:
        """JᵀWJ by the numbers of structure and nuisance, as a function of changes of these: for steps."""
        return self.information(structure, nuisance)

    def information(self, structure: AbstractStructure, nuisance: PyTree) -> Product:
        """The same, exactly: what the data tell of these numbers, where the noise is as it should be."""
        moving, still = eqx.partition((structure, nuisance), eqx.is_inexact_array)
        there, push = jax.linearize(lambda numbers: self.predict(*eqx.combine(numbers, still)), moving)
        pull = jax.linear_transpose(push, moving)
        data, counted = jnp.asarray(self.data), jnp.asarray(self.counted)

        def product(changes: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            return pull(self.noise.weighted(push(changes), there, data, counted))[0]

        return product

    def known(self, nuisance: PyTree) -> Float[Array, ""] | float:
        """What is known beforehand of what the observation has for itself: minus a log probability."""
        return 0.0

    def planned(self, structure: AbstractStructure, nuisance: PyTree) -> "AbstractObservation":
        """The same made ready for atoms that are about where a structure has them; called on the host."""
        return self

    def interacting(self, structure: AbstractStructure) -> Bool[np.ndarray, "n n"]:
        """Which atoms may share data: those that do not are never told apart."""
        return np.ones((len(structure), len(structure)), bool)

    def overlaps(
        self,
        structure: AbstractStructure,
        nuisance: PyTree,
        tangents: PyTree,
        pairs: Int[np.ndarray, "m 2"],
    ) -> Float[np.ndarray, "m p p"]:
        """The information that pairs of atoms share, for `local`; if it can be had without all others.

        **Arguments:**

        - `structure`, `nuisance`: where it is known.
        - `tangents`: of the structure by each atom's own p numbers; leaves begin with p.
        - `pairs`: of atoms, the first in order.
        """
        raise InputError(
            f"{type(self).__name__} tells of no atom by itself", "refine fewer atoms", "observations"
        )

    @property
    def groups(self) -> Int[np.ndarray, "..."]:
        """Which values may err together, by the number of a group; each by itself if none do."""
        return np.arange(np.size(self.data)).reshape(np.shape(self.data))

    @property
    def measurements(self) -> int:
        """How many values count."""
        return int(np.count_nonzero(np.asarray(self.counted)))

    @property
    def volume(self) -> float:
        """In which atoms may be found (Å³, of a map of two dimensions Å²); NaN if it cannot tell."""
        return float("nan")


def blocks(shape: tuple[int, ...], edge: int) -> Int[np.ndarray, "..."]:
    """Which block of neighbouring values each belongs to.

    **Arguments:**

    - `shape`: of the values.
    - `edge`: of the blocks, in values.
    """
    counts = [-(-n // edge) for n in shape]
    return np.ravel_multi_index(tuple(np.indices(shape) // edge), counts).astype(np.int64)


def require_known(asked: Collection[str], known: Collection[str], option: str) -> None:
    """Nothing that is asked for by name is to be ignored.

    **Raises:** `InputError` if a name is none of those that are known.
    """
    for name in asked:
        if name not in known:
            raise InputError(f"there is no {name!r}", "give some of " + ", ".join(sorted(known)), option)


def require_noise(noise: Any, kinds: tuple[type, ...]) -> None:
    """**Raises:** `InputError` if a noise is given that is none."""
    if noise is not None and not isinstance(noise, kinds):
        raise InputError(
            f"{noise!r} is no noise",
            "give WhiteNoise(deviation), or another instance of AbstractNoise",
            "noise",
        )


def require_like(structure: AbstractStructure, d: int, what: str) -> None:
    """Atoms must be in the space of what is to be seen of them.

    **Raises:** `InputError` if there are none, if they have other dimensions, if their numbers are not
        finite or not of each, or if none of them shows.
    """
    positions, amplitudes = np.asarray(structure.positions), np.asarray(structure.amplitudes)
    if not len(positions):
        raise InputError("the structure has no atoms", "give one at least", "structure")
    if positions.ndim != 2 or positions.shape[1] != d:
        raise InputError(
            f"atoms of {positions.shape[-1]} dimensions are not those of {what} of {d}",
            f"give {d} coordinates for each atom",
            "structure",
        )
    if not np.all(np.isfinite(positions)):
        raise InputError("an atom's position is no number", "leave it out", "structure")
    if amplitudes.shape != (len(positions),):
        raise InputError(
            f"there are amplitudes of shape {amplitudes.shape}, and {len(positions)} positions",
            "give one for each",
            "structure",
        )
    numbers = jax.tree.leaves(eqx.filter(structure, eqx.is_inexact_array))
    if not all(np.all(np.isfinite(x)) for x in numbers):
        raise InputError(
            "a number of an atom is not finite (a variance that is not positive?)",
            "give finite ones, and positive variances",
            "structure",
        )
    if not np.any(amplitudes):
        raise InputError("all amplitudes are zero", "begin with about what they are", "structure")


def with_own(structure: Any, own: dict[str, Any], which: Any = None) -> Any:
    """A structure as an observation sees it that shows some atoms, or has parts for itself.

    **Arguments:**

    - `structure`: with all of its atoms.
    - `own`: parts that are the observation's, by the names of the structure's fields; of the atoms it
        shows.
    - `which`: indices of these; all if None.
    """
    if which is not None:
        structure = structure[which]
    if not own:
        return structure
    names = tuple(sorted(own))
    return eqx.tree_at(
        lambda s: [getattr(s, name) for name in names], structure, [own[name] for name in names]
    )
