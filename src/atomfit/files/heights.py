"""All files of heights of columns in an HRTEM image: see `docs/files.md` for what they hold."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.figures import load_matplotlib, require_matplotlib
from atomfit.files.height_atoms import atoms_of_heights
from atomfit.files.height_tables import CONDITIONS, conditions_table, height_columns, heights_table
from atomfit.files.thresholds import thresholds
from atomfit.io.json_files import write_json
from atomfit.io.mrc import write_image
from atomfit.io.outputs import optional, staged
from atomfit.io.pictures import Panel, write_panels
from atomfit.io.record import LIBRARIES, made_by
from atomfit.io.structures import write_mmcif, write_xyz
from atomfit.io.tables import write_columns
from atomfit.report.image_heights import heights_contents
from atomfit.report.page import HEIGHTS, HEIGHTS_MODEL, write_page

if TYPE_CHECKING:
    from atomfit.results.heights import HeightsResult


def write_heights_results(
    result: "HeightsResult", directory: Path, overwrite: bool = False, figures: bool = False
) -> Path:
    """Write every file of a result.

    **Arguments:**

    - `result`: of `heights`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.
    - `figures`: whether figures are drawn as well.

    **Raises:** `InputError` if the directory may not be written to, or figures cannot be drawn.
    """
    if figures:
        require_matplotlib()
    begin = time.perf_counter()
    with staged(directory, overwrite, (result.source.path, result.options.weights)) as stage:
        warnings = list(result.warnings)
        levels = result.probabilities.shape[1]
        known, table = height_columns(levels), heights_table(result.found)
        write_columns(stage / "heights.csv", known, table)
        write_columns(stage / "conditions.csv", CONDITIONS, conditions_table(result.found.conditions))
        grid = result.source.image.grid
        if result.model is not None:
            write_image(stage / "model.mrc", result.model, grid)
            write_image(stage / "residual.mrc", result.counts - result.model, grid)
        atoms = atoms_of_heights(result.found, result.zone_columns, result.element)
        if atoms is not None:
            write_xyz(stage / "particle.xyz", atoms)
            write_mmcif(stage / "particle.cif", atoms)
        if result.advice is not None:
            result.advice.write(stage / "imaging.csv")
        write_picture(stage / "heights.svg", result, warnings)
        if figures:
            with optional(stage / "figures", warnings) as path:
                load_matplotlib()
                from atomfit.figures.image_heights import write_height_figures

                write_height_figures(path, result, table)
        found, record = summary(result), run_record(result, time.perf_counter() - begin)
        with optional(stage / "report.html", warnings) as path:
            content = heights_contents(result, table, known, found | {"warnings": warnings}, record)
            write_page(path, content, HEIGHTS if result.model is None else HEIGHTS_MODEL)
        # Last, because they tell what is missing.
        write_json(stage / "summary.json", found | {"warnings": warnings})
        write_json(stage / "run.json", record)
    return directory


def summary(result: "HeightsResult") -> dict[str, Any]:
    """What was found, in numbers that fit on a page."""
    found, image = result.found, result.source.image
    atoms, esd = result.atoms
    return {
        "columns": len(found),
        "vacant": int(np.sum(result.heights == 0)),
        "atoms": {"mean": atoms, "esd": esd, "element": result.element},
        "crystal": {"name": result.crystal.name, "zone": list(result.options.axis)},
        "by": result.by,
        "ended": result.reason,
        "verdict": result.verdict.told(),
        "image": {
            "file": None if result.source.path is None else result.source.path.name,
            "shape_yx": list(image.grid.shape),
            "pixel_size": float(image.grid.spacing[0]),
            "left_out": result.source.left_out,
            "notes": result.source.notes,
        },
        "dose": found.dose,
        "gain": asdict(result.gain),
        "conditions": {one.name: asdict(one) for one in found.conditions},
        "set_size": float(result.sets.sum(axis=1).mean()) if len(found) else float("nan"),
        "expected_columns": found.probabilities.sum(axis=0),
        "model": {"misfit": found.misfit, "settled": found.settled},
    }


def run_record(result: "HeightsResult", writing: float) -> dict[str, Any]:
    """How the result was made: versions, options, thresholds, input, device and timings."""
    import jax

    device, path = jax.devices()[0], result.source.path
    return {
        **made_by(LIBRARIES),
        "options": asdict(result.options),
        "thresholds": thresholds(),
        "input": {"path": None if path is None else str(path.absolute()), "sha256": result.source.sha256},
        "network": result.network,
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "seconds": result.seconds | {"write": writing},
    }


def write_picture(path: Path, result: "HeightsResult", warnings: list[str]) -> None:
    """Write the image with its columns, and its model if there is one.

    **Arguments:**

    - `path`: where to.
    - `result`: of `heights`.
    - `warnings`: of the result; one is added if it cannot be written.
    """
    with optional(path, warnings):
        write_panels(path, [_panels(result)], "Rings: columns that are occupied. Dots: vacant ones.")


def _panels(result: "HeightsResult") -> list[Panel]:
    places = result.source.image.grid.indices_of(result.positions)[:, ::-1]
    there, none = result.heights > 0, np.zeros((0, 2))
    shown = [Panel("image", result.counts, places[there], places[~there])]
    if result.model is not None:
        shown.append(Panel("model", result.model, none, none))
        shown.append(Panel("residual", result.counts - result.model, none, none))
    return shown
