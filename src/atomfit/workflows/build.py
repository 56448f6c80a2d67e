"""The main job, top to bottom: a map and its element in, refined atoms and their statistics out.

    prepare -> detect -> joint fit <-> selection -> baseline -> statistics -> (files)

`build` is what the command `atomfit build` runs; it writes nothing. Its result holds every
intermediate object, and `result.write(directory)` makes the files.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.detection.detect import Detection, detect
from atomfit.detection.kept import arrays_of, detection_of
from atomfit.doubts.inspection import edge_level
from atomfit.files.build import write_results
from atomfit.fitting.joint import JointFit
from atomfit.fitting.logfit import RADIUS_PER_DISTANCE, LogFit, fit_logarithms
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.optimisation.journal import current, fingerprint
from atomfit.options.build import BuildOptions
from atomfit.options.declared import options_from
from atomfit.results.build import BuildResult, model_of
from atomfit.selection.contour import contour
from atomfit.statistics.per_atom import measure_atoms
from atomfit.structure.elements import Element, dimmest
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import nearest_distances
from atomfit.support.numerics import own_numerics
from atomfit.support.timing import Stopwatch
from atomfit.verdict.of_map import BuiltAtoms, judge_map
from atomfit.workflows.holding_out import judge_held_out
from atomfit.workflows.preparation import PreparedMap, Source, prepare
from atomfit.workflows.refining import (
    Progress,
    louder_inside,
    refine_jointly,
    slow_and_lost,
    without_unlike_halves,
)
from atomfit.workflows.selecting import assign_species, refine_by_element, select_atoms

log = logging.getLogger("atomfit")

_QUIET_OUTSIDE = (
    "the noise outside the particle is not that inside (the map may have been smoothed or regularised "
    "there): uncertainties are those of what the fit leaves"
)


def build(
    source: Source | PreparedMap,
    element: str | Sequence[str],
    options: BuildOptions | None = None,
    *,
    progress: Progress = lambda iteration, value: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **changes: Any,
) -> BuildResult:
    """Find and jointly refine the atoms of a map.

    **Arguments:**

    - `source`: a file (MRC, gzipped MRC, .npy), a `DensityMap`, an array in [z, y, x] order together
        with `voxel_size`, or a map that was prepared with the same options.
    - `element`: chemical symbol, or several, of which each atom gets one.
    - `options`: a `BuildOptions`; `changes`, further keyword arguments, replace single fields of it.
    - `progress`: called with the iterations done and the objective of the joint fit.
    - `checkpoint`: a file that keeps the atoms and their fits until the result is written.
    - `resume`: go on from what an interrupted run left in it.

    **Raises:** `InputError` if the map, an option or the checkpoint cannot be used.
    """
    options = options_from(BuildOptions, options, changes, "build")
    ready = source if isinstance(source, PreparedMap) else prepare(source, element, options)
    kept = Checkpoint(checkpoint, lambda: _job(ready, options), resume)
    with own_numerics(), kept.running():
        return replace(_built(ready, options, progress), checkpoint=kept)


def _job(ready: PreparedMap, options: BuildOptions) -> Job:
    grid = ready.density.grid
    values = (ready.density.values, np.array(grid.shape), grid.spacing, grid.origin)
    return Job.of(
        "build",
        [[one.symbol, one.neighbour_distance] for one in ready.elements],
        options,
        {"map": values, "half_maps": options.half_maps, "tilts": options.tilts},
        of_the_way=("optimizer", "max_iterations", "insist"),
    )


def _built(ready: PreparedMap, options: BuildOptions, progress: Progress) -> BuildResult:
    kind, density, warnings = ready.element, ready.density, [*ready.warnings]
    for note in ready.source.notes:
        log.info(note)
    clock = Stopwatch({"read and prepare": ready.seconds})
    with clock("detect"):
        detection = _detect(ready, options)
    _describe(detection)
    chosen = options
    with clock("joint fit"):
        ready, told = without_unlike_halves(ready, detection)
        warnings += told
        joint = refine_jointly(ready, detection, options, progress)
        if joint is not None and louder_inside(ready, detection, joint, options):
            warnings.append(_QUIET_OUTSIDE)
            chosen = replace(options, noise="residual")
            joint = refine_jointly(ready, detection, chosen, progress)
        lost = 0.0 if joint is None else slow_and_lost(ready, joint, chosen)
        if lost:
            warnings.append(
                f"slow changes, over more than {1 / lost:.2g} Å, were taken off this map (a high-pass or "
                "band-pass filter, which leaves dark rings around atoms): they do not count"
            )
            ready = replace(ready, lost_below=lost)
            joint = refine_jointly(ready, detection, chosen, progress)
    with clock("selection"):
        detection, joint, selection = select_atoms(ready, detection, joint, chosen, progress)
        species = assign_species(ready, joint, options)
        joint, species = refine_by_element(ready, detection, joint, species, chosen, progress)
    held_out = None
    if chosen.held_out is not None:
        with clock("held out"):
            held_out = judge_held_out(ready, detection, joint, chosen, progress)
    with clock("baseline"):
        baseline = _baseline(density, detection, kind)
    with clock("voxels"):
        voxels = contour(density, baseline.fitted if joint is None else joint.fitted)
    with clock("statistics"):
        statistics = measure_atoms(
            density, detection, baseline, joint, kind, voxels.labels, options.cn_cutoff
        )
    log.info(statistics.geometry.describe())
    with clock("verdict"):
        verdict = judge_map(
            BuiltAtoms(
                density,
                model_of(density, joint, baseline),
                statistics.fitted.positions,
                statistics.uncertainties.positions,
                ready.elements,
                detection,
                ready.resolution,
                ready.existence,
                ready.insisted,
                joint,
                selection,
                species,
                options.mask_diameter is not None,
                ready.lost_below,
                held_out,
            )
        )
    warnings += [*_warnings(joint, options), *verdict.beside(warnings)]
    for warning in warnings:
        log.warning(warning)
    log.info(verdict.describe())
    return BuildResult(
        ready.source,
        density,
        kind,
        ready.elements,
        options,
        detection,
        baseline,
        joint,
        selection,
        species,
        held_out,
        voxels,
        statistics,
        ready.resolution,
        verdict,
        tuple(warnings),
        clock.seconds,
        write_results,
    )


def _detect(ready: PreparedMap, options: BuildOptions) -> Detection:
    return current().computed(
        "detection",
        fingerprint([ready.density.values]),
        lambda: _detected(ready, options),
        arrays_of,
        lambda arrays: detection_of(arrays, ready.density, ready.element),
    )


def _detected(ready: PreparedMap, options: BuildOptions) -> Detection:
    return detect(
        ready.density,
        ready.element,
        split=options.split,
        min_correlation=options.min_correlation,
        min_coordination=options.min_cn,
        cutoff=options.cn_cutoff,
        # The paper's threshold knows one kind of atoms; what is too faint is the selection's to find out.
        faintest=dimmest(ready.elements) if options.selection == "fit" else 1.0,
    )


def _describe(detection: Detection) -> None:
    mean = detection.mean_atom
    if detection.search is None or not len(detection):
        log.info("no atom found: nothing stands out from the noise")
    else:
        log.info(
            "%d atoms found, %d discarded (threshold of %d tried: %.4g, correlation %.3f; "
            "the mean atom's width is %.2f Å)",
            len(detection),
            len(detection.rejected.reasons),
            len(detection.search.trials),
            detection.search.best.threshold,
            detection.search.best.correlation,
            mean.u**0.5,
        )


def _baseline(density: DensityMap, detection: Detection, element: Element) -> LogFit:
    distances = nearest_distances(detection.positions)
    distance = float(np.median(distances)) if len(distances) > 1 else element.neighbour_distance
    radius = RADIUS_PER_DISTANCE * distance
    return fit_logarithms(density, detection.positions, radius, edge_level(density))


def _warnings(joint: JointFit | None, options: BuildOptions) -> list[str]:
    """What a user should know of the numbers, and that says nothing against the atoms."""
    warnings: list[str] = []
    if joint is None:
        return warnings
    bounded = int(joint.at_bound.sum())
    if bounded:
        warnings.append(
            f"{bounded} atoms went to the limit of their move or width (flag at_bound): the map does not "
            "determine them"
        )
    if options.gain is None or 0.5 < joint.chi_square < 2:
        return warnings
    return [
        *warnings,
        f"what the model leaves is {joint.chi_square:.2g} times the variance of counts with a gain "
        f"of {options.gain:g}: uncertainties are those of another gain, or of another model",
    ]
