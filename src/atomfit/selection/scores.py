"""How strongly a map asks for one more atom, at every voxel, and for each of those that it was given.

What a joint fit leaves of the map holds the atoms that it was not given. One more atom of amplitude a, with
the shape g of a typical one at a place, lowers the misfit by

    a s - ½ a² I,    s = gᵀ W r,    I = gᵀ W g,

r being the residual and W the weights of the fit. At the best amplitude, s / I, chi-square falls by z²,

    z = s / (σ √I),

which is a standard normal number where there is nothing: the matched filter with the noise's own weights.
The denoised map, in which atoms are detected, knows nothing of the noise's colour and of the atoms' tails;
this one does. An atom of the model, of amplitude A and shape h, has the same score, that of the residual
with it put back: z at its place and A gᵀ W h / (σ √I) more.

Where the model does not describe the map to the noise, z is measured in what it scatters by around the
atoms.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.ndimage import map_coordinates

from atomfit.detection.denoise import frequencies
from atomfit.fitting.joint import JointFit
from atomfit.gaussians.overlaps import derivatives_of_gaussian, weighted_derivatives
from atomfit.structure.grid import DensityMap
from atomfit.structure.region import region_mask
from atomfit.structure.scattering import GaussianMixture

#: The scatter of z is measured so near to the atoms, in their widths.
AROUND = 3.0
#: A standard deviation in median absolute deviations.
PER_MEDIAN = 1.4826


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a fit, in standard deviations of what noise makes of them.

    **Fields:**

    - `field`: of one more atom at each voxel.
    - `atoms`: of each of the fit's own; NaN where one is not known.
    - `whole`: what that would be if the fit left nothing at its place.
    - `scatter`: of z around the atoms, by which all is divided; 1 if noise explains it.
    """

    field: DensityMap
    atoms: Float[np.ndarray, " n"]
    whole: Float[np.ndarray, " n"]
    scatter: float


def scores(density: DensityMap, fit: JointFit) -> Scores:
    """Scores of a fit.

    **Arguments:**

    - `density`: the map that was fitted.
    - `fit`: to it.
    """
    grid, fitted = density.grid, fit.fitted
    u = float(np.median(fitted.reach_variances))
    seen = GaussianMixture(np.ones(1), np.array([u])).transform_on(frequencies(grid.shape, grid))
    weighted = seen if fit.spectrum is None else seen * fit.spectrum.on(grid.shape)
    left = density.values - fit.density(grid)
    if density.counted is not None:
        left = left * density.counted
    residual = fft.rfftn(left, workers=-1)
    score = fft.irfftn(residual * weighted, grid.shape, workers=-1)
    # All frequencies along the last axis but zero and the highest stand for two.
    twice = np.full(seen.shape[-1], 2.0)
    twice[0] = 1.0
    if grid.shape[-1] % 2 == 0:
        twice[-1] = 1.0
    each = np.sum(weighted * seen, axis=tuple(range(grid.ndim - 1)), dtype=np.float64)
    # A map without noise is known to the rounding of its numbers.
    noise = max(fit.noise, float(np.finfo(np.float32).eps) * float(np.abs(density.values).max()))
    unit = noise * np.sqrt(float(twice @ each) / grid.size)
    z = score / unit
    around = z[region_mask(grid, fitted.positions, AROUND * np.sqrt(u))]
    scatter = PER_MEDIAN * float(np.median(np.abs(around)))
    if fit.inside is None:
        scatter = max(scatter, 1.0)
    field = density.with_values((z / scatter).astype(np.float32))
    put_back = fitted.amplitudes * _overlap_with_typical(fit, u) / (unit * scatter)
    return Scores(field, put_back + between_voxels(field, fitted.positions), put_back, scatter)


def _overlap_with_typical(fit: JointFit, u: float) -> Float[np.ndarray, " n"]:
    """gᵀ W h of each atom's density, of amplitude 1, with the typical atom at its place."""
    fitted = fit.fitted
    heights, matrices = fitted.peaks
    volumes = heights * np.sqrt(np.linalg.det(2 * np.pi * matrices)) / fitted.amplitudes[:, None]
    together = np.where(np.isfinite(matrices), matrices, 0) + u * np.eye(fitted.positions.shape[1])
    apart = np.zeros(together.shape[:-1])
    if fit.spectrum is None:
        overlaps = derivatives_of_gaussian(apart, together, 0)
    else:
        k, parts, _ = fit.spectrum.sampled(u)
        overlaps = weighted_derivatives(apart, together, k, parts, 0)
    return np.asarray(np.sum(volumes * np.asarray(overlaps)[..., 0], axis=1))


def between_voxels(field: DensityMap, positions: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Values at places between voxels, linearly."""
    places = np.clip(field.grid.indices_of(positions), 0, np.array(field.grid.shape) - 1)
    return np.asarray(map_coordinates(field.values, places.T, order=1), np.float64)
