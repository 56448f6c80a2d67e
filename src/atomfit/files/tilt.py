"""All files of a fit to a tilt series: see `docs/files.md` for what they hold.

They are those of `build` where they mean the same, with the same names, so that `compare` and whatever
else reads a directory of atoms reads these; and beside them what only a series has: its views with what
was refined of them, the probe, and images of model and residual.
"""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.files.columns import geometry_table, rejected_table
from atomfit.files.thresholds import thresholds
from atomfit.io.image_stacks import write_images
from atomfit.io.json_files import write_json
from atomfit.io.model_files import write_structures
from atomfit.io.outputs import optional, staged
from atomfit.io.pictures import Panel, write_panels
from atomfit.io.record import LIBRARIES, hash_of, made_by
from atomfit.io.structures import Structure
from atomfit.io.tables import COLUMNS, TENSOR, Column, write_columns, write_rejected
from atomfit.io.views import write_views
from atomfit.projection.agreement import seen_at
from atomfit.projection.directions import describe_views
from atomfit.projection.verdict import held_out_drop
from atomfit.projection.views import Views
from atomfit.report.page import TILT, write_page
from atomfit.report.tilt import tilt_contents
from atomfit.statistics.displacements import principal_displacements
from atomfit.statistics.particle import particle_report

if TYPE_CHECKING:
    from atomfit.results.tilt import TiltResult

_NAMES = (
    *("id", "element", "x", "y", "z", "amplitude", "u11", "u22", "u33", "u12", "u13", "u23", "u_iso"),
    *("u_maj", "u_med", "u_min", "doi", "cn", "nn_distance", "mean_bond_length"),
    *("x_esd", "y_esd", "z_esd", "u_iso_esd", "amplitude_esd"),
    *("score", "evidence", "q_value", "flags"),
)
#: Those of `build` that follow from positions.
_OF_POSITIONS = (
    *("cn_expected", "cn_esd", "gcn", "gcn_max", "structure", "grain", "radius", "radial_depth"),
    *("hull_depth", "lattice_dx", "lattice_dy", "lattice_dz", "strain_radial", "strain_radial_esd"),
    *(f"strain_{ij}{end}" for end in ("", "_esd") for ij in TENSOR),
    "strain_radial_bulk",
)
#: The columns of `atoms.csv`: those of `build`, as far as a series knows them.
TILT_COLUMNS: tuple[Column, ...] = tuple(
    replace(column, unit="image units x Å²", meaning=column.meaning.replace("density", "image"))
    if column.name.startswith("amplitude")
    else replace(column, meaning=column.meaning.replace("the map's frame", "the specimen's frame"))
    for column in COLUMNS
    if column.name in {*_NAMES, *_OF_POSITIONS}
)
PROBE_COLUMNS: tuple[Column, ...] = (
    Column("depth", "Å", ".4f", "along the beam from the specimen's centre; empty: at all depths"),
    Column("variance", "Å²", ".6g", "of the Gaussian, in each direction of the image"),
    Column("weight", "", ".6g", "of the Gaussian"),
)


def write_tilt_results(result: "TiltResult", directory: Path, overwrite: bool = False) -> Path:
    """Write every file of a result.

    **Arguments:**

    - `result`: of `tilt`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.

    **Raises:** `InputError` if the directory may not be written to.
    """
    begin = time.perf_counter()
    fit, series = result.fit, result.prepared.series
    options = result.options
    given = (options.start, options.map, options.surroundings)
    inputs = (result.prepared.stack.path, result.prepared.views_file, *given)
    with staged(directory, overwrite, inputs) as stage:
        warnings = list(result.warnings)
        columns, rejected = table(result), rejected_table(result.selection.discarded)
        structure = _structure(result, columns)
        write_columns(stage / "atoms.csv", TILT_COLUMNS, columns)
        write_structures(stage, structure, warnings)
        write_rejected(stage / "rejected.csv", rejected)
        whole, refined = particle(result, columns), view_numbers(result)
        write_json(stage / "particle.json", whole)
        write_images(stage / "model_images.mrc", fit.images, series.pixel)
        write_images(stage / "residual_images.mrc", result.residual, series.pixel)
        write_views(stage / "views_refined.csv", result.views, refined, series.centre)
        write_columns(stage / "probe.csv", PROBE_COLUMNS, probe_table(result))
        with optional(stage / "views.svg", warnings) as path:
            write_panels(path, panels(result), _LEGEND)
        found = summary(result) | {"warnings": warnings}
        record = run_record(result, time.perf_counter() - begin)
        shown = found | {"particle": whole}
        with optional(stage / "report.html", warnings) as path:
            told = tilt_contents(result, columns, TILT_COLUMNS, rejected, refined, shown, record)
            write_page(path, told, TILT)
        # Last, because they tell what is missing.
        write_json(stage / "summary.json", found)
        write_json(stage / "run.json", record)
    return directory


def table(result: "TiltResult") -> dict[str, np.ndarray]:
    """The columns of `atoms.csv`."""
    atoms, u, neighbours = result.atoms, result.matrices, result.neighbours
    judged = result.selection.judgement
    u_iso = np.trace(u, axis1=1, axis2=2) / 3
    if not result.widths_refined:
        u_iso = np.full_like(u_iso, np.nan)
    if not result.anisotropic:
        # One number says nothing of a shape.
        u = np.full_like(u, np.nan)
    principal = principal_displacements(u)
    values = (
        *(result.start.ids, result.symbols, *result.positions.T, np.asarray(atoms.amplitudes)),
        *(u[:, 0, 0], u[:, 1, 1], u[:, 2, 2], u[:, 0, 1], u[:, 0, 2], u[:, 1, 2], u_iso),
        *(*principal.values.T, principal.degree_of_isotropy),
        *(neighbours.coordination_numbers, neighbours.nearest_distances, neighbours.mean_distances),
        *result.position_errors.T,
        result.u_iso_errors,
        result.amplitude_errors,
        *(judged.scores, judged.evidence, judged.q_values, np.array(judged.reasons, dtype=object)),
    )
    found = dict(zip(_NAMES, values, strict=True)) | geometry_table(result.geometry)
    return {column.name: found[column.name] for column in TILT_COLUMNS}


def particle(result: "TiltResult", columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """What `particle.json` holds."""
    names = (
        *("cn", "gcn", "gcn_max", "u_iso", "u_maj", "u_min", "doi", "nn_distance", "mean_bond_length"),
        *("strain_radial", "strain_radial_bulk"),
    )
    always = ("cn", "nn_distance")
    summarised = {
        name: np.asarray(columns[name], np.float64)
        for name in names
        if name in always or np.any(np.isfinite(np.asarray(columns[name], np.float64)))
    }
    return particle_report(result.geometry, summarised, result.positions, result.neighbours.cutoff)


def probe_table(result: "TiltResult") -> dict[str, np.ndarray]:
    """The columns of `probe.csv`: weights of each Gaussian at each knot."""
    probe = result.fit.probe
    weights = np.asarray(probe.table, np.float64) + np.asarray(probe.profile, np.float64)
    knots, count = weights.shape
    reach = float(probe.reach)
    depths = np.linspace(-reach, reach, knots) if knots > 1 else np.full(1, np.nan)
    return {
        "depth": np.repeat(depths, count),
        "variance": np.tile(np.asarray(probe.variances, np.float64), knots),
        "weight": weights.ravel(),
    }


def view_numbers(result: "TiltResult") -> dict[str, np.ndarray]:
    """What was refined of each view and how well it agrees, the further columns of `views_refined.csv`."""
    fit = result.fit
    return {
        "shift_u": fit.views.shifts[:, 0],
        "shift_v": fit.views.shifts[:, 1],
        "turn": np.degrees(np.linalg.norm(fit.views.turns, axis=1)),
        "gain": np.asarray(fit.views.gains),
        "background": np.asarray(fit.views.backgrounds),
        "correlation": fit.correlations,
        "r_factor": fit.r_factors,
        "held_out": fit.held_out,
        **_view_errors(result),
    }


def _view_errors(result: "TiltResult") -> dict[str, np.ndarray]:
    """Standard uncertainties of what was refined of each view; NaN of what was not."""
    views, known = result.fit.views, result.uncertainty.views
    n = len(views.gains)

    def of(part: str, count: int) -> np.ndarray:
        return known.get(part, np.full((n, count), np.nan))

    turns = np.asarray(views.turns, np.float64)
    sizes = np.linalg.norm(turns, axis=1, keepdims=True)
    # Along the turn itself; where there is none, along any axis.
    along = np.where(sizes > 0, turns / np.where(sizes > 0, sizes, 1.0), 3**-0.5)
    return {
        "shift_u_esd": of("shifts", 2)[:, 0],
        "shift_v_esd": of("shifts", 2)[:, 1],
        "turn_esd": np.degrees(np.linalg.norm(along * of("turns", 3), axis=1)),
        "gain_esd": of("gains", 1)[:, 0],
        "background_esd": of("backgrounds", 1)[:, 0],
    }


_LEGEND = (
    "u to the right, v downwards. Rings: atoms as the fit began, over what was measured; dots: as it ended,"
    " over the model; below: measured less model, in greys of its own. If rings miss the atoms, the views"
    " are not what they are taken for."
)


def panels(result: "TiltResult") -> list[list[Panel]]:
    """First, middle and last image with the atoms before and after the fit, and what is left of them."""
    series, views, moving = result.prepared.series, result.views, ~result.start.frozen
    shown = sorted({0, len(series) // 2, len(series) - 1})
    none = np.zeros((0, 2))

    def places(positions: np.ndarray, views: Views, k: int) -> np.ndarray:
        return seen_at(positions - series.centre, views.rotations[k], views.centres[k], series.pixel)

    return [
        [
            Panel(
                f"view {k}: measured",
                series.images[k],
                places(result.start.positions[moving], series.views, k),
                none,
            )
            for k in shown
        ],
        [
            Panel(
                f"view {k}: model, correlation {result.fit.correlations[k]:.3f}",
                result.fit.images[k],
                none,
                places(result.positions, views, k),
            )
            for k in shown
        ],
        [Panel(f"view {k}: what is left", result.residual[k], none, none) for k in shown],
    ]


def summary(result: "TiltResult") -> dict[str, Any]:
    """What was found, in numbers that fit on a page."""
    fit, series, prepared = result.fit, result.prepared.series, result.prepared
    fitted, held = ~fit.held_out, fit.held_out
    moves = np.linalg.norm(result.positions - result.start.positions[~result.start.frozen], axis=1)
    residual = result.residual[series.counted].astype(np.float64)
    columns = table(result)
    drop = held_out_drop(fit.correlations, held)
    return {
        "atoms": len(result),
        "verdict": result.verdict.told(),
        "surroundings": int(result.start.frozen.sum()),
        "element": [one.symbol for one in prepared.elements],
        "images": {
            "file": None if prepared.stack.path is None else prepared.stack.path.name,
            "shape": list(series.images.shape),
            "pixel_size": series.pixel,
            "counted": float(np.mean(series.counted)),
        },
        "views": {
            "count": len(series),
            "held_out": np.flatnonzero(held),
            "description": describe_views(series),
            "centre": series.centre,
        },
        "start": {
            "correlation": result.agreement.correlation,
            "moved_rms": float(np.sqrt(np.mean(moves**2))) if len(moves) else np.nan,
            "moved_most": float(moves.max(initial=0.0)),
        },
        "fit": {
            "probe": result.options.probe,
            "reason": fit.reason,
            "iterations_of_last_stage": len(fit.history),
            "history": fit.history,
            "residual_rms": float(np.sqrt(np.mean(residual**2))),
            "fitted": _quality(result, fitted),
            "held_out": _quality(result, held) if held.any() else None,
            "held_out_drop": None if drop is None else {"mean": drop[0], "error": drop[1]},
            "half_sets": None if result.halves is None else asdict(result.halves),
        },
        "selection": {
            "settled": result.selection.settled,
            "cut": result.selection.judgement.cut,
            "rejected": len(result.selection.discarded),
        },
        "uncertainty": {
            "position_median": result.verdict.measures.get("position_esd", np.nan),
            "excess_of_coloured_noise": result.uncertainty.excess,
            "neighbours_in_it": result.uncertainty.whole,
        },
        "medians": {
            name: float(np.nanmedian(columns[name]))
            for name in ("amplitude", "u_iso", "cn", "nn_distance")
            if np.any(np.isfinite(columns[name]))
        },
        "cn_cutoff": result.neighbours.cutoff,
        "notes": [*prepared.notes, *result.start.notes],
    }


def _quality(result: "TiltResult", which: np.ndarray) -> dict[str, float]:
    """Agreement of images and model over some views."""
    correlations, r_factors = result.fit.correlations[which], result.fit.r_factors[which]
    return {
        "views": int(which.sum()),
        "correlation_mean": float(np.mean(correlations)),
        "correlation_least": float(np.min(correlations)),
        "r_factor_mean": float(np.mean(r_factors)),
    }


def run_record(result: "TiltResult", writing: float) -> dict[str, Any]:
    """How the result was made: versions, options, thresholds, inputs, device and timings."""
    import jax

    device, stack, options = jax.devices()[0], result.prepared.stack, result.options
    given = {
        "views": result.prepared.views_file,
        "start": options.start,
        "map": options.map,
        "surroundings": options.surroundings,
    }
    return {
        **made_by(LIBRARIES),
        "options": {"element": [one.symbol for one in result.prepared.elements]} | asdict(options),
        "thresholds": thresholds(),
        "input": {
            "images": {
                "path": None if stack.path is None else str(stack.path.absolute()),
                "sha256": stack.sha256,
            },
            **{
                name: {"path": str(Path(path).absolute()), "sha256": _hash(Path(path))}
                for name, path in given.items()
                if path is not None
            },
        },
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "seconds": result.seconds | {"write": writing},
    }


def _hash(path: Path) -> str:
    return hash_of(path / "atoms.csv" if path.is_dir() else path)


def _structure(result: "TiltResult", columns: dict[str, np.ndarray]) -> Structure:
    kept = ("amplitude", "u_iso", "cn", "nn_distance", "score", "q_value", "flags")
    matrices = result.matrices if result.anisotropic else np.full_like(result.matrices, np.nan)
    return Structure(
        result.symbols.tolist(),
        result.positions,
        matrices,
        columns["u_iso"],
        {name: columns[name] for name in kept},
        result.position_errors,
        u_iso_esds=result.u_iso_errors,
    )
