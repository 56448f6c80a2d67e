"""Heights of columns in an HRTEM image: read -> gain -> network -> likelihood -> verdict.

`heights` is what the command `atomfit heights` runs; it writes nothing. Its result holds every intermediate
object, and `result.write(directory)` makes the files.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.column_heights.by_network import network_for, network_heights, seen_by_network
from atomfit.column_heights.found import Heights
from atomfit.column_heights.gain import find_gain
from atomfit.doubts.defects import without_defects
from atomfit.files.heights import write_heights_results
from atomfit.io.images import ImageFile, image_of, read_image
from atomfit.networks.looking import ImageSeen
from atomfit.networks.weights import TrainedNetwork
from atomfit.options.declared import options_from
from atomfit.options.heights import HeightsOptions
from atomfit.results.heights import HELD, HeightsResult, atoms_of
from atomfit.structure.crystals import Crystal, ZoneColumns, crystal, zone_columns
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.arrays import AnyArray
from atomfit.support.errors import InputError
from atomfit.support.memory import require_memory
from atomfit.support.numerics import own_numerics
from atomfit.support.timing import Stopwatch
from atomfit.verdict.of_heights import judge_heights

log = logging.getLogger("atomfit")

Source = str | Path | DensityMap | ImageFile | AnyArray
Progress = Callable[[str], None]

#: Bytes of memory per pixel that a network's maps need, and at least.
_BYTES_PER_PIXEL, _BYTES_AT_LEAST = 300, 1.2e9
#: A hot pixel is so many times as bright as the brightest that is none.
_HOT = 1.5
#: What speaks against heights that a network alone has.
_ALONE = (
    "heights are those of the network alone, which knows less than the image tells: the likelihood of the "
    "image was not asked"
)


def heights(
    source: Source,
    options: HeightsOptions | None = None,
    *,
    progress: Progress = lambda words: None,
    **changes: Any,
) -> HeightsResult:
    """Find how many atoms each column of a crystal has in an HRTEM image, with probabilities.

    **Arguments:**

    - `source`: a file (MRC, TIFF, PNG, .npy, or what rosettasciio reads), an image that was read, a
        `DensityMap` of two dimensions, or an array [row, column] together with `pixel_size`: raw counts.
    - `options`: a `HeightsOptions`; `changes`, further keyword arguments, replace single fields of it, as
        `crystal="CeO2", zone="1,1,0"`.
    - `progress`: called with what is being done, in words.

    **Raises:** `InputError` if the image or an option cannot be used.
    """
    options = options_from(HeightsOptions, options, changes, "heights")
    named = str(options.crystal)
    known = crystal(named)
    columns = zone_columns(known, options.axis)
    trained = network_for(named, options.axis, options.voltage, options.weights)
    clock = Stopwatch({})
    with clock("read"):
        image = counted_image(read_counts(source, options))
    with own_numerics():
        return _found(image, (known, columns), trained, options, clock, progress)


def read_counts(source: Source, options: HeightsOptions) -> ImageFile:
    """The image that is meant, if there is the memory for it.

    **Arguments:** those of `heights`.

    **Raises:** `InputError` if it is none.
    """
    if isinstance(source, ImageFile):
        return source
    if isinstance(source, str | os.PathLike):
        return read_image(source, options.pixel_size, options.frame, room_to_look)
    try:
        return image_of(source, options.pixel_size, options.frame)
    except InputError as error:
        raise error.at("image") from None


def room_to_look(pixels: int) -> None:
    """**Raises:** `InputError` if there is no memory to look at so many pixels."""
    require_memory(
        _BYTES_AT_LEAST + _BYTES_PER_PIXEL * pixels, f"looking at {pixels} pixels", "cut out what matters"
    )


def counted_image(source: ImageFile) -> ImageFile:
    """An image whose values are counted from no electrons, and positions from its first pixel.

    **Arguments:**

    - `source`: as it was read.
    """
    image, warnings = source.image, list(source.warnings)
    values = np.asarray(image.values, np.float64) + source.offset
    below = float(np.mean(values < 0))
    if below > 0:
        warnings.append(
            f"{100 * below:.2g} % of the pixels are below zero: if more than the dark level was taken off, "
            "the dose is wrong"
        )
    grid = Grid(image.grid.shape, image.grid.spacing, np.zeros(2))
    values, left_out, told = _without_defects(values.astype(np.float32), image)
    kept = DensityMap(values, grid, image.counted)
    return replace(source, image=kept, warnings=[*warnings, *told], offset=0.0, left_out=left_out)


def _without_defects(
    values: Float[np.ndarray, "rows columns"], image: DensityMap
) -> tuple[Float[np.ndarray, "rows columns"], dict[str, int], list[str]]:
    """Values with pixels filled that no electrons made, how many of each kind, and warnings.

    Columns may be as sharp as a hot pixel where electrons are many, but hot ones are brighter than all.
    """
    found = without_defects(values, image.counted, float(image.grid.spacing[0]))
    if not found.numbers:
        return values, {}, []
    brightest = float(values[found.counted].max(initial=0))
    sharp = (values > np.median(values)) & (values <= _HOT * brightest) & image.measured(~found.counted)
    numbers = found.numbers | {"hot": found.numbers.get("hot", 0) - int(sharp.sum())}
    kept = replace(found, numbers={kind: n for kind, n in numbers.items() if n > 0})
    told = [f"{words} (filled with what is around them)" for words in kept.told()]
    return np.where(sharp, values, found.values), kept.numbers, told


def _found(
    source: ImageFile,
    known: tuple[Crystal, ZoneColumns],
    trained: TrainedNetwork,
    options: HeightsOptions,
    clock: Stopwatch,
    progress: Progress,
) -> HeightsResult:
    counts, pixel = np.asarray(source.image.values, np.float64), float(source.image.grid.spacing[0])
    with clock("gain"):
        gain = find_gain(counts, options.gain)
    source = replace(source, notes=[*source.notes, gain.told()])
    for note in source.notes:
        log.info(note)
    progress("the network looks at the image ...")
    with clock("network"):
        seen = seen_by_network(trained, counts, pixel, gain.value)
    log.info("%d columns are seen, at %.4g electrons/Å²", len(seen.columns), seen.dose)
    with clock("likelihood"):
        decided = (
            None if options.network_only else _decided(counts, pixel, gain.value, known, options, seen)
        )
    found = network_heights(seen, gain.value) if decided is None else decided
    alone = [_ALONE] if decided is None else []
    result = HeightsResult(
        source,
        counts,
        options,
        *known,
        gain,
        seen,
        found,
        "network" if decided is None else "likelihood",
        trained.recipe,
        judge_heights(found, decided is not None, known[1], known[0].heaviest, gain, HELD),
        (),
        clock.seconds,
        write_heights_results,
    )
    warnings = (*source.warnings, *result.verdict.warnings, *alone)
    for warning in warnings:
        log.warning(warning)
    atoms, esd = atoms_of(found)
    log.info("%.1f atoms of %s, standard uncertainty %.1f", atoms, known[0].heaviest, esd)
    log.info(result.verdict.describe())
    return replace(result, warnings=warnings)


def _decided(
    counts: Float[np.ndarray, "rows columns"],
    pixel: float,
    gain: float,
    known: tuple[Crystal, ZoneColumns],
    options: HeightsOptions,
    seen: ImageSeen,
) -> Heights | None:
    """What the likelihood of the image makes of what a network sees; None if it is not asked."""
    return None
