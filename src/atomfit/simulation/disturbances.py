"""What a measurement does to a map: noise, correlated or not, and a missing wedge."""

import numpy as np
from jaxtyping import Float
from scipy import fft

from atomfit.structure.grid import Grid
from atomfit.structure.scattering import GaussianMixture


def noise(grid: Grid, deviation: float, correlation: float, seed: int) -> Float[np.ndarray, "..."]:
    """Gaussian noise of a given standard deviation.

    **Arguments:**

    - `grid`: where.
    - `deviation`: standard deviation of a voxel (map units).
    - `correlation`: width (standard deviation) of the Gaussian that white noise is blurred by (Å); 0 for
        white noise. The standard deviation is that of the blurred noise.
    - `seed`: of the random numbers.
    """
    values = np.random.default_rng(seed).standard_normal(grid.shape)
    if correlation > 0:
        blur = GaussianMixture(np.ones(1), np.array([correlation**2]))
        frequencies = [fft.fftfreq(n, s) for n, s in _axes(grid)]
        k2 = sum(f**2 for f in np.meshgrid(*frequencies, indexing="ij", sparse=True))
        values = fft.ifftn(fft.fftn(values) * blur.transform(np.asarray(k2))).real
        values /= values.std()
    return deviation * values


def without_wedge(
    values: Float[np.ndarray, "z y x"], grid: Grid, angle: float
) -> Float[np.ndarray, "z y x"]:
    """The map without the spatial frequencies that a limited tilt range about y cannot measure.

    **Arguments:**

    - `values`: the map.
    - `grid`: its grid.
    - `angle`: opening of the missing wedge about the z axis (degrees): 180 minus the tilt range.
    """
    kz, _, kx = np.meshgrid(*[fft.fftfreq(n, s) for n, s in _axes(grid)], indexing="ij", sparse=True)
    half = np.radians(angle / 2)
    missing = np.abs(kx) < np.tan(half) * np.abs(kz)
    return fft.ifftn(np.where(missing, 0, fft.fftn(values))).real


def _axes(grid: Grid) -> list[tuple[int, float]]:
    return list(zip(grid.shape, grid.spacing[::-1], strict=True))
