"""Verdicts of what a result was made of: no comparison is better than what it compares."""

from collections.abc import Iterable

from atomfit.statistics.own_findings import OwnFinding
from atomfit.verdict.findings import Finding, Level


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
