"""Verdicts of what a result was made of: no comparison is better than what it compares."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from atomfit.statistics.own_findings import OwnFinding
from atomfit.verdict.findings import Finding, Level
from atomfit.verdict.limits import LIMITS


def is_copy(displacements: Float[np.ndarray, "n d"]) -> bool:
    """Whether pairs lie at the same places but for rounding.

    **Arguments:**

    - `displacements`: of pairs; NaN of what has no partner (Å).
    """
    largest = np.abs(displacements[np.isfinite(displacements)]).max(initial=0.0)
    return bool(np.isfinite(displacements).any() and largest < LIMITS.copy)


def copy_finding(what: str) -> Finding:
    """Of two inputs that are one.

    **Arguments:**

    - `what`: they are of.
    """
    return Finding(
        "copy",
        "doubtful",
        f"{what} of both lie at the same places to the last digit: they are results of the same data",
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
