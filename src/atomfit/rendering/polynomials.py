"""The logarithm of a Gaussian on a grid: a quadratic polynomial of the voxel's indices.

    -½ (u + o)ᵀ P (u + o) = c₀ + Σ c_k u_k + Σ c_kk u_k² + Σ c_kl u_k u_l

with u the voxel's indices, counted from the middle of a window, and o what leads from the Gaussian's centre
to that middle. The monomials of u, ten in three dimensions, are the same for all Gaussians, so that their
exponents are one matrix product, of [Gaussians x monomials] with [monomials x voxels].
"""

import numpy as np
from jaxtyping import Float

from atomfit.structure.atoms import Leaf


def coefficients(offsets: Float[Leaf, "*n k"], precisions: Float[Leaf, "*n k k"]) -> Float[Leaf, "*n m"]:
    """Of the polynomials, in the order of `monomials`.

    **Arguments:**

    - `offsets`: o, in voxels and in array order.
    - `precisions`: P, likewise.
    """
    xp = offsets.__array_namespace__()
    first, second = np.triu_indices(offsets.shape[-1], 1)
    symmetric = 0.5 * (precisions + xp.matrix_transpose(precisions))
    linear = xp.sum(symmetric * offsets[..., None, :], axis=-1)
    constant = 0.5 * xp.sum(linear * offsets, axis=-1, keepdims=True)
    squares = 0.5 * xp.linalg.diagonal(symmetric)
    return -xp.concat([constant, linear, squares, symmetric[..., first, second]], axis=-1)


def monomials(window: tuple[int, ...]) -> Float[np.ndarray, "m voxels"]:
    """One, the indices of each voxel of a window, their squares, and their products in pairs."""
    d = len(window)
    u = (np.indices(window) - np.reshape(window, (-1, *[1] * d)) // 2).reshape(d, -1)
    first, second = np.triu_indices(d, 1)
    return np.concatenate([np.ones_like(u[:1]), u, u**2, u[first] * u[second]]).astype(np.float32)
