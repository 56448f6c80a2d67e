"""What a run of the command sets up for its process, and how it ends.

For the command line only: a library leaves the process to the program that uses it.
"""

import contextlib
import gc
import os
import sys
from pathlib import Path


def programs_directory() -> Path | None:
    """Where compiled programs are kept between runs: compilation is most of the wait for a small particle.

    None if nothing can be kept.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    directory = (Path(base) if base else Path.home() / ".cache") / "atomfit" / "programs"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return directory if os.access(directory, os.W_OK) else None


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
