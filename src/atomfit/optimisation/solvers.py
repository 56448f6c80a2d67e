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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from atomfit.optimisation.ended import Ended
from atomfit.optimisation.journal import Arrays, current, fingerprint
from atomfit.support.compiled import kept

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
        """What to add to the free numbers, and what to remember. The first update is zero.

        **Arguments:**

        - `objective`: what is minimised, a function of the free numbers.
        - `state`: what is remembered since the last update.
        - `params`: the free numbers.
        """

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
    - `reason`: how it ended.
    """

    params: Params
    value: float
    history: Float[np.ndarray, " i"]
    reason: Ended

    @property
    def iterations(self) -> int:
        """How many there were."""
        return max(len(self.history) - 1, 0)


@dataclass(frozen=True, eq=False)
class _Course:
    """How far a minimisation has come: all that it needs to go on.

    **Fields:**

    - `state`, `best`: where it stands, and where the objective was lowest.
    - `history`, `lowest`: the objective after each iteration, and the lowest after each chunk.
    - `reason`: why it is not to go on; None if it is.
    """

    state: Step
    best: Best
    history: tuple[float, ...] = ()
    lowest: tuple[float, ...] = ()
    reason: Ended | None = None

    def arrays(self) -> Arrays:
        """As it is kept."""
        trees = {"best": self.best} if self.reason else {"best": self.best, "state": self.state}
        leaves = {
            f"{name}.{i}": np.asarray(leaf)
            for name, tree in trees.items()
            for i, leaf in enumerate(jax.tree.leaves(tree))
        }
        numbers = {"history": np.array(self.history), "lowest": np.array(self.lowest)}
        return leaves | numbers | {"reason": np.array(self.reason or "")}

    def recalled(self, arrays: Arrays) -> "_Course":
        """As it was kept, of a course that has not begun; of another solver's the best place is taken."""
        best, state = _filled(self.best, "best", arrays), _filled(self.state, "state", arrays)
        if best is None:
            return self
        if state is None:
            state = Step(best.params, self.state.memory)
        history, lowest = (tuple(arrays[name].tolist()) for name in ("history", "lowest"))
        reason = str(arrays["reason"])
        return _Course(state, best, history, lowest, Ended(reason) if reason else None)


def _filled(like: Any, name: str, arrays: Arrays) -> Any:
    """A pytree of kept leaves; None if they are of another."""
    leaves, structure = jax.tree.flatten(like)
    found = [arrays.get(f"{name}.{i}") for i in range(len(leaves))]
    fits = f"{name}.{len(leaves)}" not in arrays and all(
        x is not None and (x.shape, x.dtype) == (np.shape(y), y.dtype)
        for x, y in zip(found, leaves, strict=True)
    )
    return jax.tree.unflatten(structure, [jnp.asarray(x) for x in found]) if fits else None


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
) -> Minimum[Params]:
    """Run a solver until its chunks of iterations no longer pay.

    It is a step of the current journal: one that was kept returns at once, or goes on where it was.

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

    **Raises:** `KeyboardInterrupt` if it came before the first iteration ended; later ones end the fit.
    """
    journal, first = current(), Step(start, _empty_memory(solver, objective, start))
    step = journal.step("minimise", fingerprint(jax.tree.leaves((objective, start))))
    course = _Course(first, Best(start, np.float32(np.inf)))
    if step.arrays is not None:
        course = course.recalled(step.arrays())

    def enough(best: Best) -> float:
        return tolerance * max(misfit(best.params, float(best.value)), least)

    reason = Ended.ITERATION_LIMIT
    try:
        while not course.reason and len(course.history) <= max_iterations:
            course = _further(course, objective, solver, enough)
            journal.keep(step, course.arrays, course.reason is not None)
            progress(len(course.history) - 1, course.history[-1])
    except KeyboardInterrupt:
        journal.close()
        if not course.history:
            raise
        reason = Ended.INTERRUPTED
    else:
        reason = course.reason or reason
    return Minimum(course.best.params, float(course.best.value), np.array(course.history), reason)


def _further(
    course: _Course, objective: Objective, solver: AbstractSolver, enough: Callable[[Best], float]
) -> _Course:
    """A chunk of iterations further."""
    state, best, values = _advance(solver, objective, course.state, course.best)
    history = (*course.history, *np.asarray(values, np.float64).tolist())
    lowest, promise, reason = (*course.lowest, min(history)), solver.promise(state), None
    if not np.isfinite(history[-1]) or (promise is not None and np.isnan(promise)):
        reason = Ended.DIVERGED
    elif _has_converged(solver, promise, lowest, enough(best)):
        reason = Ended.CONVERGED
    return _Course(state, best, history, lowest, reason)


def _has_converged(
    solver: AbstractSolver, promise: float | None, lowest: Sequence[float], enough: float
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
