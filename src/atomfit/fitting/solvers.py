"""Solvers: rules for one iteration, run in jitted chunks of a few.

A solver says how it begins and how it goes on, as a transformation of optax does, but knows the objective
and evaluates it itself. As such a transformation it serves a loop of one's own, and any transformation of
optax is a solver in turn (`first_order`). `minimise` runs one in chunks on the device and looks at the
history between them, on the host: there it decides whether to stop, reports progress, and notices
Ctrl-C, which ends the fit with the best model so far instead of losing it.

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
        """How much an iteration is expected to lower the objective; None if the rule cannot tell."""
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


@kept
def _empty_memory(solver: AbstractSolver, objective: Objective, params: Any) -> Any:
    return solver.init(objective, params)


@kept
def _advance(
    solver: AbstractSolver, objective: Objective, state: Step
) -> tuple[Step, Float[Array, " chunk"]]:
    def iterate(state: Step, _: None) -> tuple[Step, Array]:
        update, memory = solver.update(objective, state.memory, state.params)
        return Step(moved(state.params, update), memory), memory.value

    return lax.scan(iterate, state, None, length=solver.chunk)
