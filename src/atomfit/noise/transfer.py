"""Whether a map holds what its atoms have at each spatial frequency, and from which one on it does.

Maps are often flattened: slow changes are taken off, by a high-pass or a band-pass filter, and dark rings
are left around the atoms. Noise is filtered with them, so that slow frequencies look the best known of all,
and get the largest weights; there the model, whose atoms are Gaussians, has what the map lacks, and its
atoms are pulled to and fro. So the map's transform M is compared with the model's A, shell by shell:

    T(k) = Σ Re(M A*) / Σ |A|²,

which is one wherever atoms are described, 0.2 to 0.5 at slow frequencies of maps that were flattened over a
few Å, and does not depend on noise. What is lost below some frequency is left out of a fit; atoms are as
well determined by the rest.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy import fft

from atomfit.detection.denoise import frequencies
from atomfit.noise.limits import LIMITS
from atomfit.structure.grid import DensityMap, Grid


def without_slow_waves(
    values: Float[np.ndarray, "..."], grid: Grid, below: float
) -> Float[np.ndarray, "..."]:
    """Values without their spatial frequencies below one (1/Å)."""
    transform = fft.rfftn(values.astype(np.float32, copy=False), workers=-1)
    transform[_lengths(grid) < below] = 0
    return fft.irfftn(transform, grid.shape, workers=-1)


def _lengths(grid: Grid) -> Float[np.ndarray, "..."]:
    """Of frequencies on the half transform of a box (1/Å)."""
    axes = np.meshgrid(*frequencies(grid.shape, grid), indexing="ij", sparse=True)
    return np.sqrt(sum(axis**2 for axis in axes))


def lost_below(
    density: DensityMap, model: Float[np.ndarray, "..."], known: Bool[np.ndarray, "..."] | None = None
) -> float:
    """The frequency below which a map has lost what its atoms have (1/Å); zero if it has lost nothing.

    **Arguments:**

    - `density`, `model`: the map, and what a fit makes of it.
    - `known`: frequencies that count, on the half transform of the box; all if None.
    """
    grid = density.grid
    inside = density.measured(np.ones(grid.shape, bool))
    of_map, of_model = (
        fft.rfftn(np.where(inside, x - np.mean(x, where=inside), 0).astype(np.float32), workers=-1)
        for x in (density.values, model)
    )
    step = 1 / float(grid.extent.min())
    shells = np.rint(_lengths(grid) / step).astype(int)
    # The first holds the mean, which a background takes up; the last are not whole.
    kept = (shells > 0) & (shells <= 0.5 / float(grid.spacing.max()) / step)
    if known is not None:
        kept &= known
    shells, of_map, of_model = shells[kept], of_map[kept], of_model[kept]

    def summed(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " s"]:
        return np.bincount(shells, x.astype(np.float64))

    own = np.maximum(summed(np.abs(of_model) ** 2), 1e-300)
    transfer = summed(np.real(of_map * np.conj(of_model))) / own
    left = summed(np.abs(of_map - transfer[shells] * of_model) ** 2)
    errors = np.sqrt(left / np.maximum(np.bincount(shells), 1) / own)
    seen = (errors < LIMITS.transfer_known) & (np.bincount(shells) > 0)
    if not seen.any():
        return 0.0
    # Of many shells the highest is high by chance, too.
    best = float(np.max((transfer - LIMITS.lost_errors * errors)[seen]))
    slowest = int(np.flatnonzero(seen)[0])
    if best <= 0 or transfer[slowest] + LIMITS.lost_errors * errors[slowest] > LIMITS.lost * best:
        return 0.0
    whole = np.flatnonzero(seen & (transfer >= LIMITS.kept * float(transfer[seen].max())))
    return (float(whole[0]) - 0.5) * step
