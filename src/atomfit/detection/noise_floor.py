"""How high noise alone would reach in the denoised map, so that its crests are not called atoms.

The paper's threshold search rewards every blob it adds, because a simulated atom put on a crest of
the noise correlates with it. Below a certain level there is nothing but such crests. The level is
that at which a field of pure noise, as smooth as the denoised map, is expected to have half a maximum
in the whole box (the Euler characteristic of a Gaussian field: Worsley et al. 1992, eq. 1 for three
dimensions):

    E(u) = R (4 ln 2)^(3/2) (2π)^(-2) (u² - 1) exp(-u²/2),    R = volume / FWHM³

with u in standard deviations of the noise. That standard deviation is measured where the denoised
map is quietest, in blocks of two neighbour distances: the tenth percentile of the blocks' values.
Where all blocks are alike the box has no empty part, and the noise is extrapolated from the highest
spatial frequencies instead, at which atoms do not scatter; that assumes white noise, and is the
lower, more generous level where noise is coloured.
"""

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.optimize import brentq

from atomfit.detection.denoise import frequencies
from atomfit.detection.limits import LIMITS
from atomfit.structure.grid import DensityMap
from atomfit.structure.scattering import GaussianMixture

_HIGH_FREQUENCY_RESPONSE = 1e-3


def noise_floor(
    density: DensityMap, denoised: DensityMap, atom: GaussianMixture, block_edge: float
) -> float:
    """Level of the denoised map that noise alone is not expected to exceed.

    **Arguments:**

    - `density`, `denoised`: the map and its correlation with the simulated atom.
    - `atom`: that atom.
    - `block_edge`: edge of the blocks in which the noise is measured (Å).
    """
    deviations = _block_deviations(denoised, block_edge)
    # Constant blocks were masked, or clipped at zero, and tell no noise.
    deviations = deviations[deviations > 1e-6 * np.max(deviations, initial=0)]
    if deviations.size == 0:
        return 0.0
    quiet = float(np.percentile(deviations, LIMITS.quiet_percentile))
    loud = float(np.percentile(deviations, 99))
    if quiet >= LIMITS.empty_ratio * loud:
        quiet = min(quiet, _white_noise_deviation(density, atom))
    return quiet * expected_crest(denoised, atom)


def quiet_part(denoised: DensityMap, block_edge: float) -> float:
    """How loud the quietest blocks of a denoised map are, in its loudest; NaN if it has no blocks.

    Near zero where the map was masked, or where noise is only in what is in it.
    """
    deviations = _block_deviations(denoised, block_edge)
    if deviations.size == 0:
        return float("nan")
    quiet, loud = np.percentile(deviations, [LIMITS.quiet_percentile, 99])
    return float(quiet / loud) if loud > 0 else float("nan")


def expected_crest(denoised: DensityMap, atom: GaussianMixture) -> float:
    """Height of the noise's highest crest, in standard deviations."""
    width = np.sqrt(float(atom.weights @ atom.variances))
    resolution_elements = (
        denoised.grid.size * denoised.grid.voxel_volume / (width * np.sqrt(8 * np.log(2))) ** 3
    )

    def excess(u: float) -> float:
        density = (4 * np.log(2)) ** 1.5 / (2 * np.pi) ** 2 * (u**2 - 1) * np.exp(-(u**2) / 2)
        return resolution_elements * density - LIMITS.expected_false

    # E(u) is largest at u = √3; a box of a few resolution elements is below the mark everywhere.
    low = np.sqrt(3.0)
    return float(brentq(excess, low, 12.0)) if excess(low) > 0 else float(low)


def _block_deviations(denoised: DensityMap, edge: float) -> Float[np.ndarray, " n"]:
    """Standard deviations in blocks; none of a box that is smaller than one."""
    size = np.maximum(np.ceil(edge / denoised.grid.spacing[::-1]).astype(int), 2)
    counts = np.array(denoised.grid.shape) // size
    if np.any(counts < 1):
        return np.zeros(0)
    trimmed = denoised.values[tuple(slice(c * s) for c, s in zip(counts, size, strict=True))]
    split = trimmed.reshape(*(x for pair in zip(counts, size, strict=True) for x in pair))
    inner = tuple(range(1, 2 * len(size), 2))
    return np.asarray(split.std(axis=inner, dtype=np.float64).ravel())


def _white_noise_deviation(density: DensityMap, atom: GaussianMixture) -> float:
    """Standard deviation that white noise of the map's high-frequency level has when denoised."""
    grid = density.grid
    axes = frequencies(grid.shape, grid)
    response = atom.transform_on(axes) ** 2
    high = response < _HIGH_FREQUENCY_RESPONSE
    if not high.any():
        k2 = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
        high = k2 > 0.81 * k2.max()
    spectrum = fft.rfftn(density.values - density.values.mean(), workers=-1)
    # The median, because the faces of a full box put streaks of power along the axes.
    power = float(np.median(np.abs(spectrum[high]) ** 2)) / np.log(2) / grid.size
    return float(np.sqrt(power * response.mean(dtype=np.float64)))
