"""How well everything that was refined is known: a fit's curvature in, covariances of any function out.

The information on all free numbers is JᵀWJ of every observation, with the noise's own W, and the Hessian of
the priors. Its inverse is the covariance of them all, nuisances marginalised: what a background, a shift or
another observation leaves unknown is in the atoms' standard uncertainties. No derivative is written by
hand: columns of the information are products with unit vectors, and atoms that share no data with a common
third one are probed together (Curtis, Powell & Reid 1974).

What data do not determine at all (the shift of all views against that of all atoms, where both are free)
has no standard uncertainty, nor has what depends on it: NaN.

Predictions are not linear in positions and widths, so that noise does not cancel. To second order the bias
of a number is (Box 1971, eq. 2.26)

    b = -C Jᵀ W h,    h = ½ Σ_kl C_kl ∂_k ∂_l prediction,

where C is the covariance. A sum over atoms has no second derivatives between two of them, so that h follows
from each atom's own block of C: a few derivatives along one direction for all atoms at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree
from scipy.linalg import cholesky, solve_triangular

from atomfit.inference.parameters import on_host
from atomfit.inference.problem import Objective, products
from atomfit.optimisation.parameters import Free
from atomfit.structure.canvas import AbstractStructure, Leaf
from atomfit.support.compiled import kept
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics

#: Numbers whose matrix is inverted as a whole (4 GB of memory), at most.
MOST = 12_000
#: Combinations of numbers with less than this part of the information of numbers by themselves are
#: undetermined.
_UNDETERMINED = 1e-5

Function = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A function of what was refined.

    **Fields:**

    - `value`: without its bias.
    - `esd`: standard uncertainty; NaN where the data do not determine it.
    - `bias`: what noise adds to it on average, to second order.
    """

    value: Float[np.ndarray, "..."]
    esd: Float[np.ndarray, "..."]
    bias: Float[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Covariance of all free numbers, and of what follows from them.

    **Fields:**

    - `objective`, `free`: of the fit.
    - `covariance`: of the free numbers, in the order of `Parameters.flat`; NaN where one is undetermined.
    - `undetermined`: combinations of free numbers that the data do not tell, in their columns.
    - `log_volume`: logarithm of the volume of the posterior, ½ log det 2πC.
    """

    objective: Objective
    free: Free
    covariance: Float[np.ndarray, "k k"]
    undetermined: Float[np.ndarray, "k r"]
    log_volume: float

    @own_numerics()
    def of(self, function: Function) -> Estimate:
        """Value, standard uncertainty and bias of a function of structure and nuisances (an array).

        The size of a particle, say, is `of(lambda structure, nuisances: jnp.std(structure.positions))`.
        """
        value, of_numbers = _value_and_slopes(self.objective, self.free, function)
        slopes = np.asarray(of_numbers, np.float64).reshape(value.size, len(self.covariance))
        # What does not depend on a number does not mind that it is undetermined.
        reached = np.where(np.any(slopes != 0, axis=0)[:, None], np.nan_to_num(self.covariance), 0.0)
        variances = np.einsum("mk,km->m", slopes, reached @ slopes.T)
        esd = np.sqrt(np.where(self._told(slopes, variances), variances, np.nan))
        raw = np.asarray(value, np.float64)
        bent = np.asarray(curved(self.objective, self.free, self._directions, function), np.float64)
        bias = (slopes @ self.bias).reshape(raw.shape) + bent
        return Estimate(raw - bias, esd.reshape(raw.shape), bias)

    @cached_property
    def structure(self) -> AbstractStructure:
        """Standard uncertainties of a structure's numbers, each in its own place."""
        return self._of_parts(lambda structure, nuisances: structure)

    @cached_property
    def nuisances(self) -> tuple[PyTree, ...]:
        """Standard uncertainties of what observations have for themselves."""
        return self._of_parts(lambda structure, nuisances: nuisances)

    @property
    def positions(self) -> Float[np.ndarray, "n d"]:
        """Standard uncertainties of positions (Å); NaN where they were frozen."""
        return np.asarray(self.structure.positions)

    @cached_property
    @own_numerics()
    def bias(self) -> Float[np.ndarray, " k"]:
        """What free numbers are wrong by on average, to second order."""
        pull = pulled(self.objective, self.free, self._directions)
        unit = float(self.objective.unit)
        return -np.nan_to_num(self.covariance) @ np.asarray(pull, np.float64) * unit

    @cached_property
    def _directions(self) -> Float[np.ndarray, "p k"]:
        """Roots of each atom's own block of the covariance, column by column, of all atoms at once."""
        n, p = self.objective.parametrisation.columns
        atoms = np.arange(n)
        blocks = np.nan_to_num(self.covariance[: n * p, : n * p]).reshape(n, p, n, p)[atoms, :, atoms]
        values, axes = np.linalg.eigh(blocks)
        roots = axes * np.sqrt(np.maximum(values, 0))[:, None]
        found = np.zeros((p, len(self.covariance)), np.float32)
        found[:, : n * p] = np.moveaxis(roots, 2, 0).reshape(p, n * p)
        return found

    @own_numerics()
    def _of_parts(self, part: Callable[[Any, Any], Any]) -> Any:
        tree = part(*self.objective.parametrisation(self.free))
        numbers, rest = eqx.partition(tree, eqx.is_inexact_array)
        leaves, shape = jax.tree.flatten(numbers)

        def of_leaf(i: int) -> Function:
            return lambda s, n: jax.tree.leaves(eqx.filter(part(s, n), eqx.is_inexact_array))[i]

        found = [self._esd(of_leaf(i)) for i in range(len(leaves))]
        return eqx.combine(jax.tree.unflatten(shape, found), rest)

    def _esd(self, function: Function) -> Float[np.ndarray, "..."]:
        """Of numbers that are refined; NaN of those that do not depend on any."""
        value, of_numbers = _value_and_slopes(self.objective, self.free, function)
        slopes = np.asarray(of_numbers, np.float64).reshape(value.size, len(self.covariance))
        variances = np.empty(len(slopes))
        for m, row in enumerate(slopes):
            which = np.flatnonzero(row)
            variances[m] = row[which] @ self.covariance[np.ix_(which, which)] @ row[which]
        told = (variances > 0) & self._told(slopes, variances)
        return np.sqrt(np.where(told, variances, np.nan)).reshape(np.shape(value))

    def _told(
        self, slopes: Float[np.ndarray, "m k"], variances: Float[np.ndarray, " m"]
    ) -> Bool[np.ndarray, " m"]:
        """Which functions have a variance that the data tell."""
        unfelt = (slopes != 0) @ np.isnan(np.diagonal(self.covariance))
        lost = np.sum((slopes @ self.undetermined) ** 2, axis=1) / _UNDETERMINED
        return ~unfelt & (variances >= 0) & (lost <= 0.1 * variances)


@own_numerics()
def measure_uncertainty(objective: Objective, free: Free) -> Uncertainty:
    """Covariances at the end of a fit.

    **Raises:** `InputError` if more numbers are free than can be inverted together.
    """
    size = objective.parameters.length
    if size > MOST:
        raise InputError(
            f"{size} numbers are free, and covariances are those of {MOST} at most",
            "freeze what is known, or refine parts of the particle",
            "structure",
        )
    information = float(objective.unit) * _information(objective.informing(free), free)
    own = np.diagonal(information)
    felt = own > 0
    scale = 1 / np.sqrt(np.where(felt, own, 1.0))
    inverse, volume, ways = _inverse((information * np.outer(scale, scale))[np.ix_(felt, felt)])
    undetermined = np.zeros((size, ways.shape[1]))
    undetermined[felt] = scale[felt, None] * ways
    covariance = np.full((size, size), np.nan)
    covariance[np.ix_(felt, felt)] = inverse * np.outer(scale[felt], scale[felt])
    volume += np.sum(np.log(scale[felt]))
    # Free numbers are measured in steps: so is what is known of them.
    steps = np.asarray(objective.parametrisation.flat(objective.parametrisation.steps), np.float64)
    volume = float(volume + np.sum(np.log(steps[felt])))
    return Uncertainty(objective, free, covariance, undetermined, volume)


def _inverse(
    matrix: Float[np.ndarray, "k k"],
) -> tuple[Float[np.ndarray, "k k"], float, Float[np.ndarray, "k r"]]:
    """Of a matrix of unit diagonal: inverse of what is told, ½ log det 2π of it, and what is not told."""
    try:
        factor = cholesky(matrix, lower=True)
        pivots = np.diagonal(factor)
        if np.min(pivots, initial=1.0) ** 2 > _UNDETERMINED:
            volume = 0.5 * len(matrix) * np.log(2 * np.pi) - np.sum(np.log(pivots))
            half = solve_triangular(factor, np.eye(len(matrix)), lower=True)
            return half.T @ half, float(volume), np.zeros((len(matrix), 0))
    except np.linalg.LinAlgError:
        pass
    values, axes = np.linalg.eigh(matrix)
    told = values > _UNDETERMINED
    ways = axes[:, told] / np.sqrt(values[told])
    return ways @ ways.T, float(0.5 * np.sum(np.log(2 * np.pi / values[told]))), axes[:, ~told]


def _information(objective: Objective, free: Free) -> Float[np.ndarray, "k k"]:
    """The information on all free numbers, in the objective's unit."""
    parameters = objective.parameters
    n, size = parameters.columns[0], parameters.length
    structure = on_host(parameters.moved(free)[0])
    meet = np.zeros((n, n), bool)
    for o in objective.observations:
        meet |= o.interacting(structure)
    data = replace(objective, priors=(), others=())
    found = _assembled(data, free, meet)
    if objective.priors or objective.others:
        # They may couple atoms that share no data, ever so weakly: what else are soft modes known by?
        own = products(objective, free, np.eye(size, dtype=np.float32), seen=False).astype(np.float64)
        found += 0.5 * (own + own.T)
    return found


def _assembled(objective: Objective, free: Free, meet: Bool[np.ndarray, "n n"]) -> Float[np.ndarray, "k k"]:
    """From products with vectors of many atoms at once: right if only those that meet are coupled."""
    parameters = objective.parameters
    (_, p), size = parameters.columns, parameters.length
    n = len(meet)
    colours = _colours(meet)
    shared = np.arange(n * p, size)
    vectors = np.zeros((int(colours.max(initial=-1) + 1) * p + len(shared), size), np.float32)
    for atom, colour in enumerate(colours):
        vectors[colour * p + np.arange(p), atom * p + np.arange(p)] = 1.0
    vectors[len(vectors) - len(shared) + np.arange(len(shared)), shared] = 1.0
    images = products(objective, free, vectors).astype(np.float64)
    found = np.zeros((size, size))
    found[shared] = images[len(vectors) - len(shared) :]
    found[:, shared] = found[shared].T
    reach = np.repeat(meet, p, axis=1)
    for atom, colour in enumerate(colours):
        rows = np.flatnonzero(reach[atom])
        found[atom * p : (atom + 1) * p, rows] = images[colour * p : (colour + 1) * p][:, rows]
    return 0.5 * (found + found.T)


def _colours(meet: Bool[np.ndarray, "n n"]) -> Int[np.ndarray, " n"]:
    """Colours such that no atom meets two of one colour, itself included."""
    colours = np.full(len(meet), -1)
    near = [np.flatnonzero(row) for row in meet]
    for atom, others in enumerate(near):
        taken = np.unique(colours[np.unique(np.concatenate([near[o] for o in others]))])
        colours[atom] = np.setdiff1d(np.arange(len(taken) + 1), taken, assume_unique=True)[0]
    return colours


@kept
def _value_and_slopes(
    objective: Objective, free: Free, function: Function
) -> tuple[Float[Array, "..."], Float[Array, "... k"]]:
    """A function of what was refined, and its derivatives by all free numbers."""
    parameters = objective.parameters

    def of_vector(vector: Array) -> tuple[Array, Array]:
        value = jnp.asarray(function(*parameters(parameters.unflat(vector))))
        return value, value

    slopes, value = jax.jacrev(of_vector, has_aux=True)(parameters.flat(free))
    return value, slopes


@kept
def curved(objective: Objective, free: Free, directions: Leaf, function: Function) -> Float[Array, "..."]:
    """½ Σ C_kl ∂_k ∂_l of a function of what was refined."""
    parameters = objective.parameters

    def of_vector(vector: Array) -> Array:
        return jnp.asarray(function(*parameters(parameters.unflat(vector))))

    return _half_second(of_vector, parameters.flat(free), directions)


@kept
def pulled(objective: Objective, free: Free, directions: Leaf) -> Float[Array, " k"]:
    """JᵀW of the mean curvature of predictions over the noise, in the objective's unit."""
    parameters = objective.parameters
    at = parameters.flat(free)

    def of_vector(vector: Array) -> tuple[Array, ...]:
        return objective.predictions(parameters.unflat(vector))

    bent = _half_second(of_vector, at, directions)
    there, push = jax.linearize(of_vector, at)
    weighted = tuple(
        o.noise.weighted(field, predicted, jnp.asarray(o.data), jnp.asarray(o.counted)) / objective.unit
        for o, field, predicted in zip(objective.observations, bent, there, strict=True)
    )
    return jax.linear_transpose(push, at)(weighted)[0]


def _half_second(function: Callable[[Array], Any], at: Array, directions: Leaf) -> Any:
    """½ Σ of the second derivatives along directions."""

    def along(total: Any, direction: Array) -> tuple[Any, None]:
        def slope(x: Array) -> Any:
            return jax.jvp(function, (x,), (direction,))[1]

        second = jax.jvp(slope, (at,), (direction,))[1]
        return jax.tree.map(lambda a, b: a + 0.5 * b, total, second), None

    none = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, at))
    return lax.scan(along, none, jnp.asarray(directions))[0]
