"""Frames added up on the pixels of the specimen: maps of frames in, sums and means out.

Each pixel of a frame is added whole to the pixel of the canvas that it is nearest to. Nothing is
interpolated, so noise stays independent from pixel to pixel, and what is blurred is blurred by a pixel.
The canvas has the frames' pixels, and as much around them as frames need that have drifted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.structure.grid import Grid

#: A canvas has at most so many times the edge of a frame.
_LARGEST = 2.0


@final
@dataclass(frozen=True, eq=False)
class FrameSum:
    """A sum of frames, and how many pixels of frames are in each of its.

    **Fields:**

    - `total`, `count`: of each pixel.
    """

    total: Float[np.ndarray, "rows columns"]
    count: Float[np.ndarray, "rows columns"]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "FrameSum":
        """Of no frame."""
        return cls(np.zeros(shape), np.zeros(shape))

    def __add__(self, other: "FrameSum") -> "FrameSum":
        return FrameSum(self.total + other.total, self.count + other.count)

    def mean(self, least: float) -> Float[np.ndarray, "rows columns"]:
        """The mean; NaN where fewer pixels are than this part of the median number.

        **Arguments:**

        - `least`: part of the median of those that have any.
        """
        seen = self.count > 0
        enough = self.count >= max(least * float(np.median(self.count[seen])), 1) if seen.any() else seen
        return np.where(enough, self.total / np.maximum(self.count, 1), np.nan)


def canvas_for(grid: Grid, corners: Sequence[Float[np.ndarray, "4 2"]]) -> Grid:
    """Pixels of a canvas that holds frames.

    **Arguments:**

    - `grid`: pixels of the frames.
    - `corners`: middles of the corner pixels of each, where they lie on the specimen (Å; x, y).
    """
    edge = grid.spacing
    size = np.array(grid.shape[::-1]) * edge
    low, high = np.min(corners, axis=(0, 1)), np.max(corners, axis=(0, 1))
    spare = 0.5 * (_LARGEST - 1) * size
    low = np.maximum(low, grid.origin - spare)
    high = np.minimum(high, grid.origin + size - edge + spare)
    first, last = (np.rint((x - grid.origin) / edge).astype(int) for x in (low, high))
    shape = tuple((last - first + 1)[::-1].tolist())
    return Grid(shape, edge, grid.origin + first * edge)


def added(
    frame: Float[np.ndarray, "rows columns"],
    counted: Bool[np.ndarray, "rows columns"],
    places: Int[np.ndarray, "rows columns"],
    shape: tuple[int, ...],
) -> FrameSum:
    """One frame on the canvas.

    **Arguments:**

    - `frame`, `counted`: values, and pixels that were measured.
    - `places`: of each of its pixels on the canvas, unravelled; negative outside.
    - `shape`: of the canvas.
    """
    size = int(np.prod(shape))
    used = counted & (places >= 0)
    where = places[used]
    total = np.bincount(where, frame[used], size).reshape(shape)
    return FrameSum(total, np.bincount(where, minlength=size).reshape(shape).astype(np.float64))


def places_on(
    canvas: Grid, grid: Grid, matrix: Float[np.ndarray, "2 2"], translation: Float[np.ndarray, " 2"]
) -> Int[np.ndarray, "rows columns"]:
    """Where the pixels of a frame lie on the canvas, unravelled; negative outside.

    **Arguments:**

    - `canvas`, `grid`: pixels of both.
    - `matrix`, `translation`: x -> M x + t takes positions of the frame to the specimen (Å).
    """
    x, y = (grid.origin[k] + grid.spacing[k] * np.arange(grid.shape[1 - k]) for k in range(2))
    found = []
    for k in range(2):
        along = (matrix[k, 0] * x + translation[k] - canvas.origin[k]) / canvas.spacing[k]
        down = matrix[k, 1] * y / canvas.spacing[k]
        found.append(np.rint(along[None] + down[:, None]).astype(np.int32))
    rows, columns = found[1], found[0]
    inside = (rows >= 0) & (rows < canvas.shape[0]) & (columns >= 0) & (columns < canvas.shape[1])
    return np.where(inside, rows * canvas.shape[1] + columns, -1)
