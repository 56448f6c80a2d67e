"""From files to a tilt series that can be fitted: images and views, judged, and told in words.

Whatever can be refused is refused here and in `tilt_starts`, in seconds and without JAX.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from atomfit.arrays import AnyArray
from atomfit.elements import Element, elements_of, typical
from atomfit.errors import InputError
from atomfit.io.image_stacks import ImageStack, read_images, stack_of
from atomfit.io.views import ViewsFile, read_views
from atomfit.projection.directions import describe_views
from atomfit.projection.views import TiltSeries, Views
from atomfit.tilt_options import TiltOptions

Images = str | Path | AnyArray


@dataclass(frozen=True, eq=False)
class PreparedSeries:
    """A tilt series that is ready to be fitted.

    **Fields:**

    - `stack`: the images as they were read.
    - `views_file`: that the views are from; None if they were given as an object.
    - `series`: images and views.
    - `elements`, `element`: what its atoms are; what stands for all of them.
    - `notes`, `warnings`: what was understood, and what looks odd.
    - `seconds`: how long it took.
    - `centre_given`: whether a user or the views' file has named the point that the views turn about.
    """

    stack: ImageStack
    views_file: Path | None
    series: TiltSeries
    elements: tuple[Element, ...]
    element: Element
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float
    centre_given: bool = True

    def held_out(self, every: int | None) -> Bool[np.ndarray, " v"]:
        """One of so many views, in the middle of each group: its neighbours on both sides are fitted."""
        held = np.zeros(len(self.series), bool)
        if every is not None:
            held[every // 2 :: every] = True
        return held


def prepare_series(
    images: Images, views: str | Path | Views, element: str | Sequence[str], options: TiltOptions
) -> PreparedSeries:
    """Read images and views and judge them.

    **Arguments:**

    - `images`: a file, or an array [view, row, column].
    - `views`: a file, or views.
    - `element`: chemical symbol, or several.
    - `options`: of which those of images and views matter here.

    **Raises:** `InputError` if they cannot be fitted.
    """
    begin = time.perf_counter()
    elements = elements_of(element)
    if isinstance(images, str | os.PathLike):
        stack = read_images(Path(images), options.pixel_size, options.mask_value)
    else:
        stack = stack_of(images, options.pixel_size, options.mask_value)
    if not isinstance(views, Views | str | os.PathLike):
        raise InputError(
            f"a {type(views).__name__} is no views", "give a file, or atomfit.Views(...)", "--views"
        )
    if isinstance(views, Views):
        found = ViewsFile(views, ["views: given as an object"], [])
    else:
        shape = stack.images.shape[1], stack.images.shape[2]
        found = read_views(views, shape, options.tilt_axis, options.convention, options.inverse_views)
    given = options.centre or found.centre
    centre = given or (0.0, 0.0, 0.0)
    series = TiltSeries(stack.images, stack.counted, stack.pixel, found.views, np.array(centre, np.float64))
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
        None if isinstance(views, Views) else Path(views),
        series,
        elements,
        typical(elements),
        notes,
        (*stack.warnings, *found.warnings),
        time.perf_counter() - begin,
        given is not None,
    )
