"""What speaks against a result by itself, from the summary that stands beside its table."""

import json
from pathlib import Path
from typing import Any

from atomfit.statistics.own_findings import OwnFinding

#: Findings on a model in three dimensions of an image's columns.
_OF_MODELS = ("model", "no-model")


def findings_beside(table: Path) -> tuple[OwnFinding, ...]:
    """Those of the `summary.json` beside a table of a result; none where there is no such file.

    **Arguments:**

    - `table`: `atoms.csv` or `columns.csv`.
    """
    try:
        summary = json.loads((table.parent / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return findings_of(summary if isinstance(summary, dict) else {})


def findings_of(summary: dict[str, Any]) -> tuple[OwnFinding, ...]:
    """Those of a summary, the worst first; but for those of a model, with which nothing is compared.

    **Arguments:**

    - `summary`: of `summary.json`.
    """
    verdict = summary.get("verdict")
    if not isinstance(verdict, dict):
        return ()
    listed = verdict.get("findings")
    if not isinstance(listed, list):
        level = verdict.get("level")
        return () if level in (None, "good") else (OwnFinding(str(level), "its verdict does not say why"),)
    told = [one for one in listed if isinstance(one, dict) and one.get("code") not in _OF_MODELS]
    return tuple(OwnFinding(str(one.get("level")), str(one.get("problem"))) for one in told)
