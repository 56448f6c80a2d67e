"""Verdicts of what a result was made of: no comparison is better than what it compares."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from atomfit.statistics.own_findings import OwnFinding
from atomfit.verdict.findings import Finding, Level
from atomfit.verdict.limits import LIMITS


def is_copy(displacements: Float[np.ndarray, "n d"], scale: float) -> bool:
    """Whether pairs lie at the same places but for rounding, or far nearer than two measurements do.

    **Arguments:**

    - `displacements`: of pairs; NaN of what has no partner (Å).
    - `scale`: how large they are beside their error bars; NaN if that is not known.
    """
    known = displacements[np.isfinite(displacements)]
    return bool(len(known) and (np.abs(known).max() < LIMITS.copy or scale < LIMITS.same_data))


def copy_finding(what: str) -> Finding:
    """Of two inputs that are one.

    **Arguments:**

    - `what`: they are of.
    """
    return Finding(
        "copy",
        "doubtful",
        f"{what} of both lie at the same places, far nearer than error bars say: they are results of the "
        "same data",
        "give results of two measurements; error bars cannot be tested, and nothing can have changed",
    )


def input_findings(inputs: Iterable[tuple[str, tuple[OwnFinding, ...]]]) -> list[Finding]:
    """One of each input that something speaks against.

    **Arguments:**

    - `inputs`: names, and what speaks against each by itself, the worst first.
    """
    found = []
    for name, own in inputs:
        if not own:
            continue
        level: Level = "bad" if own[0].level == "bad" else "doubtful"
        more = f", and {len(own) - 1} more" if len(own) > 1 else ""
        found.append(
            Finding(
                "input",
                level,
                f"{name} by itself is {level}: {own[0].problem}{more}",
                "look at its own report before anything is made of changes",
            )
        )
    return found
