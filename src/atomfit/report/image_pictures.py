"""Pictures of an image of columns for its page: the image, its model, what is left, what lies beneath.

Pictures are PNG files of at most a thousand pixels along an edge, so that a page of a large image can be
sent by e-mail: where an image has more, squares of its pixels are averaged. Image, model and background
have one scale of greys, so that what looks alike is alike; what is left has its own, to either side of 0.
Where nothing was fitted there is neither model nor residual.
"""

import base64
import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from atomfit.detection.column_scale import binned
from atomfit.io.pictures import png
from atomfit.report.levels import shades
from atomfit.statistics.image_difference import ImageDifference
from atomfit.structure.grid import Grid

#: Pixels along an edge at most.
_MOST = 1024
#: Parts of the pixels that are darker and brighter than the scale's ends.
_ENDS = (0.0005, 0.9995)
#: What is left is shown to so many times its root-mean-square.
_LEFT = 4.0
#: A difference of two images is shown to so many standard deviations of noise.
_DEVIATIONS = 6.0


def image_pictures(
    image: Float[np.ndarray, "rows columns"],
    model: Float[np.ndarray, "rows columns"],
    background: Float[np.ndarray, "rows columns"],
    fitted: Bool[np.ndarray, "rows columns"],
    grid: Grid,
    most: int = _MOST,
) -> dict[str, Any]:
    """What the page's pictures are drawn from.

    **Arguments:**

    - `image`, `model`, `background`: in image units.
    - `fitted`: pixels that were fitted.
    - `grid`: of all of these.
    - `most`: pixels of a picture along an edge.

    **Returns:** `shape` of the pictures, `pixel` (Å) of theirs, `factor` of the image's pixels that one of
    them is the mean of along an edge, `first` (x, y of the corner of the first pixel, Å), and `image`,
    `model`, `background`, `residual`: each a `png` in base64 with what its shades 0 and 254 stand for
    (`low`, `high`); 255 is not known.
    """
    factor = math.ceil(max(grid.shape) / most)
    known = np.isfinite(image)
    usual = float(np.median(image[known])) if known.any() else 0.0
    image = np.where(known, image, usual)
    part = binned((fitted & known).astype(np.float64), factor)
    inside, seen = part > 0.5, binned(known.astype(np.float64), factor) > 0.5
    # Of a square that is fitted in part, that part counts.
    left = binned(np.where(fitted & known, image - model, 0.0), factor) / np.maximum(part, 0.5)
    shown = [binned(np.asarray(values, np.float64), factor) for values in (image, model, background)]
    low, high = brightness_of(np.where(seen, shown[0], np.nan), shown[1], inside)
    spread = _LEFT * float(np.sqrt(np.mean(left[inside] ** 2))) if inside.any() else 0.0
    spread = spread or 1.0
    return {
        "shape": list(left.shape),
        "pixel": factor * float(grid.spacing[0]),
        "factor": factor,
        "first": grid.origin - 0.5 * grid.spacing,
        "image": _picture(shown[0], seen, low, high),
        "model": _picture(shown[1], inside, low, high),
        "background": _picture(shown[2], inside, low, high),
        "residual": _picture(left, inside, -spread, spread),
        "everywhere": bool(inside.all()),
    }


def modelled_pictures(
    image: Float[np.ndarray, "rows columns"],
    model: Float[np.ndarray, "rows columns"] | None,
    grid: Grid,
    most: int = _MOST,
) -> dict[str, Any]:
    """An image, and what a model of all its pixels makes of it.

    **Arguments:**

    - `image`, `model`: in image units; no model if there is none.
    - `grid`: of both.
    - `most`: pixels of a picture along an edge.

    **Returns:** what `image_pictures` does, without a background; without a model the image alone.
    """
    everywhere = np.ones(image.shape, bool)
    found = image_pictures(image, image if model is None else model, image, everywhere, grid, most)
    gone = ("background",) if model is not None else ("background", "model", "residual")
    return {name: one for name, one in found.items() if name not in gone}


def difference_pictures(difference: ImageDifference, most: int = _MOST) -> dict[str, Any]:
    """Both images on one frame's pixels in one scale of greys, and their difference in noise.

    **Arguments:**

    - `difference`: of the images.
    - `most`: pixels of a picture along an edge.

    **Returns:** `factor`, `pixel` and `shape` as of `image_pictures`, and the pictures `a`, `b` and
    `difference`.
    """
    grid, known = difference.grid, difference.known
    factor = math.ceil(max(grid.shape) / most)
    part = binned(known.astype(np.float64), factor)
    inside = part > 0.5

    def shown(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "r c"]:
        return binned(np.where(np.isfinite(values), values, 0.0), factor)

    seen = [
        binned(np.isfinite(x).astype(np.float64), factor) for x in (difference.first, difference.second)
    ]
    first, second = (
        shown(values) / np.maximum(there, 0.5)
        for values, there in zip((difference.first, difference.second), seen, strict=True)
    )
    left = shown(np.where(known, difference.scores, 0.0)) / np.maximum(part, 0.5)
    low, high = brightness_of(np.where(inside, first, np.nan), second, inside)
    return {
        "shape": list(left.shape),
        "pixel": factor * float(grid.spacing[0]),
        "factor": factor,
        "a": _picture(first, seen[0] > 0.5, low, high),
        "b": _picture(second, seen[1] > 0.5, low, high),
        "difference": _picture(left, inside, -_DEVIATIONS, _DEVIATIONS),
    }


def brightness_of(
    image: Float[np.ndarray, "rows columns"],
    model: Float[np.ndarray, "rows columns"],
    fitted: Bool[np.ndarray, "rows columns"],
) -> tuple[float, float]:
    """From the darkest to the brightest that is shown: what noise makes of few pixels has no part in it.

    **Arguments:** those of `image_pictures`.
    """
    shown = [values for values in (image[np.isfinite(image)], model[fitted]) if len(values)]
    ends = np.array([np.quantile(values, _ENDS) for values in shown] or [[0.0, 0.0]])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _picture(
    values: Float[np.ndarray, "r c"], known: Bool[np.ndarray, "r c"], low: float, high: float
) -> dict[str, Any]:
    data = base64.b64encode(png(shades(values, known, low, high))).decode("ascii")
    return {"png": data, "low": low, "high": high}
