"""What any fit of atoms ends with, on the host: the common ground of the joint fit and the baseline."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from atomfit.gaussians.scatterers import AbstractScattering, OneGaussian
from atomfit.rendering import render_map
from atomfit.structure.grid import DensityMap, Grid


@dataclass(frozen=True, eq=False)
class FittedAtoms:
    """n fitted atoms in the map's frame and units; NaN where a number is not known.

    **Fields:**

    - `positions`: in Å.
    - `amplitudes`: integrals (map units x Å³).
    - `u_iso`: isotropic displacements (Å²).
    - `matrices`: displacement matrices (Å²); NaN for atoms that were fitted as isotropic.
    - `scattering`: what they look like at rest.
    - `widened`: all that widens their densities, where that is more than the displacements (Å²).
    """

    positions: Float[np.ndarray, "n d"]
    amplitudes: Float[np.ndarray, " n"]
    u_iso: Float[np.ndarray, " n"]
    matrices: Float[np.ndarray, "n d d"]
    scattering: AbstractScattering = field(default_factory=OneGaussian)
    widened: Float[np.ndarray, "n d d"] | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def shapes(self) -> Float[np.ndarray, "n d d"]:
        """All that widens each atom (Å²): by default its matrix, or a multiple of the unit matrix."""
        if self.widened is not None:
            return self.widened
        round_ones = self.u_iso[:, None, None] * np.eye(self.positions.shape[1])
        return np.where(np.isfinite(self.matrices), self.matrices, round_ones)

    @property
    def usable(self) -> Bool[np.ndarray, " n"]:
        """Atoms whose density is known."""
        return np.isfinite(self.amplitudes) & np.all(np.isfinite(self.shapes), axis=(1, 2))

    @property
    def reach_variances(self) -> Float[np.ndarray, " n"]:
        """Variances (Å²) of round Gaussians that reach as far as the atoms do."""
        variances = np.trace(self.shapes, axis1=1, axis2=2)[:, None] / self.positions.shape[1]
        return self.scattering.widths(variances)[:, 0] ** 2

    @property
    def peaks(self) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k d d"]]:
        """Heights (map units) and variance matrices (Å²) of each atom's Gaussians: A a_k / √det(2πV)."""
        known = self.usable[:, None, None]
        shapes = np.where(known, self.shapes, np.eye(self.positions.shape[1]))
        weights, matrices = self.scattering.terms(shapes)
        heights = self.amplitudes[:, None] * weights / np.sqrt(np.linalg.det(2 * np.pi * matrices))
        return np.where(known[:, 0], heights, np.nan), np.asarray(matrices)

    @property
    def peak_heights(self) -> Float[np.ndarray, " n"]:
        """Height of each atom above the background (map units)."""
        return np.sum(self.peaks[0], axis=1)

    def density(self, grid: Grid) -> Float[np.ndarray, "..."]:
        """Density of the atoms whose density is known, on a grid (map units)."""
        known = self.usable
        gaussians = self.scattering[known].gaussians(
            self.positions[known], self.shapes[known], self.amplitudes[known]
        )
        return render_map(gaussians, grid)


def region_correlation(
    density: DensityMap, model: Float[np.ndarray, "..."], region: Bool[np.ndarray, "..."]
) -> float:
    """Pearson's correlation of map and model over the voxels of a region; NaN if either is constant."""
    a, b = (x[region].astype(np.float64) for x in (density.values, model))
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
