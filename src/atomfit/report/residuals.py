"""What a fit leaves of the map, against what noise alone would leave.

The residual is divided by the standard deviation of the noise in a voxel. If the model describes the map
and the noise is normal, the histogram of these z-scores is the normal curve; atoms that are missing or have
another shape make its tails heavy. Where noise was not measured apart from the fit, the residual's own
standard deviation must do, which only the histogram's shape can disagree with.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.fitting.joint import JointFit
from atomfit.fitting.objective import region_mask

if TYPE_CHECKING:
    from atomfit.pipeline import BuildResult

#: Voxels count so many widths of the mean atom from an atom, where the atoms' density is.
_WIDTHS = 2.0
_EDGES = np.linspace(-6, 6, 61)


def residual_histogram(result: "BuildResult", model: Float[np.ndarray, "..."]) -> dict[str, Any] | None:
    """Histogram of z-scores in the voxels around the atoms; None if there are no atoms.

    **Arguments:**

    - `result`: of `build`.
    - `model`: density of the model on the map's grid (map units).

    **Returns:** `edges` of the bins, `density` in each (per unit of z), `deviation` of the z-scores, how
    many voxels there are, how many of them lie `beyond` the bins, the noise (map units), and whether it
    was `measured` apart from the fit.
    """
    if not len(result):
        return None
    radius = _WIDTHS * result.detection.mean_atom.u**0.5
    region = region_mask(result.density.grid, result.positions, radius)
    left = (result.density.values - model)[region].astype(np.float64)
    noise = measured_noise(result.joint)
    measured = noise is not None
    noise = float(left.std()) if noise is None else noise
    if not noise > 0:
        return None
    scores = left / noise
    counts, _ = np.histogram(scores, _EDGES)
    return {
        "edges": _EDGES.round(3),
        "density": counts / (len(scores) * np.diff(_EDGES)),
        "deviation": float(scores.std()),
        "voxels": len(scores),
        "beyond": len(scores) - int(counts.sum()),
        "noise": noise,
        "measured": measured,
    }


def measured_noise(joint: JointFit | None) -> float | None:
    """Standard deviation of the noise in a voxel (map units), if it was measured apart from the fit."""
    if joint is None:
        return None
    if joint.spectrum is not None:
        noise = joint.spectrum.variance**0.5
    else:
        # The fit tells its residual, and how that compares with the noise.
        noise = joint.noise / joint.chi_square**0.5
    return float(noise) if np.isfinite(noise) else None
