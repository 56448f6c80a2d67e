"""How much each line of a scan is offset, from what a fit leaves: a fit in, the same with offsets out.

An offset is a number a row, with a normal prior about zero whose width all rows tell (empirical Bayes).
What the columns of a row follow together cannot be told from an offset of all its lines: with D what each
row's pixels tell of its offset and H of it and the places of columns along x, offsets are told

    K = D - Hᵀ diag(Σ H)⁻¹ H,

columns following them, and places owe W (K + 1/s²)⁻¹ Wᵀ to them, W being the rows' parts of each column.
In eigenvectors of K offsets are independent, and the width s is where s² is the mean of their squares and
variances (Dempster, Laird & Rubin 1977).
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from atomfit.fitting.column_fit import FittedColumns
from atomfit.observation.row_offsets import RowOffsets
from atomfit.selection.limits import LIMITS
from atomfit.structure.grid import DensityMap, Grid


def with_offsets(image: DensityMap, fitted: FittedColumns) -> FittedColumns:
    """The same with the offsets that its rows most likely have; itself if it has none.

    **Arguments:**

    - `image`: the region that was fitted.
    - `fitted`: columns and what lies beneath.
    """
    if fitted.rows is None:
        return fitted
    grid, before = image.grid, fitted.rows
    pixel, seen = float(grid.spacing[0]), fitted.drawn(grid)
    precision = np.where(fitted.counted, 1 / fitted.variance, 0.0)
    left = image.values - seen - fitted.background.on(grid, grid)
    slope = -np.gradient(seen, pixel, axis=1)
    told, pull = np.sum(precision * slope**2, axis=1), np.sum(precision * slope * left, axis=1)
    of_columns = _parts(fitted, grid).T * told
    followed = of_columns.T @ (of_columns / np.maximum(of_columns.sum(axis=1), 1e-300)[:, None])
    strengths, modes = np.linalg.eigh(np.diag(told) - followed)
    # What columns follow nearly is told by a small difference of what is known to a per cent.
    known = strengths > LIMITS.told_offset * strengths.max(initial=0.0)
    if not known.any():
        return fitted
    strengths, of_modes = np.where(known, strengths, 0.0), modes.T @ before.values
    # Steps are those of a matrix that says more: columns follow after they were made.
    matrix, deviation = np.diag(told) - LIMITS.offset_follows * followed, before.deviation
    for _ in range(LIMITS.offset_rounds if before.values.any() else 1):
        variances = 1 / (strengths + deviation**-2)
        if before.values.any():
            mean = float(np.mean((of_modes**2 + variances)[known]))
            deviation = max(np.sqrt(mean), LIMITS.least_offset * pixel)
    step = np.linalg.solve(matrix + np.eye(len(told)) / deviation**2, pull - before.values / deviation**2)
    far = LIMITS.farthest_offset * pixel
    found = np.clip(before.values + step, -far, far)
    return replace(fitted, rows=RowOffsets(found, (modes * variances) @ modes.T, deviation, grid))


def offset_variances(fitted: FittedColumns, grid: Grid) -> Float[np.ndarray, " n"]:
    """What columns' places along x owe to offsets that are not known (Å²).

    **Arguments:**

    - `fitted`: columns and what lies beneath.
    - `grid`: of the region that was fitted.
    """
    if fitted.rows is None:
        return np.zeros(len(fitted))
    precision = np.where(fitted.counted, 1 / fitted.variance, 0.0)
    slope = np.gradient(fitted.drawn(grid), float(grid.spacing[0]), axis=1)
    of_columns = _parts(fitted, grid).T * np.sum(precision * slope**2, axis=1)
    weights = of_columns / np.maximum(of_columns.sum(axis=1, keepdims=True), 1e-300)
    return np.asarray(np.einsum("nr,nr->n", weights @ fitted.rows.covariance, weights))


def _parts(fitted: FittedColumns, grid: Grid) -> Float[np.ndarray, "rows n"]:
    """The part of each column in what a row's pixels tell of its offset."""
    places = grid.origin[1] + grid.spacing[1] * np.arange(grid.shape[0])
    apart = places[:, None] - np.asarray(fitted.columns.positions, np.float64)[:, 1]
    squared = np.asarray(fitted.columns.amplitudes, np.float64) ** 2 * np.exp(
        -(apart**2) / fitted.spreads[:, 1, 1]
    )
    return np.asarray(squared / np.maximum(squared.sum(axis=1, keepdims=True), 1e-300))
