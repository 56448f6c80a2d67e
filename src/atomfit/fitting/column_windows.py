"""Derivatives of pixels by the numbers of columns, in windows of one size: read, drawn, and multiplied.

Derivatives are in units of the pixels' noise and zero outside the image. Products of two columns' windows
are taken where they overlap, of columns that are near enough for it to matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import bsr_array
from scipy.spatial import cKDTree

#: Columns that are done together.
_AT_A_TIME = 256


@dataclass(frozen=True, eq=False)
class Windows:
    """Of n columns with p numbers each.

    **Fields:**

    - `slopes`: derivatives of the pixels of each window.
    - `first`: row and column of the first pixel of each window, which may lie outside.
    - `shape`: of the image.
    """

    slopes: Float[np.ndarray, "n p h w"]
    first: Int[np.ndarray, "n 2"]
    shape: tuple[int, int]

    def read(self, image: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " np"]:
        """Products of all slopes with an image."""
        n, p = self.slopes.shape[:2]
        found = np.empty((n, p))
        for some, inside in self.pixels(image):
            slopes = self.slopes[some].reshape(len(inside), p, -1)
            found[some] = (slopes @ inside.reshape(len(inside), -1, 1))[:, :, 0]
        return found.ravel()

    def pixels(
        self, image: Float[np.ndarray, "rows columns"]
    ) -> Iterator[tuple[slice, Float[np.ndarray, "m h w"]]]:
        """Windows of an image, for some columns after the other: which, and their pixels."""
        n = len(self.slopes)
        for start in range(0, n, _AT_A_TIME):
            some = slice(start, min(start + _AT_A_TIME, n))
            rows, columns = self.places(some)
            yield some, image[rows[:, :, None], columns[:, None, :]]

    def places(self, some: slice) -> tuple[Int[np.ndarray, "m h"], Int[np.ndarray, "m w"]]:
        """Rows and columns of windows; those outside are at the edge."""
        sizes = self.slopes.shape[2:]
        rows, columns = (
            np.clip(self.first[some, k, None] + np.arange(sizes[k]), 0, self.shape[k] - 1) for k in range(2)
        )
        return rows, columns

    def drawn(self, numbers: Float[np.ndarray, " np"]) -> Float[np.ndarray, "rows columns"]:
        """An image of slopes times numbers."""
        n, p, h, w = self.slopes.shape
        numbers = numbers.reshape(n, 1, p)
        image = np.zeros(np.add(self.shape, (2 * h, 2 * w)))
        corners = np.clip(self.first + (h, w), 0, np.add(self.shape, (h, w)))
        for start in range(0, n, _AT_A_TIME):
            some = slice(start, min(start + _AT_A_TIME, n))
            values = (numbers[some] @ self.slopes[some].reshape(-1, p, h * w)).reshape(-1, h, w)
            for (y, x), one in zip(corners[some].tolist(), values, strict=True):
                image[y : y + h, x : x + w] += one
        return image[h : h + self.shape[0], w : w + self.shape[1]]

    def products(self, positions: Float[np.ndarray, "n 2"], apart: float) -> bsr_array:
        """Of all pairs of columns: the information on their numbers.

        **Arguments:**

        - `positions`: of the columns (Å).
        - `apart`: columns farther from each other than this have nothing in common (Å).
        """
        n, p, h, w = self.slopes.shape
        flat = self.slopes.reshape(n, p, -1)
        own = flat @ np.swapaxes(flat, 1, 2)
        pairs = cKDTree(positions).query_pairs(apart, output_type="ndarray")
        shifts = self.first[pairs[:, 1]] - self.first[pairs[:, 0]]
        meet = (np.abs(shifts) < (h, w)).all(axis=1)
        pairs, shifts = pairs[meet], shifts[meet]
        both = np.empty((len(pairs), p, p))
        for k, ((i, j), (y, x)) in enumerate(zip(pairs.tolist(), shifts.tolist(), strict=True)):
            one = self.slopes[i, :, max(y, 0) : h + min(y, 0), max(x, 0) : w + min(x, 0)]
            other = self.slopes[j, :, max(-y, 0) : h + min(-y, 0), max(-x, 0) : w + min(-x, 0)]
            both[k] = one.reshape(p, -1) @ other.reshape(p, -1).T
        rows = np.concatenate([np.arange(n), pairs[:, 0], pairs[:, 1]])
        columns = np.concatenate([np.arange(n), pairs[:, 1], pairs[:, 0]])
        blocks = np.concatenate([own, both, np.swapaxes(both, 1, 2)])
        order = np.lexsort((columns, rows))
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
        return bsr_array((blocks[order], columns[order], starts), shape=(n * p, n * p))
