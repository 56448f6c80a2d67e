"""What the steps of a job have found, so that a job that ended early goes on as if it had not.

A job is a sequence of steps, each of which follows from the input and from the steps before it: where atoms
were detected, a minimisation, another one. So it need not be known in which stage or round of a selection
a job was. It runs again from the top; a step that was kept returns at once what it had found; and the one
that was under way goes on from its solver's own state, to the same bits. What lies between steps is
computed again.

Whoever changes a workflow or a stage has nothing to call, and three rules to keep: all fits go through
`optimisation.solvers.minimise`, which is such a step; what lies between steps is deterministic (random
numbers have seeds); and what is none but takes minutes is made one by `Journal.computed`. A step that
begins with other numbers than those it was kept with, within rounding, is done anew, and so is all that
comes after.

Fits know nothing of files. A workflow that keeps its steps makes its journal the current one for a while,
as one does with a log (`io.checkpoint` does, and writes it); without one nothing is kept.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

log = logging.getLogger("atomfit")

_T = TypeVar("_T")
Arrays = dict[str, np.ndarray]

#: By how much, relative to its size, what a step begins with may differ on another machine.
_ROUNDING = 1e-3


@dataclass(eq=False)
class Step:
    """A step of a job.

    **Fields:**

    - `name`: what it does.
    - `about`: what it begins with, as `fingerprint` has it.
    - `arrays`: makes what it has found so far; None if that is nothing.
    - `ended`: whether that is all.
    """

    name: str
    about: Float[np.ndarray, "k 3"]
    arrays: Callable[[], Arrays] | None = None
    ended: bool = False

    def begins_with(self, name: str, about: Float[np.ndarray, "l 3"]) -> bool:
        """Whether it is the same step of the same job."""
        if name != self.name or about.shape != self.about.shape:
            return False
        off = np.abs(about - self.about) <= _ROUNDING * np.abs(self.about[:, 2:])
        return bool(np.array_equal(about[:, 0], self.about[:, 0]) and off[:, 1:].all())


@dataclass(eq=False)
class Journal:
    """The steps of a job, in their order.

    **Fields:**

    - `steps`: those that were kept of an earlier run, and then those of this one.
    - `written`: called when there is more to keep; with True if it may be the last time.
    """

    steps: list[Step] = field(default_factory=list)
    written: Callable[[bool], None] = lambda last: None
    _next: int = 0
    _closed: bool = False

    def step(self, name: str, about: Float[np.ndarray, "k 3"]) -> Step:
        """The next step of the job, with what is known of it."""
        if self._closed:
            return Step(name, about)
        if self._next < len(self.steps) and not self.steps[self._next].begins_with(name, about):
            log.warning("what was kept of %s began with other numbers: it is done anew", name)
            del self.steps[self._next :]
        if self._next == len(self.steps):
            self.steps.append(Step(name, about))
        self._next += 1
        return self.steps[self._next - 1]

    def keep(self, step: Step, arrays: Callable[[], Arrays], ended: bool = False) -> None:
        """Note how far a step has come; what an earlier run did after it is of no use any more."""
        step.arrays, step.ended = arrays, ended
        if self._closed or step not in self.steps:
            return
        del self.steps[self.steps.index(step) + 1 :]
        self.written(False)

    def close(self) -> None:
        """Keep nothing from now on: a step was interrupted, and what follows it is no part of the job."""
        if not self._closed:
            self._closed = True
            self.written(True)

    def computed(
        self,
        name: str,
        about: Float[np.ndarray, "k 3"],
        compute: Callable[[], _T],
        to_arrays: Callable[[_T], Arrays],
        from_arrays: Callable[[Arrays], _T],
    ) -> _T:
        """What a step finds that ends at once: as it was kept, or computed and kept."""
        step = self.step(name, about)
        if step.arrays is not None and step.ended:
            return from_arrays(step.arrays())
        found = compute()
        self.keep(step, lambda: to_arrays(found), ended=True)
        return found


_current: ContextVar[Journal | None] = ContextVar("journal", default=None)


def current() -> Journal:
    """The journal of the job that is running; one that nobody reads if there is none."""
    return _current.get() or Journal()


@contextmanager
def keeping(journal: Journal) -> Iterator[None]:
    """A block whose steps are kept in a journal."""
    before = _current.set(journal)
    try:
        yield
    finally:
        _current.reset(before)


def fingerprint(leaves: Sequence[Any]) -> Float[np.ndarray, "k 3"]:
    """Size, mean and root mean square of arrays, by which a step is known again."""
    rows = np.zeros((len(leaves), 3))
    for row, leaf in zip(rows, leaves, strict=True):
        values = np.asarray(leaf).ravel()
        if values.size and values.dtype.kind in "fiub":
            values = values if values.dtype.kind == "f" else values.astype(np.float64)
            square = float(np.vdot(values, values)) / values.size
            row[:] = values.size, np.mean(values, dtype=np.float64), np.sqrt(square)
    return np.nan_to_num(rows)
