"""One structure, any observations of it, and what is known beforehand: the objective of them all.

    objective(structure, nuisances) = Σ -log p(data | structure, nuisance) + Σ prior(structure)

in natural units: minus the logarithm of a probability, up to a constant. `Objective` is that as a function
of free numbers, which any solver minimises. Steps follow the Gauss-Newton matrix, JᵀWJ of each observation
and the curvature of the priors, which is only ever multiplied with vectors. Every sum is one over
observations, each of which may compute its part in its own way (`observation`).

How large a step of each number is, and the unit in which solvers see the objective, are theirs to know:
each free number is measured where it changes the objective by about one half of that unit, which is chosen
so that for a typical atom such a step is a fraction of its width.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import paramax
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from atomfit.inference.observation import AbstractObservation, Product
from atomfit.inference.parameters import Parameters, on_host
from atomfit.inference.priors import AbstractPrior, Prior, as_priors
from atomfit.inference.terms import AbstractTerm
from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.optimisation.posterior import AbstractPosterior, Evaluation
from atomfit.rendering.canvas import CUTOFF, MeasuringCanvas
from atomfit.structure.canvas import AbstractStructure, Leaf
from atomfit.support.compiled import kept
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics

#: Signal-to-noise ratio of an atom's amplitude whose standard uncertainty, in units of a free number, is
#: one.
_STRENGTH = 5.0
#: Probes of each diagonal, and how far one may lie from the median of alike numbers.
_PROBES, _SPREAD = 2, 25.0
_SIGNS = np.array([-1, 1], np.float32)
#: Vectors that are multiplied in one call.
_AT_A_TIME = 256


def _several(given: Any) -> tuple[Any, ...]:
    """One or more, as a tuple."""
    return (given,) if callable(given) or isinstance(given, AbstractObservation) else tuple(given)


class Problem(eqx.Module):
    """What is to be refined.

    **Fields:**

    - `structure`: where atoms begin; what of it stays as it is, is frozen (`parameters`).
    - `observations`: one or more.
    - `priors`: functions of the structure; see `priors`.

    **Raises:** `InputError` if there is nothing to be refined, or no observation.
    """

    structure: AbstractStructure
    observations: tuple[AbstractObservation, ...] = eqx.field(converter=_several)
    priors: tuple[Prior, ...] = eqx.field(converter=_several, default=())

    def __check_init__(self) -> None:
        if not self.observations:
            raise InputError("there is no observation", "give one at least", "observations")
        if not isinstance(paramax.unwrap(self.structure), AbstractStructure):
            raise InputError(
                f"{type(self.structure).__name__} is no structure",
                "give Atoms, or a subclass of AbstractStructure",
                "structure",
            )
        for name in ("positions", "amplitudes"):
            numbers = getattr(paramax.unwrap(self.structure), name)
            if not jnp.issubdtype(numbers.dtype, jnp.inexact):
                raise InputError(
                    f"{name} are whole numbers, which are not refined",
                    "give floating-point ones",
                    "structure",
                )

    @own_numerics()
    def objective(self, steps: dict[str, Leaf] | None = None) -> "Objective":
        """As solvers see it: windows planned, steps and unit measured.

        **Arguments:**

        - `steps`: of all free numbers by name, if they are known: then they are not measured, and the unit
            is one.

        **Raises:** `InputError` if nothing is free, a prediction is not like its data, or steps are not
            those of its numbers.
        """
        structure = on_host(self.structure)
        observations = tuple(o.planned(structure, on_host(o.nuisance)) for o in self.observations)
        parameters = Parameters.of(self.structure, tuple(o.nuisance for o in observations))
        if steps is None and not parameters.size:
            raise InputError("nothing is free", "leave something unfrozen", "structure")
        for i, o in enumerate(observations):
            shape = eqx.filter_eval_shape(o.predict, structure, paramax.unwrap(o.nuisance)).shape
            if shape != np.shape(o.data):
                raise InputError(
                    f"observation {i} predicts an array of shape {shape}, its data have {np.shape(o.data)}",
                    "make them alike",
                    "observations",
                )
        priors = as_priors(self.priors)
        for prior in priors:
            shape = eqx.filter_eval_shape(prior, structure).shape
            if shape != ():
                raise InputError(
                    f"a prior gives an array of shape {shape}",
                    "give one number, minus the logarithm of a probability",
                    "priors",
                )
        if steps is None:
            return Objective(parameters, observations, priors).scaled()
        if steps.keys() != parameters.steps.keys():
            raise InputError(
                f"steps are of {', '.join(sorted(steps)) or 'nothing'}",
                f"give those of {', '.join(sorted(parameters.steps)) or 'nothing'}",
                "steps",
            )
        return Objective(replace(parameters, steps=steps), observations, priors)


class Objective(AbstractPosterior):
    """The objective as a function of free numbers.

    **Fields:**

    - `parametrisation`: of these.
    - `observations`, `priors`: of the problem.
    - `unit`: by which all of these are divided.
    - `others`: what else is in it, as functions of the free numbers.
    - `preconditioner`: about the diagonal of its curvature, of the objective and free numbers; one if None.
    """

    parametrisation: AbstractParametrisation
    observations: tuple[AbstractObservation, ...]
    priors: tuple[AbstractPrior, ...]
    unit: Leaf = eqx.field(default_factory=lambda: np.asarray(1.0, np.float32))
    others: tuple[AbstractTerm, ...] = ()
    preconditioner: Callable[["Objective", Free], Float[Array, " k"]] | None = eqx.field(
        static=True, default=None
    )

    def __call__(self, free: Free) -> Float[Array, ""]:
        structure, nuisances = self.parametrisation(free)
        pairs = zip(self.observations, nuisances, strict=True)
        data = sum((o.negative_log_likelihood(structure, own) for o, own in pairs), jnp.zeros(()))
        return data / self.unit + self._known(structure, nuisances) + self._of_free(free)

    def evaluate(self, free: Free) -> Evaluation:
        """Objective and gradient."""
        at = self.parametrisation.flat(free)
        moving, pull = jax.vjp(self._moving, at)
        structure, nuisances = self._whole(moving, at)
        value, (slope, slopes) = eqx.filter_value_and_grad(lambda both: self._known(*both))(
            (structure, nuisances)
        )
        slopes = list(slopes)
        for i, (o, own) in enumerate(zip(self.observations, nuisances, strict=True)):
            cost, by = o.value_and_gradient(structure, own)
            by_structure, by_own = jax.tree.map(lambda x: x / self.unit, by)
            value, slope = value + cost / self.unit, _sum(slope, by_structure)
            slopes[i] = _sum(slopes[i], by_own)
        gradient = pull((slope, tuple(slopes)))[0]
        if self.others:
            more, by_free = jax.value_and_grad(lambda v: self._of_free(self.parametrisation.unflat(v)))(at)
            value, gradient = value + more, gradient + by_free
        return Evaluation(value, gradient)

    def misfit(self, free: Free, value: Float[Array, ""] | float) -> Float[Array, ""] | float:
        return value - self._known(*self.parametrisation(free)) - self._of_free(free)

    def predictions(self, free: Free) -> tuple[Float[Array, "..."], ...]:
        """What each observation would be without noise."""
        structure, nuisances = self.parametrisation(free)
        return tuple(o.predict(structure, own) for o, own in zip(self.observations, nuisances, strict=True))

    def curvature(
        self, free: Free
    ) -> tuple[Callable[[Float[Array, " k"]], Float[Array, " k"]], Float[Array, " k"]]:
        """Products with the matrix that steps follow; its diagonal is about one."""
        product = self._products(free, lambda o: o.steepness)
        if self.preconditioner is None:
            return product, jnp.ones_like(self.parametrisation.flat(free))
        return product, self.preconditioner(self, free)

    def information(self, free: Free) -> Callable[[Float[Array, " k"]], Float[Array, " k"]]:
        """Products with what observations and priors tell of the free numbers, in the objective's unit."""
        return self._products(free, lambda o: o.information)

    def known(self, free: Free) -> Callable[[Float[Array, " k"]], Float[Array, " k"]]:
        """The same of what priors of the structure and other terms tell."""
        return self._products(free, None)

    def _products(
        self, free: Free, matrix: Callable[[AbstractObservation], Callable[[Any, Any], Product]] | None
    ) -> Callable[[Float[Array, " k"]], Float[Array, " k"]]:
        at = self.parametrisation.flat(free)
        moving, push = jax.linearize(self._moving, at)
        pull = jax.linear_transpose(push, at)
        structure, nuisances = self._whole(moving, at)
        seen = zip(self.observations, nuisances, strict=True)
        told = [(matrix(o)(structure, own), AboutOwn(o).curvature(own)) for o, own in seen if matrix]
        known = [prior.curvature(structure) for prior in self.priors]

        def product(vector: Float[Array, " k"]) -> Float[Array, " k"]:
            change, changes = push(vector)
            total, *totals = (jax.tree.map(jnp.zeros_like, x) for x in (change, *changes))
            for of in known:
                total = _sum(total, of(change))
            for i, (data, beforehand) in enumerate(told):
                by_structure, by_own = data((change, changes[i]))
                total, totals[i] = _sum(total, by_structure), _sum(beforehand(changes[i]), by_own)
            found = pull((total, tuple(totals)))[0] / self.unit
            return sum((term.curvature(self.parametrisation, free)(vector) for term in self.others), found)

        return product

    def _moving(self, vector: Float[Array, " k"]) -> PyTree:
        """The numbers of structure and nuisances, at free numbers."""
        both = self.parametrisation(self.parametrisation.unflat(vector))
        return jax.tree.map(jnp.asarray, eqx.filter(both, eqx.is_inexact_array))

    def _whole(self, moving: PyTree, at: Float[Array, " k"]) -> tuple[Any, tuple[Any, ...]]:
        """Structure and nuisances of given numbers."""
        both = self.parametrisation(self.parametrisation.unflat(at))
        return eqx.combine(moving, eqx.filter(both, eqx.is_inexact_array, inverse=True))

    @property
    def parameters(self) -> Parameters:
        """The free numbers of a problem."""
        assert isinstance(self.parametrisation, Parameters)
        return self.parametrisation

    def informing(self, free: Free) -> "Objective":
        """The same whose curvature is the information at the end of a fit."""
        observations = tuple(
            eqx.tree_at(lambda o: o.noise, o, o.noise.informing(np.asarray(p), o.data, o.counted))
            for o, p in zip(self.observations, predicted(self, free), strict=True)
        )
        return replace(self, observations=observations)

    def adapted(self, free: Free) -> "Objective | None":
        """The same with noise as a fit has left it, and windows for its atoms; None if nothing changed."""
        structure, nuisances = on_host(self.parameters.moved(free))
        observations = tuple(
            o.planned(structure, own)
            for o, own in zip(self._with_noise(free).observations, nuisances, strict=True)
        )
        if eqx.tree_equal(observations, self.observations, rtol=0.02):
            return None
        return replace(self, observations=observations)

    def _with_noise(self, free: Free, fitted: bool = True) -> "Objective":
        """The same with noise as free numbers leave it; `fitted` if they were fitted to the data."""
        if all(o.noise.settled for o in self.observations):
            return self
        size, whole = self.parameters.size, sum(o.measurements for o in self.observations)
        observations = []
        for o, p in zip(self.observations, predicted(self, free), strict=True):
            share = size * o.measurements / whole if fitted else 0
            noise = o.noise.adapted(np.asarray(p, np.float64), o.data, o.counted, share)
            observations.append(eqx.tree_at(lambda o: o.noise, o, noise))
        return replace(self, observations=tuple(observations))

    def scaled(self) -> "Objective":
        """The same with steps and unit measured where it begins."""
        free = self.parametrisation.zeros()
        alone = replace(self._with_noise(free, fitted=False), unit=np.asarray(1.0, np.float32))
        diagonal = self.parametrisation.unflat(_diagonal(alone).astype(np.float32))
        unit = _unit(on_host(self.parameters.start[0]), diagonal)
        steps: dict[str, Leaf] = {
            name: np.asarray(np.sqrt(np.where(d > 0, unit / np.where(d > 0, d, 1.0), 0.0)), np.float32)
            for name, d in diagonal.items()
        }
        parameters = replace(self.parameters, steps=steps)
        return Objective(parameters, alone.observations, self.priors, np.asarray(unit, np.float32))

    def _of_free(self, free: Free) -> Float[Array, ""]:
        return sum((term(self.parametrisation, free) for term in self.others), jnp.zeros(()))

    def _known(self, structure: AbstractStructure, nuisances: tuple[PyTree, ...]) -> Float[Array, ""]:
        of_structure = sum((jnp.asarray(p(structure)) for p in self.priors), jnp.zeros(()))
        pairs = zip(self.observations, nuisances, strict=True)
        return sum((jnp.asarray(o.known(own)) for o, own in pairs), of_structure) / self.unit


class AboutOwn(AbstractPrior):
    """What is known beforehand of what an observation has for itself.

    **Fields:**

    - `observation`: which one.
    """

    observation: AbstractObservation

    def __call__(self, structure: PyTree) -> Float[Array, ""]:
        return jnp.asarray(self.observation.known(structure), jnp.float32)


def _sum(first: PyTree, second: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, first, second)


def _unit(structure: AbstractStructure, diagonal: Free) -> float:
    """What solvers divide the objective by, from the signal-to-noise ratio of a typical atom.

    That is of a lone Gaussian whose place is known as well, or whose amplitude is: one of the two is free.
    """
    measured = MeasuringCanvas()
    structure.draw(measured)
    width = float(measured.reach.max()) / CUTOFF
    strengths = {
        "[0].positions": np.asarray(2 * width**2),
        "[0].amplitudes": np.asarray(structure.amplitudes) ** 2,
    }
    told = [np.median(diagonal[name] * square) for name, square in strengths.items() if name in diagonal]
    unit = float(told[0]) / _STRENGTH**2 if told else 1.0
    return unit if np.isfinite(unit) and unit > 0 else 1.0


def _diagonal(objective: Objective) -> Float[np.ndarray, " k"]:
    """About the diagonal of the curvature at the start, by products with random signs (Bekas et al. 2007).

    Alike numbers of all atoms are probed together, each kind by itself: of different kinds one would drown
    the other. What they share with each other averages out, and what is left of it is bounded.
    """
    parameters = objective.parametrisation
    shapes = {name: np.shape(step) for name, step in parameters.steps.items()}
    rng = np.random.default_rng(0)
    probes, masks = [], []
    for name, shape in shapes.items():
        tail = shape[1:]
        for k in np.ndindex(tail) if shape else [()]:
            ones: Free = {other: np.zeros(s, np.float32) for other, s in shapes.items()}
            one = np.zeros(shape, np.float32)
            one[(slice(None), *k) if shape else ()] = 1.0
            flat = np.asarray(parameters.flat(ones | {name: one}))
            probes += [flat * rng.choice(_SIGNS, flat.shape) for _ in range(_PROBES)]
            masks.append(flat > 0)
    images = products(objective, parameters.zeros(), np.array(probes)).astype(np.float64)
    each = np.mean((images * probes).reshape(len(masks), _PROBES, -1), axis=1)
    found = np.zeros(each.shape[1])
    for mask, values in zip(masks, each, strict=True):
        # Of those that data tell: a part may be one atom's alone.
        told = np.abs(values[mask & (values != 0)])
        typical = float(np.median(told)) if told.size else 0.0
        bounded = np.clip(values, typical / _SPREAD, typical * _SPREAD)
        found[mask] = np.where(values != 0, bounded, 0.0)[mask]
    return found


def products(
    objective: Objective, free: Free, vectors: Float[np.ndarray, "p k"], seen: bool = True
) -> Float[np.ndarray, "p k"]:
    """What is known of the free numbers, as a matrix, times vectors; if not `seen`, that without data."""
    images = [np.zeros((0, vectors.shape[1]), np.float32)]
    for first in range(0, len(vectors), _AT_A_TIME):
        some = np.zeros((_AT_A_TIME, vectors.shape[1]), np.float32)
        count = len(vectors[first : first + _AT_A_TIME])
        some[:count] = vectors[first : first + count]
        number = np.asarray(count, np.int32)
        images.append(np.asarray(_products(objective, free, some, number, seen))[:count])
    return np.concatenate(images)


@kept
def _products(
    objective: Objective, free: Free, vectors: Float[Leaf, "p k"], count: Int[Leaf, ""], seen: bool
) -> Float[Array, "p k"]:
    """Of the first of them: one program for any number."""
    product = objective.information(free) if seen else objective.known(free)
    given = jnp.asarray(vectors)

    def with_one(i: Int[Array, ""], images: Float[Array, "p k"]) -> Float[Array, "p k"]:
        return images.at[i].set(product(given[i]))

    return lax.fori_loop(0, count, with_one, jnp.zeros_like(given))


@kept
def predicted(objective: Objective, free: Free) -> tuple[Float[Array, "..."], ...]:
    """What each observation would be without noise."""
    return objective.predictions(free)
