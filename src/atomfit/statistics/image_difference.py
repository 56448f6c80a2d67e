"""Two images of one particle and the map between them in, their difference on the first one's pixels out.

The second image is taken to the pixels of the first by a cubic spline, after it was blurred if its pixels
are finer, and into the first one's units: divided by the ratio of cross-sections of columns that are in
both, less the median of what then differs, as detectors have levels of their own.

A pixel's noise hides what a whole column shows, so that the difference is blurred by a column's width (a
matched filter) before it is compared with noise. What noise makes of it is not asked of either image, as
the spline changes it and the map is not perfect: pixels are sorted by brightness, and of those that are
about as bright the spread is that of their median absolute deviation, which columns that changed hardly
move.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, map_coordinates

from atomfit.statistics.plane_maps import PlaneMap
from atomfit.structure.grid import DensityMap, Grid

#: A normal distribution's standard deviation in its median absolute deviation.
_DEVIATION = 1.4826022185056018
#: Classes of brightness, and pixels in one at least.
_CLASSES, _FEWEST = 24, 200
#: Blur before brightness is told (pixels), and of finer pixels, in those of the first image.
_BLUR, _FINER = 2.0, 0.5
#: Pixels of the second image count as measured where the spline of what was measured is larger.
_MEASURED = 0.999
#: Differences beyond so many standard deviations are counted.
_FAR = 4.0


@final
@dataclass(frozen=True, eq=False)
class ImageDifference:
    """The second image less the first, on the first one's pixels.

    **Fields:**

    - `grid`: of the pixels.
    - `first`, `second`: both images (units of the first); NaN where not known.
    - `blurred`, `noise`: the difference blurred by a column's width, and its standard deviation where
        nothing changed.
    - `ratio`, `level`: what the second image was divided by, and what was taken off then.
    """

    grid: Grid
    first: Float[np.ndarray, "rows columns"]
    second: Float[np.ndarray, "rows columns"]
    blurred: Float[np.ndarray, "rows columns"]
    noise: Float[np.ndarray, "rows columns"]
    ratio: float
    level: float

    @property
    def known(self) -> Bool[np.ndarray, "rows columns"]:
        """Pixels that both images show."""
        return np.isfinite(self.first) & np.isfinite(self.second)

    @property
    def values(self) -> Float[np.ndarray, "rows columns"]:
        """The difference; NaN where not known."""
        return self.second - self.first

    @property
    def scores(self) -> Float[np.ndarray, "rows columns"]:
        """The blurred difference in standard deviations of its noise; NaN where not known."""
        return self.blurred / self.noise

    def told(self) -> dict[str, float]:
        """In numbers: pixels in both, the difference's root mean square, noise, and what is far beyond."""
        inside, scores = self.known, self.scores[self.known]
        return {
            "pixels": int(inside.sum()),
            "part_of_a": float(inside.mean()),
            "ratio": self.ratio,
            "level": self.level,
            "rms": float(np.sqrt(np.mean(self.values[inside] ** 2))),
            "noise": float(np.median(self.noise[inside])),
            "part_beyond_four_deviations": float(np.mean(np.abs(scores) > _FAR)),
        }


def difference_of_images(
    a: DensityMap, b: DensityMap, motion: PlaneMap, ratio: float, width: float
) -> ImageDifference | None:
    """The difference of two images; None if they share hardly a pixel.

    **Arguments:**

    - `a`, `b`: the images.
    - `motion`: what takes places of the second into the first's frame (Å).
    - `ratio`: of cross-sections, second over first; NaN if not known.
    - `width`: standard deviation of a column (Å).
    """
    first = np.where(_measured(a), a.values, np.nan).astype(np.float64)
    second = _on(a.grid, b, motion)
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < _FEWEST:
        return None
    if not np.isfinite(ratio):
        # As much as brightness spreads.
        ratio = float(np.std(second[both]) / max(float(np.std(first[both])), 1e-30)) or 1.0
    second = second / ratio
    blurred = _blurred(second - first, both, width / float(a.grid.spacing[0]))
    # Counts are skewed, means of many of them are not.
    level = float(np.median(blurred[both]))
    second, blurred = second - level, blurred - level
    noise = _noise(0.5 * (first + second), blurred, both)
    return ImageDifference(a.grid, first, second, blurred, noise, ratio, level)


def _blurred(
    values: Float[np.ndarray, "rows columns"], known: Bool[np.ndarray, "rows columns"], width: float
) -> Float[np.ndarray, "rows columns"]:
    """Means of the pixels around, of those that are known; `width` in pixels."""
    found = gaussian_filter(np.where(known, values, 0.0), width, mode="nearest")
    part = gaussian_filter(known.astype(np.float64), width, mode="nearest")
    return np.where(known, found / np.maximum(part, 1e-3), np.nan)


def _measured(image: DensityMap) -> Bool[np.ndarray, "rows columns"]:
    there = np.isfinite(image.values)
    return there if image.counted is None else there & image.counted


def _on(grid: Grid, image: DensityMap, motion: PlaneMap) -> Float[np.ndarray, "rows columns"]:
    """An image on other pixels; NaN where it was not measured."""
    there = _measured(image)
    usual = float(np.median(image.values[there])) if there.any() else 0.0
    values = np.where(there, image.values, usual).astype(np.float64)
    times = float(grid.spacing[0] / image.grid.spacing[0]) / motion.magnification
    if times > 1:
        values = gaussian_filter(values, _FINER * np.sqrt(times**2 - 1), mode="nearest")
    rows, columns = np.indices(grid.shape)
    places = grid.origin + grid.spacing * np.stack([columns.ravel(), rows.ravel()], axis=1)
    x, y = ((motion.back(places) - image.grid.origin) / image.grid.spacing).T
    found = map_coordinates(values, [y, x], mode="mirror")
    # Half a pixel beyond the middle of the last one is the image's border; beyond it nothing is known.
    part = map_coordinates(there.astype(np.float64), [y, x], order=1, mode="constant", cval=0.0)
    return np.where(part > _MEASURED, found, np.nan).reshape(grid.shape)


def _noise(
    mean: Float[np.ndarray, "rows columns"],
    off: Float[np.ndarray, "rows columns"],
    both: Bool[np.ndarray, "rows columns"],
) -> Float[np.ndarray, "rows columns"]:
    """Standard deviation of the difference of pixels that are as bright; see the head of this module."""
    usual = float(np.median(mean[both]))
    bright = gaussian_filter(np.where(both, mean, usual), _BLUR, mode="nearest")
    order = np.argsort(bright[both], kind="stable")
    sorted_off = off[both][order]
    groups = np.array_split(np.arange(len(order)), min(_CLASSES, max(len(order) // _FEWEST, 1)))
    at = [float(np.median(bright[both][order][one])) for one in groups]
    spread = [_deviation(sorted_off[one]) for one in groups]
    least = max(max(spread) * 1e-3, 1e-6 * float(np.ptp(bright[both])), 1e-30)
    return np.interp(bright, at, np.maximum(spread, least))


def _deviation(values: Float[np.ndarray, " n"]) -> float:
    return _DEVIATION * float(np.median(np.abs(values - np.median(values))))
