"""Linear algebra of small matrices on one thread: nothing in, and a context in which it is so.

numpy and scipy come with OpenBLAS, which divides a matrix of a hundred rows among all cores. There is
little to divide: threads wait for each other, spinning, longer than they work. On cores that others use as
well a program of many small factorisations takes ten times as long, of its processors too. numpy and scipy
have no switch for it, but their libraries have functions (`threadpoolctl` calls the same); of other
libraries (MKL, Accelerate) nothing is changed.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import Lock
from typing import final

#: Modules that are bound to the libraries, and what their functions are called in wheels and distributions.
_BOUND = ("numpy._core._multiarray_umath", "scipy.linalg._flapack")
_NAMES = tuple(
    (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
    for prefix in ("scipy_", "")
    for suffix in ("", "64_")
)


@final
class _Holds:
    """How many contexts are open, and what the libraries had before the first."""

    def __init__(self) -> None:
        self.lock, self.number = Lock(), 0
        self.before: list[int] = []


_HOLDS = _Holds()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A context, or a decorator, in which matrices are multiplied and factorised on one thread.

    It is the whole process's: what other threads multiply is as slow meanwhile. The last one that leaves
    has the numbers of threads be what they were.
    """
    with _HOLDS.lock:
        _HOLDS.number += 1
        if _HOLDS.number == 1:
            _HOLDS.before = blas_threads()
            for _, change in _libraries():
                change(1)
    try:
        yield
    finally:
        with _HOLDS.lock:
            _HOLDS.number -= 1
            if not _HOLDS.number:
                for (_, change), threads in zip(_libraries(), _HOLDS.before, strict=True):
                    change(threads)


def blas_threads() -> list[int]:
    """Threads of each library that can be asked."""
    return [ask() for ask, _ in _libraries()]


@cache
def _libraries() -> tuple[tuple[Callable[[], int], Callable[[int], None]], ...]:
    found = []
    for name in _BOUND:
        try:
            library = ctypes.CDLL(import_module(name).__file__)
        except (ImportError, OSError, TypeError):  # another numpy or scipy, or built into the program
            continue
        for ask, change in _NAMES:
            if hasattr(library, ask) and hasattr(library, change):
                found.append((getattr(library, ask), getattr(library, change)))
                break
    return tuple(found)
