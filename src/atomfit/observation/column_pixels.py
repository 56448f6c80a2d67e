"""What pixels tell of columns one by one: precisions in, each column's information and what it shares out.

A column has pixels about it, a few splines of the background beneath, and neighbours. Sums over its pixels,
of columns of unit amplitude, are taken once on the host before a fit; while the fit works they are scaled
by what the columns are by then (`column_image`). Work and memory grow with the number of columns, some of
which are done at a time.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter

from atomfit.observation.spline import SplineBackground
from atomfit.rendering import bucket
from atomfit.structure.grid import Grid

#: Widths of a typical column within which pixels are looked at.
_FELT = 4.0
#: Columns that are looked at together.
_AT_A_TIME = 256


def felt(
    structure: Any, grid: Grid, precision: Float[np.ndarray, "rows columns"], background: SplineBackground
) -> tuple[
    Float[np.ndarray, "m 6"],
    Float[np.ndarray, "m 6 6"],
    Float[np.ndarray, "m 6 s"],
    Int[np.ndarray, "m s"],
]:
    """How much pixels count about columns of unit amplitude, on the host.

    **Arguments:**

    - `structure`: Gaussians of two dimensions.
    - `grid`, `precision`: of the pixels.
    - `background`: what lies beneath.

    **Returns:** mean precisions, as x, y, the three variances and the amplitude feel them; what these share
    with each other, and with the background's numbers near them (summed over pixels); and which these are.
    """
    natural = np.asarray(structure.natural(), np.float64)
    width = np.sqrt(np.median(natural[:, 2:4].mean(axis=1)))
    half = np.maximum(np.ceil(_FELT * width / grid.spacing[::-1]).astype(int), 1)
    nearest = grid.nearest_voxels(natural[:, :2])
    across, down = (weights.astype(np.float32) for weights in background.weights_along(grid))
    first_row, rows = reached(down, nearest[:, 0], int(half[0]))
    first_column, columns = reached(across, nearest[:, 1], int(half[1]))
    numbers = (first_row[:, None] + rows)[:, :, None] * across.shape[1] + (first_column[:, None] + columns)[
        :, None
    ]
    n = len(natural)
    own, shares = np.empty((n, 6, 6), np.float32), np.empty((n, 6, len(rows) * len(columns)), np.float32)
    square = np.empty((n, 6), np.float32)
    precision = np.asarray(precision, np.float32)
    for first in range(0, n, _AT_A_TIME):
        some = slice(first, first + _AT_A_TIME)
        (y, x), fields = _fields(natural[some], nearest[some], half, grid)
        there = _inside(y, grid.shape[0])[:, :, None] & _inside(x, grid.shape[1])[:, None]
        y, x = np.clip(y, 0, grid.shape[0] - 1), np.clip(x, 0, grid.shape[1] - 1)
        weighted = np.where(there, precision[y[:, :, None], x[:, None, :]], np.float32(0))[:, None] * fields
        flat = fields.reshape(len(fields), 6, -1)
        own[some] = weighted.reshape(flat.shape) @ np.swapaxes(flat, 1, 2)
        square[some] = np.einsum("nij,nij->ni", flat, flat)
        splines = across[x[:, :, None], first_column[some, None, None] + columns]
        along = weighted @ splines[:, None]
        splines = np.swapaxes(down[y[:, :, None], first_row[some, None, None] + rows], 1, 2)
        shares[some] = (splines[:, None] @ along).reshape(len(fields), 6, -1)
    means = np.diagonal(own, axis1=1, axis2=2) / np.maximum(square, 1e-30)
    return np.maximum(means, 1e-3 * np.median(means, axis=0)), own, shares, numbers.reshape(n, -1)


def _fields(
    natural: Float[np.ndarray, "n 6"],
    nearest: Int[np.ndarray, "n 2"],
    half: Int[np.ndarray, " 2"],
    grid: Grid,
) -> tuple[
    tuple[Int[np.ndarray, "n rows"], Int[np.ndarray, "n columns"]], Float[np.ndarray, "n 6 rows columns"]
]:
    """Pixels about columns, and there the derivatives of columns of unit amplitude by their numbers."""
    y, x = (nearest[:, k, None] + np.arange(-half[k], half[k] + 1) for k in range(2))
    dy = (grid.origin[1] + grid.spacing[1] * y - natural[:, 1, None]).astype(np.float32)[:, :, None]
    dx = (grid.origin[0] + grid.spacing[0] * x - natural[:, 0, None]).astype(np.float32)[:, None, :]
    spreads = natural[:, [[2, 4], [4, 3]]]
    inverse = np.linalg.inv(spreads).astype(np.float32)
    norms = (2 * np.pi * np.sqrt(np.linalg.det(spreads))).astype(np.float32)
    a, b, c = (inverse[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    u, v = a * dx + b * dy, b * dx + c * dy
    shape = np.exp(-0.5 * (dx * u + dy * v)) / norms[:, None, None]
    slopes = (u, v, 0.5 * (u**2 - a), 0.5 * (v**2 - c), u * v - b)
    return (y, x), np.stack([*(slope * shape for slope in slopes), shape], axis=1)


def listed(numbers: Int[np.ndarray, "s m"], count: int) -> Int[np.ndarray, "b k"]:
    """Where each number from 0 to a count is in an unravelled table; its size where there are fewer.

    **Arguments:**

    - `numbers`: the table.
    - `count`: of the numbers.
    """
    flat = numbers.ravel()
    order = np.argsort(flat, kind="stable")
    times = np.bincount(flat, minlength=count)
    table = np.full((count, bucket(int(times.max()))), flat.size, np.int32)
    place = np.arange(flat.size) - np.repeat(np.cumsum(times) - times, times)
    table[flat[order], place] = order
    return table


def _inside(numbers: Int[np.ndarray, "..."], count: int) -> Bool[np.ndarray, "..."]:
    return (numbers >= 0) & (numbers < count)


def reached(
    weights: Float[np.ndarray, "n k"], nearest: Int[np.ndarray, " m"], half: int
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " s"]]:
    """Splines along an axis that pixels about columns know: the first, and how many follow for all.

    **Arguments:**

    - `weights`: of the splines along it.
    - `nearest`: pixel in the middle of each window.
    - `half`: how many more windows have on both sides.
    """
    n, count = weights.shape
    known = weights > 0
    first, last = np.argmax(known, axis=1), count - 1 - np.argmax(known[:, ::-1], axis=1)
    low, high = first[np.clip(nearest - half, 0, n - 1)], last[np.clip(nearest + half, 0, n - 1)]
    size = int(np.max(high - low, initial=0)) + 1
    return np.minimum(low, count - size), np.arange(size)


def halfway(
    precision: Float[np.ndarray, "rows columns"],
    grid: Grid,
    positions: Float[np.ndarray, "n 2"],
    neighbours: Int[np.ndarray, "n k"],
    width: float,
) -> Float[np.ndarray, "n k"]:
    """Mean precision where a column's product with each neighbour lies.

    **Arguments:**

    - `precision`, `grid`: of the pixels.
    - `positions`: of the columns (Å).
    - `neighbours`: of each.
    - `width`: of a typical one (Å).
    """
    smooth = gaussian_filter(
        precision, width / np.sqrt(2) / grid.spacing[::-1], mode="nearest", truncate=_FELT
    )
    middles = 0.5 * (positions[:, None] + positions[neighbours])
    nearest = grid.nearest_voxels(middles.reshape(-1, 2))
    return np.asarray(smooth[tuple(nearest.T)].reshape(neighbours.shape), np.float32)
