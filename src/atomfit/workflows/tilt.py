"""Atoms against a tilt series, top to bottom: images, views and atoms to start from in, refined atoms out.

    prepare -> (build) -> agreement -> refine_against <-> selection -> statistics -> (files)

`tilt` is what the command `atomfit tilt` runs; it writes nothing. `result.write(directory)` does.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from atomfit.detection.limits import LIMITS as DETECTION_LIMITS
from atomfit.files.tilt import write_tilt_results
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.models import Model
from atomfit.optimisation.ended import Ended
from atomfit.options.declared import options_from
from atomfit.options.tilt import TiltOptions
from atomfit.projection.fit import TiltFit
from atomfit.projection.information import ImageUncertainty
from atomfit.projection.start import Start
from atomfit.projection.verdict import view_warnings
from atomfit.results.build import BuildResult
from atomfit.results.series import PreparedSeries
from atomfit.results.tilt import TiltResult
from atomfit.selection.completion import Discarded
from atomfit.statistics.geometry import measure_geometry
from atomfit.structure.neighbours import Neighbours, find_neighbours
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics
from atomfit.support.timing import Stopwatch
from atomfit.workflows.tilt_centre import centred, points_of_box
from atomfit.workflows.tilt_coupled import refine_coupled
from atomfit.workflows.tilt_preparation import Images, ViewsGiven, prepare_series
from atomfit.workflows.tilt_refining import (
    Progress,
    alike,
    half_sets,
    refine_start,
    width_warnings,
    with_own_widths,
)
from atomfit.workflows.tilt_selecting import nothing_selected, search_and_select, select_from_images
from atomfit.workflows.tilt_starts import (
    centred_on_start,
    judged,
    numbers_of,
    require_room,
    require_surroundings,
    start_from_file,
    start_from_images,
    with_surroundings,
)
from atomfit.workflows.tilt_verdict import verdict_of

log = logging.getLogger("atomfit")


def tilt(
    images: Images | PreparedSeries,
    views: ViewsGiven | None,
    element: str | Sequence[str],
    options: TiltOptions | None = None,
    *,
    progress: Progress = lambda stage, iteration, value: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **changes: Any,
) -> TiltResult:
    """Refine atoms jointly against a tilt series.

    **Arguments:**

    - `images`: a file (MRC stack, gzipped or not, .npy), an array [view, row, column] together with
        `pixel_size`, or a series that was prepared with the same options.
    - `views`: from where: a file, `Views`, or rotation matrices [view, 3, 3] whose centres are the images'
        middle; None with a prepared series.
    - `element`: chemical symbol, or several.
    - `options`: a `TiltOptions`; `changes`, further keyword arguments, replace single fields of it.
        `start`, `map` and `surroundings` are files' paths.
    - `progress`: called with the stage, the iterations done and the objective.
    - `checkpoint`: a file that keeps the fits until the result is written.
    - `resume`: go on from what an interrupted run left in it.

    **Raises:** `InputError` if images, views, the start, an option or the checkpoint cannot be used.
    """
    options = options_from(TiltOptions, options, changes, "tilt")
    if isinstance(images, PreparedSeries):
        ready = images
    elif views is None:
        raise InputError("there are no views", "say from where the images were taken", "--views")
    else:
        ready = prepare_series(images, views, element, options)
    kept = Checkpoint(checkpoint, lambda: _job(ready, options), resume)
    with own_numerics(), kept.running():
        return replace(_tilted(ready, options, progress), checkpoint=kept)


def _job(ready: PreparedSeries, options: TiltOptions) -> Job:
    series = ready.series
    return Job.of(
        "tilt",
        [one.symbol for one in ready.elements],
        options,
        {
            "images": (series.images, series.counted, np.array(series.pixel)),
            "views": (series.views.rotations, series.views.centres),
            "start": options.start,
            "map": options.map,
            "surroundings": options.surroundings,
        },
        of_the_way=("optimizer", "max_iterations", "insist"),
    )


def _tilted(ready: PreparedSeries, options: TiltOptions, progress: Progress) -> TiltResult:
    clock = Stopwatch({"read and prepare": ready.seconds})
    told = len(ready.notes)
    for note in ready.notes:
        log.info(note)
    given = options.start is not None
    selecting = options.selection == "fit" or (options.selection == "auto" and not given)
    with clock("start"):
        ready, start, built = _start(ready, options, progress)
        for note in (*ready.notes[told:], *start.notes):
            log.info(note)
        found, warnings, insisted = judged(start, ready, options)
        warnings = [*ready.warnings, *warnings]
        require_room(start, ready, options.probe, selecting)
    begun, first = start if given or not selecting else None, start
    # Told before the fit, because they may be reasons not to wait for it.
    for warning in warnings:
        log.warning(warning)
    if selecting or not len(start.ids):
        plain = alike(options)
        with clock("selection"):
            start, fit, earlier = search_and_select(ready, start, plain, progress)
        if not given:
            # Places are numbered as they were tried.
            start = replace(start, ids=np.arange(1, len(start.ids) + 1))
        # Whoever has interrupted the selection does not want to wait for another fit.
        if plain != options and fit.reason != Ended.INTERRUPTED and len(start.ids):
            with clock("fit"):
                begin = start.going_on(fit.positions)
                fit = refine_start(ready, begin, replace(options, anneal=False), progress)
    else:
        earlier = None
        with clock("fit"):
            fit = refine_start(ready, start, options, progress)
    asked, uncoupled = options, list[str]()
    with clock("fit"):
        options, fit = with_own_widths(ready, start, fit, options, progress)
        if options.coupled and built is not None and len(start.ids):
            rows = start.rows_in(first)
            rows = np.where(rows < len(built), rows, -1)
            fit, uncoupled = refine_coupled(ready, start, fit, built, rows, options, progress)
    halves = None
    if "turns" in options.refine and fit.reason != Ended.INTERRUPTED and len(start.ids):
        with clock("halves"):
            halves = half_sets(ready, start, fit, options, progress)
    with clock("uncertainty"):
        if len(start.ids):
            start, fit, selection, uncertainty = select_from_images(ready, start, fit, options)
        else:
            selection, uncertainty = nothing_selected(Discarded.none(3)), ImageUncertainty.of_nothing()
        if earlier is not None:
            selection = selection.after(
                earlier, DETECTION_LIMITS.closest * ready.element.neighbour_distance / 2
            )
    moving = ~start.frozen
    neighbours = _of_moving(
        find_neighbours(np.asarray(fit.atoms.positions), typical=ready.element.neighbour_distance), moving
    )
    positions = np.asarray(fit.atoms.positions)[moving]
    with clock("statistics"):
        errors = uncertainty.positions[moving]
        geometry = measure_geometry(positions, errors, neighbours.cutoff, ready.element)
    log.info(geometry.describe())
    later = view_warnings(fit.correlations, fit.held_out, uncertainty.excess)
    later.extend([*uncoupled, *([] if halves is None else halves.warnings())])
    later.extend(width_warnings(ready, start, fit, asked))
    if not selection.settled and selecting:
        later.append("the images still ask for other atoms: see rejected.csv for those that may be lacking")
    against, lacking = (~selection.judgement.kept).sum(), selection.judgement.wanted.sum()
    if not selecting and (against or lacking):
        later.append(
            f"the images speak against {against} atoms (flags) and ask for {lacking} others "
            "(rejected.csv): --selection fit removes and adds them"
        )
    misread = None if (options.start or options.map) is None else found.misread
    verdict = verdict_of(ready, start, fit, selection, uncertainty, options, insisted, misread)
    later.extend(verdict.beside(warnings))
    for warning in later:
        log.warning(warning)
    _describe(fit, start, begun, len(moving) - len(start.ids))
    log.info(verdict.describe())
    return TiltResult(
        ready,
        start,
        options,
        found,
        fit,
        halves,
        selection,
        uncertainty,
        neighbours,
        geometry,
        verdict,
        (*warnings, *later),
        clock.seconds,
        write_tilt_results,
    )


def _start(
    ready: PreparedSeries, options: TiltOptions, progress: Progress
) -> tuple[PreparedSeries, Start, BuildResult | None]:
    """The series about the point that its views turn about, atoms to start from, and the map's result."""
    require_surroundings(ready, options)
    if options.start is not None:
        ready = centred_on_start(ready, options.start)
        return ready, start_from_file(options.start, ready, options), None
    if options.map is None:
        return ready, start_from_images(ready, options), None
    from atomfit.workflows.build import build

    symbols = [one.symbol for one in ready.elements]
    log.info("atoms are found in %s", options.map)
    built = build(
        options.map,
        symbols,
        progress=lambda i, value: progress("build", i, value),
        insist=options.insist,
        scattering=options.scattering if options.coupled else "gaussian",
    )
    if built.reason == Ended.INTERRUPTED:
        raise KeyboardInterrupt
    if not len(built):
        raise InputError("no atom was found in this map", "see atomfit check", options.map)
    ids = np.arange(1, len(built) + 1)
    esds = built.statistics.uncertainties.positions
    model = Model("map", ids, tuple(built.symbols), built.positions, esds, numbers={})
    # A position that the map does not tell is known by the images alone.
    errors = np.where(np.isfinite(esds), esds, np.inf) if options.coupled else None
    if errors is not None:
        log.info("the map tells positions to %.3f Å (median), and counts by that", np.median(errors))
    numbers = numbers_of(model, options.map, ready)
    ready = centred(ready, model.positions, points_of_box(built.density.grid))
    return ready, with_surroundings(model.positions, numbers, ids, ready, options, errors), built


def _of_moving(neighbours: Neighbours, moving: Bool[np.ndarray, " n"]) -> Neighbours:
    return Neighbours(
        neighbours.coordination_numbers[moving],
        neighbours.nearest[moving],
        neighbours.nearest_distances[moving],
        neighbours.mean_distances[moving],
        neighbours.cutoff,
    )


def _describe(fit: TiltFit, start: Start, begun: Start | None, around: int) -> None:
    """What has been fitted, and how far atoms are from where a model had them (None if there was none)."""
    if not len(start.ids):
        return
    moved = ""
    if begun is not None:
        _, now, before = np.intersect1d(start.ids, begun.ids, return_indices=True)
        moves = np.asarray(fit.atoms.positions)[~start.frozen][now] - begun.positions[~begun.frozen][before]
        if len(moves):
            moved = f" moved by {np.sqrt(np.mean(np.sum(moves**2, axis=1))):.3f} Å (rms)"
    fitted = ~fit.held_out
    held = (
        f", {np.mean(fit.correlations[fit.held_out]):.4f} on the {int(fit.held_out.sum())} held out"
        if fit.held_out.any()
        else ""
    )
    log.info(
        "%d atoms%s%s; images and model correlate by %.4f%s",
        len(start.ids),
        f" among {around} that did not move" if around else "",
        moved,
        float(np.mean(fit.correlations[fitted])),
        held,
    )
