"""The map, its model and what is left, small enough to lie in a page.

Only the box around the particle is kept. Two volumes of one byte a voxel are enough for three pictures,
because the map is the model plus the residual; the residual has a scale of its own, so that the bytes are
fine beside its noise. A box with too many voxels is interpolated on fewer.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import zoom

from atomfit.report.levels import in_bytes
from atomfit.structure.grid import DensityMap, Grid

#: Voxels of a volume at most: two of them make 4 MB of text.
_MOST_VOXELS = 1_400_000
#: What is shown around the outermost atoms (Å).
_MARGIN = 4.0


def slices(
    density: DensityMap, model: Float[np.ndarray, "z y x"], positions: Float[np.ndarray, "n 3"]
) -> dict[str, Any]:
    """Model and residual around the particle, in bytes.

    **Arguments:**

    - `density`: the map.
    - `model`: on the same grid (map units).
    - `positions`: of the atoms (Å); the whole box is kept if there are none.

    **Returns:** `shape` (z, y, x), `spacing` and `origin` (x, y, z; Å), whether voxels were `interpolated`,
    and for `model` and `residual` the bytes in base64 with the numbers that 0 and 255 stand for, and the
    root-mean-square.
    """
    box = _box(density.grid, positions)
    model = model[box]
    residual = density.values[box] - model
    start = np.array([axis.start for axis in box])
    spacing = density.grid.spacing
    factor = min(1.0, (_MOST_VOXELS / model.size) ** (1 / 3))
    if factor < 1:
        before = np.array(model.shape[::-1]) - 1
        model, residual = (zoom(volume, factor, order=1) for volume in (model, residual))
        # The outermost voxels stay where they are.
        spacing = spacing * before / (np.array(model.shape[::-1]) - 1)
    largest = float(np.abs(residual).max())
    return {
        "shape": model.shape,
        "spacing": spacing,
        "origin": density.grid.positions_of(start),
        "interpolated": factor < 1,
        "model": in_bytes(model, float(model.min()), float(model.max())),
        # So that 127 is zero.
        "residual": in_bytes(residual, -largest, largest * 128 / 127),
    }


def _box(grid: Grid, positions: Float[np.ndarray, "n 3"]) -> tuple[slice, ...]:
    if not len(positions):
        return tuple(slice(0, n) for n in grid.shape)
    first = grid.nearest_voxels(positions.min(axis=0) - _MARGIN)
    last = grid.nearest_voxels(positions.max(axis=0) + _MARGIN)
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
