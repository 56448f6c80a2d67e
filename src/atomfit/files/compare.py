"""All files of compared models, in one place: see `docs/files.md` for what they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from atomfit.figures import load_matplotlib, require_matplotlib
from atomfit.io.comparisons import summary, write_comparison, write_side, write_tracks
from atomfit.io.json_files import write_json
from atomfit.io.outputs import optional, staged
from atomfit.io.record import hash_of, made_by
from atomfit.io.tables import write_table
from atomfit.report.comparison import comparison_contents, page_name, placed, series_contents
from atomfit.report.page import COMPARISON, SERIES, write_page
from atomfit.statistics.comparison import Comparison

if TYPE_CHECKING:
    from atomfit.results.compare import SeriesComparison

_LIBRARIES = ("atomfit", "numpy", "scipy")


def write_series(
    result: "SeriesComparison", directory: Path, overwrite: bool = False, figures: bool = False
) -> Path:
    """Write every file of compared models.

    **Arguments:**

    - `result`: of `compare`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.
    - `figures`: whether figures are drawn as well.

    **Raises:** `InputError` if the directory may not be written to, or figures cannot be drawn.
    """
    if figures:
        require_matplotlib()
    pairs = [(c, summary(c, result.distance, result.fdr, result.calibrated)) for c in result.comparisons]
    record = compare_record(result)
    warnings: list[str] = []
    with staged(directory, overwrite, result.inputs) as stage:
        for name, table in result.tables.items():
            write_table(stage / f"{name}_atoms.csv", table)
        if figures:
            with optional(stage / "figures", warnings) as path:
                _draw(path, pairs, [model.name for model in result.models])
        if len(pairs) == 1:
            found = _write_pair(stage, *pairs[0], record, warnings)
        else:
            found = _write_pairs(stage, result, pairs, record, warnings)
        # Last, because it tells what is missing.
        told = {"inputs": list(result.inputs), "run": record, "not_written": warnings}
        write_json(stage / "compare.json", told | found)
    return directory


def _write_pair(
    stage: Path, c: Comparison, found: dict[str, Any], record: dict[str, Any], warnings: list[str]
) -> dict[str, Any]:
    """Write the files of two models; what is to be told of them."""
    write_comparison(stage / "compare.csv", c)
    _write_side(stage, "a", c, "a", warnings)
    _write_side(stage, "b", c, "b", warnings)
    with optional(stage / "compare.html", warnings) as path:
        write_page(path, comparison_contents(c, found, record), COMPARISON)
    return found


def _write_side(stage: Path, name: str, c: Comparison, side: str, warnings: list[str]) -> None:
    with optional(stage / f"{name}.xyz", warnings) as path:
        write_side(path, c, side)


def _write_pairs(
    stage: Path,
    result: "SeriesComparison",
    pairs: list[tuple[Comparison, dict[str, Any]]],
    record: dict[str, Any],
    warnings: list[str],
) -> dict[str, Any]:
    """Write the files of a series of models; what is to be told of them."""
    for c, found in pairs:
        write_comparison(stage / f"compare_{c.a.name}_{c.b.name}.csv", c)
        with optional(stage / page_name(c), warnings) as path:
            write_page(path, comparison_contents(c, found, record), COMPARISON)
    first = result.models[0].name
    _write_side(stage, first, result.comparisons[0], "a", warnings)
    for c in (c for c in result.comparisons if c.a.name == first):
        _write_side(stage, c.b.name, c, "b", warnings)
    write_tracks(stage / "series.csv", result.models, result.tracks)
    verdict = result.verdict.told()
    with optional(stage / "compare.html", warnings) as path:
        write_page(path, series_contents(result.models, pairs, result.tracks, record, verdict), SERIES)
    return {"verdict": verdict, "comparisons": [found for _, found in pairs]}


def _draw(directory: Path, pairs: list[tuple[Comparison, dict[str, Any]]], names: list[str]) -> None:
    load_matplotlib()
    from atomfit.figures.comparison import write_comparison_figures, write_course_figure

    for c, _ in pairs:
        write_comparison_figures(directory, c, "" if len(pairs) == 1 else f"_{c.a.name}_{c.b.name}")
    if len(pairs) > 1:
        write_course_figure(directory, [placed(c, found, names) for c, found in pairs])


def compare_record(result: "SeriesComparison") -> dict[str, Any]:
    """How models were compared: versions, options, and the inputs by their SHA-256."""
    tables = [path / "atoms.csv" if path.is_dir() else path for path in result.inputs]
    return {
        **made_by(_LIBRARIES),
        "options": {
            "element": result.element,
            "distance": result.distance,
            "fdr": result.fdr,
            "calibrate": result.calibrated,
            "register": result.moved,
        },
        "files": [
            {"name": model.name, "path": str(path.absolute()), "sha256": hash_of(path)}
            for model, path in zip(result.models, tables, strict=True)
        ],
    }
