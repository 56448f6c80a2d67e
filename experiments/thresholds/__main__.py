"""Each threshold halved and doubled: what changes on planted truth."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atomfit.files.thresholds import STAGES
from atomfit.support.limits import changed
from experiments.recording import markdown, record
from experiments.thresholds.asked import other, reading
from experiments.thresholds.built import BUILT, DETECTED, FITTED, JUDGED, quiet
from experiments.thresholds.imaged import IMAGED, silicon
from experiments.thresholds.inputs import INPUTS, shared
from experiments.thresholds.models import GEOMETRIES, PAIRS, SERIES, SOME, TILTED

#: Columns of images have no stage of their own: they read the thresholds of these.
COLUMNS, OF_COLUMNS = "columns", ("selection", "detection")
Case = tuple[str, Callable[[], str]]


def cases_of(stage: str) -> list[Case]:
    """Cases of a stage: their names, and what gives an outcome in words."""
    match stage:
        case "detection":
            return [
                *((one.name, one.detected) for one in BUILT),
                *((one.name, one.found) for one in DETECTED),
            ]
        case "selection":
            return [(one.name, one.selected) for one in BUILT]
        case "doubts":
            return [(one.name, one.look) for one in INPUTS]
        case "noise" | "fitting":
            return [(one.name, one.fitted) for one in FITTED]
        case "projection":
            order = [(one.name, one.look) for one in INPUTS if "order" in one.name]
            return [*order, *((name, one.refined) for name, one in TILTED.items())]
        case "tilt_series" | "search":
            return [(name, one.refined) for name, one in TILTED.items()]
        case "statistics":
            return [*GEOMETRIES.items(), *((name, PAIRS[name].compared) for name in SOME)]
        case _:
            return [
                *((one.name, one.judged) for one in (*BUILT, *JUDGED)),
                *((name, one.judged) for name, one in SERIES.items()),
                *((name, one.judged) for name, one in PAIRS.items()),
            ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", metavar="STAGE", choices=[*STAGES, COLUMNS], action="append", help="of these stages"
    )
    parser.add_argument(
        "--data", type=Path, help="columns: the folder of measured images, for one more case"
    )
    parser.add_argument("--cases", metavar="N", type=int, help="the first N cases, without a record")
    options = parser.parse_args()
    for stage in options.only or STAGES:
        begin = time.process_time()
        with quiet():
            if stage == COLUMNS:
                images = [*IMAGED, *([silicon(options.data)] if options.data else [])]
                cases = [(one.name, one.found) for one in images][: options.cases]
                parts = [part for name in OF_COLUMNS for part in table(name, cases)]
            else:
                parts = table(stage, cases_of(stage)[: options.cases])
        parts.append(f"{(time.process_time() - begin) / 60:.1f} minutes of processors.")
        if options.cases is None:
            path = Path(__file__).parent / f"{stage}.md"
            record(path, f"python -m experiments.thresholds --only {stage}", *parts)
        else:
            sys.stdout.write("\n\n".join(parts) + "\n")


def table(stage: str, cases: list[Case]) -> list[str]:
    """Outcomes of a stage as its thresholds are, and what changes with each."""
    limits: Any = STAGES[stage]
    values = asdict(limits)
    found: dict[tuple[str, float], list[str]] = {(name, f): [] for name in values for f in (0.5, 2.0)}
    asked: set[str] = set()
    outcomes = []
    with shared():
        for number, (case, look) in enumerate(cases, 1):
            look()
            with reading(limits) as read:
                before = look()
            asked |= read
            outcomes.append((number, case, before))
            for name in sorted(read):
                for factor in (0.5, 2.0):
                    try:
                        with changed(limits, **{name: other(name, values[name], factor)}):
                            after = look()
                    except Exception as error:  # a value that cannot be computed with is worth knowing
                        after = f"fails: {error}"
                    if after != before:
                        found[name, factor].append(f"{number}: {difference(before, after)}")
            print(f"{stage}: {case}: {before} ({time.process_time():.0f} s)", file=sys.stderr, flush=True)
    rows, still = [], []
    for name, value in values.items():
        halved, doubled = (found[name, factor] for factor in (0.5, 2.0))
        if not halved and not doubled:
            still.append(f"`{name}`" + ("" if name in asked else " (not asked)"))
            continue
        cells = [
            f"{shown(other(name, value, factor))}: {'; '.join(changes) or 'nothing'}"
            for factor, changes in ((0.5, halved), (2.0, doubled))
        ]
        rows.append((f"`{name}`", shown(value), *cells))
    return [
        f"## {stage}",
        markdown(("case", "what", "as thresholds are"), outcomes),
        markdown(("threshold", "value", "halved", "doubled"), rows),
        f"{len(values)} thresholds, of which {len(rows)} change something. Nothing changes with: "
        f"{', '.join(still) or 'none'}.",
    ]


def difference(before: str, after: str) -> str:
    """The parts of an outcome that are other than before."""
    parts = [now for now in after.split("; ") if now not in before.split("; ")]
    return ", ".join(parts) or after


def shown(value: Any) -> str:
    """A value in a cell."""
    return " to ".join(f"{one:.4g}" for one in (value if isinstance(value, tuple) else (value,)))


if __name__ == "__main__":
    main()
