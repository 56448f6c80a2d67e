"""How bright atoms are in the map."""

import numpy as np
from jaxtyping import Float

from atomfit.grid import DensityMap


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
