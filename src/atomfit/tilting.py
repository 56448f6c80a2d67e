"""Atoms against a tilt series, top to bottom: images, views and atoms to start from in, refined atoms out.

    prepare -> (build) -> agreement -> refine_against <-> selection -> statistics -> (files)

`tilt` is what the command `atomfit tilt` runs; it writes nothing. `result.write(directory)` does.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from atomfit.atoms import AnisotropicDisplacements, Atoms
from atomfit.declared import options_from
from atomfit.detection.mean_atom import CLOSEST
from atomfit.elements import symbol_of
from atomfit.errors import InputError
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.models import Model
from atomfit.neighbours import Neighbours, find_neighbours
from atomfit.numerics import own_numerics
from atomfit.projection.fit import TiltFit
from atomfit.projection.half_sets import HalfSets
from atomfit.projection.information import ImageUncertainty
from atomfit.projection.misreadings import Agreement
from atomfit.projection.model import refined_views
from atomfit.projection.verdict import view_warnings
from atomfit.projection.views import Views
from atomfit.selection.completion import Discarded, Selection
from atomfit.statistics.geometry import Geometry, measure_geometry
from atomfit.tilt_centre import centred, points_of_box
from atomfit.tilt_options import TiltOptions
from atomfit.tilt_preparation import Images, PreparedSeries, ViewsGiven, prepare_series
from atomfit.tilt_refining import Progress, alike, half_sets, refine_start
from atomfit.tilt_selecting import nothing_selected, search_and_select, select_from_images
from atomfit.tilt_starts import (
    Start,
    centred_on_start,
    judged,
    numbers_of,
    require_room,
    require_surroundings,
    start_from_file,
    start_from_images,
    with_surroundings,
)
from atomfit.tilt_verdict import verdict_of
from atomfit.timing import Stopwatch
from atomfit.verdict.findings import Verdict

log = logging.getLogger("atomfit")


@dataclass(frozen=True, eq=False)
class TiltResult:
    """Everything that `tilt` found.

    **Fields:**

    - `prepared`: images and views as they were read, and how.
    - `start`: atoms that the fit began with, and those around them.
    - `options`: what was asked for.
    - `agreement`: of start and images.
    - `fit`: of all atoms, the surroundings included; they come last.
    - `halves`: what halves of the views say, if rotations of these were refined.
    - `selection`: which atoms are real, as the images have it.
    - `uncertainty`: of all atoms' positions and amplitudes.
    - `neighbours`: of the atoms that were refined, those around them counted.
    - `geometry`: what the positions of the atoms that were refined say.
    - `verdict`: what is to be thought of it, and why.
    - `warnings`: what a user should know before trusting the numbers, the verdict's findings among them.
    - `seconds`: wall time of each stage.
    - `checkpoint`: what goes when the files are written.
    """

    prepared: PreparedSeries
    start: Start
    options: TiltOptions
    agreement: Agreement
    fit: TiltFit
    halves: HalfSets | None
    selection: Selection
    uncertainty: ImageUncertainty
    neighbours: Neighbours
    geometry: Geometry
    verdict: Verdict
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    checkpoint: Checkpoint | None = None

    def __len__(self) -> int:
        """Number of atoms that were refined."""
        return len(self.start.ids)

    @property
    def atoms(self) -> Atoms:
        """The atoms that were refined, without those around them."""
        return self.fit.atoms[~self.start.frozen]

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Their positions in the specimen's frame (Å)."""
        return np.asarray(self.atoms.positions)

    @property
    def matrices(self) -> Float[np.ndarray, "n 3 3"]:
        """Their displacement matrices (Å²)."""
        return np.asarray(self.atoms.matrices(), np.float64)

    @property
    def position_errors(self) -> Float[np.ndarray, "n 3"]:
        """Standard uncertainties of their positions (Å)."""
        return self.uncertainty.positions[~self.start.frozen]

    @property
    def amplitude_errors(self) -> Float[np.ndarray, " n"]:
        """Standard uncertainties of their amplitudes (image units x Å²); NaN where elements share one."""
        own = self.options.own_amplitudes
        return np.where(own, self.uncertainty.amplitudes[~self.start.frozen], np.nan)

    @property
    def anisotropic(self) -> bool:
        """Whether the atoms have shapes of their own."""
        return isinstance(self.fit.atoms.displacements, AnisotropicDisplacements)

    @property
    def widths_refined(self) -> bool:
        """Whether displacements are results: behind a probe of free shape, widths shared by all are not."""
        return self.options.probe == "direct" or self.options.displacements != "shared"

    @property
    def symbols(self) -> np.ndarray:
        """Chemical symbol of each of them."""
        return np.array([symbol_of(int(number)) for number in self.atoms.numbers], dtype=object)

    @property
    def views(self) -> Views:
        """The views with what was refined of them: rotations, and centres moved by the shifts."""
        series = self.prepared.series
        return refined_views(series.views, self.fit.views, series.pixel)

    @property
    def residual(self) -> Float[np.ndarray, "v rows columns"]:
        """Images less the model's; zero where nothing was measured."""
        series = self.prepared.series
        return np.where(series.counted, series.images - self.fit.images, 0).astype(np.float32)

    @own_numerics()
    def write(self, directory: str | Path, overwrite: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        The checkpoint of a fit that was not interrupted is removed then.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false.
        """
        from atomfit.io.tilt_results import write_tilt_results

        written = write_tilt_results(self, Path(directory), overwrite)
        if self.checkpoint is not None and self.fit.reason != "interrupted":
            self.checkpoint.remove()
        return written


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
    - `options`: a `TiltOptions`; further keyword arguments replace single fields of it. `start`, `map` and
        `surroundings` are files' paths.
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
        of_the_way=("insist",),
    )


def _tilted(ready: PreparedSeries, options: TiltOptions, progress: Progress) -> TiltResult:
    clock = Stopwatch({"read and prepare": ready.seconds})
    told = len(ready.notes)
    for note in ready.notes:
        log.info(note)
    given = options.start is not None
    selecting = options.selection == "fit" or (options.selection == "auto" and not given)
    with clock("start"):
        ready, start = _start(ready, options, progress)
        for note in (*ready.notes[told:], *start.notes):
            log.info(note)
        found, warnings, insisted = judged(start, ready, options)
        warnings = [*ready.warnings, *warnings]
        require_room(start, ready, options.probe, selecting)
    begun = start if given or not selecting else None
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
        if plain != options and fit.reason != "interrupted" and len(start.ids):
            with clock("fit"):
                begin = start.going_on(fit.positions)
                fit = refine_start(ready, begin, replace(options, anneal=False), progress)
    else:
        earlier = None
        with clock("fit"):
            fit = refine_start(ready, start, options, progress)
    halves = None
    if "turns" in options.refine and fit.reason != "interrupted" and len(start.ids):
        with clock("halves"):
            halves = half_sets(ready, start, fit, options, progress)
    with clock("uncertainty"):
        if len(start.ids):
            start, fit, selection, uncertainty = select_from_images(ready, start, fit, options)
        else:
            selection, uncertainty = nothing_selected(Discarded.none(3)), ImageUncertainty.of_nothing()
        if earlier is not None:
            selection = selection.after(earlier, CLOSEST * ready.element.neighbour_distance / 2)
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
    later.extend([] if halves is None else halves.warnings())
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
    )


def _start(ready: PreparedSeries, options: TiltOptions, progress: Progress) -> tuple[PreparedSeries, Start]:
    """Atoms to start from, and the series with the point that its views turn about in their frame."""
    require_surroundings(ready, options)
    if options.start is not None:
        ready = centred_on_start(ready, options.start)
        return ready, start_from_file(options.start, ready, options)
    if options.map is None:
        return ready, start_from_images(ready, options)
    from atomfit.pipeline import build

    symbols = [one.symbol for one in ready.elements]
    log.info("atoms are found in %s", options.map)
    built = build(
        options.map,
        symbols,
        progress=lambda i, value: progress("build", i, value),
        insist=options.insist,
    )
    if built.reason == "interrupted":
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
    return ready, with_surroundings(model.positions, numbers, ids, ready, options, errors)


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
