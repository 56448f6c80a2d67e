"""The mean atom of a map: how wide and how bright its atoms are, before any of them is known.

Everything downstream needs a width: the denoising template, the simulated maps, the windows and the
start of the fit. The published program ties it to the voxel; here it is measured. The raw map is
averaged around the maxima of a first denoised map, which leaves the atoms' common profile and takes
the noise out, and a Gaussian on a constant is fitted to it within half the distance between
neighbours. With that width the map is denoised again, until the width stays.
"""

from dataclasses import dataclass

import numpy as np

from atomfit.detection.denoise import denoise
from atomfit.detection.noise_floor import noise_floor
from atomfit.detection.peaks import local_maxima
from atomfit.elements import Element
from atomfit.grid import DensityMap
from atomfit.scattering import GaussianMixture, fit_profile

#: Widths (standard deviations) are looked for between these parts of the neighbour distance.
NARROWEST, WIDEST = 0.05, 0.32
#: Two atoms are never closer than this part of the neighbour distance.
CLOSEST = 0.6
_FIRST_GUESS = 0.18
_MAX_ROUNDS = 5
_MAX_PEAKS = 2000


@dataclass(frozen=True)
class MeanAtom:
    """Profile of the map's typical atom.

    **Fields:**

    - `height`: of its peak above the background (map units).
    - `u`: variance of its density (Å²).
    - `background`: constant beneath it (map units).
    - `count`: maxima that were averaged; 0 if the map has none, and the width is then a guess.
    """

    height: float
    u: float
    background: float
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
    """Average the map around its maxima and fit the profile."""
    distance = element.neighbour_distance
    low, high = (part * distance for part in (NARROWEST, WIDEST))
    low = max(low, 0.4 * float(density.grid.spacing.min()))
    mean = MeanAtom(0.0, (_FIRST_GUESS * distance) ** 2, 0.0, 0)
    for _ in range(_MAX_ROUNDS):
        denoised = denoise(density, mean.gaussian)
        floor = noise_floor(density, denoised, mean.gaussian, 2 * distance)
        above = max(otsu_threshold(denoised), floor)
        peaks = local_maxima(denoised, above, CLOSEST * distance)[:_MAX_PEAKS]
        if len(peaks) == 0:
            break
        measured = _fit(density, peaks, 0.5 * distance)
        # Maxima are voxels: their rounding widens the average by a twelfth of a voxel squared.
        rounding = float(np.mean(density.grid.spacing**2)) / 12
        u = float(np.clip(measured.u - rounding, low**2, high**2))
        change, mean = (
            abs(u - mean.u),
            MeanAtom(measured.height, u, measured.background, len(peaks)),
        )
        if change < 0.01 * u:
            break
    return mean


def _fit(density: DensityMap, peaks: np.ndarray, radius: float) -> MeanAtom:
    """Fit the profile averaged around voxels; voxels outside the box are left out."""
    grid = density.grid
    offsets = grid.offsets_within(radius)
    voxels = peaks[:, None, :] + offsets
    inside = np.all((voxels >= 0) & (voxels < np.array(grid.shape)), axis=-1)
    values = np.where(inside, density.at(np.where(inside[..., None], voxels, 0)), 0.0)
    counts = inside.sum(axis=0)
    used = counts > 0
    profile = values.sum(axis=0)[used] / counts[used]
    r = np.linalg.norm(offsets[used] * grid.spacing[::-1], axis=1)
    height, u, background = fit_profile(r, profile, np.ones_like(r))
    return MeanAtom(height, u, background, len(peaks))
