"""Up to which spatial frequency a map shows more than noise: its resolution, in Å.

Two half-maps tell it best: where the Fourier shell correlation falls below 0.143 (Rosenthal & Henderson
2003). That is where signal is a third of the noise in the mean of both; so in a single map it is where the
radial power spectrum has come down to 4/3 of the noise's. What noise has is taken from the highest
frequencies, beyond those that a wave along an axis of the grid can have, and, shell by shell, from the
corners of the box, if these are quiet; the larger of the two counts. The box is faded out to its faces.

The last shell that is above counts, because a crystal's power is in a few shells with little between them.
Noise that was blurred together with the particle looks like signal: of a map that was filtered or
regularised the resolution is at best what is told here.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import fft

from atomfit.detection.denoise import frequencies
from atomfit.detection.limits import LIMITS
from atomfit.structure.grid import DensityMap, Grid

#: Part of each axis that is faded out, and edges of the box's corners in its own.
_FADED = 0.25
_CORNER = 0.3

Source = Literal["half-maps", "spectrum"]


@dataclass(frozen=True)
class MapResolution:
    """How fine a map is.

    **Fields:**

    - `value`: the shortest wavelength that stands out from noise (Å); infinite if none does.
    - `finest`: the shortest that the voxels can show (Å).
    - `source`: what it was taken from.
    """

    value: float
    finest: float
    source: Source

    def describe(self) -> str:
        """What it is, in a sentence without its end."""
        how = (
            f"Fourier shell correlation of the half-maps falls below {LIMITS.shell_correlation}"
            if self.source == "half-maps"
            else "power spectrum reaches the noise"
        )
        if not np.isfinite(self.value):
            return f"resolution: no spatial frequency stands out from the noise ({how})"
        limit = ", as fine as the voxels allow" if self.value < 1.05 * self.finest else ""
        return f"resolution: {self.value:.2f} Å ({how}{limit})"


def measure_resolution(
    density: DensityMap, half_maps: tuple[DensityMap, DensityMap] | None = None
) -> MapResolution:
    """The resolution of a map.

    **Arguments:**

    - `density`: the map.
    - `half_maps`: two of half the data each, on the same grid, if there are any.
    """
    grid = density.grid
    finest = 2 * float(grid.spacing.max())
    if half_maps is not None:
        waves, (first, second, cross) = _shells(grid, *(half.values for half in half_maps))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = cross / np.sqrt(first * second)
        above = correlation > np.maximum(
            LIMITS.shell_correlation, LIMITS.resolution_errors / np.sqrt(np.maximum(waves, 1))
        )
        return MapResolution(_last(above, grid), finest, "half-maps")
    waves, (power,) = _shells(grid, density.values)
    noise = np.maximum(_floor(waves, power, grid), _outside(density, len(power)))
    limit = noise * np.maximum(
        LIMITS.power_above_noise, 1 + LIMITS.resolution_errors / np.sqrt(np.maximum(waves, 1))
    )
    return MapResolution(_last(power > limit, grid), finest, "spectrum")


def _step(grid: Grid) -> float:
    """Width of a shell (1/Å): that of one wave in the box's shortest edge."""
    return 1 / float(grid.extent.min())


def _last(above: np.ndarray, grid: Grid) -> float:
    """Wavelength of the last shell that is above, up to the finest wave along an axis (Å)."""
    inside = np.arange(len(above)) * _step(grid) <= 0.5 / float(grid.spacing.max())
    # The first shell holds the mean, which is no wave.
    found = np.flatnonzero(above & inside & (np.arange(len(above)) > 0))
    return float(1 / (found[-1] * _step(grid))) if len(found) else float("inf")


def _shells(
    grid: Grid, *maps: Float[np.ndarray, "..."], step: float | None = None
) -> tuple[Int[np.ndarray, " s"], list[Float[np.ndarray, " s"]]]:
    """Independent waves in each shell, and the mean power of each map, and of two their cross-power."""
    shape = maps[0].shape
    fade = np.ones(shape, np.float32)
    for axis, n in enumerate(shape):
        fade = fade * faded(n, _FADED).astype(np.float32).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        )
    inner = [np.asarray(m - np.median(m), np.float32) * fade for m in maps]
    spectra = [fft.rfftn(m, workers=-1) for m in inner]
    k = np.sqrt(
        sum(np.square(f) for f in np.meshgrid(*frequencies(shape, grid), indexing="ij", sparse=True))
    )
    which = np.rint(k / (step or _step(grid))).astype(int).ravel()
    count = np.bincount(which)
    weight = 1 / np.maximum(count, 1) / float(np.sum(np.square(fade, dtype=np.float64)))
    products = [np.abs(s) ** 2 for s in spectra]
    if len(spectra) == 2:
        products.append(np.real(spectra[0] * np.conj(spectra[1])))
    return count, [np.bincount(which, p.ravel()) * weight for p in products]


def _floor(waves: Int[np.ndarray, " s"], power: Float[np.ndarray, " s"], grid: Grid) -> float:
    """Power where there is no signal: the median beyond the finest wave along an axis."""
    beyond = (np.arange(len(power)) * _step(grid) > 0.5 / float(grid.spacing.min())) & (waves > 0)
    return float(np.median(power[beyond])) if beyond.any() else 0.0


def _outside(density: DensityMap, shells: int) -> Float[np.ndarray, " s"]:
    """Power of each shell in the corners of the box; zero if something is there."""
    grid, values = density.grid, density.values
    size = [max(8, int(_CORNER * n)) for n in values.shape]
    none = np.zeros(shells)
    if any(n < 2 * s for n, s in zip(values.shape, size, strict=True)):
        return none
    ends = np.stack(np.meshgrid(*[[0, 1]] * values.ndim), -1).reshape(-1, values.ndim)
    corners = []
    for end in ends.tolist():
        part = tuple(slice(0, s) if e == 0 else slice(-s, None) for e, s in zip(end, size, strict=True))
        corners.append(values[part])
    if np.median([c.var() for c in corners]) > LIMITS.empty_corners * values.var():
        return none
    box = Grid(corners[0].shape, grid.spacing, grid.origin)
    found = [_shells(box, corner)[1][0] for corner in corners]
    power = np.median(found, axis=0)
    own = np.arange(len(power)) * _step(box)
    return np.interp(np.arange(shells) * _step(grid), own[1:], power[1:])


def faded(n: int, part: float) -> Float[np.ndarray, " n"]:
    """Ones that come from zero by half a cosine at either end (Tukey's window).

    That of scipy is the same, but imports all of signal processing, a third of a second in each run.

    **Arguments:**

    - `n`: how many.
    - `part`: of them, at either end.
    """
    place = np.arange(n) / max(n - 1, 1)
    away = np.minimum(place, 1 - place) / part
    return np.asarray(0.5 * (1 - np.cos(np.pi * np.minimum(away, 1)))) if n > 1 else np.ones(1)
