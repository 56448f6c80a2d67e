"""Which voxels belong to which atom, and the level at which the map is best contoured.

In the fitted model the density at a voxel is shared between its atoms and what is none. The share of atom
i, its responsibility, is

    r_i = S_i / (Σ_j S_j + H/2),

S_i being its density there, and H the peak of the atom that has most of it: what is no atom is given half
of an atom's peak, so that a lone atom ends at half its height, where its neighbours share the space between
them, and a broad and low atom at the surface is as large as its own peak makes it. A voxel belongs to the
atom with the largest share if the atoms' shares are more than one half together. Nothing of this is a cut
through the map: noise does not tear it.

The contour level is the cut through the map that agrees best with these voxels: it has the largest F1, the
harmonic mean of the part of the cut-out voxels that belong to atoms and the part of the atoms' voxels that
are cut out. The same cut through the denoised map stands beside the paper's threshold, in its units: there
the model says which threshold would have been the best.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.gaussians.fitted import FittedAtoms
from atomfit.structure.grid import DensityMap

#: An atom's voxels lie within so many standard deviations of the longest axis: half its peak is at 1.18.
_WIDTHS = 2.0
#: Levels that are tried, as quantiles of the voxels that belong to atoms.
_LEVELS = 400


@dataclass(frozen=True, eq=False)
class Contour:
    """The atoms' voxels and the level that shows them.

    **Fields:**

    - `labels`: number of the atom, from 1, that each voxel belongs to; 0 for none.
    - `level`: of the contour (map units); NaN if no voxel belongs to an atom.
    - `sigma`: the same, in standard deviations of the map above its mean.
    - `f1`: agreement of the contour with the labels.
    """

    labels: Int[np.ndarray, "..."]
    level: float
    sigma: float
    f1: float


def contour(density: DensityMap, fitted: FittedAtoms) -> Contour:
    """The atoms' voxels and the level that shows them.

    **Arguments:**

    - `density`: the map.
    - `fitted`: its atoms.
    """
    labels = _labels(density, fitted)
    level, f1 = best_level(density.values, labels > 0)
    values = density.values
    spread = float(values.std(dtype=np.float64))
    sigma = (level - float(values.mean(dtype=np.float64))) / spread if spread else float("nan")
    return Contour(labels, level, sigma, f1)


def _labels(density: DensityMap, fitted: FittedAtoms) -> Int[np.ndarray, "..."]:
    grid, shape = density.grid, np.array(density.grid.shape)
    total = fitted.density(grid).reshape(-1)
    most = np.zeros(grid.size, np.float32)
    labels = np.zeros(grid.size, np.int32)
    heights, matrices = fitted.peaks
    peaks, usable = fitted.peak_heights, fitted.usable
    inverses = np.linalg.inv(np.where(np.isfinite(matrices), matrices, np.eye(grid.ndim)))
    reach = _WIDTHS * np.sqrt(np.linalg.eigvalsh(fitted.shapes[usable]).max(initial=0.0, axis=None))
    offsets = grid.offsets_within(max(float(reach), float(grid.spacing.max())))
    centres = grid.nearest_voxels(fitted.positions)
    for i in np.flatnonzero(usable & (peaks > 0)):
        voxels = centres[i] + offsets
        voxels = voxels[np.all((voxels >= 0) & (voxels < shape), axis=1)]
        away = grid.positions_of(voxels) - fitted.positions[i]
        squares = np.einsum("vd,kde,ve->kv", away, inverses[i], away)
        own = (heights[i] @ np.exp(-0.5 * squares)).astype(np.float32)
        flat = np.ravel_multi_index(tuple(voxels.T), grid.shape)
        stronger = own > most[flat]
        most[flat[stronger]] = own[stronger]
        labels[flat[stronger]] = i + 1
    # Shares are more than one half together where the sum is more than half the peak.
    half = 0.5 * np.concatenate([[np.inf], np.nan_to_num(peaks)])
    return np.where(total > half[labels], labels, 0).astype(np.int32).reshape(grid.shape)


def best_level(values: Float[np.ndarray, "..."], inside: Bool[np.ndarray, "..."]) -> tuple[float, float]:
    """The level whose cut through a map agrees best with some voxels, and its F1; NaN if there are none."""
    if not inside.any():
        return float("nan"), float("nan")
    levels = np.unique(np.quantile(values[inside].astype(np.float64), np.linspace(0, 1, _LEVELS)))
    f1 = agreements(values, inside, levels)
    best = int(np.argmax(f1))
    return float(levels[best]), float(f1[best])


def agreements(
    values: Float[np.ndarray, "..."], inside: Bool[np.ndarray, "..."], levels: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """F1 of cuts through a map with some voxels, which are at least one.

    **Arguments:**

    - `values`: of the map.
    - `inside`: which voxels are wanted.
    - `levels`: of the cuts (map units).
    """
    wanted = np.sort(values[inside].astype(np.float64))
    others = np.sort(values[~inside & (values >= levels.min())])
    true = len(wanted) - np.searchsorted(wanted, levels)
    false = len(others) - np.searchsorted(others, levels)
    return 2 * true / (true + false + len(wanted))
