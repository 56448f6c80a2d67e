"""The noise of a map, by spatial frequency.

A reconstruction's noise is neither white nor isotropic: neighbouring voxels share it, and a missing wedge
has none at all, nor any signal. Both are one thing, the noise's power P(k) at each spatial frequency, and
a fit that weighs frequencies by w = σ² / P(k), and not at all where the map has no information, is the
best there is and the only one whose error bars are right.

Where P comes from is told in `noise_sources`; how it is averaged, in `periodogram`. What is here serves
those who use it: weights on other boxes, at single frequencies, and where overlaps are summed.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import fftfreq
from scipy.ndimage import map_coordinates

from atomfit.noise.limits import LIMITS
from atomfit.noise.wedge import Wedge

#: Overlaps are summed over frequencies with more than this part of what the most telling one has, for atoms
#: whose variance is this part of the mean atom's.
_LEAST_CONTENT = 1e-3
_NARROWER = 0.6


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Weight of every spatial frequency of a map.

    **Fields:**

    - `weights`: σ² / P(k), zero where there is no information; on the box's transform, zero frequency in
        the middle (array order).
    - `spacing`: voxel edges (Å; x, y, z).
    - `deviation`: σ, which makes the weights near one in the atoms' band (map units).
    - `believed`: which part of the noise's power the weights reckon with at each frequency, on the same
        grid; less than one where power is below the floor, zero where there is no information.
    - `contrast`: ratio of the largest to the smallest power in the atoms' band.
    - `missing`: part of the atoms' band without information.
    - `source`: where the noise was measured, in words; empty if it was not, and `deviation` is NaN.
    - `wedge`: that is missing, if one was found.
    """

    weights: Float[np.ndarray, "..."]
    spacing: Float[np.ndarray, " d"]
    deviation: float
    believed: Float[np.ndarray, "..."]
    contrast: float
    missing: float
    source: str
    wedge: Wedge | None = None

    @property
    def variance(self) -> float:
        """Of the noise in a voxel (squared map units); NaN if it was not measured."""
        known = self.weights > 0
        power = np.sum(self.believed[known] / self.weights[known], dtype=np.float64)
        return float(self.deviation**2 * power / self.weights.size)

    @property
    def information(self) -> float:
        """Part of the frequencies that count."""
        return float(self.believed.mean())

    @property
    def white(self) -> bool:
        """Whether weights would change nothing."""
        return self.contrast < LIMITS.white_ratio and self.missing < LIMITS.smallest_wedge

    def without(self, lost: Bool[np.ndarray, "..."], band: Bool[np.ndarray, "..."]) -> "NoiseSpectrum":
        """The same with frequencies that do not count.

        **Arguments:**

        - `lost`: which, on the box's transform, zero frequency in the middle.
        - `band`: those of atoms, on the same grid.
        """
        weights, believed = (np.where(lost, 0, x).astype(np.float32) for x in (self.weights, self.believed))
        missing = float(np.mean(weights[band] == 0))
        return replace(self, weights=weights, believed=believed, missing=missing)

    def at(self, frequencies: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "..."]:
        """Weights at given frequencies (1/Å; x, y, z)."""
        return self._interpolated(self.weights, frequencies)

    def _interpolated(
        self, values: Float[np.ndarray, "..."], frequencies: Float[np.ndarray, "... d"]
    ) -> Float[np.ndarray, "..."]:
        shape = np.array(values.shape)
        places = frequencies[..., ::-1] * self.spacing[::-1] * shape + shape // 2
        return map_coordinates(values, np.moveaxis(places, -1, 0), order=1, mode="grid-wrap")

    def on(self, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """Weights on the half transform (as of `rfftn`) of a box of that shape and the same voxels."""
        axes = [fftfreq(n, step) for n, step in zip(shape, self.spacing[::-1], strict=True)]
        axes[-1] = np.abs(axes[-1][: shape[-1] // 2 + 1])
        mesh = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)
        return self.at(mesh).astype(np.float32)

    def sampled(
        self, u: float, step: float = 1 / 12
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Frequencies to sum over, where atoms have something to say; one of k and -k is there.

        **Returns:** frequencies (1/Å), w dk of each, and w² P / σ² dk.

        **Arguments:**

        - `u`: variance of the mean atom (Å²).
        - `step`: between frequencies (1/Å); sums repeat beyond its inverse.
        """
        counts = np.floor(0.5 / self.spacing / step).astype(int)
        axes = [step * np.arange(-count, count + 1) for count in counts]
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        half = mesh[len(mesh) // 2 :]
        parts = self.at(half) * step ** len(axes)
        parts[0] /= 2
        # What the narrower atoms put into their positions and widths there, at most.
        square = 4 * np.pi**2 * np.sum(half**2, axis=1)
        content = parts * np.exp(-_NARROWER * u * square) * (1 + (u * square) ** 2)
        kept = content > _LEAST_CONTENT * np.max(content)
        return half[kept], parts[kept], (parts * self._interpolated(self.believed, half))[kept]

    def describe(self) -> str:
        """What was found, in words."""
        if self.white:
            return f"noise {self.source}: white, standard deviation {self.deviation:.4g}"
        wedge = ""
        if self.missing >= LIMITS.smallest_wedge:
            shape = "" if self.wedge is None else f" ({self.wedge.describe()})"
            wedge = f"; {100 * self.missing:.0f} % of the atoms' spatial frequencies are missing{shape}"
        if not self.source:
            return f"noise: not measured, taken to be white{wedge}, and do not count"
        return (
            f"noise {self.source}: coloured, its power varies {self.contrast:.1f}-fold over the "
            f"atoms' spatial frequencies{wedge}; frequencies are weighted by it"
        )
