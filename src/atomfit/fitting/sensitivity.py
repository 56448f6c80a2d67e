"""The minimum as a differentiable function of the map, and of everything else in the objective.

How far does an atom move if a voxel changes, or if a restraint becomes stiffer? A fit takes the free
numbers x to where the gradient g(x, θ) of the objective vanishes, θ being whatever the objective depends
on: voxels, weights, lengths of springs. The implicit function theorem says how that place moves,

    dx/dθ = -H⁻¹ ∂g/∂θ,    H = ∂g/∂x,

however it was found: no iteration is differentiated or remembered. Written as a program it is one more
step of Newton's method, x - H⁻¹ g(x, θ), with x and H held fixed. Its value is the minimum, to the last
digit; its derivatives, forwards and backwards, are those above, and JAX finds them by itself.

H is the Hessian of the whole objective, not Gauss-Newton's part of it. It is only ever multiplied with
vectors, by differentiating the gradient. In the units of `parameters` it is close to the unit matrix, so
conjugate gradients need no preconditioner. Only first derivatives are exact.
"""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

from atomfit.fitting.newton import Damping, GaussNewton, conjugate_gradients
from atomfit.fitting.parameters import Free
from atomfit.fitting.posterior import Posterior

Tree = TypeVar("Tree", bound=PyTree)


@eqx.filter_jit
def refined(
    posterior: Posterior,
    start: Free,
    solver: GaussNewton | None = None,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 50,
) -> Free:
    """The free numbers at the minimum, as a differentiable function of the posterior.

    Every floating-point array of the posterior has a derivative; a plain number of a term has none, since
    it is compiled in. The start has none either, as long as it leads to the same minimum.

    **Arguments:**

    - `posterior`: the objective.
    - `start`: the first free numbers.
    - `solver`: default settings if not given.
    - `tolerance`: iterations end when they promise to lower the objective by less than this part.
    - `max_iterations`: the most iterations.
    """
    held, start = _held(posterior), _held(start)
    transformation = (GaussNewton() if solver is None else solver).transformation(held)

    def unfinished(carry: tuple[Array, Free, Damping]) -> Array:
        count, _, state = carry
        promises = jnp.isinf(state.value) | (state.promise > tolerance * state.value)
        return promises & (count <= max_iterations)

    def iterate(carry: tuple[Array, Free, Damping]) -> tuple[Array, Free, Damping]:
        count, free, state = carry
        update, state = transformation.update(None, state, free)
        return count + 1, {name: free[name] + update[name] for name in free}, state

    first = (jnp.zeros((), int), jax.tree.map(jnp.asarray, start), transformation.init(start))
    return stationary(posterior, lax.while_loop(unfinished, iterate, first)[1])


@eqx.filter_jit
def stationary(
    posterior: Posterior, free: Free, *, accuracy: float = 1e-5, max_products: int = 300
) -> Free:
    """The free numbers of a known minimum, as a differentiable function of the posterior.

    **Arguments:**

    - `posterior`: the objective.
    - `free`: the free numbers where it is smallest, found by any means.
    - `accuracy`: of the derivatives, relative.
    - `max_products`: most products with the Hessian.
    """
    held, parametrisation = _held(posterior), posterior.parametrisation
    at = lax.stop_gradient(parametrisation.flat(free))

    def gradient(posterior: Posterior, vector: Float[Array, " k"]) -> Float[Array, " k"]:
        return jax.grad(lambda v: posterior(parametrisation.unflat(v)))(vector)

    def hessian(vector: Float[Array, " k"]) -> Float[Array, " k"]:
        return jax.jvp(lambda v: gradient(held, v), (at,), (vector,))[1]

    step = lax.custom_linear_solve(
        hessian,
        gradient(posterior, at),
        lambda product, right: conjugate_gradients(
            product, right, jnp.ones_like(right), accuracy, max_products
        ),
        symmetric=True,
    )
    return parametrisation.unflat(at - step)


def _held(tree: Tree) -> Tree:
    """A tree that derivatives do not reach."""
    numbers, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(lax.stop_gradient(numbers), rest)
