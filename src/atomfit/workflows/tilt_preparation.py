"""From files to a tilt series that can be fitted: images and views, judged, and told in words.

Whatever can be refused is refused here and in `tilt_starts`, in seconds and without JAX.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atomfit.doubts.images import pixel_doubts, without_hot_pixels
from atomfit.doubts.views import view_doubts
from atomfit.io.image_stacks import read_images, stack_of
from atomfit.io.views import ViewsFile, read_views
from atomfit.options.tilt import TiltOptions
from atomfit.projection.directions import describe_views
from atomfit.projection.misreadings import Reading
from atomfit.projection.views import TiltSeries, Views
from atomfit.results.series import PreparedSeries
from atomfit.structure.elements import elements_of, typical
from atomfit.support.arrays import AnyArray, SupportsArray
from atomfit.support.errors import Doubt, InputError, settle
from atomfit.support.memory import require_memory

#: Bytes of memory of a fit: of the program, and of each pixel of all views (measured).
BYTES_AT_LEAST, BYTES_PER_PIXEL = 500e6, 80

Images = str | Path | AnyArray
#: Matrices [view, 3, 3] have their centres in the middle of the images.
ViewsGiven = str | Path | Views | AnyArray


def prepare_series(
    images: Images, views: ViewsGiven, element: str | Sequence[str], options: TiltOptions
) -> PreparedSeries:
    """Read images and views and judge them.

    **Arguments:**

    - `images`: a file, or an array [view, row, column].
    - `views`: a file, `Views`, or rotation matrices [view, 3, 3] about the images' middle.
    - `element`: chemical symbol, or several.
    - `options`: of which those of images and views matter here.

    **Raises:** `InputError` if they cannot be fitted.
    """
    begin = time.perf_counter()
    elements = elements_of(element)
    if isinstance(images, str | os.PathLike):
        stack = read_images(Path(images), options.pixel_size, options.mask_value, room_to_fit)
    else:
        stack = stack_of(images, options.pixel_size, options.mask_value)
    shape = stack.images.shape[1], stack.images.shape[2]
    if not isinstance(views, str | os.PathLike):
        found = _given(views, shape, options)
    else:
        found = read_views(views, shape, options.tilt_axis, options.convention, options.inverse_views)
    given = options.centre or found.centre
    centre = given or (0.0, 0.0, 0.0)
    _require_one_view_each(stack.images.shape, len(found.views))
    one = typical(elements)
    looked_at = (stack.pixel, one.neighbour_distance)
    counted, warnings = without_hot_pixels(stack.images, stack.counted, *looked_at)
    insisted: list[Doubt] = []
    for doubts, odd in (
        view_doubts(found.views.rotations),
        pixel_doubts(stack.images, counted, *looked_at),
    ):
        warnings += odd
        try:
            warnings += settle(doubts, options.insist)
        except InputError as error:
            raise error.at(stack.path or "images") from None
        insisted += doubts
    series = TiltSeries(stack.images, counted, stack.pixel, found.views, np.array(centre, np.float64))
    if options.held_out is not None and options.held_out > len(series):
        raise InputError(
            f"one of {options.held_out} views cannot be left out of {len(series)}",
            "give a smaller number",
            "--held-out",
        )
    negative = int(np.sum(stack.images[stack.counted] < 0))
    if options.likelihood == "poisson" and negative:
        raise InputError(
            f"{negative} pixels are below zero, which no counts are",
            "give counts (times a gain), or --likelihood gaussian",
            stack.path,
        )
    notes = (*stack.notes, *found.notes, describe_views(series))
    return PreparedSeries(
        stack,
        Path(views) if isinstance(views, str | os.PathLike) else None,
        series,
        elements,
        one,
        notes,
        (*stack.warnings, *found.warnings, *warnings),
        time.perf_counter() - begin,
        given is not None,
        tuple(insisted),
        Reading(options.inverse_views, found.axis),
    )


def _given(views: Views | AnyArray, shape: tuple[int, int], options: TiltOptions) -> ViewsFile:
    """Views that are an object, or an array: their rotations are told, whatever angles would be about."""
    for given, option in ((options.tilt_axis, "--tilt-axis"), (options.convention, "--convention")):
        if given is not None:
            raise InputError("views that are an object are no angles", f"leave out {option}", option)
    if isinstance(views, Views):
        found = ViewsFile(views, ["views: given as an object"], [])
    elif isinstance(views, SupportsArray | Sequence):
        middle = np.tile([shape[1] // 2, shape[0] // 2], (len(views), 1))  # type: ignore[arg-type]
        found = ViewsFile(Views(views, middle), ["views: given as matrices"], [])  # type: ignore[arg-type]
    else:
        raise InputError(
            f"a {type(views).__name__} is no views",
            "give a file, atomfit.Views(...) or matrices [view, 3, 3]",
            "--views",
        )
    return found.inverse() if options.inverse_views else found


def room_to_fit(pixels: int) -> None:
    """**Raises:** `InputError` if there is no memory for a fit to images of so many pixels."""
    require_memory(
        BYTES_AT_LEAST + BYTES_PER_PIXEL * pixels, f"fitting {pixels} pixels", "crop or bin the images"
    )


def _require_one_view_each(shape: tuple[int, ...], views: int) -> None:
    if shape[0] == views:
        return
    remedy = "give one view for each image"
    if views in shape:
        remedy = f"give [view, row, column] (numpy.moveaxis(images, {shape.index(views)}, 0))"
        what = f"the array's shape is {shape}, and there are {views} views"
    else:
        what = f"there are {shape[0]} images and {views} views"
    raise InputError(what, remedy, "--views")
