"""How well atoms agree with the images of a series: drawn as round spots into a few views, by correlation.

Identical spots of a width that suits the distance between atoms are no model of a microscope, but they know
where atoms are, which is all that is asked before a fit: whether model and images belong together, and
about which point the views turn.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import fft
from scipy.ndimage import gaussian_filter

from atomfit.projection.limits import LIMITS
from atomfit.projection.verdict import correlation
from atomfit.projection.views import TiltSeries

Turn = Callable[[np.ndarray], np.ndarray]

#: Views that are looked at.
_VIEWS = 12
#: Widths of the spots, in neighbour distances: of sharp images, and of blurred ones or a rough start.
WIDTHS = (0.12, 0.25)
#: Spots wider than this part of an image are all alike.
_WIDEST = 0.25


def mean_correlation(
    series: TiltSeries,
    positions: Float[np.ndarray, "n 3"],
    neighbour_distance: float,
    turn: Turn = lambda rotations: rotations,
) -> float:
    """Correlation of images with atoms drawn as round spots, mean over some views, at the better width.

    **Arguments:**

    - `series`: the images.
    - `positions`: of the atoms (Å).
    - `neighbour_distance`: typical distance of neighbours (Å).
    - `turn`: what the views' rotations become first.
    """
    return max(
        correlation_of_spots(series, positions, width * neighbour_distance, turn) for width in WIDTHS
    )


def lowest_correlation(
    series: TiltSeries, positions: Float[np.ndarray, "n 3"], neighbour_distance: float
) -> float:
    """As `mean_correlation`, but at the width at which it is lowest: that of dark atoms."""
    return min(correlation_of_spots(series, positions, width * neighbour_distance) for width in WIDTHS)


def correlation_of_spots(
    series: TiltSeries,
    positions: Float[np.ndarray, "n 3"],
    width: float,
    turn: Turn = lambda rotations: rotations,
) -> float:
    """Mean over some views, with spots of a width (Å)."""
    some = some_views(series)
    spot = min(width / series.pixel, _WIDEST * min(series.shape))
    found = []
    for rotation, k in zip(turn(series.views.rotations[some]), some, strict=True):
        drawn = spots(positions - series.centre, rotation, series.views.centres[k], series, spot)
        counted = series.counted[k]
        found.append(correlation(drawn[counted], series.images[k][counted]))
    return float(np.mean(found))


def correlations_of_views(
    series: TiltSeries, positions: Float[np.ndarray, "n 3"], width: float
) -> Float[np.ndarray, "v v"]:
    """Correlation of each image (rows) with the atoms seen from each view (columns).

    **Arguments:**

    - `series`: the images.
    - `positions`: of the atoms (Å).
    - `width`: of the spots that they are drawn as (Å).
    """
    spot = min(width / series.pixel, _WIDEST * min(series.shape))
    views, counted = series.views, series.counted
    seen = zip(views.rotations, views.centres, counted, strict=True)
    drawn = np.stack(
        [_normal(spots(positions - series.centre, r, c, series, spot), some) for r, c, some in seen]
    )
    table = np.zeros((len(series), len(series)), np.float32)
    # A few images at a time: a series may fill the memory.
    for k in range(0, len(series), _VIEWS):
        some = slice(k, k + _VIEWS)
        images = [_normal(*each) for each in zip(series.images[some], counted[some], strict=True)]
        table[some] = np.stack(images) @ drawn.T
    return table


def _normal(
    image: Float[np.ndarray, "rows columns"], counted: Bool[np.ndarray, "rows columns"]
) -> Float[np.ndarray, " k"]:
    """An image with mean zero and length one; zero where nothing was measured."""
    measured = counted.any()
    values = np.where(counted, image - np.mean(image[counted], dtype=np.float64) if measured else 0.0, 0.0)
    return (values / max(float(np.linalg.norm(values)), 1e-300)).astype(np.float32).ravel()


def attainable_correlation(series: TiltSeries) -> float:
    """Correlation of a perfect model: a pixel's noise, unlike the specimen, is not that of the next."""
    alike = []
    for k in some_views(series):
        image, counted = series.images[k], series.counted[k]
        both = counted[:, :-1] & counted[:, 1:]
        if both.any():
            alike.append(correlation(image[:, :-1][both], image[:, 1:][both]))
    return float(np.sqrt(max(float(np.mean(alike)), 0.0))) if alike else 0.0


def some_views(series: TiltSeries) -> list[int]:
    """Views that are looked at, spread over the series."""
    evenly = np.linspace(0, len(series) - 1, min(_VIEWS, len(series)))
    return [int(k) for k in np.unique(evenly.round().astype(int))]


def seen_at(
    positions: Float[np.ndarray, "n 3"],
    rotation: Float[np.ndarray, "3 3"],
    centre: Float[np.ndarray, " 2"],
    pixel: float,
) -> Float[np.ndarray, "n 2"]:
    """Pixels (u, v) at which points, from the specimen's centre (Å), are seen."""
    return positions @ rotation[:2].T / pixel + centre


def spots(
    positions: Float[np.ndarray, "n 3"],
    rotation: Float[np.ndarray, "3 3"],
    centre: Float[np.ndarray, " 2"],
    series: TiltSeries,
    width: float,
) -> Float[np.ndarray, "rows columns"]:
    """Atoms as round spots of a width (pixels)."""
    rows, columns = series.shape
    u, v = seen_at(positions, rotation, centre, series.pixel).T
    image, _, _ = np.histogram2d(v, u, bins=(np.arange(rows + 1) - 0.5, np.arange(columns + 1) - 0.5))
    return gaussian_filter(image, width)


def least_gain(then: Float[np.ndarray, "*n"], pixels: Int[np.ndarray, "*#n"]) -> Float[np.ndarray, "*n"]:
    """By how much images must agree better otherwise for that to be clear, and no chance.

    **Arguments:**

    - `then`: what they would correlate by.
    - `pixels`: that they have.
    """
    return np.maximum(
        LIMITS.agreement_errors / np.sqrt(np.maximum(pixels, 1)), LIMITS.agreement_part * then
    )


def best_shift(
    drawn: Float[np.ndarray, "rows columns"],
    image: Float[np.ndarray, "rows columns"],
    counted: Bool[np.ndarray, "rows columns"],
) -> Float[np.ndarray, " 2"]:
    """By how many pixels (u, v) a drawing is to be moved to correlate best with an image."""
    measured = np.where(counted, image - np.mean(image[counted], dtype=np.float64), 0)
    lengths = [2 * n for n in drawn.shape]
    product = fft.rfft2(measured, lengths) * np.conj(fft.rfft2(drawn - drawn.mean(), lengths))
    best = np.unravel_index(int(np.argmax(fft.irfft2(product, lengths))), lengths)
    down, across = (
        int(k) - length if k > length // 2 else int(k) for k, length in zip(best, lengths, strict=True)
    )
    return np.array([across, down], float)
