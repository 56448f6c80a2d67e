"""Atoms to a map once, on the host: nothing is compiled, which for one map takes longer than drawing it.

The same windows as in `windows`, filled with the whole quadratic form and added one by one.
"""

import numpy as np
from jaxtyping import Float

from atomfit.grid import Grid
from atomfit.rendering.gaussians import Gaussians, inverse_and_determinant
from atomfit.rendering.windows import plan_windows

#: Window values that are computed at a time.
_VALUES_AT_A_TIME = 2_000_000


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
    plan = plan_windows(Gaussians(centres, matrices, weights), grid, cutoff)
    starts = np.asarray(plan.starts)
    centres, matrices, weights = centres[plan.order], matrices[plan.order], weights[plan.order]
    precisions, determinants = (np.asarray(x) for x in inverse_and_determinant(matrices))
    peaks = weights / np.sqrt((2 * np.pi) ** d * determinants)
    for begin in range(0, n, step := max(1, _VALUES_AT_A_TIME // int(np.prod(plan.window)))):
        rows = slice(begin, begin + step)
        # Array axis k runs along axis d - 1 - k of space.
        offsets = [
            grid.origin[d - 1 - k]
            + grid.spacing[d - 1 - k] * (starts[rows, k, None] + np.arange(plan.window[k]))
            - centres[rows, d - 1 - k, None]
            for k in range(d)
        ]
        form = np.zeros((len(offsets[0]), *plan.window), np.float32)
        for a in range(d):
            for b in range(a, d):
                entry = precisions[rows, d - 1 - a, d - 1 - b] * (0.5 if a == b else 1.0)
                form += (
                    entry.reshape(-1, *[1] * d) * _along(offsets[a], a, d) * _along(offsets[b], b, d)
                ).astype(np.float32)
        values = peaks[rows].astype(np.float32).reshape(-1, *[1] * d) * np.exp(-form)
        for start, window in zip(starts[rows], values, strict=True):
            density[tuple(slice(i, i + w) for i, w in zip(start, plan.window, strict=True))] += window
    return density


def _along(offsets: Float[np.ndarray, "n w"], axis: int, d: int) -> Float[np.ndarray, "n ..."]:
    shape = [1] * d
    shape[axis] = offsets.shape[1]
    return offsets.reshape(-1, *shape)
