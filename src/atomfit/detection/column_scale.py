"""Whether columns are bright or dark, and how wide they are, found from an image itself.

Blobs of the right sign are compact and high, what lies between them is broad and shallow: the third moment
of the filtered image (`column_filter`) has the sign of the columns. As the filter widens, maxima grow
higher above noise until it is as wide as a column, and then merge or fade: the sum of their squared
heights, less that of minima, is largest at about the columns' width. How fast their responses grow there
tells the width itself, for a Gaussian of width w has the response s² / (s² + w²)² to a filter of width s.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.detection.column_filter import BlobFilter, maxima, noise_of_blobs, roundness
from atomfit.detection.limits import LIMITS

#: Pixels are put together as long as the narrowest column is wider than so many.
_FINE = 1.3
#: Part of the mean variance that is added to all: what is rough beside the columns is not to decide.
_OF_MEAN = 0.25


@dataclass(frozen=True)
class ColumnScale:
    """What columns of an image look like.

    **Fields:**

    - `bright`: whether they are brighter than what is around them.
    - `width`: their standard deviation (Å), roughly.
    - `skewness`: of the filtered image; what brightness was decided by.
    """

    bright: bool
    width: float
    skewness: float


def find_scale(
    image: Float[np.ndarray, "rows columns"],
    pixel: float,
    variance: Float[np.ndarray, "rows columns"],
    bright: bool | None = None,
) -> ColumnScale:
    """Sign and width of the columns of an image.

    **Arguments:**

    - `image`: any unit.
    - `pixel`: edge of a pixel (Å).
    - `variance`: of its noise.
    - `bright`: whether columns are; found out if None.
    """
    coarse = max(int(LIMITS.narrowest_column / pixel / _FINE), 1)
    filtered = BlobFilter(binned(image, coarse), coarse * pixel)
    errors = BlobFilter(binned(variance, coarse) / coarse**2, coarse * pixel)
    pixel = filtered.pixel
    widths, mean = _ladder(pixel), _OF_MEAN * float(errors.image.mean())
    raw = [filtered.blobs(s) for s in widths]
    moments = np.array([np.mean(r**3) / max(np.mean(r**2) ** 1.5, 1e-30) for r in raw])
    skewness = float(moments[np.argmax(np.abs(moments))])
    sign = 1 if (skewness > 0 if bright is None else bright) else -1
    responses = [
        r / (noise_of_blobs(s, pixel) * np.sqrt(np.maximum(errors.smooth(s), 0) + mean))
        for s, r in zip(widths, raw, strict=True)
    ]
    totals = np.zeros(len(widths))
    for i, (s, response) in enumerate(zip(widths, responses, strict=True)):
        # Noise of any colour has as much of either sign.
        smooth = filtered.smooth(s)
        for which in (sign, -sign):
            places, heights = maxima(which * response, LIMITS.column_score, s / pixel)
            rounds = roundness(which * smooth, places, s / pixel) > LIMITS.roundness
            totals[i] += which * sign * np.sum(heights[rounds] ** 2)
    best = _first_crest(totals)
    if best == len(widths) - 1 > 1:
        # What grows up to the widest is no column but a support that is rough at all scales.
        best = 1 + int(np.argmax((totals / widths**2)[1:-1]))
    width = _width(sign, filtered, responses[best], float(widths[best]), pixel)
    return ColumnScale(sign > 0, width, skewness)


def binned(image: Float[np.ndarray, "rows columns"], times: int) -> Float[np.ndarray, "r c"]:
    """Means of squares of so many pixels; the last rows and columns may be left out."""
    if times == 1:
        return image
    r, c = (n // times for n in image.shape)
    return image[: r * times, : c * times].reshape(r, times, c, times).mean(axis=(1, 3))


def _ladder(pixel: float) -> Float[np.ndarray, " k"]:
    low, high = max(LIMITS.narrowest_column, 0.9 * pixel), LIMITS.widest_column
    count = max(int(np.ceil(np.log(max(high / low, 1.25)) / np.log(1.25))), 2)
    return np.geomspace(low, max(high, 1.25 * low), count + 1)


def _first_crest(totals: Float[np.ndarray, " k"]) -> int:
    """The first place that is higher than its neighbours, among those that nearly are the highest."""
    last = len(totals) - 1
    for i, total in enumerate(totals):
        crest = total >= totals[max(i - 1, 0)] and total > totals[min(i + 1, last)]
        if crest and total > LIMITS.nearly_highest * totals.max():
            return i
    return int(np.argmax(totals))


def _width(sign: int, filtered: BlobFilter, response: np.ndarray, scale: float, pixel: float) -> float:
    """Width of a typical maximum, from how its response depends on the filter's width."""
    places, heights = maxima(sign * response, LIMITS.column_score, scale / pixel)
    which = roundness(sign * filtered.smooth(scale), places, scale / pixel) > LIMITS.roundness
    places, heights = places[which], heights[which]
    if not len(places):
        return scale
    at = tuple(np.clip(np.rint(places).astype(int), 0, np.array(response.shape) - 1).T)
    width = scale
    for _ in range(4):
        narrow, broad = 0.6 * width, 0.9 * width
        if narrow < 0.6 * pixel:
            break
        low, high = ((sign * filtered.blobs(s))[at] for s in (narrow, broad))
        good = (low > 0) & (high > 0)
        if not good.any():
            break
        ratio = np.sqrt(
            np.average(high[good], weights=heights[good]) / np.average(low[good], weights=heights[good])
        )
        ratio *= narrow / broad
        # ratio = (narrow² + w²) / (broad² + w²)
        square = (narrow**2 - ratio * broad**2) / (ratio - 1) if ratio < 1 else np.inf
        width = float(np.clip(np.sqrt(max(square, 0.0)), LIMITS.narrowest_column, LIMITS.widest_column))
    return width
