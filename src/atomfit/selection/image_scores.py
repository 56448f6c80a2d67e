"""How strongly images ask for one more atom at any place, and for each of those that they were given.

The same score as for a map (`selection.scores`), from what a fit leaves of the images. One more atom with
the image g_v of a typical one, at a place x that view v shows at x_v, lowers the misfit at best by ½ z²,

    z = s / √I,    s = Σ_v gain_v (w_v r_v * g)(x_v),    I = Σ_v gain_v² (w_v * g²)(x_v),

r being what the fit leaves, w the inverse variance of each pixel and * correlation. So each image is
filtered once, with the weights of its own noise, and smeared back. Where noise is all there is, z is a
standard normal number; where the model fails, it is measured in what it scatters by around the atoms. An
atom of amplitude A has the score of the residual with it put back, A √I more.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from atomfit.fitting.objective import region_mask
from atomfit.grid import DensityMap, Grid
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.reconstruction import back_projected, grid_about
from atomfit.selection.scores import AROUND, PER_MEDIAN, Scores, between_voxels

#: Edge of a voxel in widths of a typical atom's image, but not less than half a pixel, and larger if there
#: would be too many.
_VOXEL, _MOST_VOXELS = 0.7, 1e7


def scores_of_images(
    fitted: FittedSeries, margin: float, moving: Bool[np.ndarray, " n"] | None = None
) -> Scores:
    """Scores of a fit to images.

    **Arguments:**

    - `fitted`: the images and their fit.
    - `margin`: how far beyond the atoms others are looked for (Å).
    - `moving`: atoms that others are looked for around; all if not given.
    """
    series, positions, spot = fitted.series, fitted.positions, fitted.spot
    u, area = fitted.width, series.pixel**2
    filtered, known = np.zeros_like(fitted.residual), np.zeros_like(fitted.residual)
    for k, gain in enumerate(fitted.gains):
        weighted = fitted.precisions[k] * fitted.residual[k]
        for weight, variance in zip(spot.weights, spot.variances, strict=True):
            width = np.sqrt(variance) / series.pixel
            filtered[k] += gain * weight / area * gaussian_filter(weighted, width, mode="constant")
        # g² is about half as wide as g.
        smooth = gaussian_filter(fitted.precisions[k], np.sqrt(u / 2) / series.pixel, mode="constant")
        known[k] = gain**2 * fitted.square / area * smooth
    around = positions if moving is None else positions[moving]
    grid = _grid_around(around, margin, max(_VOXEL * float(np.sqrt(u)), 0.5 * series.pixel))
    information = back_projected(series, known, grid)
    score = back_projected(series, filtered, grid)
    seen = information > 1e-3 * float(information.max())
    unit = np.sqrt(np.where(seen, information, 1.0) * _kept_between_pixels(fitted))
    z = np.where(seen, score / unit, 0.0)
    near = z[region_mask(grid, around, AROUND * float(np.sqrt(u))) & seen]
    scatter = max(PER_MEDIAN * float(np.median(np.abs(near))), 1.0)
    field = DensityMap((z / scatter).astype(np.float32), grid)
    at_atoms = between_voxels(field.with_values(information), positions)
    put_back = fitted.amplitudes * np.sqrt(np.maximum(at_atoms, 0)) / scatter
    return Scores(field, put_back + between_voxels(field, positions), put_back, scatter)


def _kept_between_pixels(fitted: FittedSeries) -> float:
    """Part of the variance of filtered noise that linear interpolation between pixels keeps, on average.

    Between two pixels whose values correlate by ρ, the mean over the way is (2 + ρ) / 3.
    """
    spot = fitted.spot
    pairs = spot.variances[:, None] + spot.variances
    shares = np.outer(spot.weights, spot.weights) / pairs
    alike = np.sum(shares * np.exp(-(fitted.series.pixel**2) / (2 * pairs))) / np.sum(shares)
    return float(((2 + alike) / 3) ** 2)


def _grid_around(positions: Float[np.ndarray, "n 3"], margin: float, voxel: float) -> Grid:
    low, high = positions.min(axis=0) - margin, positions.max(axis=0) + margin
    voxel = max(voxel, float(np.prod(high - low) / _MOST_VOXELS) ** (1 / 3))
    return grid_about(0.5 * (low + high), 0.5 * (high - low), voxel)
