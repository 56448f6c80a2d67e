"""Maxima of white noise behind a Gaussian filter, counted."""

import numpy as np
from scipy.ndimage import gaussian_filter

from atomfit.detection.peaks import local_maxima
from atomfit.structure.grid import DensityMap, Grid

#: Of the box (voxels).
EDGE = 128


def heights_of_maxima(seed: int, width: float, apart: float, above: float) -> np.ndarray:
    """Heights of bumps and hollows of a field, in its standard deviations.

    **Arguments:**

    - `seed`: of the noise.
    - `width`: of the filter (voxels).
    - `apart`: of two that are closer the lower one does not count (voxels).
    - `above`: which heights count.
    """
    noise = np.random.default_rng(seed).normal(size=(EDGE,) * 3).astype(np.float32)
    field = gaussian_filter(noise, width, mode="wrap")
    grid, heights = Grid(field.shape, np.ones(3), np.zeros(3)), []
    for sign in (1, -1):
        signed = DensityMap((sign * field / field.std()).astype(np.float32), grid)
        voxels = local_maxima(signed, above, apart)
        # What lies on a face of the box need not be a maximum.
        inside = np.all((voxels > 0) & (voxels < EDGE - 1), axis=1)
        heights.append(signed.at(voxels[inside]).astype(np.float64))
    return np.concatenate(heights)
