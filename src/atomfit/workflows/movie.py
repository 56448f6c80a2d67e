"""A movie, top to bottom: lay frames -> columns of their mean -> fit each -> follow, count -> fit again.

`movie` is what `atomfit series` runs on a stack of frames; it writes nothing. Frames are laid on each other
and added up, and the columns of the mean are found as those of any image (`workflows.columns`); what is
there for a while only is added. Then each frame is fitted to these columns, twice: first with priors that
hardly say anything, then about what all frames together say of that time. Followed and counted is what
frames tell without priors, so nothing is said twice.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from atomfit.detection.column_candidates import noise_variance
from atomfit.detection.column_scale import find_scale
from atomfit.detection.image_brightness import BrightnessLaw
from atomfit.files.movie import write_movie
from atomfit.fitting.column_fit import FittedColumns, columns_of, joined
from atomfit.fitting.frame_fit import Expected, FrameFitter
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.movies import Movie, movie_of, read_movie
from atomfit.io.times import read_times
from atomfit.options.columns import ColumnOptions
from atomfit.options.declared import options_from
from atomfit.options.movie import MovieOptions
from atomfit.results.columns import ColumnsResult
from atomfit.results.movie import FramesSeen, MovieResult
from atomfit.statistics.column_events import find_events
from atomfit.statistics.column_tracks import Tracks
from atomfit.statistics.movie_counts import MovieCounts, count_movie
from atomfit.statistics.plane_maps import PlaneMap, UsualDistortion, fit_plane_map
from atomfit.structure.elements import elements_of
from atomfit.structure.grid import DensityMap
from atomfit.support.arrays import AnyArray
from atomfit.support.errors import InputError
from atomfit.support.memory import require_memory
from atomfit.support.numerics import own_numerics
from atomfit.support.timing import Stopwatch
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_movie import judge_movie
from atomfit.workflows.columns import columns
from atomfit.workflows.columns_statistics import library_of
from atomfit.workflows.movie_frames import (
    Frames,
    Told,
    copies,
    fit_frames,
    lay_frames,
    mean_frame,
    noise_of_frames,
    passing_columns,
)
from atomfit.workflows.movie_told import flicker_of, lay_errors, sizes_of, tracks_of, window_of

log = logging.getLogger("atomfit")

#: Bytes of memory for each pixel of a frame, for each column of each frame, and at least.
_PER_PIXEL, _PER_COLUMN, _AT_LEAST = 700.0, 600.0, 500e6
#: What is known of columns before frames are fitted for the first time: places (column widths).
_PLACES = 0.33
#: The same the second time, at least: places (column widths), and integrals (parts of a typical one).
_PLACES_AFTER, _SIZES_AFTER = 0.1, 0.1
#: Frames of one movie are distorted against each other by less than images of two sessions.
_USUAL = UsualDistortion(0.01, 0.005)
#: How many columns that are there for a while only may be chance.
_FALSE = 0.05


def movie(
    source: str | Path | Sequence[str | Path] | Movie | AnyArray,
    element: str | Sequence[str] | None = None,
    options: MovieOptions | None = None,
    *,
    times: str | Path | Sequence[float] | None = None,
    progress: Callable[[str], None] = lambda told: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **changes: Any,
) -> MovieResult:
    """Follow the columns of a movie.

    **Arguments:**

    - `source`: a file with a stack of frames, several files with one each, or an array [frame, row, column]
        (also one that is mapped from the disk) together with `pixel_size`.
    - `element`: chemical symbol, or several; none if it is not known.
    - `options`: a `MovieOptions`; `changes`, further keyword arguments, replace single fields of it.
    - `times`: of the frames, rising: numbers, words with commas, or a file; 0, 1, 2, ... if not given.
    - `progress`: called with how far it has come, in words.
    - `checkpoint`: a file that keeps what was found until the result is written.
    - `resume`: go on from what an interrupted run left in it.

    **Raises:** `InputError` if the movie, an option or the checkpoint cannot be used, or if there are no
    columns in its mean.
    """
    options = options_from(MovieOptions, options, changes, "series")
    elements = () if element is None or len(element) == 0 else elements_of(element)
    of_columns = ColumnOptions(
        contrast=options.contrast,
        counts=options.counts,
        library=options.library,
        library_error=options.library_error,
        insist=options.insist,
    )
    library = library_of(of_columns, elements)
    clock = Stopwatch({})
    with clock("read"):
        found = _read(source, options.pixel_size)
    when = read_times(times, len(found))
    kept = Checkpoint(
        checkpoint,
        lambda: Job(
            {"command": "series", "element": [e.symbol for e in elements], **_told(options)},
            {"movie": found.sha256},
        ),
        resume,
    )
    with own_numerics(), kept.running(), threadpool_limits(1, user_api="blas"):
        result = _followed(found, elements, (options, of_columns, library), when, clock, progress)
    return replace(result, checkpoint=kept)


def _told(options: MovieOptions) -> dict[str, Any]:
    return {name: str(value) for name, value in vars(options).items() if name not in ("fdr", "insist")}


def _read(source: Any, pixel_size: float | None) -> Movie:
    if isinstance(source, Movie):
        return source
    if isinstance(source, str | os.PathLike):
        return read_movie([Path(source)], pixel_size)
    if isinstance(source, Sequence) and source and isinstance(source[0], str | os.PathLike):
        return read_movie(source, pixel_size)
    try:
        return movie_of(source, pixel_size)
    except InputError as error:
        raise error.at("movie") from None


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Frames that were fitted to columns; the same names as in `fit_frames` and `MovieResult`."""

    reference: ColumnsResult
    used: Bool[np.ndarray, " t"]
    fitter: FrameFitter
    passing: Bool[np.ndarray, " n"]
    told: Told
    tracks: Tracks
    counted: MovieCounts


def _followed(
    source: Movie,
    elements: Any,
    asked: tuple[MovieOptions, ColumnOptions, Any],
    times: Float[np.ndarray, " t"],
    clock: Stopwatch,
    tell: Callable[[str], None],
) -> MovieResult:
    for note in source.notes:
        log.info(note)
    pixels = float(np.prod(source.shape[1:]))
    require_memory(_AT_LEAST + _PER_PIXEL * pixels, f"following frames of {pixels:.0f} pixels", "cut them")
    log.info("%d frames of %d x %d pixels", len(source), source.shape[2], source.shape[1])
    one = _fitted(source, elements, asked, clock, tell)
    reference, told, tracks, history = one.reference, one.told, one.tracks, one.counted.history
    sites = np.asarray(one.fitter.reference.columns.positions, np.float64)
    sizes, variances = sizes_of(told, tracks, one.fitter, reference)
    with clock("events"):
        events = find_events(history, sites, asked[0].fdr)
        window = window_of(told, sizes, variances)
    verdict = _judged(source, one, np.abs(sizes) / np.sqrt(variances))
    warnings = [*source.warnings, *verdict.warnings]
    if one.counted.counts is not None:
        warnings += one.counted.counts.notes
    for warning in warnings:
        log.warning(warning)
    log.info(verdict.describe())
    return MovieResult(
        source,
        elements,
        asked[0],
        times,
        reference,
        _seen(source, one, sites),
        one.passing,
        sites,
        tracks,
        sizes * np.sign(reference.units.scale),
        np.sqrt(variances),
        history,
        one.counted.uncounted,
        events,
        window,
        verdict,
        tuple(warnings),
        clock.seconds,
        write_movie,
    )


def _fitted(
    source: Movie,
    elements: Any,
    asked: tuple[MovieOptions, ColumnOptions, Any],
    clock: Stopwatch,
    tell: Callable[[str], None],
) -> _Fitted:
    """Columns of the mean, and all frames fitted to these, twice."""
    options, of_columns, library = asked
    with clock("lay frames"):
        lays, used = lay_frames(source, _width(source, options), tell)
        _require_frames(used)
        mean, canvas = mean_frame(source, lays, used, tell)
    with clock("columns of the mean"):
        image = DensityMap(np.nan_to_num(mean, nan=float(np.nanmedian(mean))), canvas, np.isfinite(mean))
        reference = columns(image, [e.symbol for e in elements] or None, of_columns)
        if not len(reference):
            raise InputError(
                f"no column was found in the mean of {int(used.sum())} frames",
                "look at it with atomfit columns --frame mean",
                str(source.paths[0]) if source.paths else "movie",
            )
    with clock("fit frames"):
        frames, fitter, passing = _prepared(source, reference, (lays, used), tell)
        log.info("%d columns, %d of them for a while only", len(passing), int(passing.sum()))
        first = _first_expected(fitter)
        told = fit_frames(frames, fitter, lambda k: first, (lays, used), 2, tell)
    law_of_counts = (library, _why_not_counted(options, elements, reference))
    with clock("follow and count"):
        tracks = tracks_of(told)
        counted = _count(told, tracks, fitter, reference, (*law_of_counts, None), ~passing)
    with clock("fit frames again"):
        fitter = replace(fitter, flicker=flicker_of(told))
        second = _second_expected(fitter, tracks, counted, reference)
        told = fit_frames(frames, fitter, second, (told.lays, used), 1, tell)
    with clock("follow and count"):
        tracks = tracks_of(told)
        counted = _count(told, tracks, fitter, reference, (*law_of_counts, counted), ~passing)
    return _Fitted(reference, used, fitter, passing, told, tracks, counted)


def _judged(source: Movie, one: _Fitted, heights: Float[np.ndarray, "t n"]) -> Verdict:
    history = one.counted.history
    changes = float(np.mean(history.gained + history.lost)) if len(history.gained) else 0.0
    height = float(np.nanmedian(np.where(np.isfinite(heights), heights, np.nan)))
    frames = (one.used, one.told.misfits, copies(source), one.fitter.flicker)
    return judge_movie(frames, one.tracks.walk.factor, changes, one.reference.verdict, height)


def _seen(source: Movie, one: _Fitted, sites: Float[np.ndarray, "n 2"]) -> FramesSeen:
    told, middle = one.told, 0.5 * source.pixel * (np.array(source.shape[:0:-1]) - 1)
    return FramesSeen(
        told.lays,
        lay_errors(told, one.tracks, sites, middle),
        one.used,
        told.brightness,
        told.levels / abs(one.reference.units.scale),
        told.misfits,
        one.fitter.flicker,
    )


def _width(source: Movie, options: MovieOptions) -> float:
    """Standard deviation of a column (Å), by the frame in the middle that shows something."""
    bright = None if options.contrast == "auto" else options.contrast == "bright"
    order = np.argsort(np.abs(np.arange(len(source)) - len(source) // 2), kind="stable")
    for k in order.tolist():
        values, counted = source.frame(k)
        if counted.any() and np.ptp(values[counted]) > 0:
            values = np.where(counted, values, np.float32(np.median(values[counted])))
            return find_scale(values, source.pixel, noise_variance(values, source.pixel), bright).width
    raise InputError("no frame shows anything", "give the movie as it was recorded", "movie")


def _require_frames(used: Bool[np.ndarray, " t"]) -> None:
    if used.sum() < 2:
        raise InputError(
            f"{int(used.sum())} of {len(used)} frames show the same specimen",
            "give frames that show one specimen, turned by no more than a few degrees",
            "movie",
        )


def _prepared(
    source: Movie,
    reference: ColumnsResult,
    laid: tuple[Sequence[PlaneMap], Bool[np.ndarray, " t"]],
    tell: Callable[[str], None],
) -> tuple[Frames, FrameFitter, Bool[np.ndarray, " n"]]:
    """Frames in the units of the fit, what all have in common, and columns that come and go."""
    fitted, canvas = replace(reference.fitted, rows=None), reference.fitted_image.grid
    frames = Frames(source, reference.units, round(float(canvas.spacing[0]) / source.pixel))
    beneath = np.asarray(fitted.background.on(canvas, canvas), np.float64)

    def laying(to: Any, of: Any, covariances_to: Any, covariances_of: Any) -> PlaneMap:
        return fit_plane_map(to, of, covariances_to, covariances_of, _USUAL).motion

    fitter = FrameFitter(fitted, beneath, canvas, BrightnessLaw(1.0, 0.0), frames.grid, laying)
    law = noise_of_frames(frames, fitter, _first_expected(fitter), *laid)
    positions = np.asarray(fitted.columns.positions, np.float64)
    model = beneath + fitted.drawn(canvas)
    places = passing_columns(frames, (canvas, model, law), (positions, fitted.width), laid, _FALSE, tell)
    more = [one.position for one in places]
    require_memory(
        _AT_LEAST + _PER_COLUMN * len(source) * (len(fitted) + len(more)),
        f"following {len(fitted) + len(more)} columns through {len(source)} frames",
        "give a part of the frames",
    )
    passing = np.arange(len(fitted) + len(more)) >= len(fitted)
    return frames, replace(fitter, reference=_with(fitted, np.array(more)), law=law), passing


def _with(fitted: FittedColumns, places: np.ndarray) -> FittedColumns:
    """With columns that are there for a while only, as bright as faint ones."""
    if not len(places):
        return fitted
    faint = float(np.quantile(np.asarray(fitted.columns.amplitudes), 0.1))
    more = columns_of(places, np.full(len(places), faint), fitted.width)
    widths = np.linalg.det(fitted.spreads) ** 0.25
    own = columns_of(np.asarray(fitted.columns.positions), np.asarray(fitted.columns.amplitudes), widths)
    return replace(fitted, columns=joined(own, more))


def _first_expected(fitter: FrameFitter) -> Expected:
    columns = fitter.reference.columns
    sizes = np.asarray(columns.amplitudes, np.float64)
    n, typical = len(sizes), float(np.median(np.abs(sizes)))
    places = np.full(n, _PLACES * fitter.reference.width)
    return Expected(np.asarray(columns.positions, np.float64), sizes, places, np.full(n, typical))


def _second_expected(
    fitter: FrameFitter, tracks: Tracks, counted: MovieCounts, reference: ColumnsResult
) -> Callable[[int], Expected]:
    """Where all frames say columns are at a time."""
    sites = np.asarray(fitter.reference.columns.positions, np.float64)
    least, scale = _PLACES_AFTER * fitter.reference.width, abs(reference.units.scale)
    typical = float(np.median(np.abs(np.asarray(fitter.reference.columns.amplitudes))))

    def expected(k: int) -> Expected:
        esds = np.maximum(np.sqrt(tracks.variances[k].mean(axis=1)), least)
        esds = np.minimum(esds, _PLACES * fitter.reference.width)
        sizes = counted.expected[k] * scale
        return Expected(
            sites + tracks.offsets[k], sizes, esds, np.maximum(_SIZES_AFTER * sizes, _SIZES_AFTER * typical)
        )

    return expected


def _count(
    told: Told,
    tracks: Tracks,
    fitter: FrameFitter,
    reference: ColumnsResult,
    known: tuple[Any, str, MovieCounts | None],
    steady: Bool[np.ndarray, " n"],
) -> MovieCounts:
    """Counts, by a library or not; about those that frames were fitted to, if there are any."""
    library, uncounted, before = known
    sizes, variances = sizes_of(told, tracks, fitter, reference)
    first = np.asarray(fitter.reference.columns.amplitudes, np.float64) / abs(reference.units.scale)
    expected = np.tile(first, (len(sizes), 1)) if before is None else before.expected
    sites = np.asarray(fitter.reference.columns.positions, np.float64)
    quick = before is None
    return count_movie(sizes, variances, expected, (library, uncounted), sites, steady, quick)


def _why_not_counted(options: MovieOptions, elements: Any, reference: ColumnsResult) -> str:
    if options.counts == "off":
        return "not asked for (--counts off)"
    if len(elements) > 1:
        return "columns of several elements are not counted: those of one thickness differ"
    if reference.units.scale < 0:
        return "columns are dark: what they take from the beam is no measure of their atoms"
    return ""
