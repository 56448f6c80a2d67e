"""Heights of columns in an HRTEM image: read -> gain -> network -> likelihood -> verdict.

`heights` is what the command `atomfit heights` runs; it writes nothing. Its result holds every intermediate
object, and `result.write(directory)` makes the files. Of a stack every frame is looked at, and columns are
followed through them.
"""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import shift

from atomfit.column_heights.following import FollowedHeights, follow_heights
from atomfit.column_heights.found import Heights
from atomfit.column_heights.gain import FoundGain, find_gain, require_counts
from atomfit.files.heights import write_heights_results
from atomfit.files.heights_series import write_heights_series
from atomfit.io.images import ImageFile, image_of
from atomfit.io.movies import Movie
from atomfit.networks.looking import ImageSeen
from atomfit.options.declared import options_from
from atomfit.options.heights import HeightsOptions
from atomfit.results.heights import HELD, HeightsResult, HeightsSeries
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics
from atomfit.support.timing import Stopwatch
from atomfit.verdict.of_heights import judge_heights
from atomfit.workflows.heights_looking import Looking, Progress
from atomfit.workflows.heights_reading import (
    Source,
    counted_image,
    frame_of,
    read_counts,
    without_unmeasured,
)

log = logging.getLogger("atomfit")

#: Frames from whose noise the gain of a stack is found.
_FRAMES_OF_GAIN = 5
#: A frame that shows fewer columns than this part of what most show is to be looked at.
_FEW_COLUMNS = 0.5
#: So is one that has more than this part of its columns for itself.
_OWN_COLUMNS = 0.3
#: Why heights are a network's alone where that was not asked for, and what an interrupted search means.
_FEW = "the network sees too few columns for a lattice, which the likelihood of the image needs"
_INTERRUPTED = (
    "interrupted: heights are those of the search so far, or the network's where it had not begun; start "
    "it again to have them all"
)


def heights(
    source: Source,
    options: HeightsOptions | None = None,
    *,
    progress: Progress = lambda words: None,
    **changes: Any,
) -> HeightsResult | HeightsSeries:
    """Find how many atoms each column of a crystal has in an HRTEM image, with probabilities.

    **Arguments:**

    - `source`: a file (MRC, TIFF, PNG, .npy, or what rosettasciio reads), an image that was read, a
        `DensityMap` of two dimensions, or an array [row, column] or [frame, row, column] together with
        `pixel_size`: raw counts.
    - `options`: a `HeightsOptions`; `changes`, further keyword arguments, replace single fields of it, as
        `crystal="CeO2", zone="1,1,0"`.
    - `progress`: called with what is being done, in words.

    **Returns:** of a stack, no frame of which was chosen, a series.

    **Raises:** `InputError` if the image or an option cannot be used.
    """
    options = options_from(HeightsOptions, options, changes, "heights")
    looking, clock = Looking.of(options), Stopwatch({})
    with clock("read"):
        image = read_counts(source, options)
    with own_numerics():
        if isinstance(image, Movie):
            return _of_frames(image, looking, clock, progress)
        return _of_image(image, looking, clock, progress)


def _of_image(source: ImageFile, looking: Looking, clock: Stopwatch, progress: Progress) -> HeightsResult:
    counts, pixel = np.asarray(source.image.values, np.float64), float(source.image.grid.spacing[0])
    gain = find_gain(counts, looking.options.gain, source.image.counted)
    source = replace(source, notes=[*source.notes, gain.told(), looking.told])
    for note in source.notes:
        log.info(note)
    progress("looking at the image ...")
    with clock("heights"):
        seen, found, modelled = looking.look(counts, pixel, gain, progress)
    found, told = without_unmeasured(found, source.image)
    source = replace(source, warnings=[*source.warnings, *told])
    log.info("%d columns are seen, at %.4g electrons/Å²", len(seen.columns), seen.dose)
    result = _result(source, looking, gain, seen, (found, modelled), clock, progress)
    log.info("%s", result.told)
    return _told(result)


def _of_frames(movie: Movie, looking: Looking, clock: Stopwatch, progress: Progress) -> HeightsSeries:
    """Each frame by itself, one after the other."""
    gain = _gain_of(movie, looking.options.gain)
    notes = [*movie.notes, gain.told(), looking.told, f"frames: {len(movie)}, each looked at by itself"]
    for note in notes:
        log.info(note)
    frames, numbers, warnings, refused = [], [], list(movie.warnings), []
    seen: ImageSeen | None = None
    modelled = True
    with clock("heights"):
        for k in range(len(movie)):
            progress(f"looking at frame {k + 1} of {len(movie)} ...")
            try:
                image = frame_of(movie, k)
                counts = np.asarray(image.image.values, np.float64)
                require_counts(counts)
                seen, found, by_model = looking.look(counts, movie.pixel, gain, progress)
            except InputError as error:
                refused.append(error.at(f"frame {k}"))
                warnings.append(f"frame {k} is left out: {error.problem}")
                continue
            # Frames that were not looked at are no part of a series.
            if found.interrupted:
                raise KeyboardInterrupt
            found, told = without_unmeasured(found, image.image)
            frames.append(found)
            numbers.append(k)
            modelled = modelled and by_model
            warnings += [f"frame {k}: {words}" for words in (*image.warnings, *told)]
        if seen is None:
            raise refused[0]
        followed = follow_heights(frames, numbers)
    warnings += _unlike_others(followed)
    mean = _mean_frame(movie, followed)
    source = counted_image(image_of(mean, movie.pixel))
    path = movie.paths[0] if movie.paths else None
    source = replace(source, path=path, sha256=movie.sha256, notes=notes, warnings=warnings)
    result = _result(source, looking, gain, seen, (followed.together, modelled), clock, progress)
    series = HeightsSeries(_told(result), followed, write_heights_series)
    log.info("%s", series.told)
    return series


def _unlike_others(followed: FollowedHeights) -> list[str]:
    """Frames with far fewer columns than most, in words: they may show something else, or nothing."""
    counts = np.array([len(one) for one in followed.frames])
    typical = float(np.median(counts))
    few = followed.numbers[counts < _FEW_COLUMNS * typical].tolist()
    told = [
        f"frame {k} shows {n} column{'s' * (n != 1)}, where most show {typical:g}: look at it, and cut it "
        "out if it is no image of the specimen"
        for k, n in zip(few, counts[counts < _FEW_COLUMNS * typical].tolist(), strict=True)
    ]
    if len(followed.frames) > 1:
        own = np.array([np.sum(followed.seen[one] == 1) for one in followed.columns])
        told += [
            f"frame {k} has {n} of its {all_} columns where others have none: it shows something else, "
            "or drift is more than can be followed"
            for k, n, all_ in zip(followed.numbers.tolist(), own.tolist(), counts.tolist(), strict=True)
            if n > _OWN_COLUMNS * all_
        ]
    return told


def _gain_of(movie: Movie, given: float | None) -> FoundGain:
    """The median of some frames' gains, of those that tell one.

    **Raises:** `InputError` if none does.
    """
    first = np.unique(np.linspace(0, len(movie) - 1, _FRAMES_OF_GAIN).astype(int))
    others = np.setdiff1d(np.arange(len(movie)), first)
    found: list[FoundGain] = []
    refused: list[InputError] = []
    for k in [*first.tolist(), *others.tolist()]:
        if len(found) + len(refused) >= len(first) and found:
            break
        try:
            values, counted = movie.frame(k)
            found.append(find_gain(values.astype(np.float64), given, counted))
        except InputError as error:
            refused.append(error.at(f"frame {k}"))
    if not found:
        raise refused[0]
    return sorted(found, key=lambda one: one.value)[len(found) // 2]


def _mean_frame(movie: Movie, followed: FollowedHeights) -> Float[np.ndarray, "rows columns"]:
    """Mean of the frames that are followed, laid on the first of them."""
    total = np.zeros(movie.shape[1:])
    for k, away in zip(followed.numbers.tolist(), followed.shifts, strict=True):
        values, counted = movie.frame(k)
        values = np.where(counted, values, np.median(values)).astype(np.float64)
        total += shift(values, -away[::-1] / movie.pixel, order=1, mode="nearest")
    return total / len(followed.numbers)


def _result(
    source: ImageFile,
    looking: Looking,
    gain: FoundGain,
    seen: ImageSeen,
    found: tuple[Heights, bool],
    clock: Stopwatch,
    progress: Progress,
) -> HeightsResult:
    heights, modelled = found
    advice = None
    if looking.options.advise:
        with clock("advise"):
            advice = looking.advice(heights.dose, float(source.image.grid.spacing[0]), progress)
        log.info(advice.told)
    better = None if advice is None else (float(advice.best()[0]), float(advice.exact[0].max()))
    element = looking.crystal.heaviest
    verdict = judge_heights(heights, modelled, looking.columns, element, gain, HELD, better)
    return HeightsResult(
        source,
        np.asarray(source.image.values, np.float64),
        looking.options,
        looking.crystal,
        looking.columns,
        gain,
        seen,
        heights,
        "likelihood" if modelled else "network",
        looking.trained.recipe,
        verdict,
        (
            *source.warnings,
            *([_INTERRUPTED] if heights.interrupted else []),
            *verdict.warnings,
            *([] if modelled or looking.options.network_only else [_FEW]),
        ),
        clock.seconds,
        write_heights_results,
        advice,
    )


def _told(result: HeightsResult) -> HeightsResult:
    """A result whose warnings and verdict are in the log."""
    for warning in result.warnings:
        log.warning(warning)
    log.info(result.verdict.describe())
    return result
