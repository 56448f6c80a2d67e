"""What a run of the command sets up for its process, and how it ends.

For the command line only: a library leaves the process to the program that uses it.
"""

import contextlib
import gc
import io
import os
import sys
from pathlib import Path

from atomfit.support.private import private_directory


def programs_directory() -> Path | None:
    """Where compiled programs are kept between runs: compilation is most of the wait for a small particle.

    They are code, and are run: only a directory that nobody else can write to is used. None if there is
    none (no home, a cache that is shared, a disk that cannot be written): nothing is kept then.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        cache = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:  # a user whom the system does not know, without HOME
        return None
    # What is not absolute is to be ignored, by the specification of XDG_CACHE_HOME.
    return private_directory(cache / "atomfit" / "programs") if cache.is_absolute() else None


def have_a_home() -> None:
    """Libraries look for their settings at home when they are imported, and fail if there is none."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.devnull


def have_streams() -> None:
    """A closed stream leaves its number to the next file, which libraries would write messages into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)


def replace_what_cannot_be_written() -> None:
    """Å is none of the letters of many code pages: a line with ? for it is better than none."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def one_thread_for_small_matrices() -> None:
    """OpenBLAS's threads gain nothing there, and on a busy machine spend minutes waiting for each other.

    Must come before numpy is imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def collect_garbage_rarely() -> None:
    """A short program leaves little garbage; looking for it takes a tenth of the time."""
    gc.set_threshold(100_000, 50, 100)


def leave(code: int | str | None) -> None:
    """End the process at once: taking JAX apart takes a third of a second after the files are written."""
    if not isinstance(code, int | None):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        # Closed, full, or never there: the files are written all the same.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code or 0)
