"""Whether a model and its images agree, and whether they would agree better under another convention.

A series that is read with the wrong sign of its tilts looks as good as the right one, and its fit is busy
and ends nowhere. But a model to start from, even a rough one, tells conventions apart at
once: its atoms are drawn as round spots into a few views, as they were understood and as they might
have been meant, and compared with what was measured. Nothing is changed by it; it becomes a warning
with the remedy in it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from atomfit.projection.verdict import correlation
from atomfit.projection.views import TiltSeries

Turn = Callable[[np.ndarray], np.ndarray]

#: Views that are looked at.
_VIEWS = 12
#: Widths of the spots, in neighbour distances: of sharp images, and of blurred ones or a rough start.
_WIDTHS = (0.12, 0.25)
#: By how much another convention must agree better.
_BETTER = 0.1
_SWAPPED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
_FLIPPED = np.diag([1.0, -1.0, 1.0])

#: What rotations become if something else was meant, and what to do then.
_OTHERS: dict[str, Turn] = {
    "the inverse rotations (tilts of the opposite sign): --inverse-views": lambda r: np.swapaxes(r, -1, -2),
    "the other tilt axis: --tilt-axis": lambda r: _SWAPPED @ r @ _SWAPPED.T,
    "the other tilt axis (--tilt-axis) and --inverse-views": lambda r: (
        _SWAPPED @ np.swapaxes(r, -1, -2) @ _SWAPPED.T
    ),
    "images that are upside down (rows in the opposite order): turn them": lambda r: _FLIPPED @ r,
    "images whose rows and columns are exchanged: transpose them": lambda r: _SWAPPED @ r,
}


@dataclass(frozen=True)
class Agreement:
    """How well the model to start from agrees with the images.

    **Fields:**

    - `correlation`: mean over some views.
    - `better`: what would agree clearly better, in words, and its correlation; None if nothing would.
    """

    correlation: float
    better: tuple[str, float] | None


def agreement(
    series: TiltSeries, positions: Float[np.ndarray, "n 3"], neighbour_distance: float
) -> Agreement:
    """Compare atoms with images.

    **Arguments:**

    - `series`: the images.
    - `positions`: of the atoms (Å).
    - `neighbour_distance`: typical distance of neighbours (Å).
    """
    found = mean_correlation(series, positions, neighbour_distance)
    others = {
        words: mean_correlation(series, positions, neighbour_distance, turn)
        for words, turn in _OTHERS.items()
    }
    words = max(others, key=lambda name: others[name])
    return Agreement(found, (words, others[words]) if others[words] > found + _BETTER else None)


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
    some = np.unique(np.linspace(0, len(series) - 1, min(_VIEWS, len(series))).round().astype(int)).tolist()
    rotations = turn(series.views.rotations[some])
    from_centre = positions - series.centre
    found = []
    for width in _WIDTHS:
        pixels = width * neighbour_distance / series.pixel
        drawn = [
            spots(from_centre, r, series.views.centres[k], series, pixels)
            for r, k in zip(rotations, some, strict=True)
        ]
        each = [
            correlation(image[series.counted[k]], series.images[k][series.counted[k]])
            for image, k in zip(drawn, some, strict=True)
        ]
        found.append(float(np.mean(each)))
    return max(found)


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
