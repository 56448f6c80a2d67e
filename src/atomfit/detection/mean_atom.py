"""The mean atom of a map: how wide and how bright its atoms are, before any of them is known.

Everything downstream needs a width: the denoising template, the simulated maps, the windows and the
start of the fit. The published program ties it to the voxel; here it is measured. The raw map is
averaged around the maxima of a first denoised map, which leaves the atoms' common profile and takes
the noise out, and a Gaussian on a constant is fitted to it within half the distance between
neighbours. With that width the map is denoised again, until the width stays.

A missing wedge makes all atoms of a map longer along one direction. The same average, fitted by a
Gaussian with a full matrix, gives that common shape, from which the joint fit starts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from atomfit.detection.denoise import denoise
from atomfit.detection.limits import LIMITS
from atomfit.detection.noise_floor import noise_floor
from atomfit.detection.peaks import local_maxima
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.scattering import GaussianMixture, fit_profile

_FIRST_GUESS = 0.18
_MAX_ROUNDS = 5
_MAX_PEAKS = 2000


@dataclass(frozen=True, eq=False)
class MeanAtom:
    """Profile of the map's typical atom.

    **Fields:**

    - `height`: of its peak above the background (map units).
    - `u`: variance of its density (Å²).
    - `background`: constant beneath it (map units).
    - `matrix`: variance matrix of an anisotropic Gaussian fitted to the same profile (Å²).
    - `count`: maxima that were averaged; 0 if the map has none, and the width is then a guess.
    """

    height: float
    u: float
    background: float
    matrix: Float[np.ndarray, "d d"]
    count: int

    @property
    def integral(self) -> float:
        """Amplitude of the mean atom (map units x Å³)."""
        return self.height * (2 * np.pi * self.u) ** 1.5

    @property
    def gaussian(self) -> GaussianMixture:
        """Its shape as one normalised Gaussian."""
        return GaussianMixture(np.ones(1), np.array([self.u]))


def otsu_threshold(denoised: DensityMap) -> float:
    """Otsu's threshold of the positive values (256 bins); infinite if there are none."""
    from skimage.filters import threshold_otsu

    positive = denoised.values[denoised.values > 0]
    if positive.size == 0:
        return float("inf")
    return float(threshold_otsu(positive)) if np.ptp(positive) > 0 else float(positive[0])


def measure_mean_atom(density: DensityMap, element: Element) -> MeanAtom:
    """Average the map around its maxima and fit the profile.

    **Arguments:**

    - `density`: the map.
    - `element`: whose distance says how far apart its maxima are.
    """
    distance = element.neighbour_distance
    low, high = (part * distance for part in (LIMITS.narrowest, LIMITS.widest))
    low = max(low, 0.4 * float(density.grid.spacing.min()))
    guess = (_FIRST_GUESS * distance) ** 2
    mean = MeanAtom(0.0, guess, 0.0, guess * np.eye(density.grid.ndim), 0)
    for _ in range(_MAX_ROUNDS):
        denoised = denoise(density, mean.gaussian)
        floor = noise_floor(density, denoised, mean.gaussian, 2 * distance)
        above = max(otsu_threshold(denoised), floor)
        peaks = local_maxima(denoised, above, LIMITS.closest * distance)
        # Some of many, high and low ones alike: the highest are narrower than the typical atom.
        peaks = peaks[:: 1 + len(peaks) // _MAX_PEAKS]
        if len(peaks) == 0:
            break
        before, mean = mean.u, _fit(density, peaks, 0.5 * distance, (low**2, high**2))
        if abs(mean.u - before) < 0.01 * mean.u:
            break
    return mean


def _fit(density: DensityMap, peaks: np.ndarray, radius: float, limits: tuple[float, float]) -> MeanAtom:
    """Fit the profile averaged around voxels; those outside the box, or not measured, are left out."""
    grid = density.grid
    offsets = grid.offsets_within(radius)
    voxels = peaks[:, None, :] + offsets
    inside = np.all((voxels >= 0) & (voxels < np.array(grid.shape)), axis=-1)
    voxels = np.where(inside[..., None], voxels, 0)
    if density.counted is not None:
        inside &= density.counted[tuple(np.moveaxis(voxels, -1, 0))]
    values = np.where(inside, density.at(voxels), 0.0)
    counts = inside.sum(axis=0)
    used = counts > 0
    profile = values.sum(axis=0)[used] / counts[used]
    r = (offsets[used] * grid.spacing[::-1])[:, ::-1]
    distance = np.linalg.norm(r, axis=1)
    height, u, background = fit_profile(distance, profile, np.ones_like(distance))
    # Maxima are voxels: their rounding widens the average by a twelfth of a voxel squared.
    rounding = grid.spacing**2 / 12
    matrix = _fit_matrix(r, profile, height, u, background) - np.diag(rounding)
    narrow = float(np.clip(u - rounding.mean(), *limits))
    height *= (max(u, narrow) / narrow) ** (grid.ndim / 2)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.clip(values, *limits)) @ vectors.T
    return MeanAtom(height, narrow, background, matrix, len(peaks))


def _fit_matrix(
    r: Float[np.ndarray, "n d"],
    profile: Float[np.ndarray, " n"],
    height: float,
    u: float,
    background: float,
) -> Float[np.ndarray, "d d"]:
    """Variance matrix (Å²) of the anisotropic Gaussian on a constant that fits a profile best."""
    d = r.shape[1]
    row, column = np.tril_indices(d)

    def factor(p: np.ndarray) -> np.ndarray:
        lower = np.zeros((d, d))
        lower[row, column] = p[2:]
        return lower

    def residual(p: np.ndarray) -> np.ndarray:
        scaled = np.linalg.solve(factor(p), r.T)
        return p[0] * np.exp(-0.5 * np.sum(scaled**2, axis=0)) + p[1] - profile / height

    start = np.concatenate([[1.0, background / height], (np.sqrt(u) * np.eye(d))[row, column]])
    solved = least_squares(residual, start, max_nfev=50)
    lower = factor(solved.x)
    return lower @ lower.T
