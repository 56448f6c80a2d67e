"""The renderer that is obviously right: every Gaussian at every voxel, in float64 numpy.

It has no windows, no cut-off and no cleverness, and costs (atoms x voxels). The fast renderer is
tested against it.
"""

import numpy as np
from jaxtyping import Float

from atomfit.rendering.gaussians import Gaussians
from atomfit.structure.grid import Grid


def render_reference(gaussians: Gaussians, grid: Grid) -> Float[np.ndarray, "..."]:
    """Density of a sum of Gaussians at every voxel centre of a grid.

    **Arguments:**

    - `gaussians`: what is drawn.
    - `grid`: where.
    """
    voxels = grid.positions_of(np.moveaxis(np.indices(grid.shape), 0, -1))
    density = np.zeros(grid.shape)
    for centre, u, weight in zip(
        np.asarray(gaussians.centres, np.float64),
        np.asarray(gaussians.matrices, np.float64),
        np.asarray(gaussians.weights, np.float64),
        strict=True,
    ):
        offset = voxels - centre
        exponent = -0.5 * np.einsum("...i,ij,...j", offset, np.linalg.inv(u), offset)
        density += weight * np.exp(exponent) / np.sqrt(np.linalg.det(2 * np.pi * u))
    return density
