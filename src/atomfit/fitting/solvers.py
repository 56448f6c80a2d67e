"""Solvers: rules for one iteration, run in jitted chunks of a few.

A solver says how it begins and how it goes on, as a transformation of optax does, but knows the objective
and evaluates it itself. As such a transformation it serves a loop of one's own, and any transformation of
optax is a solver in turn (`first_order`). `minimise` runs one in chunks on the device and looks at the
history between them, on the host: there it decides whether to stop, reports progress, and notices
Ctrl-C, which ends the fit with the best model so far instead of losing it. So does an objective, or a
gradient of one, that is no number from wherever the solver turns.

What is left to gain is compared with what the data still cost, which is what noise makes of them, and not
with the whole objective: a term may have any constant in it.

The state begins with an infinite value, and the first update evaluates the start and stays there: every
place of a program that evaluates the objective is compiled on its own, and compilation is most of the
user's wait.

optax itself takes a while to import, and is imported where it is needed.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from atomfit.compiled import kept

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


class Best(NamedTuple):
    """The lowest place so far: free numbers, and the objective there."""

    params: Any
    value: Any


class AbstractSolver(eqx.Module):
    """A rule for one iteration of minimisation.

    **Fields:**

    - `chunk`: iterations between two looks at the history.
    - `patience`: chunks of iterations without progress after which a fit has ended.
    """

    chunk: eqx.AbstractVar[int]
    patience: eqx.AbstractVar[int]

    @abc.abstractmethod
    def init(self, objective: Objective, params: Any) -> Any:
        """What is remembered before the first iteration.

        It has the objective's `value` where the last update led, infinite at first.
        """

    @abc.abstractmethod
    def update(self, objective: Objective, state: Any, params: Any) -> tuple[Any, Any]:
        """What to add to the free numbers, and what to remember. The first update is zero."""

    def promise(self, state: Step) -> float | None:
        """How much an iteration is expected to lower the objective; None if the rule cannot tell.

        NaN where it finds nothing but places at which the objective is no number.
        """
        return None

    def transformation(self, objective: Objective) -> Any:
        """The rule as a transformation of optax, whose `update` needs no gradients."""
        import optax

        def update(updates: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
            return self.update(objective, state, params)

        return optax.GradientTransformationExtraArgs(partial(self.init, objective), update)


def moved(params: Params, update: Any) -> Params:
    """Free numbers with an update added."""
    return jax.tree.map(lambda number, change: number + change, params, update)


def sound_value(value: Float[Array, ""], gradient: Any) -> Float[Array, ""]:
    """The objective where it and its gradient are numbers; NaN elsewhere, which is lower than nothing."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient)]
    return jnp.where(jnp.all(jnp.stack([jnp.isfinite(value), *leaves])), value, jnp.nan)


@dataclass(frozen=True, eq=False)
class Minimum(Generic[Params]):
    """Where a minimisation ended, and how.

    **Fields:**

    - `params`: the best free numbers.
    - `value`: the objective there; infinite if it is no number at the start.
    - `history`: the objective at the start and after each iteration.
    - `reason`: "converged", "iteration limit", "interrupted" or "diverged".
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
    misfit: Callable[[Params, float], float] = lambda params, value: value,
    least: float = 0.0,
    progress: Callable[[int, float], None] = lambda iteration, value: None,
    keep: Callable[[Params, list[float]], None] = lambda best, history: None,
) -> Minimum[Params]:
    """Run a solver until its chunks of iterations no longer pay.

    **Arguments:**

    - `objective`: of the free numbers; an equinox module, so that its arrays are not compiled in.
    - `start`: the first free numbers.
    - `solver`: the rule for an iteration.
    - `tolerance`: a fit ends when a chunk lowers the objective, or promises to, by less than this part of
        the misfit.
    - `max_iterations`: the most iterations.
    - `misfit`: what the data have in the objective, of free numbers and the objective there; all of it, if
        not given.
    - `least`: the tolerance is no smaller than it is at this misfit (rounding errors, say).
    - `progress`: called with the iterations done and the objective.
    - `keep`: called with the best free numbers so far and the history, after each chunk.

    **Raises:** `KeyboardInterrupt` if it came before the first iteration ended; later ones end the fit.
    """
    state = Step(start, _empty_memory(solver, objective, start))
    best = Best(start, np.float32(np.inf))
    history: list[float] = []
    lowest: list[float] = []
    reason = "iteration limit"
    try:
        while len(history) <= max_iterations:
            state, best, values = _advance(solver, objective, state, best)
            history += np.asarray(values, np.float64).tolist()
            keep(best.params, history)
            progress(len(history) - 1, history[-1])
            lowest.append(min(history))
            promise = solver.promise(state)
            if not np.isfinite(history[-1]) or (promise is not None and np.isnan(promise)):
                reason = "diverged"
                break
            enough = tolerance * max(misfit(best.params, float(best.value)), least)
            if _has_converged(solver, promise, lowest, enough):
                reason = "converged"
                break
    except KeyboardInterrupt:
        if not history:
            raise
        reason = "interrupted"
    return Minimum(best.params, float(best.value), np.array(history), reason)


def _has_converged(
    solver: AbstractSolver, promise: float | None, lowest: list[float], enough: float
) -> bool:
    """Whether what is left to gain, or what the last chunks have gained, is no more than enough."""
    if promise is not None:
        return promise <= enough
    return len(lowest) > solver.patience and lowest[-1 - solver.patience] - lowest[-1] <= enough


@kept
def _empty_memory(solver: AbstractSolver, objective: Objective, params: Any) -> Any:
    return solver.init(objective, params)


@kept
def _advance(
    solver: AbstractSolver, objective: Objective, state: Step, best: Best
) -> tuple[Step, Best, Float[Array, " chunk"]]:
    def iterate(both: tuple[Step, Best], _: None) -> tuple[tuple[Step, Best], Array]:
        state, best = both
        update, memory = solver.update(objective, state.memory, state.params)
        state = Step(moved(state.params, update), memory)
        better = memory.value < best.value
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), Best(state.params, memory.value), best)
        return (state, best), memory.value

    (state, best), values = lax.scan(iterate, (state, best), None, length=solver.chunk)
    return state, best, values
