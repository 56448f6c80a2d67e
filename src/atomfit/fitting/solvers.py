"""Optimisers: anything of optax, in jitted chunks of a few iterations.

A solver is a rule for one iteration. `minimise` runs it in chunks on the device and looks at the
history between them, on the host: there it decides whether to stop, reports progress, and notices
Ctrl-C, which ends the fit with the best model so far instead of losing it.

`LBFGS` takes its direction from optax and its step from a backtracking search of its own. optax's
searches evaluate the objective at several places of the program, and every one of them is compiled
anew; here there is one, which cuts the compilation (most of the user's wait) by four.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

Params = TypeVar("Params", bound=PyTree)
Objective = Callable[[Any], Float[Array, ""]]


class Step(NamedTuple):
    """Where an optimiser stands: free numbers, objective, gradient, and its own memory."""

    params: Any
    value: Any
    gradient: Any
    memory: Any


class AbstractSolver(eqx.Module):
    """A rule for one iteration of minimisation.

    **Fields:**

    - `chunk`: iterations between two looks at the history.
    - `patience`: chunks of iterations without progress after which a fit has ended.
    """

    chunk: eqx.AbstractVar[int]
    patience: eqx.AbstractVar[int]

    @abc.abstractmethod
    def memory(self, objective: Objective, params: PyTree) -> PyTree:
        """What the rule remembers, before the first iteration."""

    @abc.abstractmethod
    def step(self, objective: Objective, state: Step) -> Step:
        """One iteration."""

    def promise(self, state: Step) -> float | None:
        """How much an iteration is expected to lower the objective; None if the rule cannot tell."""
        return None


class Adam(AbstractSolver):
    """Adam (Kingma & Ba 2015), in units of each parameter's standard uncertainty.

    **Fields:**

    - `learning_rate`: largest change of a parameter in an iteration.
    """

    learning_rate: float = eqx.field(static=True, default=0.1)
    chunk: int = eqx.field(static=True, default=8)
    patience: int = eqx.field(static=True, default=4)

    def _transformation(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def memory(self, objective: Objective, params: PyTree) -> PyTree:
        return self._transformation().init(params)

    def step(self, objective: Objective, state: Step) -> Step:
        update, memory = self._transformation().update(state.gradient, state.memory, state.params)
        params = optax.apply_updates(state.params, update)
        value, gradient = jax.value_and_grad(objective)(params)
        return Step(params, value, gradient, memory)


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

    def _direction(self) -> optax.GradientTransformation:
        # The parameters are scaled already, so the first direction is the plain gradient.
        return optax.scale_by_lbfgs(self.memory_size, scale_init_precond=False)

    def memory(self, objective: Objective, params: PyTree) -> PyTree:
        # One flat vector: the recursion compiles much faster than over a tree.
        return self._direction().init(ravel_pytree(params)[0])

    def step(self, objective: Objective, state: Step) -> Step:
        params, unravel = ravel_pytree(state.params)
        gradient = ravel_pytree(state.gradient)[0]
        ascent, memory = self._direction().update(gradient, state.memory, params)
        # A direction that does not descend comes from negative curvature in the memory.
        ascent = jnp.where(jnp.vdot(ascent, gradient) > 0, ascent, gradient)
        slope = jnp.vdot(ascent, gradient)
        downhill = unravel(-ascent)

        def search(carry: tuple[Array, Array, Any, Any, Array]) -> Any:
            length, _, _, _, count = carry
            params = jax.tree.map(lambda x, a: x + length * a, state.params, downhill)
            value, gradient = jax.value_and_grad(objective)(params)
            rise = value - state.value + length * slope
            # The minimum of the parabola through what is known of the line.
            shorter = length * jnp.clip(0.5 * length * slope / rise, 0.1, 0.5)
            length = jnp.where(_enough(value, length), length, shorter)
            return length, value, params, gradient, count + 1

        def _enough(value: Array, length: Array) -> Array:
            return value < state.value - 1e-4 * length * slope

        def unfinished(carry: tuple[Array, Array, Any, Any, Array]) -> Array:
            length, value, _, _, count = carry
            return ~_enough(value, length) & (count < self.max_backtracks)

        first = (jnp.ones(()), jnp.inf, state.params, state.gradient, jnp.zeros((), int))
        first = jax.tree.map(jnp.asarray, first)
        _, value, params, gradient, _ = lax.while_loop(unfinished, search, first)
        found = Step(params, value, gradient, memory)
        # A search that fails was misled by what the memory holds; the next one starts afresh.
        afresh = state._replace(memory=self.memory(objective, state.params))
        return _where(value < state.value, found, afresh)


def _where(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


@dataclass(frozen=True, eq=False)
class Minimum(Generic[Params]):
    """Where a minimisation ended, and how.

    **Fields:**

    - `params`: the best free numbers.
    - `value`: the objective there.
    - `history`: the objective at the start and after each iteration.
    - `reason`: "converged", "iteration limit" or "interrupted".
    """

    params: Params
    value: float
    history: Float[np.ndarray, " i"]
    reason: str

    @property
    def iterations(self) -> int:
        return max(len(self.history) - 1, 0)


def minimise(
    objective: Objective,
    start: Params,
    solver: AbstractSolver,
    *,
    tolerance: float,
    max_iterations: int,
    least: float = 0.0,
    progress: Callable[[int, float], None] = lambda iteration, value: None,
    keep: Callable[[Params, list[float]], None] = lambda best, history: None,
) -> Minimum[Params]:
    """Run a solver until its chunks of iterations no longer pay.

    **Arguments:**

    - `objective`: of the free numbers; an equinox module, so that its arrays are not compiled in.
    - `start`: the first free numbers.
    - `solver`: the rule for an iteration.
    - `tolerance`: a fit ends when a chunk lowers the objective, or promises to, by less than this part.
    - `max_iterations`: the most iterations.
    - `least`: the tolerance is no smaller than it is at this objective (rounding errors, say).
    - `progress`: called with the iterations done and the objective.
    - `keep`: called with the best free numbers so far and the history, after each chunk.

    **Raises:** `KeyboardInterrupt` if it came before the first iteration ended; later ones end the fit.
    """
    # With an infinite value and no gradient, the first iteration evaluates the start and stays there:
    # the objective is compiled in one place less.
    still = jax.tree.map(np.zeros_like, start)
    state = Step(start, np.asarray(np.inf, np.float32), still, _empty_memory(solver, objective, start))
    best = state
    history: list[float] = []
    lowest: list[float] = []
    reason = "iteration limit"
    try:
        while len(history) <= max_iterations:
            state, values = _advance(solver, objective, state)
            history += np.asarray(values, np.float64).tolist()
            if float(state.value) < float(best.value):
                best = state
            keep(best.params, history)
            progress(len(history) - 1, history[-1])
            lowest.append(min(history))
            if _has_converged(solver, state, lowest, tolerance, least):
                reason = "converged"
                break
    except KeyboardInterrupt:
        if not history:
            raise
        reason = "interrupted"
    return Minimum(best.params, float(best.value), np.array(history), reason)


def _has_converged(
    solver: AbstractSolver, state: Step, lowest: list[float], tolerance: float, least: float
) -> bool:
    promise = solver.promise(state)
    if promise is not None:
        return promise <= tolerance * max(lowest[-1], least)
    if len(lowest) <= solver.patience:
        return False
    before = lowest[-1 - solver.patience]
    return before - lowest[-1] <= tolerance * max(before, least)


@eqx.filter_jit
def _empty_memory(solver: AbstractSolver, objective: Objective, params: Any) -> Any:
    return solver.memory(objective, params)


@eqx.filter_jit
def _advance(
    solver: AbstractSolver, objective: Objective, state: Step
) -> tuple[Step, Float[Array, " chunk"]]:
    def iterate(state: Step, _: None) -> tuple[Step, Array]:
        state = solver.step(objective, state)
        return state, state.value

    return lax.scan(iterate, state, None, length=solver.chunk)
