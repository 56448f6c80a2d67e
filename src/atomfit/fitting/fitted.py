"""What any fit of atoms ends with, on the host: the common ground of the joint fit and the baseline."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.grid import DensityMap, Grid
from atomfit.rendering import Gaussians, render_map


@dataclass(frozen=True, eq=False)
class FittedAtoms:
    """n fitted atoms in the map's frame and units; NaN where a number is not known.

    **Fields:**

    - `positions`: in Å.
    - `amplitudes`: integrals (map units x Å³).
    - `u_iso`: isotropic displacements (Å²).
    - `matrices`: displacement matrices (Å²); NaN for atoms that were fitted as isotropic.
    """

    positions: Float[np.ndarray, "n d"]
    amplitudes: Float[np.ndarray, " n"]
    u_iso: Float[np.ndarray, " n"]
    matrices: Float[np.ndarray, "n d d"]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def shapes(self) -> Float[np.ndarray, "n d d"]:
        """Variance matrix of each atom's density (Å²): its matrix, or a multiple of the unit matrix."""
        round_ones = self.u_iso[:, None, None] * np.eye(self.positions.shape[1])
        return np.where(np.isfinite(self.matrices), self.matrices, round_ones)

    @property
    def usable(self) -> Bool[np.ndarray, " n"]:
        """Atoms whose density is known."""
        return np.isfinite(self.amplitudes) & np.all(np.isfinite(self.shapes), axis=(1, 2))

    @property
    def peak_heights(self) -> Float[np.ndarray, " n"]:
        """Height of each atom above the background (map units): A / √det(2πU)."""
        heights, known = np.full(len(self), np.nan), self.usable
        volumes = np.sqrt(np.linalg.det(2 * np.pi * self.shapes[known]))
        heights[known] = self.amplitudes[known] / volumes
        return heights

    def density(self, grid: Grid) -> Float[np.ndarray, "..."]:
        """Density of the atoms whose density is known, on a grid (map units)."""
        known = self.usable
        gaussians = Gaussians(self.positions[known], self.shapes[known], self.amplitudes[known])
        return render_map(gaussians, grid)


def region_correlation(
    density: DensityMap, model: Float[np.ndarray, "..."], region: Bool[np.ndarray, "..."]
) -> float:
    """Pearson's correlation of map and model over the voxels of a region; NaN if either is constant."""
    a, b = (x[region].astype(np.float64) for x in (density.values, model))
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
