"""What a fit leaves of a map or of images, against what noise alone would leave.

The residual is divided by the standard deviation of the noise in a voxel or pixel. If the model describes
what was measured and the noise is normal, the histogram of these z-scores is the normal curve; atoms that
are missing or have another shape make its tails heavy. Where noise was not measured apart from the fit,
the residual's own standard deviation must do, which only the histogram's shape can disagree with.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from atomfit.fitting.joint import JointFit
from atomfit.structure.region import region_mask

if TYPE_CHECKING:
    from atomfit.results.build import BuildResult

#: Voxels count so many widths of the mean atom from an atom, where the atoms' density is.
_WIDTHS = 2.0
_EDGES = np.linspace(-6, 6, 61)
#: So many squares tell the variance of their means to a fifth.
_FEWEST_SQUARES = 50


def residual_histogram(result: "BuildResult", model: Float[np.ndarray, "..."]) -> dict[str, Any] | None:
    """Histogram of z-scores in the voxels around the atoms; None if there are no atoms.

    **Arguments:**

    - `result`: of `build`.
    - `model`: density of the model on the map's grid (map units).

    **Returns:** what `histogram` does.
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
    return histogram(left / noise, noise, measured, "voxels", "around the atoms", "map units")


def histogram(
    scores: Float[np.ndarray, " k"], noise: float, measured: bool, pieces: str, where: str, unit: str
) -> dict[str, Any]:
    """Histogram of z-scores.

    **Arguments:**

    - `scores`: residuals in standard deviations of the noise.
    - `noise`, `unit`: such a deviation, and in which unit.
    - `measured`: whether it was, apart from the fit.
    - `pieces`, `where`: what the scores are those of, in words.

    **Returns:** the last five, `edges` of the bins, `density` in each (per unit of z), `deviation` and
    `count` of the scores, and how many of them lie `beyond` the bins.
    """
    counts, _ = np.histogram(scores, _EDGES)
    return {
        "edges": _EDGES.round(3),
        "density": counts / (len(scores) * np.diff(_EDGES)),
        "deviation": float(scores.std()),
        "count": len(scores),
        "beyond": len(scores) - int(counts.sum()),
        "noise": noise,
        "measured": measured,
        "pieces": pieces,
        "where": where,
        "unit": unit,
    }


def pattern(
    scores: Float[np.ndarray, "v y x"], fitted: Bool[np.ndarray, "v y x"], edge: int
) -> float | None:
    """Variance of the means over squares of images, beside what noise of single pixels would give them.

    It is 1 for noise that is another in each pixel, and larger if neighbours err together, because the
    model lacks something or because images were smoothed. None if there are too few squares.

    **Arguments:**

    - `scores`: residuals in standard deviations of the noise.
    - `fitted`: pixels that count.
    - `edge`: of a square (pixels).
    """
    rows, columns = (n // edge * edge for n in scores.shape[1:])
    pieces = (len(scores), rows // edge, edge, columns // edge, edge)
    whole = fitted[:, :rows, :columns].reshape(pieces).all(axis=(2, 4))
    if whole.sum() < _FEWEST_SQUARES:
        return None
    sums = scores[:, :rows, :columns].reshape(pieces).sum(axis=(2, 4), dtype=np.float64)[whole]
    alone = np.mean(scores[fitted].astype(np.float64) ** 2)
    return float(np.mean(sums**2) / (edge**2 * alone)) if alone > 0 else None


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
