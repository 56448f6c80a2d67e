"""Whether columns are bright or dark, and how wide they are, found from an image itself.

Blobs of the right sign are compact and high, what lies between them is broad and shallow: the third moment
of the filtered image (`column_filter`) has the sign of the columns. As the filter widens, maxima grow
higher above noise until it is as wide as a column, and then merge or fade: the sum of their squared
heights, less that of minima, is largest at about the columns' width. How fast their responses grow there
tells the width itself, for a Gaussian of width w has the response s² / (s² + w²)² to a filter of width s.

Where single counts are seen (`image_brightness.counting_law`) noise decides much. It is skewed, so that
its maxima are higher than its minima, the more the narrower the filter: what simulated counts without
columns give is taken off. And its maxima are as narrow as the filter: columns are found with one half of
the counts, drawn by lot, and measured with the other, which knows nothing of the first one's noise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.detection.column_filter import BlobFilter, maxima, noise_of_blobs, roundness
from atomfit.detection.counts import empty_counts, halves
from atomfit.detection.image_brightness import counting_law
from atomfit.detection.limits import LIMITS

#: Pixels are put together as long as the narrowest column is wider than so many.
_FINE = 1.3
#: Part of the mean variance that is added to all: what is rough beside the columns is not to decide.
_OF_MEAN = 0.25
#: Seed and number of draws where single counts are seen, and over which width their noise is averaged (Å).
_SEED, _DRAWS, _LOCAL = 0, 2, 1.5


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
    law, rng = counting_law(image), np.random.default_rng(_SEED)
    if law is not None:
        # Noise of few counts is known where many are together.
        variance = np.maximum(BlobFilter(variance, pixel).smooth(_LOCAL), float(variance.min()))

    def seen(field: Float[np.ndarray, "rows columns"]) -> BlobFilter:
        return BlobFilter(binned(field, coarse), coarse * pixel)

    filtered, errors = seen(image), seen(variance / coarse**2)
    widths, mean = _ladder(filtered.pixel), _OF_MEAN * float(errors.image.mean())
    noises = [
        noise_of_blobs(s, filtered.pixel) * np.sqrt(np.maximum(errors.smooth(s), 0) + mean) for s in widths
    ]
    above = LIMITS.column_score if law is None else LIMITS.score_of_counts
    moments, totals = _through(filtered, widths, noises, above)
    if law is not None:
        empty = [seen(empty_counts(variance, law.gain, rng)) for _ in range(_DRAWS)]
        # Single counts are skewed themselves, the more the narrower the filter.
        of_counts = np.mean([_through(one, widths, noises, above) for one in empty], axis=0)
        moments, totals = moments - of_counts[0], totals - of_counts[1]
        moments[: len(widths) // 2] = 0
    skewness = float(moments[np.argmax(np.abs(moments))])
    sign = 1 if (skewness > 0 if bright is None else bright) else -1
    totals = sign * totals
    # The narrowest filter sees single counts; and so is a small crest the noise's.
    few = (1, LIMITS.nearly_of_counts)
    best = _first_crest(totals, *((0, LIMITS.nearly_highest) if law is None else few))
    pairs = [(filtered, filtered)]
    if law is not None:
        pairs = [(seen(a), seen(b)) for a, b in (halves(image, law, rng) for _ in range(_DRAWS))]
    if best == len(widths) - 1 > 1:
        # What grows up to the widest is no column but a support that is rough at all scales.
        best = 1 + int(np.argmax((totals / widths**2)[1:-1]))
    crest = float(widths[best])
    if law is None:
        score, low, high = LIMITS.column_score, LIMITS.narrowest_column, LIMITS.widest_column
    else:
        # A half has half of the signal-to-noise ratio squared.
        score = LIMITS.score_in_half
        noises[best] = noises[best] * np.sqrt(2)
        low = max(crest / LIMITS.crest_of_lone, LIMITS.narrowest_column)
        high = crest / LIMITS.crest_of_crowded
    return ColumnScale(sign > 0, _width(sign, pairs, noises[best], crest, score, (low, high)), skewness)


def _third_moment(response: Float[np.ndarray, "rows columns"]) -> float:
    return float(np.mean(response**3) / max(np.mean(response**2) ** 1.5, 1e-30))


def _through(
    filtered: BlobFilter, widths: Float[np.ndarray, " k"], noises: list[np.ndarray], above: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Third moments, and sums of squared heights of maxima less those of minima, for each width."""
    moments, totals = np.zeros(len(widths)), np.zeros(len(widths))
    for i, (s, noise) in enumerate(zip(widths, noises, strict=True)):
        blobs, smooth = filtered.blobs(s), filtered.smooth(s)
        moments[i] = _third_moment(blobs)
        response = blobs / noise
        # Noise of any colour has as much of either sign.
        for sign in (1, -1):
            _, heights = _round_maxima(sign * response, sign * smooth, above, s / filtered.pixel)
            totals[i] += sign * np.sum(heights**2)
    return moments, totals


def _round_maxima(
    response: np.ndarray, smooth: np.ndarray, above: float, step: float
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    places, heights = maxima(response, above, step)
    which = roundness(smooth, places, step) > LIMITS.roundness
    return places[which], heights[which]


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


def _first_crest(totals: Float[np.ndarray, " k"], first: int, nearly: float) -> int:
    """The first place that is higher than its neighbours, among those that nearly are the highest."""
    last = len(totals) - 1
    for i in range(first, last + 1):
        total = totals[i]
        crest = total >= totals[max(i - 1, 0)] and total > totals[min(i + 1, last)]
        if crest and total > nearly * totals.max():
            return i
    return max(int(np.argmax(totals)), first)


def _width(
    sign: int,
    pairs: list[tuple[BlobFilter, BlobFilter]],
    noise: Float[np.ndarray, "rows columns"],
    scale: float,
    score: float,
    between: tuple[float, float],
) -> float:
    """Width of a typical maximum, from how its response depends on the filter's width.

    **Arguments:**

    - `sign`: of the columns.
    - `pairs`: images that show where maxima are, and others to measure them in.
    - `noise`: deviation of their response at the scale.
    - `scale`: width of the filter (Å).
    - `score`: maxima are higher.
    - `between`: the width is (Å).
    """
    pixel, found = pairs[0][0].pixel, []
    for shown, measured in pairs:
        response, smooth = sign * shown.blobs(scale) / noise, sign * shown.smooth(scale)
        places, heights = _round_maxima(response, smooth, score, scale / pixel)
        at = tuple(np.clip(np.rint(places).astype(int), 0, np.array(response.shape) - 1).T)
        found.append((measured, at, heights))
    if not any(len(heights) for _, _, heights in found):
        return scale if len(pairs) == 1 else float(np.sqrt(np.prod(between)))
    width = scale
    for _ in range(4):
        # Filters that follow noise end as narrow as it is: of few counts they stay.
        narrow, broad = (0.6 * width, 0.9 * width) if len(pairs) == 1 else (0.45 * scale, 0.75 * scale)
        if narrow < 0.6 * pixel:
            break
        both = [[sign * measured.blobs(s)[at] for s in (narrow, broad)] for measured, at, _ in found]
        if len(pairs) == 1:
            good = (both[0][0] > 0) & (both[0][1] > 0)
            both, weights = [[part[good] for part in both[0]]], [found[0][2][good]]
        else:
            weights = [heights for _, _, heights in found]
        low, high = (
            sum(float(np.sum(w * part[k])) for w, part in zip(weights, both, strict=True)) for k in (0, 1)
        )
        if low <= 0 or high <= 0:
            break
        ratio = np.sqrt(high / low) * narrow / broad
        # ratio = (narrow² + w²) / (broad² + w²)
        square = (narrow**2 - ratio * broad**2) / (ratio - 1) if ratio < 1 else np.inf
        width = float(np.clip(np.sqrt(max(square, 0.0)), *between))
    return float(np.clip(width, *between)) if len(pairs) > 1 else width
