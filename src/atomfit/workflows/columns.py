"""The columns of an image, top to bottom: read -> scale -> fit <-> selection -> statistics -> verdict.

`columns` is what the command `atomfit columns` runs; it writes nothing. Its result holds every intermediate
object, and `result.write(directory)` makes the files.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.detection.column_candidates import noise_variance
from atomfit.detection.column_scale import ColumnScale, binned, find_scale
from atomfit.doubts.defects import without_defects
from atomfit.files.image_columns import write_columns_results
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.images import ImageFile, image_of, read_image
from atomfit.options.columns import STATISTICS, ColumnOptions
from atomfit.options.declared import options_from
from atomfit.results.columns import ColumnsResult, Units
from atomfit.selection.column_rounds import faint_columns, select_columns
from atomfit.selection.column_settings import ColumnSettings
from atomfit.stacking.model import Asked
from atomfit.statistics.count_law import Library
from atomfit.structure.elements import elements_of
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.arrays import AnyArray
from atomfit.support.errors import InputError
from atomfit.support.memory import require_memory
from atomfit.support.numerics import own_numerics
from atomfit.support.timing import Stopwatch
from atomfit.verdict.of_column_model import with_model
from atomfit.verdict.of_column_statistics import remarks, with_statistics
from atomfit.verdict.of_columns import judge_columns
from atomfit.workflows.columns_model import column_model, model_asked
from atomfit.workflows.columns_start import columns_to_start, readings_of_start
from atomfit.workflows.columns_statistics import column_statistics, library_of

log = logging.getLogger("atomfit")

Source = str | Path | DensityMap | ImageFile | AnyArray
Progress = Callable[[int, float], None]

#: Bytes of memory per pixel that detection and the fit need at their peak, and at least.
_BYTES_PER_PIXEL, _BYTES_AT_LEAST = 250, 400e6
#: Pixels that are measured, at least.
_FEWEST_PIXELS = 100
#: What names no element.
_NO_ELEMENT: tuple[Any, ...] = ("", (), [])
#: Pixels are put together where columns are more than this many of them wide.
_FINE = 4.0


def columns(
    source: Source,
    element: str | Sequence[str] | None = None,
    options: ColumnOptions | None = None,
    *,
    progress: Progress = lambda iteration, value: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    calculator: Any = None,
    **changes: Any,
) -> ColumnsResult:
    """Find and jointly refine the atomic columns of an image.

    **Arguments:**

    - `source`: a file (MRC, TIFF, PNG, .npy, or what rosettasciio reads), an image that was read, a
        `DensityMap` of two dimensions, or an array [row, column] together with `pixel_size`.
    - `element`: chemical symbol, or several; none if it is not known.
    - `options`: a `ColumnOptions`; `changes`, further keyword arguments, replace single fields of it.
    - `progress`: called with the iterations done and the objective of each joint fit.
    - `checkpoint`: a file that keeps what was found until the result is written.
    - `resume`: go on from what an interrupted run left in it.
    - `calculator`: one of ase's, for the model (`model3d`), instead of the effective-medium potential.

    **Raises:** `InputError` if the image, an option or the checkpoint cannot be used.
    """
    options = options_from(ColumnOptions, options, changes, "columns")
    elements = () if element is None or element in _NO_ELEMENT else elements_of(element)
    library = library_of(options, elements)
    asked = model_asked(options, elements, calculator)
    clock = Stopwatch({})
    with clock("read"):
        image = measured(read(source, options))
    kept = Checkpoint(checkpoint, lambda: _job(image, elements, options), resume)
    with own_numerics(), kept.running():
        return replace(_found(image, elements, options, (library, asked), clock, progress), checkpoint=kept)


def read(source: Source, options: ColumnOptions) -> ImageFile:
    """The image that is meant, if there is the memory for its fit.

    **Arguments:** those of `columns`.

    **Raises:** `InputError` if it is none.
    """
    if isinstance(source, ImageFile):
        return source
    if isinstance(source, str | os.PathLike):
        return read_image(source, options.pixel_size, options.frame, room_to_fit)
    if not isinstance(source, DensityMap):
        size = getattr(source, "size", None)
        if isinstance(size, int):
            room_to_fit(size)
    try:
        return image_of(source, options.pixel_size, options.frame)
    except InputError as error:
        raise error.at("image") from None


def measured(source: ImageFile) -> ImageFile:
    """An image without the pixels that no column and no noise can have made.

    **Arguments:**

    - `source`: as it was read.

    **Raises:** `InputError` if hardly anything is left.
    """
    image = source.image
    found = without_defects(image.values, image.counted, float(image.grid.spacing[0]))
    if found.counted.sum() < _FEWEST_PIXELS:
        raise InputError(
            f"{int(found.counted.sum())} pixels are left that are not {' or '.join(found.kinds)}",
            "give an image of something",
            str(source.path or "image"),
        )
    counted = None if found.counted.all() else found.counted
    kept = DensityMap(found.values, image.grid, counted)
    return replace(source, image=kept, warnings=[*source.warnings, *found.told()], left_out=found.numbers)


def room_to_fit(pixels: int) -> None:
    """**Raises:** `InputError` if there is no memory for a fit to so many pixels."""
    require_memory(
        _BYTES_AT_LEAST + _BYTES_PER_PIXEL * pixels, f"fitting {pixels} pixels", "cut out what matters"
    )


def _job(image: ImageFile, elements: Any, options: ColumnOptions) -> Job:
    grid = image.image.grid
    values = (image.image.values, np.array(grid.shape), grid.spacing, grid.origin)
    return Job.of(
        "columns",
        [one.symbol for one in elements],
        options,
        {"image": values, "start": options.start},
        of_the_way=("max_iterations", "insist", *STATISTICS),
    )


def _found(
    source: ImageFile,
    elements: Any,
    options: ColumnOptions,
    wanted: tuple[Library | None, Asked | None],
    clock: Stopwatch,
    progress: Progress,
) -> ColumnsResult:
    for note in source.notes:
        log.info(note)
    readings = readings_of_start(source.image, options)
    with clock("detect"):
        scale = _scale(source.image, options)
        log.info(
            "columns are %s and about %.2f Å wide (standard deviation)",
            "bright" if scale.bright else "dark",
            scale.width,
        )
        image, units = _to_fit(source.image, scale)
        start, told = columns_to_start(source.image, scale, options, readings)
    settings = ColumnSettings(
        options.background,
        options.fdr,
        options.widths,
        options.profile == "auto",
        options.row_jitter,
        options.max_iterations,
        start,
        options.selecting,
        progress,
    )
    with clock("joint fit and selection"):
        selection = select_columns(image, scale, settings)
    fitted = selection.fitted
    log.info("%d columns, %d places rejected", len(fitted), len(selection.rejected))
    if len(fitted.spread):
        part, error = float(fitted.spread.parts.sum()), selection.uncertainty.wings
        log.info("columns have wings: %.3f ± %.3f of their integrals", part, error)
    if fitted.rows is not None:
        log.info("lines of the scan are offset by %.3f Å (standard deviation)", fitted.rows.deviation)
    if fitted.growth:
        log.info(
            "columns' widths grow as their integrals to the %.3f ± %.3f",
            fitted.growth,
            selection.uncertainty.growth,
        )
    with clock("statistics"):
        statistics = column_statistics(image, selection, units.scale, elements, options, wanted[0])
    if len(fitted):
        log.info(statistics.describe())
    with clock("model"):
        model, why_none = column_model(image, selection, statistics, wanted[1])
    against = 0 if options.selecting else int(faint_columns(selection, options.fdr).sum())
    rejected = len(selection.rejected)
    verdict = judge_columns(fitted, selection.factors, selection.settled, elements, against, rejected)
    verdict = with_statistics(verdict, statistics, options.order is not None)
    verdict = with_model(verdict, model, why_none)
    more = remarks(statistics, options.order is not None)
    warnings = [*source.warnings, *told, *verdict.warnings, *more]
    for warning in warnings:
        log.warning(warning)
    log.info(verdict.describe())
    return ColumnsResult(
        source,
        elements,
        options,
        scale,
        units,
        image,
        selection,
        statistics,
        verdict,
        tuple(warnings),
        clock.seconds,
        write_columns_results,
        model3d=model,
    )


def _scale(image: DensityMap, options: ColumnOptions) -> ColumnScale:
    pixel = float(image.grid.spacing[0])
    bright = None if options.contrast == "auto" else options.contrast == "bright"
    return find_scale(image.values, pixel, noise_variance(image.values, pixel), bright)


def _to_fit(image: DensityMap, scale: ColumnScale) -> tuple[DensityMap, Units]:
    """Bright columns in units of about their height, on pixels that are not much finer than they need."""
    times = max(int(scale.width / float(image.grid.spacing[0]) / _FINE), 1)
    values, grid = image.values, image.grid
    counted = image.counted
    if times > 1:
        values = binned(values, times)
        middle = grid.origin + 0.5 * (times - 1) * grid.spacing
        counted = None if counted is None else binned(counted.astype(np.float64), times) == 1
        grid = Grid(values.shape, times * grid.spacing, middle)
    level = float(np.median(values))
    height = abs(float(np.quantile(values, 0.999 if scale.bright else 0.001)) - level)
    sign = 1.0 if scale.bright else -1.0
    units = Units(level, sign / (height or 1.0))
    return DensityMap(((values - level) * units.scale).astype(np.float32), grid, counted), units
