"""All files of models followed in time, in one place: see `docs/files.md` for what they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from atomfit.io.followed import followed_summary, write_trends
from atomfit.io.json_files import write_json
from atomfit.io.outputs import optional, staged
from atomfit.io.record import LIBRARIES, hash_of, made_by
from atomfit.io.tables import write_table
from atomfit.io.tracked import write_events, write_frames, write_trajectory
from atomfit.report.followed import followed_contents, notes_of
from atomfit.report.page import TIME_SLIDER, write_page

if TYPE_CHECKING:
    from atomfit.results.followed import ModelSeries

#: Where no map was built.
_LIBRARIES = ("atomfit", "numpy", "scipy")


def write_followed(result: "ModelSeries", directory: Path, overwrite: bool = False) -> Path:
    """Write every file of models followed in time.

    **Arguments:**

    - `result`: of `series`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.

    **Raises:** `InputError` if the directory may not be written to.
    """
    followed, fdr = result.followed, result.options.fdr
    record, notes, verdict = followed_record(result), notes_of(followed), result.verdict
    warnings = [*verdict.warnings, *notes]
    with staged(directory, overwrite, result.inputs) as stage:
        for name, table in result.tables.items():
            write_table(stage / f"{name}_atoms.csv", table)
        write_frames(stage / "series.csv", followed.tracked)
        write_trends(stage / "trends.csv", followed, fdr)
        write_events(stage / "events.csv", followed.tracked)
        with optional(stage / "trajectory.xyz", warnings) as path:
            write_trajectory(path, followed.tracked)
        with optional(stage / "series.html", warnings) as path:
            write_page(path, followed_contents(followed, verdict, fdr, notes, record), TIME_SLIDER)
        told = {
            "kind": "models",
            "inputs": record["files"],
            "options": record["options"],
            "verdict": verdict.told(),
            "warnings": warnings,
        }
        write_json(stage / "series.json", told | followed_summary(followed, fdr))
        write_json(stage / "run.json", record)
    return directory


def followed_record(result: "ModelSeries") -> dict[str, Any]:
    """How models were followed: versions, options, and the inputs by their SHA-256."""
    tables = [path / "atoms.csv" if path.is_dir() else path for path in result.inputs]
    tracked = result.followed.tracked
    return {
        **made_by(LIBRARIES if result.tables else _LIBRARIES),
        "options": {
            "element": result.element,
            "fdr": result.options.fdr,
            "register": result.options.move,
            "times": tracked.times,
        },
        "files": [
            {"name": name, "path": str(path.absolute()), "sha256": hash_of(path)}
            for name, path in zip(tracked.frames, tables, strict=True)
        ],
    }
