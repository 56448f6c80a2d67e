"""What a run of the command sets up for its process, and how it ends.

For the command line only: a library leaves the process to the program that uses it.
"""

import gc
import os
import sys
from pathlib import Path


def cache_compilation() -> Path | None:
    """Keep compiled code between runs: compilation is most of the wait for a small particle.

    Returns the directory for whole programs; None if nothing can be kept.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    cache = (Path(base) if base else Path.home() / ".cache") / "atomfit"
    directory, programs = cache / "compiled", cache / "programs"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        programs.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    if not (os.access(directory, os.W_OK) and os.access(programs, os.W_OK)):
        return None
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(directory))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    return programs


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
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
