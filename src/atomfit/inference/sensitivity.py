"""The minimum as a differentiable function of the data, and of everything else in the objective.

How far does an atom move if a voxel changes, or if a restraint becomes stiffer? A fit takes the free
numbers x to where the gradient g(x, θ) of the objective vanishes, θ being whatever the objective depends
on: voxels, weights, lengths of springs. The implicit function theorem says how that place moves,

    dx/dθ = -H⁻¹ ∂g/∂θ,    H = ∂g/∂x,

however it was found: no iteration is differentiated or remembered. `stationary` is a function that
returns x and has this derivative, forwards and backwards.

H is the Hessian of the whole objective, not Gauss-Newton's part of it. It is only ever multiplied with
vectors, by differentiating the gradient. In units of standard uncertainties it is close to the unit matrix,
so conjugate gradients need no preconditioner. First derivatives are exact; H counts as a constant in those
of higher order. Where H⁻¹ times a vector is not found (the place is no minimum, or hardly one along some
direction) the derivative is NaN.
"""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

from atomfit.optimisation.newton import Damping, GaussNewton, conjugate_gradients
from atomfit.optimisation.parameters import Free
from atomfit.optimisation.posterior import AbstractPosterior
from atomfit.optimisation.solvers import moved

_MAX_ITERATIONS = 50
#: Of a derivative, relative to it; and the most products with the Hessian that this may take.
_ACCURACY = 1e-5
_MAX_PRODUCTS = 300
#: What may be left of a right-hand side, in it, after so many.
_LEFT = 1e-3

Tree = TypeVar("Tree", bound=PyTree)
Product = Callable[[Float[Array, " k"]], Float[Array, " k"]]


def refined(
    posterior: AbstractPosterior,
    start: Free,
    solver: GaussNewton | None = None,
    *,
    tolerance: float = 1e-7,
) -> Free:
    """The free numbers at the minimum, as a differentiable function of the posterior.

    Every floating-point array of the posterior has a derivative; a plain number of a term has none, since
    it is compiled in. The start has none either, as long as it leads to the same minimum.

    **Arguments:**

    - `posterior`: the objective.
    - `start`: the first free numbers.
    - `solver`: default settings if not given.
    - `tolerance`: iterations end when they promise to lower the objective by less than this part of the
        misfit.
    """
    solver = GaussNewton() if solver is None else solver
    return stationary(posterior, _minimum(_held(posterior), _held(start), solver, tolerance))


@eqx.filter_jit
def stationary(posterior: AbstractPosterior, minimum: Free) -> Free:
    """The free numbers of a known minimum, as a differentiable function of the posterior.

    **Arguments:**

    - `posterior`: the objective.
    - `minimum`: the free numbers where it is smallest, found by any means.
    """
    parametrisation = posterior.parametrisation
    return parametrisation.unflat(_stationary(posterior, parametrisation.flat(_held(minimum))))


@eqx.filter_custom_jvp
def _stationary(posterior: AbstractPosterior, at: Float[Array, " k"]) -> Float[Array, " k"]:
    return at


@_stationary.def_jvp
def _stationary_jvp(
    primals: tuple[AbstractPosterior, Float[Array, " k"]], tangents: tuple[PyTree, None]
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    posterior, at = primals
    slope = eqx.filter_jvp(lambda p: _gradient(p, at), (posterior,), (tangents[0],))[1]
    return at, -_solution(_held(posterior), at, slope)


def _gradient(posterior: AbstractPosterior, at: Float[Array, " k"]) -> Float[Array, " k"]:
    return jax.grad(lambda v: posterior(posterior.parametrisation.unflat(v)))(at)


def _solution(
    posterior: AbstractPosterior, at: Float[Array, " k"], right: Float[Array, " k"]
) -> Float[Array, " k"]:
    """H⁻¹ times a vector."""

    def hessian(vector: Float[Array, " k"]) -> Float[Array, " k"]:
        return jax.jvp(lambda v: _gradient(posterior, v), (at,), (vector,))[1]

    def solve(product: Product, right: Float[Array, " k"]) -> Float[Array, " k"]:
        found, left = conjugate_gradients(product, right, jnp.ones_like(right), _ACCURACY, _MAX_PRODUCTS)
        return jnp.where(left <= _LEFT, found, jnp.nan)

    return lax.custom_linear_solve(hessian, right, solve, symmetric=True)


@eqx.filter_jit
def _minimum(posterior: AbstractPosterior, start: Free, solver: GaussNewton, tolerance: float) -> Free:
    """The loop of `minimise`, as one that can be a part of compiled code, and one step of Newton's method.

    The loop ends where float32 cannot tell whether the objective falls; the gradient still can.
    """

    def unfinished(carry: tuple[Array, Free, Damping]) -> Array:
        count, free, state = carry
        enough = tolerance * posterior.misfit(free, state.value)
        promising = jnp.isinf(state.value) | (state.promise > enough)
        return promising & (count < _MAX_ITERATIONS)

    def iterate(carry: tuple[Array, Free, Damping]) -> tuple[Array, Free, Damping]:
        count, free, state = carry
        update, state = solver.update(posterior, state, free)
        return count + 1, moved(free, update), state

    first = (jnp.zeros((), int), jax.tree.map(jnp.asarray, start), solver.init(posterior, start))
    parametrisation = posterior.parametrisation
    at = parametrisation.flat(lax.while_loop(unfinished, iterate, first)[1])
    step = _solution(posterior, at, _gradient(posterior, at))
    step = jnp.where(jnp.all(jnp.isfinite(step)), step, 0.0)
    return parametrisation.unflat(at - solver.within_reach(step, parametrisation))


def _held(tree: Tree) -> Tree:
    """A tree that derivatives do not reach."""
    numbers, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(lax.stop_gradient(numbers), rest)
