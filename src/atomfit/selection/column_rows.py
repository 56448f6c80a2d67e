"""How much each line of a scan is offset, from what a fit leaves: a fit in, the same with offsets out.

An offset is a number a row, with a normal prior about zero whose width s all rows tell: s² is the mean of
their squares and variances (empirical Bayes; Dempster, Laird & Rubin 1977). What the columns of a row
follow together cannot be told from an offset of all its lines: with D what each row's pixels tell of its
offset and H of it and the places of columns along x, offsets have the covariance

    C = (D - Hᵀ diag(Σ H)⁻¹ H + 1/s²)⁻¹,

columns following them, and places owe W C Wᵀ to them, W being the rows' parts of each column.
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
    grid, before, pixel = image.grid, fitted.rows, float(image.grid.spacing[0])
    seen = fitted.drawn(grid)
    slopes = _slopes(fitted, seen, pixel)
    if not slopes.any():
        return fitted
    left = image.values - seen - fitted.background.on(grid, grid)
    pull = slopes * np.where(fitted.counted, left / np.sqrt(fitted.variance), 0.0)
    excess = _excess(pull, slopes**2)
    told, pull = np.sum(slopes**2, axis=1) / excess, np.sum(pull, axis=1) / excess
    deviation = before.deviation
    if before.values.any():
        mean = float(np.mean((before.values**2 + before.variances)[told > 0]))
        deviation = max(np.sqrt(mean), LIMITS.least_offset * pixel)
    own, followed = np.diag(told + deviation**-2), _followed(_of_columns(fitted, told, grid))
    # Steps are those of a matrix that says more: columns follow after they were made.
    step = np.linalg.solve(own - LIMITS.offset_follows * followed, pull - before.values / deviation**2)
    variances = np.diagonal(np.linalg.inv(own - followed))
    start = RowOffsets(before.values, variances, deviation, excess, grid)
    return _stepped(image, replace(fitted, rows=start), step)


def _excess(pull: Float[np.ndarray, "rows columns"], told: Float[np.ndarray, "rows columns"]) -> float:
    """By how much more parts of a row differ in offset than by pixels' own noise: 1 at least.

    What wanders within a line, or errs together, is no offset of the line.
    """
    before = np.cumsum(told.sum(axis=0))
    edges = np.unique(
        np.searchsorted(before, before[-1] * np.arange(LIMITS.parts_of_row) / LIMITS.parts_of_row)
    )
    pull, told = (np.add.reduceat(each, edges, axis=1) for each in (pull, told))
    whole = told.sum(axis=1, keepdims=True)
    there = (told > LIMITS.told_offset * told.max(axis=1, keepdims=True)) & (whole > 0)
    apart = pull - told * pull.sum(axis=1, keepdims=True) / np.maximum(whole, 1e-300)
    freedom = there.sum() - there.any(axis=1).sum()
    return max(float(np.sum((apart**2)[there] / told[there]) / max(freedom, 1)), 1.0)


def _stepped(image: DensityMap, fitted: FittedColumns, step: Float[np.ndarray, " rows"]) -> FittedColumns:
    """With offsets a step on, as long as that describes the image better; the shorter ones else."""
    start, least = fitted.rows, _misfit(image, fitted)
    assert start is not None
    far = LIMITS.farthest_offset * float(image.grid.spacing[0])
    for halvings in range(LIMITS.offset_halvings):
        values = np.clip(start.values + 0.5**halvings * step, -far, far)
        found = replace(fitted, rows=replace(start, values=values))
        if _misfit(image, found) < least:
            return found
    return fitted


def _misfit(image: DensityMap, fitted: FittedColumns) -> float:
    """What columns of such offsets leave, and what the prior says of these."""
    rows, grid = fitted.rows, image.grid
    assert rows is not None
    left = (image.values - fitted.drawn(grid) - fitted.background.on(grid, grid))[fitted.counted]
    return float(
        np.sum(left**2 / fitted.variance[fitted.counted]) / rows.excess
        + np.sum((rows.values / rows.deviation) ** 2)
    )


def offset_variances(fitted: FittedColumns, grid: Grid) -> Float[np.ndarray, " n"]:
    """What columns' places along x owe to offsets that are not known (Å²).

    **Arguments:**

    - `fitted`: columns and what lies beneath.
    - `grid`: of the region that was fitted.
    """
    if fitted.rows is None:
        return np.zeros(len(fitted))
    slopes = _slopes(fitted, fitted.drawn(grid), float(grid.spacing[0]))
    told = np.sum(slopes**2, axis=1) / fitted.rows.excess
    of_columns = _of_columns(fitted, told, grid)
    strengths, modes = np.linalg.eigh(np.diag(told) - _followed(of_columns))
    # What columns follow nearly is told by a small difference of what is known to a per cent.
    strengths = np.where(strengths > LIMITS.told_offset * strengths.max(initial=0.0), strengths, 0.0)
    weights = of_columns / np.maximum(of_columns.sum(axis=1, keepdims=True), 1e-300) @ modes
    return np.asarray(weights**2 @ (1 / (strengths + fitted.rows.deviation**-2)))


def _slopes(
    fitted: FittedColumns, seen: Float[np.ndarray, "rows columns"], pixel: float
) -> Float[np.ndarray, "rows columns"]:
    """Derivatives of pixels by the offsets of their rows, in units of noise."""
    slopes = -np.gradient(seen, pixel, axis=1) / np.sqrt(fitted.variance)
    return np.where(fitted.counted, slopes, 0.0)


def _followed(of_columns: Float[np.ndarray, "n rows"]) -> Float[np.ndarray, "rows rows"]:
    """What columns take of what is told of offsets, as they follow them."""
    whole = np.maximum(of_columns.sum(axis=1, keepdims=True), 1e-300)
    return np.asarray(of_columns.T @ (of_columns / whole))


def _of_columns(
    fitted: FittedColumns, told: Float[np.ndarray, " rows"], grid: Grid
) -> Float[np.ndarray, "n rows"]:
    """What each row's pixels tell of its offset, by the columns that it is about."""
    places = grid.origin[1] + grid.spacing[1] * np.arange(grid.shape[0])
    apart = places[:, None] - np.asarray(fitted.columns.positions, np.float64)[:, 1]
    squared = np.asarray(fitted.columns.amplitudes, np.float64) ** 2 * np.exp(
        -(apart**2) / fitted.spreads[:, 1, 1]
    )
    return np.asarray(squared / np.maximum(squared.sum(axis=1, keepdims=True), 1e-300)).T * told
