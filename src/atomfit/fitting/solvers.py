"""Optimisers: transformations of optax, in jitted chunks of a few iterations.

A solver turns an objective into a transformation of optax that minimises it, one whose state knows the
objective. So its own solvers, any other of optax (`Optax`) and a loop of one's own are interchangeable.
`minimise` runs it in chunks on the device and looks at the history between them, on the host: there it
decides whether to stop, reports progress, and notices Ctrl-C, which ends the fit with the best model so
far instead of losing it.

The state begins with an infinite value, and the first update evaluates the start and stays there: every
place of a program that evaluates the objective is compiled on its own, and compilation is most of the
user's wait. For the same reason `LBFGS` takes its direction from optax and its step from a backtracking
search of its own, which evaluates in one place where those of optax do in several.
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
    """Where a fit stands: free numbers, and what its solver remembers."""

    params: Any
    memory: Any

    @property
    def value(self) -> Any:
        """The objective."""
        return self.memory.value


class AbstractSolver(eqx.Module):
    """A rule for one iteration of minimisation.

    **Fields:**

    - `chunk`: iterations between two looks at the history.
    - `patience`: chunks of iterations without progress after which a fit has ended.
    """

    chunk: eqx.AbstractVar[int]
    patience: eqx.AbstractVar[int]

    @abc.abstractmethod
    def transformation(self, objective: Objective) -> optax.GradientTransformationExtraArgs:
        """The rule as a transformation of optax, which evaluates the objective itself.

        Its `update` needs no gradients. Its state has the objective's `value` where the update leads: it is
        infinite at first, and the first update is zero and evaluates the start.
        """

    def promise(self, state: Step) -> float | None:
        """How much an iteration is expected to lower the objective; None if the rule cannot tell."""
        return None


class Evaluated(NamedTuple):
    """What a rule that is given gradients remembers.

    **Fields:**

    - `value`, `grad`: of the objective, where the last update led.
    - `memory`: the rule's own.
    """

    value: Any
    grad: Any
    memory: Any


def evaluated(
    given: optax.GradientTransformation, objective: Objective
) -> optax.GradientTransformationExtraArgs:
    """Any transformation of optax, as one that evaluates an objective itself."""
    given = optax.with_extra_args_support(given)

    def init(params: PyTree) -> Evaluated:
        still = jax.tree.map(jnp.zeros_like, params)
        return Evaluated(jnp.float32(jnp.inf), still, given.init(params))

    def update(_: Any, state: Evaluated, params: PyTree, **extra: Any) -> tuple[PyTree, Evaluated]:
        known = {"value": state.value, "grad": state.grad, "value_fn": objective}
        step, memory = given.update(state.grad, state.memory, params, **known)
        unknown = jnp.isinf(state.value)
        still = jax.tree.map(jnp.zeros_like, step)
        step, memory = _where(unknown, (still, state.memory), (step, memory))
        there = optax.apply_updates(params, step)
        value, gradient = jax.value_and_grad(objective)(there)
        return step, Evaluated(value, gradient, memory)

    return optax.GradientTransformationExtraArgs(init, update)


class Optax(AbstractSolver):
    """Any transformation of optax.

    **Fields:**

    - `given`: the transformation, complete with a learning rate or a line search.
    """

    given: optax.GradientTransformation = eqx.field(static=True)  # type: ignore[misc]
    chunk: int = eqx.field(static=True, default=8)
    patience: int = eqx.field(static=True, default=4)

    def transformation(self, objective: Objective) -> optax.GradientTransformationExtraArgs:
        return evaluated(self.given, objective)


class Adam(AbstractSolver):
    """Adam (Kingma & Ba 2015), in units of each parameter's standard uncertainty.

    **Fields:**

    - `learning_rate`: largest change of a parameter in an iteration.
    """

    learning_rate: float = eqx.field(static=True, default=0.1)
    chunk: int = eqx.field(static=True, default=8)
    patience: int = eqx.field(static=True, default=4)

    def transformation(self, objective: Objective) -> optax.GradientTransformationExtraArgs:
        return evaluated(optax.adam(self.learning_rate), objective)


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

    def transformation(self, objective: Objective) -> optax.GradientTransformationExtraArgs:
        # The parameters are scaled already, so the first direction is the plain gradient.
        direction = optax.scale_by_lbfgs(self.memory_size, scale_init_precond=False)

        def init(params: PyTree) -> Evaluated:
            # One flat vector: the recursion compiles much faster than over a tree.
            flat = ravel_pytree(params)[0]
            return Evaluated(jnp.float32(jnp.inf), jnp.zeros_like(flat), direction.init(flat))

        def update(_: Any, state: Evaluated, params: PyTree, **extra: Any) -> tuple[PyTree, Evaluated]:
            at, unravel = ravel_pytree(params)
            ascent, memory = direction.update(state.grad, state.memory, at)
            # A direction that does not descend comes from negative curvature in the memory.
            ascent = jnp.where(jnp.vdot(ascent, state.grad) > 0, ascent, state.grad)
            value, gradient, length = self._search(
                lambda x: objective(unravel(x)), at, ascent, state.value, state.grad
            )
            found = (-length * ascent, Evaluated(value, gradient, memory))
            # A search that fails was misled by what the memory holds; the next one starts afresh.
            afresh = (jnp.zeros_like(at), state._replace(memory=direction.init(at)))
            step, state = _where(value < state.value, found, afresh)
            return unravel(step), state

        return optax.GradientTransformationExtraArgs(init, update)

    def _search(
        self,
        objective: Objective,
        at: Float[Array, " k"],
        ascent: Float[Array, " k"],
        value: Float[Array, ""],
        gradient: Float[Array, " k"],
    ) -> tuple[Float[Array, ""], Float[Array, " k"], Float[Array, ""]]:
        """Value, gradient and length of a step downhill that lowers the objective enough."""
        slope = jnp.vdot(ascent, gradient)

        def enough(there: Array, length: Array) -> Array:
            return there < value - 1e-4 * length * slope

        def unfinished(carry: tuple[Array, Array, Array, Array, Array]) -> Array:
            trial, there, _, _, count = carry
            return ~enough(there, trial) & (count < self.max_backtracks)

        def search(carry: tuple[Array, Array, Array, Array, Array]) -> Any:
            length, _, _, _, count = carry
            there, slopes = jax.value_and_grad(objective)(at - length * ascent)
            rise = there - value + length * slope
            # The minimum of the parabola through what is known of the line.
            shorter = length * jnp.clip(0.5 * length * slope / rise, 0.1, 0.5)
            trial = jnp.where(enough(there, length), length, shorter)
            return trial, there, slopes, length, count + 1

        one = jnp.ones(())
        first = (one, jnp.float32(jnp.inf), gradient, one, jnp.zeros((), int))
        _, there, slopes, length, _ = lax.while_loop(unfinished, search, first)
        return there, slopes, length


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
    best = state = Step(start, _empty_memory(solver, objective, start))
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
    return solver.transformation(objective).init(params)


@eqx.filter_jit
def _advance(
    solver: AbstractSolver, objective: Objective, state: Step
) -> tuple[Step, Float[Array, " chunk"]]:
    transformation = solver.transformation(objective)

    def iterate(state: Step, _: None) -> tuple[Step, Array]:
        update, memory = transformation.update(None, state.memory, state.params)
        return Step(optax.apply_updates(state.params, update), memory), memory.value

    return lax.scan(iterate, state, None, length=solver.chunk)
