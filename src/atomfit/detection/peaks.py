"""Local maxima of a map that are far enough apart to be different atoms."""

from itertools import product

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from atomfit.structure.grid import DensityMap


def local_maxima(density: DensityMap, above: float, separation: float) -> Int[np.ndarray, "n d"]:
    """Array indices of local maxima, highest first.

    A maximum is a voxel that no neighbour (faces, edges and corners) exceeds. Of two that are closer
    than `separation`, the lower one is dropped, as in the paper's splitting; a plateau is one maximum.

    **Arguments:**

    - `density`: the map.
    - `above`: maxima must exceed this value.
    - `separation`: least distance between two maxima (Å).
    """
    values = density.values
    voxels = np.argwhere(values > above)
    # Few voxels outlive the first neighbours, which is faster than to filter the whole map.
    for step in product((-1, 0, 1), repeat=values.ndim):
        neighbours = np.clip(voxels + step, 0, np.array(values.shape) - 1)
        voxels = voxels[density.at(voxels) >= density.at(neighbours)]
    # Ties are broken by the voxel's index, so that the result does not depend on the machine.
    order = np.argsort(-density.at(voxels), kind="stable")
    voxels = voxels[order]
    return voxels[_spaced(density.grid.positions_of(voxels), separation)]


def _spaced(positions: Float[np.ndarray, "n d"], separation: float) -> np.ndarray:
    """Mask of the points left when each, in order, drops all later ones within a distance."""
    keep = np.ones(len(positions), bool)
    if len(positions) < 2:
        return keep
    pairs = cKDTree(positions).query_pairs(separation, output_type="ndarray")
    for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:
        if keep[first]:
            keep[second] = False
    return keep
