"""How strongly a map asks for one more atom, at every voxel.

What a joint fit leaves of the map holds the atoms that it was not given. One more atom of amplitude a, with
the shape g of a typical one at a place, lowers the misfit by

    a s - ½ a² I,    s = gᵀ W r,    I = gᵀ W g,

r being the residual and W the weights of the fit. At the best amplitude, s / I, chi-square falls by z²,

    z = s / (σ √I),

which is a standard normal number where there is nothing: the matched filter with the noise's own weights.
The denoised map, in which atoms are detected, knows nothing of the noise's colour and of the atoms' tails;
this one does. A maximum is an atom if noise alone would have one so high in no more than one box of twenty
(the expected number of maxima, as in `noise_floor`). Where the model does not describe the map to the
noise, z is measured in what it scatters by around the atoms.
"""

import numpy as np
from scipy import fft

from atomfit.detection.denoise import frequencies
from atomfit.detection.noise_floor import expected_crest
from atomfit.fitting.joint import JointFit
from atomfit.fitting.objective import region_mask
from atomfit.grid import DensityMap
from atomfit.scattering import GaussianMixture

#: Maxima that noise alone may have in the whole box.
_EXPECTED_FALSE = 0.05
#: The scatter of z is measured so near to the atoms, in their widths.
_AROUND = 3.0
#: A standard deviation in median absolute deviations.
_PER_MEDIAN = 1.4826


def scores(density: DensityMap, fit: JointFit) -> tuple[DensityMap, float]:
    """z at every voxel, and the height that noise alone is not expected to exceed.

    **Arguments:**

    - `density`: the map that was fitted.
    - `fit`: to it.
    """
    grid, u = density.grid, float(np.median(fit.fitted.reach_variances))
    atom = GaussianMixture(np.ones(1), np.array([u]))
    seen = atom.transform_on(frequencies(grid.shape, grid))
    weighted = seen if fit.spectrum is None else seen * fit.spectrum.on(grid.shape)
    residual = fft.rfftn(density.values - fit.density(grid), workers=-1)
    score = fft.irfftn(residual * weighted, grid.shape, workers=-1)
    # All frequencies along the last axis but zero and the highest stand for two.
    twice = np.full(seen.shape[-1], 2.0)
    twice[0] = 1.0
    if grid.shape[-1] % 2 == 0:
        twice[-1] = 1.0
    information = (
        float(np.sum(twice * np.sum(weighted * seen, axis=tuple(range(grid.ndim - 1))))) / grid.size
    )
    z = score / (fit.noise * np.sqrt(information))
    around = z[region_mask(grid, fit.fitted.positions, _AROUND * np.sqrt(u))]
    scatter = _PER_MEDIAN * float(np.median(np.abs(around)))
    result = density.with_values((z / max(scatter, 1.0)).astype(np.float32))
    return result, expected_crest(result, atom, _EXPECTED_FALSE)
