"""Whether there is the memory that a job needs, asked before any of it is taken.

What there is: the machine's, or less where a batch system, a container or `ulimit` allows less.
"""

import os
from pathlib import Path

from atomfit.support.errors import InputError

_CGROUPS = Path("/sys/fs/cgroup")


def require_memory(needed: float, what: str, remedy: str, where: str | Path | None = None) -> None:
    """Refuse what cannot be held; a machine that does not tell its memory is believed to have enough.

    **Arguments:**

    - `needed`: memory (bytes).
    - `what`: what needs it, in words.
    - `remedy`, `where`: of the refusal.

    **Raises:** `InputError` if there is less.
    """
    present = present_memory()
    if needed > present:
        told = f"{what} needs about {_gigabytes(needed)} GB of memory, and there are {_gigabytes(present)}"
        raise InputError(told, remedy, where, goes_on=())


def present_memory() -> float:
    """Memory that this process may have (bytes); infinite if nothing tells."""
    return min(_of_machine(), _of_process(), _of_cgroup())


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f}" if size < 1e13 else f"{size / 1e9:.3g}"


def _of_machine() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _of_process() -> float:
    """What `ulimit -v` allows."""
    try:
        import resource
    except ImportError:  # not on Windows
        return float("inf")
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return float("inf") if soft == resource.RLIM_INFINITY else float(soft)


def _of_cgroup() -> float:
    """What Linux allows the control group (version 2) of this process, and those that it is in."""
    least = float("inf")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line.removeprefix("0::/") for line in lines if line.startswith("0::/"))
    except (OSError, StopIteration):
        return least
    for folder in (_CGROUPS / own, *(_CGROUPS / own).parents):
        try:
            least = min(least, float((folder / "memory.max").read_text()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return least
