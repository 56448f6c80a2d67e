"""Raw counts for heights of columns: an image or a stack in; what no electrons made is filled."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.column_heights.found import Heights
from atomfit.doubts.defects import without_defects
from atomfit.io.images import ImageFile, SeveralImagesError, image_of, read_image
from atomfit.io.movies import Movie, movie_of, read_movie
from atomfit.options.heights import HeightsOptions
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.arrays import AnyArray
from atomfit.support.errors import InputError
from atomfit.support.memory import require_memory

Source = str | Path | DensityMap | ImageFile | AnyArray

#: Bytes of memory per pixel that a network's maps need, and at least.
_BYTES_PER_PIXEL, _BYTES_AT_LEAST = 300, 1.2e9
#: A column is seen within this of its place (Å); it is not if so large a part of that was not measured.
_ATOM, _UNSEEN = 0.8, 0.25
#: A hot pixel is so many times as bright as the brightest that is none.
_HOT = 1.5


def read_counts(source: Source, options: HeightsOptions) -> ImageFile | Movie:
    """The image that is meant, or a stack if none of its images is.

    **Arguments:** those of `heights`.

    **Raises:** `InputError` if it is neither, or there is no memory for it.
    """
    if isinstance(source, ImageFile):
        return counted_image(source)
    try:
        if isinstance(source, str | os.PathLike):
            return counted_image(read_image(source, options.pixel_size, options.frame, room_to_look))
        return counted_image(image_of(source, options.pixel_size, options.frame))
    except SeveralImagesError:
        pass
    except InputError as error:
        raise error.at("image") from None
    if isinstance(source, str | os.PathLike):
        return read_movie([source], options.pixel_size)
    return movie_of(np.asarray(source), options.pixel_size)


def frame_of(movie: Movie, k: int) -> ImageFile:
    """An image of a stack.

    **Arguments:**

    - `movie`: the stack.
    - `k`: number of the frame, from 0.

    **Raises:** `InputError` if it cannot be used.
    """
    values, counted = movie.frame(k)
    return counted_image(image_of(np.where(counted, values, np.nan), movie.pixel))


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


def without_unmeasured(found: Heights, image: DensityMap) -> tuple[Heights, list[str]]:
    """Columns of which pixels were measured: what they were filled with is not to be told as vacant.

    **Arguments:**

    - `found`: columns (Å, from the first pixel).
    - `image`: that they were found in.

    **Returns:** them, and a warning if there are others.
    """
    if image.counted is None or image.counted.all() or not len(found):
        return found, []
    pixel = float(image.grid.spacing[0])
    gone = cKDTree(pixel * np.argwhere(~image.counted)[:, ::-1])
    near = gone.query_ball_point(found.positions, _ATOM, return_length=True)
    seen = near * pixel**2 < _UNSEEN * np.pi * _ATOM**2
    if seen.all():
        return found, []
    return found.only(seen), [
        f"{np.sum(~seen)} of {len(seen)} columns are left out: their pixels are no numbers"
    ]


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
