"""Correlation of the map with one simulated atom: the paper's denoising (Methods, after Roseman 2003).

For white noise this is the matched filter: at an atom's centre it is the best linear estimate of
that atom's strength. It is done in Fourier space with the analytic transform of the atom, so the
template is not sampled on the grid and voxels may be unequal. The box is extended by zeros, so that
what leaves on one side does not come in on the other.
"""

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.ndimage import gaussian_filter

from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.scattering import GaussianMixture

#: Changes are slow if a Gaussian of this standard deviation, in neighbour distances, keeps them.
SLOW = 0.7


def denoise(density: DensityMap, atom: GaussianMixture) -> DensityMap:
    """The map correlated with a simulated atom of unit integral; the map's mean is removed first.

    **Arguments:**

    - `density`: the map.
    - `atom`: of unit integral, as wide as those of the map.
    """
    reach = 4.0 * float(np.sqrt(atom.variances.max()))
    return density.with_values(convolve(density.values - density.values.mean(), density.grid, atom, reach))


def without_slow_changes(density: DensityMap, width: float) -> Float[np.ndarray, "..."]:
    """Values less their mean over a Gaussian of a given standard deviation (Å); faces are continued."""
    slow = gaussian_filter(density.values, width / density.grid.spacing[::-1], mode="nearest")
    return density.values - slow


def convolve(
    values: Float[np.ndarray, "..."], grid: Grid, atom: GaussianMixture, reach: float
) -> Float[np.ndarray, "..."]:
    """Convolve with an isotropic density of unit integral, zero outside the box.

    **Arguments:**

    - `values`: on the grid.
    - `atom`: the density (even, so that convolution and correlation are one).
    - `reach`: how far to extend the box (Å).
    """
    extra = np.ceil(reach / grid.spacing[::-1]).astype(int)
    lengths = tuple(
        fft.next_fast_len(int(n + e), real=True) for n, e in zip(grid.shape, extra, strict=True)
    )
    spectrum = fft.rfftn(values.astype(np.float32, copy=False), lengths, workers=-1)
    spectrum *= atom.transform_on(frequencies(lengths, grid))
    full = fft.irfftn(spectrum, lengths, workers=-1)
    return np.ascontiguousarray(full[tuple(slice(n) for n in grid.shape)])


def frequencies(lengths: tuple[int, ...], grid: Grid) -> list[Float[np.ndarray, " _"]]:
    """Spatial frequencies (1/Å) along each axis of a real FFT of the given lengths."""
    spacing = grid.spacing[::-1]
    axes = [fft.fftfreq(n, s) for n, s in zip(lengths[:-1], spacing[:-1], strict=True)]
    return [*axes, fft.rfftfreq(lengths[-1], spacing[-1])]
