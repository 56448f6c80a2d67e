"""Whether a site without a column is empty in the image: what the fit left there, as a part of a column.

A vacancy is known from its neighbours' places alone. A column that was not found, or was taken for noise,
makes one as well; but it is still in the residual. There a Gaussian as wide as columns are is fitted, its
integral alone, and divided by the median of the nearest columns'. Neighbours that took some of it make that
less than one.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.structure.grid import DensityMap

#: How far pixels are looked at (widths), and how many columns are its neighbours.
_REACH, _NEAREST = 2.0, 6


def left_at(
    residual: DensityMap,
    counted: Bool[np.ndarray, "rows columns"],
    sites: Float[np.ndarray, "v 2"],
    width: float,
    positions: Float[np.ndarray, "n 2"],
    cross_sections: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " v"]:
    """What is left at each site, as a part of its neighbours; NaN where the image has nothing to say.

    **Arguments:**

    - `residual`: image less model.
    - `counted`: its pixels that were fitted.
    - `sites`: places (Å).
    - `width`: standard deviation of a column (Å).
    - `positions`, `cross_sections`: of all columns, the latter in the residual's unit x Å².
    """
    found = np.full(len(sites), np.nan)
    grid, tree = residual.grid, cKDTree(positions)
    reach = int(np.ceil(_REACH * width / float(grid.spacing[0])))
    for number, (site, voxel) in enumerate(zip(sites, grid.nearest_voxels(sites), strict=True)):
        window = tuple(slice(max(i - reach, 0), i + reach + 1) for i in voxel)
        # Distances along rows and from row to row.
        x, y = (
            grid.origin[k] + grid.spacing[k] * np.arange(grid.shape[1 - k])[window[1 - k]] - site[k]
            for k in range(2)
        )
        squared = x**2 + y[:, None] ** 2
        near = counted[window] & (squared < (_REACH * width) ** 2)
        if not near.any():
            continue
        shape = np.exp(-squared[near] / (2 * width**2)) / (2 * np.pi * width**2)
        integral = float(shape @ residual.values[window][near] / (shape @ shape))
        around = np.atleast_1d(tree.query(site, k=min(_NEAREST, len(positions)))[1])
        found[number] = integral / float(np.median(cross_sections[around]))
    return found
