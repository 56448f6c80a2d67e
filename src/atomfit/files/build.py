"""All files of a result, in one place: see `docs/files.md` for what they hold."""

import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.detection.threshold import ThresholdSearch
from atomfit.figures import load_matplotlib, require_matplotlib
from atomfit.files.columns import depth_table, particle, rejected_table, table
from atomfit.files.thresholds import thresholds
from atomfit.gaussians.fitted import region_correlation
from atomfit.io.json_files import write_json
from atomfit.io.manifest import is_copied
from atomfit.io.model_files import write_structures
from atomfit.io.mrc import write_labels, write_map
from atomfit.io.outputs import optional, staged
from atomfit.io.record import LIBRARIES, made_by
from atomfit.io.structures import Structure
from atomfit.io.tables import write_means, write_rejected, write_table
from atomfit.io.viewer import write_chimerax_script
from atomfit.report.contents import contents
from atomfit.report.page import REPORT, write_page
from atomfit.selection.contour import agreements, best_level
from atomfit.structure.region import region_mask

if TYPE_CHECKING:
    from atomfit.results.build import BuildResult

#: Thresholds at which the refined model is asked.
_LEVELS = 41


def write_results(
    result: "BuildResult", directory: Path, overwrite: bool = False, figures: bool = False
) -> Path:
    """Write every file of a result.

    **Arguments:**

    - `result`: of `build`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.
    - `figures`: whether figures are drawn as well.

    **Raises:** `InputError` if the directory may not be written to, or figures cannot be drawn.
    """
    if figures:
        require_matplotlib()
    begin = time.perf_counter()
    source, options = result.source.path, result.options
    inputs = (source, options.tilts, *(options.half_maps or ()))
    with staged(directory, overwrite, inputs) as stage:
        warnings = list(result.warnings)
        columns, rejected = table(result), rejected_table(result.discarded)
        structure = _structure(result, columns)
        write_table(stage / "atoms.csv", columns)
        write_means(stage / "depth.csv", depth_table(columns))
        write_rejected(stage / "rejected.csv", rejected)
        write_structures(stage, structure, warnings)
        model = result.model
        write_map(stage / "model.mrc", result.density.with_values(model))
        residual = result.density.values - model
        write_map(stage / "residual.mrc", result.density.with_values(residual))
        map_path = _viewable_map(result, stage, directory)
        labels, grid = result.contour.labels, result.density.grid
        write_labels(stage / "labels.mrc", labels, grid)
        write_labels(stage / "binary.mrc", (labels > 0).astype(np.int32), grid)
        # The contour of a noisy map is so high that it would hide the model's fainter atoms.
        level = result.detection.mean_atom.background + 0.35 * result.detection.mean_atom.height
        with optional(stage / "view.cxc", warnings) as path:
            write_chimerax_script(path, map_path, level)
        whole = particle(result, columns)
        write_json(stage / "particle.json", whole)
        found = summary(result, model) | {"warnings": warnings}
        record = run_record(result, time.perf_counter() - begin)
        shown = found | {"particle": whole}
        if figures:
            with optional(stage / "figures", warnings) as path:
                load_matplotlib()
                from atomfit.figures.build import write_build_figures

                write_build_figures(path, result, columns, model, shown)
        with optional(stage / "report.html", warnings) as path:
            write_page(path, contents(result, columns, rejected, model, shown, record), REPORT)
        # Last, because they tell what is missing.
        write_json(stage / "summary.json", found)
        write_json(stage / "run.json", record)
    return directory


def summary(result: "BuildResult", model: np.ndarray) -> dict[str, Any]:
    """What was found, in numbers that fit on a page."""
    s, detection, joint = result.statistics, result.detection, result.joint
    grid = result.density.grid
    mean = detection.mean_atom
    region = region_mask(result.density.grid, detection.positions, mean.u**0.5)
    log_model = result.baseline.fitted.density(grid)
    report: dict[str, Any] = {
        "atoms": len(result),
        "element": _elements(result),
        "discarded": len(result.discarded),
        "verdict": result.verdict.told(),
        "map": {
            "file": None if result.source.path is None else result.source.path.name,
            "shape_zyx": list(grid.shape),
            "voxel_size": grid.spacing,
            "origin": grid.origin,
            "resolution": asdict(result.resolution),
            "notes": result.source.notes,
        },
        "detection": {
            "mean_atom_width": mean.u**0.5,
            "mean_atom_height": mean.height,
            "noise_floor": detection.floor,
            "threshold": None,
        },
        "fit": {"method": result.options.fit, "correlation": _correlation(result, model, region)},
        "medians": _medians(
            {
                "u_iso": s.fitted.u_iso,
                "doi": s.principal.degree_of_isotropy,
                "doi_debiased": s.uncertainties.debiased_isotropy,
                "doi_debiased_esd": s.uncertainties.debiased_isotropy_esd,
                "x_esd": s.uncertainties.positions[:, 0],
                "y_esd": s.uncertainties.positions[:, 1],
                "z_esd": s.uncertainties.positions[:, 2],
                "u_iso_esd": s.uncertainties.u_iso,
                "nn_distance": s.neighbours.nearest_distances,
                "cn": s.neighbours.coordination_numbers,
                "validation_correlation": s.validation_correlations,
            }
        ),
        "baseline": {
            "radius": result.baseline.radius,
            "correlation": _correlation(result, log_model, region),
            "failed_isotropic": sum(status != "ok" for status in result.baseline.iso_status),
            "failed_anisotropic": sum(status != "ok" for status in result.baseline.aniso_status),
            "medians": _medians(
                {
                    "u_iso": result.baseline.fitted.u_iso,
                    "doi": s.baseline.degree_of_isotropy,
                }
            ),
        },
        "cn_cutoff": s.neighbours.cutoff,
    }
    report["contour"] = {
        "level": result.contour.level,
        "sigma": result.contour.sigma,
        "f1": result.contour.f1,
    }
    if result.species is not None:
        which, counts = np.unique(result.symbols.astype(str), return_counts=True)
        report["species"] = {
            "atoms": dict(zip(which.tolist(), counts.tolist(), strict=True)),
            "classes_supported": result.species.supported,
            "information_criteria": result.species.criteria,
        }
    if result.selection is not None:
        judged = result.selection.judgement
        report["selection"] = {
            "method": result.options.selection,
            "fdr": result.options.fdr,
            "rounds": result.selection.rounds,
            "settled": result.selection.settled,
            "cut": judged.cut,
            "decoys": asdict(judged.decoys),
        }
    if detection.search is not None:
        report["detection"] |= _thresholds(result, detection.search)
    if joint is not None:
        report["fit"] |= {
            "reason": joint.reason,
            "iterations": len(joint.history),
            "voxels": joint.voxels,
            "parameters": joint.parameters,
            "noise": joint.noise,
            "chi_square_reduced": joint.chi_square,
            "noise_spectrum": None
            if joint.spectrum is None
            else {
                "source": joint.spectrum.source,
                "contrast": joint.spectrum.contrast,
                "missing": joint.spectrum.missing,
            },
            "noise_left": None if joint.inside is None else asdict(joint.inside),
            "prior": None if joint.prior is None else asdict(joint.prior),
            "resolution": None if joint.resolution is None else asdict(joint.resolution),
            "background": joint.background.numbers(),
            "at_bound": int(joint.at_bound.sum()),
            "narrower": int(joint.narrower.sum()),
            "history": joint.history,
            "held_out": None if result.held_out is None else asdict(result.held_out),
        }
    return report


def _thresholds(result: "BuildResult", search: ThresholdSearch) -> dict[str, Any]:
    """The paper's optimum, its curve, and what the refined model says of the same thresholds."""
    curve = {
        name: [getattr(trial, name) for trial in search.trials]
        for name in ("threshold", "atoms", "correlation")
    }
    found: dict[str, Any] = {"threshold": asdict(search.best), "threshold_curve": curve}
    denoised, inside = result.detection.denoised.values, result.contour.labels > 0
    if inside.any():
        level, f1 = best_level(denoised, inside)
        found["model_threshold"] = {"threshold": level, "f1": f1}
        # The model may ask for a threshold below all that were tried.
        first, last = min(level, curve["threshold"][0]), curve["threshold"][-1]
        levels = np.linspace(first - 0.1 * (last - first), last, _LEVELS)
        found["model_curve"] = {"threshold": levels, "f1": agreements(denoised, inside, levels)}
    return found


def _elements(result: "BuildResult") -> str | list[str]:
    symbols = [one.symbol for one in result.elements]
    return symbols[0] if len(symbols) == 1 else symbols


def run_record(result: "BuildResult", writing: float) -> dict[str, Any]:
    """How the result was made: versions, options, thresholds, input, device and timings."""
    import jax

    device = jax.devices()[0]
    return {
        **made_by(LIBRARIES),
        "options": {"element": _elements(result)} | asdict(result.options),
        "thresholds": thresholds(),
        "input": {
            "path": None if result.source.path is None else str(result.source.path.absolute()),
            "sha256": result.source.sha256,
        },
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "seconds": result.seconds | {"write": writing},
    }


def _structure(result: "BuildResult", columns: dict[str, np.ndarray]) -> Structure:
    fitted = result.statistics.fitted
    kept = (
        *("amplitude", "u_iso", "doi", "cn", "nn_distance", "peak_intensity", "validation_correlation"),
        *("score", "q_value", "flags"),
    )
    esd = result.statistics.uncertainties
    return Structure(
        result.symbols.tolist(),
        fitted.positions,
        fitted.matrices,
        fitted.u_iso,
        {name: columns[name] for name in kept},
        esd.positions,
        esd.matrices,
        esd.u_iso,
    )


def _viewable_map(result: "BuildResult", stage: Path, directory: Path) -> str:
    """Path of the map from the output directory; a copy where viewers would see something else."""
    path = result.source.path
    options = result.options
    changed = options.voxel_size is not None or options.invert or options.mask_diameter is not None
    changed = changed or result.source.offset != 0
    if path is None or is_copied(path, changed):
        write_map(stage / "map.mrc", result.density)
        return "map.mrc"
    try:
        return Path(os.path.relpath(path.absolute(), directory.absolute())).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def _correlation(result: "BuildResult", model: np.ndarray, region: np.ndarray) -> float:
    return region_correlation(result.density, model, region)


def _medians(columns: dict[str, np.ndarray]) -> dict[str, float]:
    known = {name: np.asarray(x, float)[np.isfinite(x)] for name, x in columns.items()}
    return {name: float(np.median(x)) if x.size else math.nan for name, x in known.items()}
