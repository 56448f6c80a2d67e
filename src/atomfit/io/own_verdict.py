"""What speaks against a result by itself, from the summary that stands beside its table."""

import json
from pathlib import Path
from typing import Any

from atomfit.statistics.own_findings import OwnFinding


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
    """Those of a summary, the worst first.

    **Arguments:**

    - `summary`: of `summary.json`.
    """
    verdict = summary.get("verdict")
    listed = verdict.get("findings") if isinstance(verdict, dict) else None
    told = [one for one in listed or [] if isinstance(one, dict)]
    return tuple(OwnFinding(str(one.get("level")), str(one.get("problem"))) for one in told)
