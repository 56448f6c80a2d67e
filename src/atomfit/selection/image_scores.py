"""How strongly images ask for one more atom at any place, and for each of those that they were given.

The same score as for a map (`selection.scores`), from what a fit leaves of the images. One more atom with
the image g_v of a typical one, at a place x that view v shows at x_v, lowers the misfit at best by ½ z²,

    z = s / √I,    s = Σ_v gain_v (w_v r_v * g)(x_v),    I = Σ_v gain_v² (w_v * g²)(x_v),

r being what the fit leaves, w the inverse variance of each pixel and * correlation. So each image is
filtered once, with the weights of its own noise, and smeared back. Where noise is all there is, z is a
standard normal number; where the model fails, it is measured in what it scatters by around the atoms. An
atom of amplitude A has the score of the residual with it put back, A √I more.

An atom that is lacking, or one too many, is seen at other depths as well: of its image smeared back there
is a part that falls off as 1/r only, and that of some hundred atoms adds up to more than noise. It is
smooth. So the residual's own power spectrum c(k), in units of noise, takes part in the filter, as that of
coloured noise does: g becomes g / c. Where the residual is noise, c is one.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq
from scipy.ndimage import gaussian_filter

from atomfit.projection.colour import power_spectrum
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.reconstruction import back_projected, grid_about
from atomfit.selection.scores import AROUND, PER_MEDIAN, Scores, between_voxels
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.region import region_mask

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
    series, positions = fitted.series, fitted.positions
    u, area = fitted.width, series.pixel**2
    filtered, known = np.zeros_like(fitted.residual), np.zeros_like(fitted.residual)
    matched, square = _matched_filter(fitted)
    for k, gain in enumerate(fitted.gains):
        filtered[k] = gain / area * matched(fitted.precisions[k] * fitted.residual[k])
        # g² is about half as wide as g.
        smooth = gaussian_filter(fitted.precisions[k], np.sqrt(u / 2) / series.pixel, mode="constant")
        known[k] = gain**2 * square / area * smooth
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


def _matched_filter(fitted: FittedSeries) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """The filter g / c of an image, and the integral of g² / c (1/Å²)."""
    spot, pixel = fitted.spot, fitted.series.pixel

    def transform(k: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        parts = zip(spot.weights, spot.variances, strict=True)
        return np.asarray(sum(a * np.exp(-2 * np.pi**2 * v * k**2) for a, v in parts))

    scaled = fitted.residual * np.sqrt(fitted.precisions)
    frequencies, power = power_spectrum(scaled, pixel)
    rows, columns = fitted.series.shape
    # Room for an atom beyond the edges, where the transform begins anew.
    room = int(np.ceil(4 * np.sqrt(float(np.max(spot.variances))) / pixel))
    shape = next_fast_len(rows + room), next_fast_len(columns + room, real=True)
    k = np.hypot(fftfreq(shape[0], pixel)[:, None], rfftfreq(shape[1], pixel)[None, :])
    weight = (transform(k) / np.interp(k, frequencies, power)).astype(np.float32)
    along = np.linspace(0, 0.5 / pixel, 2000)
    ring = 2 * np.pi * along * transform(along) ** 2 / np.interp(along, frequencies, power)

    def matched(image: np.ndarray) -> np.ndarray:
        return np.asarray(irfft2(rfft2(image, shape) * weight, shape)[:rows, :columns])

    return matched, float(np.trapezoid(ring, along))


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
