"""Signals that end a process: taken as Ctrl-C while a command works, and held back where half is worse.

Python turns Ctrl-C into `KeyboardInterrupt`, which a fit answers with the best model so far. A batch system
ends a job by SIGTERM, and a terminal or a connection that closes by SIGHUP; `nohup` asks to ignore that.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def as_interrupts() -> Iterator[None]:
    """A block in which signals that end a process raise `KeyboardInterrupt`; the main thread only."""
    with _handled(signal.default_int_handler, unless=signal.SIG_IGN):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that such signals wait for: it is short, and half of it would be worse than none of it."""
    waiting: list[int] = []
    with _handled(lambda number, frame: waiting.append(number)):
        yield
    for number in waiting[:1]:
        signal.raise_signal(number)


@contextmanager
def _handled(handler: Any, unless: Any = None) -> Iterator[None]:
    # Handlers can only be set in the main thread; one that is None was not set from Python.
    mine = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _ENDING if mine}
    before = {number: old for number, old in before.items() if old is not None and old != unless}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
