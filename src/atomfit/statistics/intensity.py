"""How bright atoms are in the map."""

import numpy as np
from jaxtyping import Float, Int

from atomfit.structure.grid import DensityMap


def highest_voxels(
    density: DensityMap, positions: Float[np.ndarray, "n d"], radius: float
) -> Float[np.ndarray, " n"]:
    """Highest voxel of the map within a radius (Å) of each atom (map units)."""
    grid = density.grid
    nearest = grid.nearest_voxels(positions)
    highest = np.full(len(positions), -np.inf)
    for offset in grid.offsets_within(radius):
        voxels = nearest + offset
        inside = np.all((voxels >= 0) & (voxels < np.array(grid.shape)), axis=1)
        values = density.at(np.where(inside[:, None], voxels, 0))
        highest = np.maximum(highest, np.where(inside, values, -np.inf))
    return highest


def z_scores(density: DensityMap, labels: Int[np.ndarray, "z y x"], n: int) -> Float[np.ndarray, " n"]:
    """Highest voxel of each atom's own, in standard deviations above their mean; NaN where it has only one.

    The paper's maximum intensity, with the voxels that the fitted model gives to an atom for its component.

    **Arguments:**

    - `labels`: the atom that each voxel belongs to, from 1; 0 for none.
    - `n`: how many atoms there are.
    """
    flat, which = density.values.ravel(), labels.ravel()
    values = flat.astype(np.float64)
    count = np.bincount(which, minlength=n + 1)[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(which, values, n + 1)[1:] / count
        square = np.bincount(which, (values - np.append(0.0, mean)[which]) ** 2, n + 1)[1:] / (count - 1)
        highest = np.full(n + 1, -np.inf)
        np.maximum.at(highest, which, values)
        z = (highest[1:] - mean) / np.sqrt(square)
    return np.where(count > 1, z, np.nan)


def map_z_scores(
    density: DensityMap, labels: Int[np.ndarray, "z y x"], highest: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Highest voxels in standard deviations of all atoms' voxels above their mean: SINGLE's own.

    NaN where the voxels do not differ.

    **Arguments:**

    - `density`, `labels`: as of `z_scores`.
    - `highest`: voxel of each atom (map units).
    """
    values = density.values[labels > 0].astype(np.float64)
    if values.size < 2 or np.ptp(values) == 0:
        return np.full(len(highest), np.nan)
    return (highest - values.mean()) / values.std(ddof=1)
