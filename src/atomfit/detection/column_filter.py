"""An image seen through blobs: how much each place looks like a column of a width.

The filter is minus the Laplacian of a Gaussian, times the square of its width (Lindeberg 1998): it is a
matched filter for a column on anything that changes slowly, its response to a Gaussian is largest where
both are as wide, and it narrows columns, so that those that overlap come apart. That costs noise: of the
signal-to-noise ratio that a fit has of a lone column it leaves 0.71. A Gaussian less one that is broader
leaves more, and is for what stands alone (`spots`). All is done in Fourier space, of an image that is
mirrored at its edges.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.ndimage import maximum_filter

from atomfit.detection.limits import LIMITS

#: Margin that is mirrored at the edges (Å).
_MARGIN = 4.0
#: By how much the filter is broader beneath that columns are selected by (`spots`).
BROADER = 3.0


@dataclass(frozen=True, eq=False)
class BlobFilter:
    """An image that is filtered at several widths.

    **Fields:**

    - `image`: any unit.
    - `pixel`: edge of a pixel (Å).
    """

    image: Float[np.ndarray, "rows columns"]
    pixel: float

    def blobs(self, width: float) -> Float[np.ndarray, "rows columns"]:
        """Response to blobs of a width (Å), in the image's unit."""
        square = self._variance(width)
        return self._filtered(square * self._frequencies * np.exp(-0.5 * square * self._frequencies))

    def spots(self, width: float, broader: float) -> Float[np.ndarray, "rows columns"]:
        """Mean over a Gaussian of a width (Å), less that over one so many times broader."""
        square = 0.5 * self._variance(width) * self._frequencies
        return self._filtered(np.exp(-square) - np.exp(-(broader**2) * square))

    def smooth(self, width: float) -> Float[np.ndarray, "rows columns"]:
        """Mean over a Gaussian of a width (Å)."""
        return self._filtered(np.exp(-0.5 * self._variance(width) * self._frequencies))

    def _variance(self, width: float) -> float:
        # A double of numpy would make doubles of all frequencies.
        return float(width / self.pixel) ** 2

    def _filtered(self, transfer: np.ndarray) -> np.ndarray:
        m = self._margin
        found = fft.irfft2(self._transform * transfer, s=self._shape)
        return found[m : m + self.image.shape[0], m : m + self.image.shape[1]]

    @property
    def _margin(self) -> int:
        return int(min(np.ceil(_MARGIN / self.pixel), *(n - 1 for n in self.image.shape)))

    @property
    def _shape(self) -> tuple[int, int]:
        rows, columns = (fft.next_fast_len(n + 2 * self._margin, real=True) for n in self.image.shape)
        return rows, columns

    @cached_property
    def _transform(self) -> np.ndarray:
        shape = self._shape
        after = [n - k - self._margin for n, k in zip(shape, self.image.shape, strict=True)]
        margins = [(self._margin, rest) for rest in after]
        return fft.rfft2(np.pad(np.asarray(self.image, np.float32), margins, mode="symmetric"))

    @cached_property
    def _frequencies(self) -> np.ndarray:
        rows, columns = self._shape
        down, across = fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None]
        return (4 * np.pi**2 * (down**2 + across**2)).astype(np.float32)


def noise_of_blobs(width: float, pixel: float) -> float:
    """Standard deviation of the response to white noise of variance one.

    **Arguments:**

    - `width`: of the filter (Å).
    - `pixel`: edge of a pixel (Å).
    """
    n = max(64, int(np.ceil(16 * width / pixel)))
    k = 2 * np.pi * np.fft.fftfreq(n)
    square = (k[:, None] ** 2 + k**2) * (width / pixel) ** 2
    return float(np.sqrt(np.mean((square * np.exp(-0.5 * square)) ** 2)))


def roughness_of_blobs(width: float) -> float:
    """Root of the determinant of the covariance of the slope of filtered noise of variance one (1/Å²)."""
    return 1.5 / width**2


def noise_of_spots(width: float, pixel: float, broader: float) -> float:
    """Standard deviation of the response of spots to white noise of variance one.

    **Arguments:**

    - `width`, `broader`: of the filter (Å, times).
    - `pixel`: edge of a pixel (Å).
    """
    weight = 1 - 4 / (1 + broader**2) + 1 / broader**2
    return float(np.sqrt(weight / (4 * np.pi)) * pixel / width)


def roughness_of_spots(width: float, broader: float) -> float:
    """Root of the determinant of the covariance of the slope of spots in noise of variance one (1/Å²)."""
    b = broader**2
    return 0.5 / width**2 * (1 - 8 / (1 + b) ** 2 + 1 / b**2) / (1 - 4 / (1 + b) + 1 / b)


def integral_of_spot(width: float, broader: float) -> float:
    """Integral of a lone Gaussian of the filter's width (Å) over its response to it (Å²)."""
    return float(2 * np.pi * width**2 / (0.5 - 1 / (1 + broader**2)))


def maxima(
    image: Float[np.ndarray, "rows columns"], above: float, apart: float = 1.0
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Maxima of an image: their array indices, between pixels, and heights; the highest first.

    **Arguments:**

    - `image`: smooth over a pixel.
    - `above`: they are higher.
    - `apart`: each is the highest within so many pixels along rows and columns.
    """
    size = 2 * int(np.ceil(apart)) + 1
    there = np.argwhere((image == maximum_filter(image, size=size)) & (image > above))
    if not len(there):
        return np.zeros((0, 2)), np.zeros(0)
    edge = np.pad(image, 1, mode="edge")
    r, c = there.T + 1
    middle = edge[r, c]
    shifts, gains = [], []
    for before, after in ((edge[r - 1, c], edge[r + 1, c]), (edge[r, c - 1], edge[r, c + 1])):
        bend = np.minimum(before - 2 * middle + after, -1e-30)
        shift = np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
        shifts.append(shift)
        gains.append(-0.25 * (before - after) * shift)
    heights = middle + gains[0] + gains[1]
    order = np.argsort(-heights, kind="stable")
    return (there + np.stack(shifts, axis=1))[order], heights[order]


def least_roundness(scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """What roundness a maximum must have that is so many deviations of noise high: noise bends as well."""
    return LIMITS.roundness - LIMITS.of_roundness / np.maximum(scores, 1e-30)


def roundness(
    smooth: Float[np.ndarray, "rows columns"], places: Float[np.ndarray, "n 2"], step: float
) -> Float[np.ndarray, " n"]:
    """Ratio of the smaller to the larger bend of an image at its maxima; negative at saddles.

    A column has about one; the crest of a fringe and the rim of a particle have about zero.

    **Arguments:**

    - `smooth`: the image, smoothed.
    - `places`: array indices.
    - `step`: over which bends are measured (pixels).
    """
    n = np.array(smooth.shape) - 1
    h = max(int(np.rint(step)), 1)
    at = np.clip(np.rint(places).astype(int), 0, n)

    def value(down: int, across: int) -> np.ndarray:
        r, c = np.clip(at + [down * h, across * h], 0, n).T
        return smooth[r, c]

    middle = 2 * value(0, 0)
    yy = value(1, 0) + value(-1, 0) - middle
    xx = value(0, 1) + value(0, -1) - middle
    xy = 0.25 * (value(1, 1) + value(-1, -1) - value(1, -1) - value(-1, 1))
    mean, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    smaller, larger = mean + half, mean - half
    return np.where(larger < 0, smaller / np.where(larger < 0, larger, 1.0), -1.0)
