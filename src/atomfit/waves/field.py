"""Where waves and images are sampled: the pixels of an image in, the finer and wider grid of its wave out.

A wave is computed on a grid that is `refinement` times as fine as the image, with a margin on every side,
as waves on a grid are periodic and what leaves it on one side comes in on the other. The first pixel's
centre is a point of both grids, so that cropping in Fourier space moves nothing.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float
from scipy.fft import next_fast_len

Leaf = Array | np.ndarray

#: Of the highest frequency that a grid has, the part up to which products of two waves are not aliased.
BAND_LIMIT = 2 / 3
#: Room around an image, and distance of a wave's points, at most (Å).
_MARGIN, _FINEST = 6.0, 0.1


class Field(eqx.Module):
    """An image's pixels, and the grid on which its wave is computed.

    **Fields:**

    - `shape`: rows and columns of pixels.
    - `pixel`: edge of a pixel (Å).
    - `margin`: pixels around the image that are computed and not shown.
    - `refinement`: points of the wave in a pixel's edge.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    pixel: float = eqx.field(static=True)
    margin: int = eqx.field(static=True, default=0)
    refinement: float = eqx.field(static=True, default=2)

    @classmethod
    def suited(cls, shape: tuple[int, int], pixel: float, margin: float = _MARGIN) -> "Field":
        """A wave of points of 0.1 Å or nearer, with 6 Å of margin or more, whose transforms are quick.

        **Arguments:**

        - `shape`: rows and columns of pixels.
        - `pixel`: edge of a pixel (Å).
        - `margin`: at least (Å).
        """
        least = math.ceil(margin / pixel)
        # Lengths that have small factors alone, if both edges have such before it is too much.
        tried = range(least, least + max(shape) // 8 + 8)
        lengths = ([edge + 2 * margin for edge in shape] for margin in tried)
        quick = [all(next_fast_len(n) == n for n in both) for both in lengths]
        wide = tried[quick.index(True)] if any(quick) else least
        return cls(shape, pixel, wide, math.ceil(pixel / _FINEST - 1e-9))

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns of pixels, the margins included."""
        rows, columns = self.shape
        return rows + 2 * self.margin, columns + 2 * self.margin

    @property
    def wave(self) -> "Sampling":
        """The grid of the wave."""
        rows, columns = self.padded
        points = round(rows * self.refinement), round(columns * self.refinement)
        return Sampling(points, self.pixel / self.refinement)

    @property
    def pixels(self) -> "Sampling":
        """The pixels, the margins included."""
        return Sampling(self.padded, self.pixel)

    def shown(self, image: Float[Leaf, "rows columns"]) -> Float[Leaf, "shown_rows shown_columns"]:
        """An image without its margins."""
        rows, columns = self.shape
        return image[self.margin : self.margin + rows, self.margin : self.margin + columns]


class Sampling(eqx.Module):
    """A periodic grid, and its spatial frequencies.

    **Fields:**

    - `shape`: rows and columns of points.
    - `spacing`: of the points (Å).
    """

    shape: tuple[int, int] = eqx.field(static=True)
    spacing: float = eqx.field(static=True)

    @property
    def area(self) -> float:
        """Of the grid (Å²)."""
        return self.shape[0] * self.shape[1] * self.spacing**2

    @property
    def limit(self) -> float:
        """Spatial frequency (1/Å) beyond which there is no wave: 2/3 of the highest."""
        return BAND_LIMIT * 0.5 / self.spacing

    def frequencies(self) -> tuple[Float[np.ndarray, "rows 1"], Float[np.ndarray, "1 columns"]]:
        """Along y and x (1/Å), in the order of the FFT, so that they broadcast to the grid."""
        ky, kx = (np.fft.fftfreq(n, self.spacing).astype(np.float32) for n in self.shape)
        return ky[:, None], kx[None, :]

    def in_band(self) -> Float[np.ndarray, "rows columns"]:
        """1 where the band limit lets waves pass, and 0 elsewhere."""
        ky, kx = self.frequencies()
        return (kx**2 + ky**2 <= self.limit**2).astype(np.float32)


def resampled(
    spectrum: Complex[Array, "rows columns"], shape: tuple[int, int]
) -> Complex[Array, "new_rows new_columns"]:
    """A spectrum on a finer or coarser grid of the same extent: its high frequencies cut off, or zero.

    **Arguments:**

    - `spectrum`: in the order of the FFT, without the half frequency of an even grid.
    - `shape`: of the new grid.
    """
    old = spectrum.shape
    for axis in (0, 1):
        few = min(old[axis], shape[axis])
        head, tail = (few + 1) // 2, (few - 1) // 2
        first = jnp.take(spectrum, np.arange(head), axis=axis)
        last = jnp.take(spectrum, np.arange(old[axis] - tail, old[axis]), axis=axis)
        gap = list(first.shape)
        gap[axis] = shape[axis] - head - tail
        spectrum = jnp.concatenate([first, jnp.zeros(gap, spectrum.dtype), last], axis=axis)
    scale = (shape[0] * shape[1]) / (old[0] * old[1])
    return spectrum * np.float32(scale)
