"""Whether a machine has the memory that a fit needs, asked before any of it is taken."""

import os
from pathlib import Path

from atomfit.errors import InputError


def require_memory(needed: float, what: str, remedy: str, where: str | Path | None = None) -> None:
    """Refuse what cannot be held; a machine that does not tell its memory is believed to have enough.

    **Arguments:**

    - `needed`: memory (bytes).
    - `what`: what needs it, in words.
    - `remedy`, `where`: of the refusal.

    **Raises:** `InputError` if the machine has less.
    """
    try:
        present = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return
    if needed > present:
        told = (
            f"{what} needs about {needed / 1e9:.1f} GB of memory, and this machine has {present / 1e9:.1f}"
        )
        raise InputError(told, remedy, where)
