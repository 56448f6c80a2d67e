"""All files of the columns of an image: see `docs/files.md` for what they hold."""

import csv
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.figures import require_matplotlib
from atomfit.files.image_column_tables import (
    COUNT_COLUMNS,
    COUNTS,
    CRYSTAL_COLUMNS,
    ORDER_COLUMNS,
    counts_table,
    probabilities_table,
    statistics_table,
)
from atomfit.files.image_model import model_particle, model_told, write_model
from atomfit.files.image_particle import particle_statistics
from atomfit.files.image_shown import write_shown
from atomfit.files.thresholds import thresholds
from atomfit.io.json_files import write_json
from atomfit.io.mrc import write_image
from atomfit.io.outputs import optional, staged
from atomfit.io.pictures import Panel, write_panels
from atomfit.io.record import LIBRARIES, made_by
from atomfit.io.tables import Column, write_columns
from atomfit.structure.neighbours import nearest_distances

if TYPE_CHECKING:
    from atomfit.results.columns import ColumnsResult

#: The columns of `columns.csv`.
IMAGE_COLUMNS: tuple[Column, ...] = (
    Column("id", "", "d", "number of the column, from 1; the same in all files"),
    Column("element", "", "s", "chemical symbol; X if it is not known, or one of several"),
    Column("x", "Å", ".5f", "along rows, from the middle of the first pixel, the file's origin added"),
    Column("y", "Å", ".5f", "from row to row, the same"),
    Column("x_esd", "Å", ".5f", "standard uncertainty of x, all else marginalised"),
    Column("y_esd", "Å", ".5f", "of y"),
    Column("cross_section", "image units x Å²", ".7g", "integral of the column; negative where it is dark"),
    Column("cross_section_esd", "image units x Å²", ".4g", "its standard uncertainty"),
    *COUNT_COLUMNS,
    Column("xy_covariance", "Å²", ".4g", "covariance of x and y"),
    Column(
        "width", "Å", ".5f", "standard deviation (geometric mean of both axes), without what lies in wings"
    ),
    Column("width_esd", "Å", ".4g", "its standard uncertainty"),
    Column("u11", "Å²", ".5g", "variance along x"),
    Column("u22", "Å²", ".5g", "variance along y"),
    Column("u12", "Å²", ".5g", "covariance of the column's shape"),
    Column("background", "image units", ".6g", "beneath the column"),
    Column("nn_distance", "Å", ".4f", "to the nearest column"),
    Column("score", "σ", ".3f", "its height in standard deviations of what noise makes there"),
    Column("evidence", "", ".4g", "by how much twice the log likelihood is larger with it"),
    Column("false", "", ".3g", "columns as good as it, or better, that noise alone would give"),
    *CRYSTAL_COLUMNS,
    *ORDER_COLUMNS,
    Column(
        "flags",
        "",
        "s",
        "separated by semicolons. edge: part of it lies outside the image or in pixels that do not count; "
        "surface: it lacks a neighbour that its lattice has",
    ),
)
#: Those that `columns.xyz` has besides.
XYZ_COLUMNS = (
    *("x_esd", "y_esd", "cross_section", "cross_section_esd", "width", "score", "count", "domain"),
    *("dx", "dy", "e_xx", "e_yy", "e_xy", "rotation", "ordered"),
)
REJECTED_IMAGE_COLUMNS: tuple[Column, ...] = (
    Column("x", "Å", ".5f", "as of columns"),
    Column("y", "Å", ".5f", "as of columns"),
    Column("score", "σ", ".3f", "its height in standard deviations of what noise makes there, then"),
    Column("reason", "", "s", "why it is none"),
)


def write_columns_results(
    result: "ColumnsResult", directory: Path, overwrite: bool = False, figures: bool = False
) -> Path:
    """Write every file of a result.

    **Arguments:**

    - `result`: of `columns`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.
    - `figures`: whether figures are drawn as well.

    **Raises:** `InputError` if the directory may not be written to, or figures cannot be drawn.
    """
    if figures:
        require_matplotlib()
    begin = time.perf_counter()
    with staged(
        directory, overwrite, (result.source.path, result.options.library, result.options.start)
    ) as stage:
        warnings = list(result.warnings)
        table, rejected = columns_table(result), rejected_columns(result)
        write_columns(stage / "columns.csv", IMAGE_COLUMNS, table)
        if result.counts is not None:
            write_columns(stage / "counts.csv", COUNTS, counts_table(result.statistics))
            write_columns(stage / "count_probabilities.csv", *probabilities_table(result.statistics))
        if result.model3d is not None:
            write_model(stage, result.model3d)
        write_columns(stage / "rejected.csv", REJECTED_IMAGE_COLUMNS, rejected)
        _write_xyz(stage / "columns.xyz", result, table)
        _write_atomap(stage / "columns_atomap.csv", result)
        _write_statstem(stage / "columns_statstem.csv", result, table)
        source, model, background = result.source.image, result.model, result.background
        residual = np.where(result.counted, source.values - model, 0.0)
        for name, values in (("model", model), ("residual", residual), ("background", background)):
            write_image(stage / f"{name}.mrc", values, source.grid)
        with optional(stage / "columns.svg", warnings) as path:
            write_panels(path, [_panels(result, residual)], "Rings: columns. Dots: rejected places.")
        whole, found = particle(result, table), summary(result)
        write_json(stage / "particle.json", whole)
        record = run_record(result, time.perf_counter() - begin)
        warnings += write_shown(
            stage,
            result,
            (table, rejected),
            (IMAGE_COLUMNS, REJECTED_IMAGE_COLUMNS),
            (model, background),
            (found | {"warnings": warnings, "particle": whole}, record),
            figures,
        )
        # Last, because they tell what is missing.
        write_json(stage / "summary.json", found | {"warnings": warnings})
        write_json(stage / "run.json", record)
    return directory


def columns_table(result: "ColumnsResult") -> dict[str, np.ndarray]:
    """The columns of `columns.csv`."""
    n, known = len(result), result.uncertainty
    positions, spreads = result.positions, result.spreads
    below = result.background
    at = tuple(result.source.image.grid.nearest_voxels(positions).T)
    return {
        "id": np.arange(1, n + 1),
        "element": np.array(result.symbols, dtype=object),
        "x": positions[:, 0],
        "y": positions[:, 1],
        "x_esd": known.esd[:, 0],
        "y_esd": known.esd[:, 1],
        "xy_covariance": known.positions[:, 0, 1],
        "cross_section": result.cross_sections,
        "cross_section_esd": result.cross_section_esds,
        "width": result.widths,
        "width_esd": known.widths,
        "u11": spreads[:, 0, 0],
        "u22": spreads[:, 1, 1],
        "u12": spreads[:, 0, 1],
        "background": below[at],
        "nn_distance": nearest_distances(positions) if n > 1 else np.full(n, np.nan),
        "score": result.selection.scores,
        "evidence": result.selection.scores**2,
        "false": result.selection.false,
        "flags": _flags(result),
        **statistics_table(result.statistics),
    }


def _flags(result: "ColumnsResult") -> np.ndarray:
    told = {"edge": _cut(result), "surface": result.statistics.surface}
    words = [[word for word, of in told.items() if of[i]] for i in range(len(result))]
    return np.array(["; ".join(each) for each in words], dtype=object)


def _cut(result: "ColumnsResult") -> np.ndarray:
    """Columns that reach beyond the image."""
    grid, reach = result.source.image.grid, 2 * result.widths[:, None]
    low = grid.origin - 0.5 * grid.spacing + reach
    high = grid.origin + grid.extent - 0.5 * grid.spacing - reach
    return np.any((result.positions < low) | (result.positions > high), axis=1)


def rejected_columns(result: "ColumnsResult") -> dict[str, np.ndarray]:
    """The columns of `rejected.csv`."""
    places = result.selection.rejected
    return {
        "x": places[:, 0],
        "y": places[:, 1],
        "score": result.selection.rejected_scores,
        "reason": np.full(len(places), "noise, or the shape of another column", dtype=object),
    }


def particle(result: "ColumnsResult", table: dict[str, np.ndarray]) -> dict[str, Any]:
    """The columns as a whole."""
    if not len(result):
        return {"columns": 0}
    sizes = result.cross_sections
    return {
        "columns": len(result),
        "cross_section_total": float(sizes.sum()),
        "cross_section_median": float(np.median(sizes)),
        "width": {"median": float(np.median(result.widths)), "esd": float(np.median(table["width_esd"]))},
        "nn_distance_median": float(np.median(table["nn_distance"])),
        "centre": result.positions.mean(axis=0),
        **particle_statistics(result.statistics),
        **({} if result.model3d is None else {"model3d": model_particle(result.model3d)}),
    }


def summary(result: "ColumnsResult") -> dict[str, Any]:
    """What was found, in numbers that fit on a page."""
    s, image = result.selection, result.source.image
    return {
        "columns": len(result),
        "element": [one.symbol for one in result.elements],
        "rejected": len(s.rejected),
        "verdict": result.verdict.told(),
        "image": {
            "file": None if result.source.path is None else result.source.path.name,
            "shape_yx": list(image.grid.shape),
            "pixel_size": float(image.grid.spacing[0]),
            "origin": image.grid.origin,
            "left_out": result.source.left_out,
            "notes": result.source.notes,
        },
        "detection": asdict(result.scale),
        "fit": {
            "pixel_size": float(result.fitted_image.grid.spacing[0]),
            "widths": s.fitted.widths,
            "width": s.fitted.width,
            "wings": {
                "part": float(s.fitted.spread.parts.sum()),
                "part_esd": s.uncertainty.wings,
                "variance": float(s.fitted.spread.variances.sum()),
            },
            "row_jitter": None if s.fitted.rows is None else s.fitted.rows.deviation,
            "growth": {"power": s.fitted.growth, "power_esd": s.uncertainty.growth},
            "reason": s.fitted.reason,
            "iterations": s.fitted.iterations,
            "pixels": int(s.fitted.counted.sum()),
            "background_step": s.fitted.background.step,
            "noise": {
                "gain": s.law.gain / abs(result.units.scale),
                "level_deviation": np.sqrt(s.law.level) / abs(result.units.scale),
            },
            "excess_variance": _quantiles(s.factors),
        },
        **({} if result.model3d is None else {"model3d": model_told(result.model3d)}),
        "selection": {"fdr": result.options.fdr, "rounds": s.rounds, "settled": s.settled},
        "medians": {
            "x_esd": _median(result.uncertainty.esd[:, 0]),
            "y_esd": _median(result.uncertainty.esd[:, 1]),
            "relative_cross_section_esd": _median(
                result.cross_section_esds / np.maximum(np.abs(result.cross_sections), 1e-300)
            ),
            "score": _median(s.scores),
        },
    }


def run_record(result: "ColumnsResult", writing: float) -> dict[str, Any]:
    """How the result was made: versions, options, thresholds, input, device and timings."""
    import jax

    device, path = jax.devices()[0], result.source.path
    return {
        **made_by(LIBRARIES),
        "options": {"element": [one.symbol for one in result.elements]} | asdict(result.options),
        "thresholds": thresholds(),
        "input": {"path": None if path is None else str(path.absolute()), "sha256": result.source.sha256},
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "seconds": result.seconds | {"write": writing},
    }


def _quantiles(values: Float[np.ndarray, " n"]) -> dict[str, float]:
    if not len(values):
        return {}
    return dict(zip(("least", "median", "most"), np.quantile(values, [0, 0.5, 1]).tolist(), strict=True))


def _median(values: Float[np.ndarray, " n"]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _write_xyz(path: Path, result: "ColumnsResult", table: dict[str, np.ndarray]) -> None:
    """Extended XYZ, z = 0."""
    from ase import Atoms
    from ase.io import write

    atoms = Atoms(result.symbols, np.pad(result.positions, ((0, 0), (0, 1))))
    for name in XYZ_COLUMNS:
        atoms.set_array(name, np.asarray(table[name], np.float64))
    write(str(path), atoms, format="extxyz")


def _write_atomap(path: Path, result: "ColumnsResult") -> None:
    """As Atomap's sublattices are: pixels from the middle of the first, widths in pixels."""
    grid = result.source.image.grid
    places = grid.indices_of(result.positions)[:, ::-1]
    values, axes = np.linalg.eigh(result.spreads)
    sigmas = np.sqrt(values) / grid.spacing[0]
    # Of the axis that sigma_x is along; sizes of round columns have none.
    turns = np.arctan2(axes[:, 1, 1], axes[:, 0, 1])
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("x", "y", "sigma_x", "sigma_y", "rotation", "amplitude_gaussian"))
        heights = result.cross_sections / (2 * np.pi * np.sqrt(np.linalg.det(result.spreads)))
        for row in zip(*places.T, sigmas[:, 1], sigmas[:, 0], turns, heights, strict=True):
            writer.writerow([f"{value:.7g}" for value in row])


def _write_statstem(path: Path, result: "ColumnsResult", table: dict[str, np.ndarray]) -> None:
    """StatSTEM's coordinates and parameters; its x is (index + 1) times a pixel."""
    grid = result.source.image.grid
    places = (grid.indices_of(result.positions)[:, ::-1] + 1) * grid.spacing
    heights = result.cross_sections / (2 * np.pi * result.widths**2)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("x_A", "y_A", "type", "eta", "rho_A", "zeta", "scs_A2"))
        for row in zip(
            *places.T,
            np.ones(len(result)),
            heights,
            result.widths,
            table["background"],
            result.cross_sections,
            strict=True,
        ):
            writer.writerow([f"{value:.7g}" for value in row])


def _panels(result: "ColumnsResult", residual: Float[np.ndarray, "rows columns"]) -> list[Panel]:
    grid, none = result.source.image.grid, np.zeros((0, 2))
    rings = grid.indices_of(result.positions)[:, ::-1]
    dots = grid.indices_of(result.selection.rejected)[:, ::-1]
    return [
        Panel("image", result.source.image.values, rings, dots),
        Panel("model", result.model, none, none),
        Panel("residual", residual, none, none),
    ]
