"""Columns that are there for a while only: what frames have beyond the known columns in, places out.

What is left of frames is added up over 1, 2, 4, ... of them that follow each other, and looked at through a
filter that is as wide as a column: one that is there for so many frames stands out most in a sum of about
as many. Heights are in standard deviations of noise, as pixels' variances tell and as the sum itself shows
where no column is; few counts are skewed, and less high than they look. A place is taken if all sums
together would show less than a given number of maxima as high by chance
(`inference.selection.maxima_of_noise`), and if it is no part of a known column.
"""

from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_erosion, gaussian_filter, maximum_filter

from atomfit.detection.frame_sums import FrameSum
from atomfit.inference.selection import maxima_of_noise
from atomfit.structure.grid import Grid

#: Of counts through a Gaussian filter: ∫G³ / (∫G²)^(3/2), for a width of one.
_SKEWED = (4 * np.pi) ** 1.5 / (12 * np.pi**2)
#: Normal deviates have this median of their sizes.
_MAD = 0.6745


@final
@dataclass(frozen=True, eq=False)
class Place:
    """Where something may be.

    **Fields:**

    - `position`: x, y (Å).
    - `height`: in standard deviations of noise.
    - `first`, `last`: frames that were added up.
    - `false`: how many as high are expected by chance, in all.
    """

    position: Float[np.ndarray, " 2"]
    height: float
    first: int
    last: int
    false: float


@final
@dataclass(eq=False)
class Passing:
    """Sums of what frames leave, looked at as soon as they are complete.

    **Fields:**

    - `canvas`: pixels of the specimen.
    - `variance`, `gain`: of a frame's pixel there, and the brightness of one count; zero if there are none.
    - `width`: standard deviation of a column (Å).
    - `free`: pixels that belong to no known column.
    - `frames`: how many there will be.
    - `false`: how many places may be chance, in all.
    """

    canvas: Grid
    variance: Float[np.ndarray, "rows columns"]
    gain: float
    width: float
    free: Bool[np.ndarray, "rows columns"]
    frames: int
    false: float
    places: list[Place] = field(default_factory=list)
    _sums: list[FrameSum | None] = field(default_factory=list)
    _seen: int = 0

    def add(self, left: FrameSum) -> None:
        """The next frame, less what is known of it."""
        level, whole = 0, left
        self._look(whole, self._seen, self._seen, 0)
        self._seen += 1
        while True:
            if level == len(self._sums):
                self._sums.append(None)
            other = self._sums[level]
            if other is None:
                self._sums[level] = whole
                return
            self._sums[level] = None
            whole, level = whole + other, level + 1
            self._look(whole, self._seen - 2**level, self._seen - 1, level)

    def end(self) -> list[Place]:
        """Places that were found, the surest first, each once."""
        rest = [one for one in self._sums if one is not None]
        if len(rest) > 1 or (rest and self._seen > 1 and self._seen & (self._seen - 1)):
            whole = rest[0]
            for one in rest[1:]:
                whole = whole + one
            self._look(whole, 0, self._seen - 1, len(self._sums))
        found: list[Place] = []
        for place in sorted(self.places, key=lambda one: -one.height):
            if all(np.linalg.norm(place.position - one.position) > 2 * self.width for one in found):
                found.append(place)
        return found

    def _look(self, whole: FrameSum, first: int, last: int, level: int) -> None:
        pixels = self.width / float(self.canvas.spacing[0])
        seen = (whole.count > 0) & self.free
        if seen.sum() < 100:
            return
        smooth = gaussian_filter(whole.total, pixels, mode="constant")
        # The square of a Gaussian is a narrower one.
        noise = gaussian_filter(whole.count * self.variance, pixels / np.sqrt(2), mode="constant")
        noise = np.maximum(noise, 1e-300)
        heights = smooth / np.sqrt(noise / (4 * np.pi * pixels**2))
        among = heights[seen]
        middle = float(np.median(among))
        heights = (heights - middle) / max(float(np.median(np.abs(among - middle))) / _MAD, 1.0)
        if self.gain > 0:
            # The skewness of counts through the filter is that of one of so many.
            heights = _of_counts(heights, (pixels / (_SKEWED * self.gain)) ** 2 * noise)
        resels = float(seen.sum()) / (2 * pixels**2)
        windows = 2 * self.frames
        top = (heights == maximum_filter(heights, 2 * int(np.ceil(pixels)) + 1)) & seen
        # A column outside the field is highest at its edge.
        top &= binary_erosion(whole.count > 0, iterations=int(np.ceil(pixels)))
        rows, columns = np.nonzero(top)
        chance = windows * maxima_of_noise(heights[top], 2, resels)
        for row, column, false in zip(rows.tolist(), columns.tolist(), chance.tolist(), strict=True):
            if false < self.false:
                position = self.canvas.origin + self.canvas.spacing * (column, row)
                self.places.append(Place(position, float(heights[row, column]), first, last, false))


def _of_counts(
    heights: Float[np.ndarray, "rows columns"], expected: Float[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "rows columns"]:
    """Heights that are as rare in noise which is no count: signed roots of Poisson's deviance."""
    n = np.maximum(expected + heights * np.sqrt(expected), 1e-12)
    deviance = 2 * (n * np.log(n / expected) - (n - expected))
    return np.where(heights > 0, np.minimum(heights, np.sqrt(np.maximum(deviance, 0))), heights)
