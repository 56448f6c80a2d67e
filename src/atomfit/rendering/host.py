"""Atoms to a map once, on the host: nothing is compiled, which for one map takes longer than drawing it.

Exponents of whole windows are a matrix product (`polynomials`), and windows are added one by one. Gaussians
are drawn by size, each block in windows of its own, so that one wide Gaussian does not make all others
expensive. What reaches over the edge of the box is cut off.
"""

import numpy as np
from jaxtyping import Float

from atomfit.rendering.gaussians import Gaussians, inverse_and_determinant
from atomfit.rendering.polynomials import coefficients, monomials
from atomfit.structure.grid import Grid

#: Gaussians drawn at a time; at 15³ voxels a window they are 7 MB.
_BLOCK = 512


def render_map(gaussians: Gaussians, grid: Grid, cutoff: float = 4.5) -> Float[np.ndarray, "..."]:
    """Density of Gaussians on a grid (float32).

    **Arguments:**

    - `gaussians`: what is to be drawn.
    - `grid`: the map's grid.
    - `cutoff`: where they end, in standard deviations of each ellipsoid.
    """
    density = np.zeros(grid.shape, np.float32)
    n, d = np.shape(gaussians.centres)
    if n == 0:
        return density
    centres, matrices, weights = (
        np.asarray(x, np.float64) for x in (gaussians.centres, gaussians.matrices, gaussians.weights)
    )
    precisions, determinants = (np.asarray(x) for x in inverse_and_determinant(matrices))
    scale = grid.spacing[::-1]
    precisions = precisions[:, ::-1, ::-1] * (scale[:, None] * scale)
    peaks = weights / np.sqrt((2 * np.pi) ** d * determinants)
    indices = grid.indices_of(centres)
    # An ellipsoid's bounding box is set by the diagonal of its variance matrix.
    reach = cutoff * np.sqrt(np.diagonal(matrices, axis1=1, axis2=2)[:, ::-1]) / scale
    by_size = np.argsort(reach.max(axis=1), kind="stable")
    for begin in range(0, n, _BLOCK):
        rows = by_size[begin : begin + _BLOCK]
        farthest = np.minimum(reach[rows].max(axis=0), grid.shape)
        window = np.floor(2 * farthest).astype(int) + 1
        first = np.ceil(indices[rows] - farthest).astype(int)
        polynomials = coefficients(first + window // 2 - indices[rows], precisions[rows])
        values = np.asarray(polynomials, np.float32) @ monomials(tuple(window.tolist()))
        np.exp(values, out=values)
        values *= peaks[rows, None].astype(np.float32)
        low, high = np.maximum(first, 0), np.minimum(first + window, grid.shape)
        for block, start, a, b in zip(values.reshape(-1, *window), first, low, high, strict=True):
            if np.all(a < b):
                inside = tuple(slice(i, j) for i, j in zip(a - start, b - start, strict=True))
                density[tuple(slice(i, j) for i, j in zip(a, b, strict=True))] += block[inside]
    return density
