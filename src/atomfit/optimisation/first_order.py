"""First-order solvers: those of optax, and any transformation of it.

They pay for what they do not know of the curvature with iterations, and stand beside `newton` for
comparison, and for objectives that have no Gauss-Newton matrix.

`LBFGS` takes its direction from optax and its step from a backtracking search of its own, which evaluates
the objective in one place where those of optax do in several: each is compiled on its own.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, PyTree

from atomfit.optimisation.solvers import AbstractSolver, Objective, Step, moved, sound_value


class Evaluated(NamedTuple):
    """What a rule that is given gradients remembers.

    **Fields:**

    - `value`, `grad`: of the objective, where the last update led.
    - `memory`: the rule's own.
    - `blocked`: whether it led nowhere because the objective is no number beyond.
    """

    value: Any
    grad: Any
    memory: Any
    blocked: Any = np.asarray(False)


class AbstractOptax(AbstractSolver):
    """A transformation of optax."""

    @property
    @abc.abstractmethod
    def rule(self) -> optax.GradientTransformation:
        """The transformation, complete with a learning rate or a line search."""

    def init(self, objective: Objective, params: PyTree) -> Evaluated:
        still = jax.tree.map(jnp.zeros_like, params)
        return Evaluated(jnp.float32(jnp.inf), still, self.rule.init(params))

    def update(self, objective: Objective, state: Evaluated, params: PyTree) -> tuple[PyTree, Evaluated]:
        rule = optax.with_extra_args_support(self.rule)
        known = {"value": state.value, "grad": state.grad, "value_fn": objective}
        step, memory = rule.update(state.grad, state.memory, params, **known)
        still = jax.tree.map(jnp.zeros_like, step)
        step, memory = _where(jnp.isinf(state.value), (still, state.memory), (step, memory))
        value, gradient = jax.value_and_grad(objective)(moved(params, step))
        return step, Evaluated(sound_value(value, gradient), gradient, memory)


class Optax(AbstractOptax):
    """Any transformation of optax.

    **Fields:**

    - `given`: the transformation, complete with a learning rate or a line search.
    """

    given: optax.GradientTransformation = eqx.field(static=True)  # type: ignore[misc]
    chunk: int = eqx.field(static=True, default=8)
    patience: int = eqx.field(static=True, default=4)

    @property
    def rule(self) -> optax.GradientTransformation:
        """The transformation that was given."""
        return self.given


class Adam(AbstractOptax):
    """Adam (Kingma & Ba 2015), in units of each parameter's standard uncertainty.

    **Fields:**

    - `learning_rate`: largest change of a parameter in an iteration.
    """

    learning_rate: float = eqx.field(static=True, default=0.1)
    chunk: int = eqx.field(static=True, default=8)
    patience: int = eqx.field(static=True, default=4)

    @property
    def rule(self) -> optax.GradientTransformation:
        """Optax's Adam."""
        return optax.adam(self.learning_rate)


class LBFGS(AbstractSolver):
    """Limited-memory BFGS (Liu & Nocedal 1989) with a backtracking line search.

    **Fields:**

    - `memory_size`: pairs of steps and gradients that are remembered.
    - `max_backtracks`: times a step is shortened before the search gives up.
    """

    memory_size: int = eqx.field(static=True, default=10)
    max_backtracks: int = eqx.field(static=True, default=12)
    chunk: int = eqx.field(static=True, default=8)
    patience: int = eqx.field(static=True, default=1)

    @property
    def _direction(self) -> optax.GradientTransformation:
        # The parameters are scaled already, so the first direction is the plain gradient.
        return optax.scale_by_lbfgs(self.memory_size, scale_init_precond=False)

    def promise(self, state: Step) -> float | None:
        return float("nan") if state.memory.blocked else None

    def init(self, objective: Objective, params: PyTree) -> Evaluated:
        # One flat vector: the recursion compiles much faster than over a tree.
        flat = ravel_pytree(params)[0]
        return Evaluated(jnp.float32(jnp.inf), jnp.zeros_like(flat), self._direction.init(flat))

    def update(self, objective: Objective, state: Evaluated, params: PyTree) -> tuple[PyTree, Evaluated]:
        at, unravel = ravel_pytree(params)
        ascent, memory = self._direction.update(state.grad, state.memory, at)
        # A direction that does not descend comes from negative curvature in the memory.
        ascent = jnp.where(jnp.vdot(ascent, state.grad) > 0, ascent, state.grad)
        value, gradient, length, beyond = self._search(
            lambda x: objective(unravel(x)), at, ascent, state.value, state.grad
        )
        found = (-length * ascent, Evaluated(value, gradient, memory, jnp.array(False)))
        # A search that fails was misled by what the memory holds; the next one starts afresh.
        again = state._replace(memory=self._direction.init(at), blocked=beyond)
        afresh = (jnp.zeros_like(at), again)
        step, state = _where(value < state.value, found, afresh)
        return unravel(step), state

    def _search(
        self,
        objective: Objective,
        at: Float[Array, " k"],
        ascent: Float[Array, " k"],
        value: Float[Array, ""],
        gradient: Float[Array, " k"],
    ) -> tuple[Float[Array, ""], Float[Array, " k"], Float[Array, ""], Bool[Array, ""]]:
        """Value, gradient and length of a step downhill that lowers the objective enough.

        And whether there were places on the way at which it is no number.
        """
        slope = jnp.vdot(ascent, gradient)

        def enough(there: Array, length: Array) -> Array:
            return there < value - 1e-4 * length * slope

        def unfinished(carry: tuple[Array, ...]) -> Array:
            trial, there, _, _, count, _ = carry
            return ~enough(there, trial) & (count < self.max_backtracks)

        def search(carry: tuple[Array, ...]) -> Any:
            length, _, _, _, count, beyond = carry
            there, slopes = jax.value_and_grad(objective)(at - length * ascent)
            there = sound_value(there, slopes)
            rise = there - value + length * slope
            # The minimum of the parabola through what is known of the line; of none beyond NaN.
            part = jnp.clip(0.5 * length * slope / rise, 0.1, 0.5)
            shorter = length * jnp.where(jnp.isfinite(part), part, 0.1)
            trial = jnp.where(enough(there, length), length, shorter)
            return trial, there, slopes, length, count + 1, beyond | jnp.isnan(there)

        one = jnp.ones(())
        first = (one, jnp.float32(jnp.inf), gradient, one, jnp.zeros((), int), jnp.array(False))
        _, there, slopes, length, _, beyond = lax.while_loop(unfinished, search, first)
        return there, slopes, length, beyond


def _where(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
