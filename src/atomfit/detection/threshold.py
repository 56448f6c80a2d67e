"""The paper's threshold: the one whose atoms, simulated, correlate best with the denoised map.

Otsu's threshold T0 is the start; 15 thresholds are spread uniformly from it to the map's maximum;
for each the atoms are found, identical atoms are simulated at their centres, and the simulated map
is correlated with the denoised one. The interval around the best is then sampled six times finer.
All thresholds are evaluated: the curve has local maxima where atoms merge, and a search that stops at
the first drop, as the published program does, loses atoms by the hundred.

The simulated map need not be made. Pearson's correlation with the denoised map C asks for three numbers,
and for atoms of one shape t at places x_i they are sums over atoms:

    ΣS = n/v,    ΣS² = Σ_ij (t * t)(x_i - x_j)/v,    ΣCS = Σ_i (C * t)(x_i)/v

with v the voxel's volume. (C * t) is computed once, so a threshold costs milliseconds. Of an atom at
a face of the box only the part inside counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates, spline_filter
from scipy.spatial import cKDTree
from scipy.special import ndtr

from atomfit.detection.denoise import convolve
from atomfit.structure.grid import DensityMap
from atomfit.structure.scattering import GaussianMixture

COARSE = 15
FINE = 6
#: Distances at which the overlap of two atoms is tabulated; between them it is exact to 1e-8.
_TABLE = 1 << 14

Centres = Float[np.ndarray, "k d"]


@dataclass(frozen=True)
class ThresholdTrial:
    """What one threshold gives.

    **Fields:**

    - `threshold`: in units of map C.
    - `atoms`: how many there are.
    - `correlation`: of the denoised map with simulated atoms at their places.
    """

    threshold: float
    atoms: int
    correlation: float


@dataclass(frozen=True)
class ThresholdSearch:
    """All thresholds that were tried.

    **Fields:**

    - `best`: the chosen one.
    - `trials`: every one, in order of threshold.
    """

    best: ThresholdTrial
    trials: tuple[ThresholdTrial, ...]


class SimulatedMapCorrelation:
    """Pearson's correlation of a denoised map with simulated atoms, over the whole box."""

    def __init__(self, denoised: DensityMap, atom: GaussianMixture) -> None:
        grid = denoised.grid
        self._grid = grid
        values = denoised.values.astype(np.float64)
        self._mean, self._deviation = float(values.mean()), float(values.std())
        reach = 4.0 * float(np.sqrt(atom.variances.max()))
        twice = convolve(denoised.values, grid, atom, reach)
        self._spline = spline_filter(twice, order=3, output=np.float32)
        weights = np.outer(atom.weights, atom.weights).ravel()
        variances = np.add.outer(atom.variances, atom.variances).ravel()
        self._width = float(np.sqrt(atom.weights @ atom.variances))
        self._reach = 4.0 * float(np.sqrt(variances.max()))
        # Tabulated: there are as many terms as pairs of the atom's own, and pairs of atoms by the million.
        self._distances = np.linspace(0, self._reach, _TABLE)
        self._overlaps = GaussianMixture(weights, variances).profile(self._distances)

    def __call__(self, centres: Centres) -> float:
        """The correlation; zero for no atoms or a constant map."""
        voxels, volume = self._grid.size, self._grid.voxel_volume
        if len(centres) == 0 or self._deviation == 0:
            return 0.0
        indices = self._grid.indices_of(centres).T
        sampled = map_coordinates(self._spline, indices, order=3, mode="nearest", prefilter=False)
        inside, squares_inside = self._parts_inside(centres)
        pairs = cKDTree(centres).query_pairs(self._reach, output_type="ndarray")
        first, second = pairs[:, 0], pairs[:, 1]
        apart = np.linalg.norm(centres[first] - centres[second], axis=1)
        overlaps = np.interp(apart, self._distances, self._overlaps)
        overlap = self._overlaps[0] * squares_inside.sum()
        overlap += 2 * (overlaps * np.sqrt(squares_inside[first] * squares_inside[second])).sum()
        mean = inside.sum() / volume / voxels
        variance = overlap / volume / voxels - mean**2
        covariance = float(sampled.sum()) / volume / voxels - self._mean * mean
        return float(covariance / (self._deviation * np.sqrt(max(variance, 1e-300))))

    def _parts_inside(self, centres: Centres) -> tuple[np.ndarray, np.ndarray]:
        """How much of each atom, and of its square, lies inside the box (as if it were Gaussian)."""
        edge = 0.5 * self._grid.spacing
        below = centres - (self._grid.origin - edge)
        above = self._grid.origin - edge + self._grid.extent - centres
        inside, squares = (
            np.prod(ndtr(below / width) - ndtr(-above / width), axis=1)
            for width in (self._width, self._width / np.sqrt(2))
        )
        return inside, squares


def search_threshold(
    lowest: float,
    highest: float,
    centres_at: Callable[[float], Centres],
    correlation: Callable[[Centres], float],
) -> ThresholdSearch:
    """Evaluate 15 thresholds, then eleven finer ones around the best.

    **Arguments:**

    - `lowest`: Otsu's threshold.
    - `highest`: the denoised map's maximum.
    - `centres_at`: the atoms (Å) that a threshold gives.
    - `correlation`: of their simulated map with the denoised map.
    """
    step = (highest - lowest) / COARSE

    def attempt(threshold: float) -> ThresholdTrial:
        centres = centres_at(threshold)
        return ThresholdTrial(float(threshold), len(centres), correlation(centres))

    def value(trial: ThresholdTrial) -> float:
        return trial.correlation

    coarse = [attempt(lowest + k * step) for k in range(COARSE)]
    around = max(coarse, key=value).threshold
    offsets = [k * step / FINE for k in range(1 - FINE, FINE) if k]
    fine = [attempt(around + o) for o in offsets if lowest <= around + o < highest]
    trials = sorted(coarse + fine, key=lambda trial: trial.threshold)
    return ThresholdSearch(max(trials, key=value), tuple(trials))
