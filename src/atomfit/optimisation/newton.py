"""The default solver: damped Gauss-Newton with the analytic, block-sparse matrix.

First-order methods pay for what they do not know: 25 iterations of L-BFGS, 150 of Adam. The curvature of a
sum of Gaussians is known in closed form (`curvature`) and costs less than the gradient, so each iteration
here solves

    (JᵀJ + H + λ) step = -gradient

by conjugate gradients, H being the curvature of whatever else is in the objective (priors, restraints),
which is only ever multiplied with vectors, by differentiating its gradient. Five or six iterations are
enough.

Two things keep it safe. λ grows when an iteration does not lower the objective and shrinks when the
quadratic model was right. And no atom may step further than `reach` standard units at once: far from the
minimum a single atom, not the particle, is what runs away, so the trust region is each atom's own. A
unit is about half an atom's width; an atom that steps by more than that overshoots, comes back, and keeps
20,000 others waiting.

A fit has converged when the model promises no further decrease, which is known before the next step.

To optax it is a transformation that asks for no gradient. Everything it knows is in its state: λ, and
the evaluation of the objective where its last update led. An update that would not lower the objective is
zero, and the next one, of larger λ, is shorter. That holds for one that would lead to where the objective
is no number, too; if the step itself is none, or no λ is large enough, nothing is promised (NaN).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.optimisation.posterior import AbstractPosterior, Evaluation
from atomfit.optimisation.solvers import AbstractSolver, Objective, Step, moved, sound_value

_MOST_DAMPING = 1e6


class Damping(NamedTuple):
    """What the solver remembers.

    **Fields:**

    - `strength`: λ.
    - `promise`: the decrease that its last step promised; infinite if that says nothing of the next.
    - `evaluation`: of the objective where it stands.
    """

    strength: Float[Array, ""]
    promise: Float[Array, ""]
    evaluation: Evaluation

    @property
    def value(self) -> Float[Array, ""]:
        """The objective."""
        return self.evaluation.value


class GaussNewton(AbstractSolver):
    """Gauss-Newton steps with damping (Levenberg 1944, Marquardt 1963), solved by conjugate gradients.

    Its transformation, of an `AbstractPosterior`, is one for a loop of one's own too, if it is followed:
    updates must be applied as they come.

    **Fields:**

    - `damping`: λ of the first iteration, in units of a lone atom's curvature.
    - `reach`: farthest an atom may step at once, in the units of `parameters`.
    - `accuracy`: of the linear solution, relative to its right-hand side.
    - `max_products`: most products with the matrix in an iteration.
    """

    damping: float = eqx.field(static=True, default=1e-2)
    reach: float = eqx.field(static=True, default=1.2)
    accuracy: float = eqx.field(static=True, default=0.02)
    max_products: int = eqx.field(static=True, default=100)
    chunk: int = eqx.field(static=True, default=1)
    patience: int = eqx.field(static=True, default=1)

    def promise(self, state: Step) -> float:
        return float(state.memory.promise)

    def init(self, objective: Objective, params: Free) -> Damping:
        return self._init(objective, params)  # type: ignore[arg-type]

    @eqx.filter_jit
    def _init(self, posterior: AbstractPosterior, params: Free) -> Damping:
        flat, unknown = posterior.parametrisation.flat(params), jnp.float32(jnp.inf)
        return Damping(jnp.float32(self.damping), unknown, Evaluation(unknown, jnp.zeros_like(flat)))

    def update(self, objective: Objective, state: Damping, params: Free) -> tuple[Free, Damping]:
        return self._update(objective, state, params)  # type: ignore[arg-type]

    @eqx.filter_jit
    def _update(self, posterior: AbstractPosterior, state: Damping, params: Free) -> tuple[Free, Damping]:
        parametrisation, here = posterior.parametrisation, state.evaluation
        product, diagonal = posterior.curvature(params)

        def damped(vector: Array) -> Array:
            return product(vector) + state.strength * vector

        # Any step that goes down will do: what it promises, and keeps, is measured.
        step, _ = conjugate_gradients(
            damped, -here.gradient, diagonal + state.strength, self.accuracy, self.max_products
        )
        step = self.within_reach(step, parametrisation)
        promise = -jnp.vdot(step, here.gradient + 0.5 * product(step))
        there = posterior.evaluate(moved(params, parametrisation.unflat(step)))
        there = there._replace(value=sound_value(there.value, there.gradient))
        # Steps that were cut short one by one may add up to none; then only more damping helps.
        sound = promise > 0
        kept = jnp.where(sound, (here.value - there.value) / jnp.where(sound, promise, 1.0), 0.0)
        first = jnp.isinf(here.value)
        better = first | (there.value < here.value)
        strength = state.strength * jnp.where(
            first, 1.0, jnp.where(kept > 0.75, 0.2, jnp.where(kept > 0.25, 1.0, 5.0))
        )
        strength = jnp.maximum(jnp.where(better, strength, 5 * state.strength), 1e-6)
        # A strongly damped step is short whatever there is to gain.
        promise = jnp.where(first | ~sound | (strength > 1), jnp.inf, promise)
        # Where no step is short enough, float32 tells no lower place, or there is none but beyond NaN.
        nowhere = jnp.where(jnp.isnan(there.value), jnp.nan, 0.0)
        promise = jnp.where(strength >= _MOST_DAMPING, nowhere, promise)
        promise = jnp.where(jnp.all(jnp.isfinite(step)), promise, jnp.nan)
        evaluation = jax.tree.map(lambda a, b: jnp.where(better, a, b), there, here)
        update = parametrisation.unflat(jnp.where(better, step, 0.0))
        return update, Damping(strength, promise, evaluation)

    def within_reach(
        self, step: Float[Array, " k"], parametrisation: AbstractParametrisation
    ) -> Float[Array, " k"]:
        """A step in which no atom goes too far."""
        n, p = parametrisation.columns
        atoms = step[: n * p].reshape(n, p)
        length = jnp.linalg.norm(atoms, axis=1, keepdims=True)
        atoms = atoms * jnp.minimum(1.0, self.reach / jnp.maximum(length, 1e-9))
        return jnp.concatenate([atoms.ravel(), step[n * p :]])


def conjugate_gradients(
    product: Callable[[Float[Array, " k"]], Float[Array, " k"]],
    right: Float[Array, " k"],
    diagonal: Float[Array, " k"],
    accuracy: float,
    max_products: int,
) -> tuple[Float[Array, " k"], Float[Array, ""]]:
    """Solve a symmetric linear system, preconditioned by its diagonal (Hestenes & Stiefel 1952).

    A direction of negative curvature, which a restraint may have, ends the search where it is.

    **Returns:** the solution, and what it leaves of the right-hand side, in that.
    """
    scale = 1 / jnp.where(diagonal > 0, diagonal, 1.0)
    residual = scale * right
    start = jnp.vdot(right, residual)

    def unfinished(carry: tuple[Any, ...]) -> Array:
        _, _, _, size, count, curved = carry
        return (size > accuracy**2 * start) & (count < max_products) & curved

    def iterate(carry: tuple[Any, ...]) -> Any:
        x, r, direction, size, count, _ = carry
        image = product(direction)
        curvature = jnp.vdot(direction, image)
        curved = curvature > 0
        length = jnp.where(curved, size / jnp.where(curved, curvature, 1.0), 0.0)
        x, r = x + length * direction, r - length * image
        scaled = scale * r
        new = jnp.vdot(r, scaled)
        return x, r, scaled + new / size * direction, new, count + 1, curved

    first = (jnp.zeros_like(right), right, residual, start, jnp.zeros((), int), jnp.array(True))
    x, _, _, size, _, _ = lax.while_loop(unfinished, iterate, first)
    return x, jnp.sqrt(size / jnp.where(start > 0, start, 1.0))
