"""Atoms on no grid in, their structure factor out: a non-uniform Fourier transform.

The sum over atoms of exp(-2πi k r) is a product of two matrices, whose work goes with atoms times points.
It is had by the work of one FFT: each atom is laid on 8 x 8 points around it by a smooth kernel, and the
kernel's transform is divided out afterwards (Barnett et al. 2019, "exponential of semicircle"). As only
2/3 of a grid's frequencies are wanted, what is folded back from beyond is 1e-5 of an atom. All of it is
differentiable in places and weights.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.waves.slices import Leaf

#: Points along an edge that an atom is laid on, and how steep the kernel is for 2/3 of the frequencies.
WIDTH = 8
_STEEP = 0.98 * np.pi * WIDTH * 2 / 3
#: Of the squared distance from the kernel's end, below which its slope is cut off.
_END = 1e-6


def laid_out(
    places: Float[Leaf, "n 2"], weights: Float[Leaf, " n"], shape: tuple[int, int]
) -> Float[Array, "rows columns"]:
    """Atoms on the points of a periodic grid.

    **Arguments:**

    - `places`: x, y in points from the first one.
    - `weights`: of the atoms.
    - `shape`: rows and columns of points.
    """
    rows, columns = shape
    first = jnp.ceil(jnp.asarray(places) - WIDTH / 2)
    points = first[:, None, :] + np.arange(WIDTH, dtype=np.float32)[:, None]
    z = (points - places[:, None, :]) / (WIDTH / 2)
    profiles = jnp.exp(_STEEP * (jnp.sqrt(jnp.maximum(1 - z * z, _END)) - 1))
    at = points.astype(jnp.int32)
    values = (weights[:, None] * profiles[:, :, 1])[:, :, None] * profiles[:, None, :, 0]
    flat = (at[:, :, None, 1] % rows) * columns + at[:, None, :, 0] % columns
    return jnp.zeros(rows * columns, jnp.float32).at[flat.ravel()].add(values.ravel()).reshape(shape)


def kernel_transform(frequencies: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """The kernel's transform along one axis.

    **Arguments:**

    - `frequencies`: in cycles per point.
    """
    z, weights = np.polynomial.legendre.leggauss(200)
    values = np.exp(_STEEP * (np.sqrt(1 - z**2) - 1)) * weights
    return WIDTH / 2 * np.cos(2 * np.pi * np.outer(frequencies, z) * WIDTH / 2) @ values
