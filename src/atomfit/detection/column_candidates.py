"""First columns of an image: what stands out from its noise, with the noise found from the image.

What neighbouring pixels differ by beyond a slope is noise, since columns are wider than a pixel; how it
grows with brightness is measured as in the residual of a fit (`image_brightness`). Candidates are maxima
of the filtered image (`column_filter`), by a filter somewhat narrower than a column: columns that overlap
come apart. Where there are none, faint ones are looked for with a filter as wide as a column, against noise
that has none of their own. What noise has added or the filters have missed is for the fit and its
residual to tell.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.detection.column_filter import (
    BlobFilter,
    integral_of_spot,
    least_roundness,
    maxima,
    noise_of_blobs,
    noise_of_spots,
    roundness,
)
from atomfit.detection.column_scale import ColumnScale
from atomfit.detection.image_brightness import (
    BrightnessLaw,
    brightness_law,
    counting_law,
    roughness_of_pixels,
)
from atomfit.detection.limits import LIMITS
from atomfit.structure.grid import DensityMap

#: Width over which brightness is averaged (Å; pixels at least), and pixels that noise is measured with.
_BRIGHTNESS, _LEAST, _PIXELS = 0.3, 1.5, 200_000
#: Where counts are few, over so many of them, and not more than so much (Å).
_COUNTS, _BROADEST = 20, 2.0
#: Part of a column's width that the filter has.
_NARROWER = 0.75
#: By how much the filter for faint ones is broader beneath, and how far from others they are, in widths.
_BROADER, _APART = 1.5, 2.5
#: Over which width noise is averaged there (Å).
_LOCAL = 1.5
#: Candidates are no fainter than this part of a typical one where noise is not what pixels say.
_FAINT = 1 / 12


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be columns.

    **Fields:**

    - `positions`: in the image's frame (Å).
    - `amplitudes`: integrals of lone Gaussians with such responses (image units x Å²).
    - `scores`: their responses, in deviations of noise.
    """

    positions: Float[np.ndarray, "n 2"]
    amplitudes: Float[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]


def noise_variance(
    image: Float[np.ndarray, "rows columns"], pixel: float
) -> Float[np.ndarray, "rows columns"]:
    """Variance of each pixel's noise, as the image itself tells of it.

    Where hardly anything is expected, a single count is no sign of a column: variances are those of a few
    counts within the reach of one at least.

    **Arguments:**

    - `image`: any unit.
    - `pixel`: edge of a pixel (Å).
    """
    filtered, width = BlobFilter(image, pixel), max(_BRIGHTNESS, _LEAST * pixel)
    law = counting_law(image)
    if law is not None:
        mean = float(np.mean(law(image)))
        counts = mean / law.gain**2 / pixel**2
        # Brightness is that of so many counts.
        width = min(max(width, float(np.sqrt(_COUNTS / (4 * np.pi * counts)))), _BROADEST)
        least = max(LIMITS.least_variance * mean, least_of_counts(law, pixel, 1))
        return np.maximum(law(filtered.smooth(width)), least)
    rough, smooth = roughness_of_pixels(image), filtered.smooth(width)
    stride = max(int(np.sqrt(image.size / _PIXELS)), 1)
    some = (slice(None, None, stride),) * 2
    dark = float(np.quantile(smooth[some], 0.01))
    law = brightness_law(smooth[some].ravel(), rough[some].ravel(), dark)
    mean = float(np.mean(rough**2))
    # An image without any noise has that of its digits.
    least = max(LIMITS.least_variance * mean, (1e-4 * float(np.ptp(image))) ** 2)
    return np.maximum(law(smooth), max(least, least_of_counts(law, pixel)))


def least_of_counts(law: BrightnessLaw, pixel: float, counts: float = LIMITS.least_counts) -> float:
    """Variance of pixels (Å) that see a few counts within the reach of a column; zero of no counts."""
    pixels = 4 * np.pi * (2 * LIMITS.narrowest_column / pixel) ** 2
    return counts * law.gain**2 / pixels


def find_candidates(
    image: DensityMap,
    scale: ColumnScale,
    variance: Float[np.ndarray, "rows columns"],
) -> Candidates:
    """Maxima of the filtered image above its noise.

    Noise whose pixels err together is larger than these tell; then maxima must be as much higher, but never
    so high that what is a twelfth as high as a typical one is missed.

    **Arguments:**

    - `image`: columns bright.
    - `scale`: what columns look like.
    - `variance`: of the pixels' noise.
    """
    pixel = float(image.grid.spacing[0])
    width = max(_NARROWER * scale.width, 0.8 * pixel)
    filtered = BlobFilter(image.values, pixel)
    response = filtered.blobs(width)
    score = response / (noise_of_blobs(width, pixel) * np.sqrt(local_variance(variance, width, pixel)))
    places, scores = maxima(score, LIMITS.column_score, 0.7 * width / pixel)
    louder = 1.4826 * float(np.median(np.abs(score)))
    if len(scores):
        louder = min(louder, float(np.quantile(scores, 0.8)) * _FAINT / LIMITS.column_score)
    which = roundness(filtered.smooth(width), places, width / pixel) > LIMITS.roundness
    which &= scores > LIMITS.column_score * max(louder, 1.0)
    places, scores = places[which], scores[which]
    amplitudes = response[_pixels(places, response)] * integral_of_response(scale.width, width)
    found = Candidates(image.grid.positions_of(places), amplitudes, scores)
    return _with_faint(found, image, scale, filtered, variance)


def _with_faint(
    first: Candidates,
    image: DensityMap,
    scale: ColumnScale,
    filtered: BlobFilter,
    variance: Float[np.ndarray, "rows columns"],
) -> Candidates:
    """And what is far from these and only seen by a filter as wide as a column."""
    pixel = filtered.pixel
    width = max(scale.width, 0.8 * pixel)
    response = filtered.spots(width, _BROADER)
    noise = noise_of_spots(width, pixel, _BROADER) * np.sqrt(local_variance(variance, _LOCAL, pixel))
    score = response / noise
    louder = max(1.4826 * float(np.median(np.abs(score))), 1.0)
    places, scores = maxima(score, LIMITS.faint_score * louder, 1.5 * width / pixel)
    which = roundness(filtered.smooth(width), places, width / pixel) > least_roundness(scores / louder)
    positions = image.grid.positions_of(places)
    if len(first.positions):
        which &= cKDTree(first.positions).query(positions)[0] > _APART * scale.width
    places, positions, scores = places[which], positions[which], scores[which]
    amplitudes = response[_pixels(places, response)] * integral_of_spot(width, _BROADER)
    return Candidates(
        np.concatenate([first.positions, positions]),
        np.concatenate([first.amplitudes, amplitudes]),
        np.concatenate([first.scores, scores]),
    )


def _pixels(places: Float[np.ndarray, "n 2"], image: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.clip(np.rint(places).astype(int), 0, np.array(image.shape) - 1).T)


def candidates_at(image: DensityMap, scale: ColumnScale, positions: Float[np.ndarray, "n 2"]) -> Candidates:
    """Columns at places that are known (Å), as bright as the filtered image is there.

    **Arguments:**

    - `image`: columns bright.
    - `scale`: what columns look like.
    - `positions`: in the image's frame.
    """
    response = BlobFilter(image.values, float(image.grid.spacing[0])).blobs(scale.width)
    bright = response[tuple(image.grid.nearest_voxels(positions).T)]
    # What is not seen yet may still be fitted.
    bright = np.maximum(bright, 0.1 * max(float(np.median(bright)), 1e-6 * float(np.ptp(image.values))))
    integrals = bright * integral_of_response(scale.width, scale.width)
    return Candidates(positions, integrals, np.full(len(positions), np.nan))


def local_variance(
    variance: Float[np.ndarray, "rows columns"], width: float, pixel: float
) -> Float[np.ndarray, "rows columns"]:
    """Mean variance of the pixels that a filter of a width (Å) looks at."""
    found = BlobFilter(variance, pixel).smooth(width)
    return np.maximum(found, float(variance.min()))


def integral_of_response(width: float, filter_width: float) -> float:
    """Integral of a lone Gaussian of a width (Å) over its response to a filter of another (Å²)."""
    return float(np.pi * (width**2 + filter_width**2) ** 2 / filter_width**2)
