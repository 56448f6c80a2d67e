"""Whether the atoms of a map are as far apart as atoms of their element are: the voxel size, tested.

A voxel size in nm, or that of a map before it was binned, makes everything else wrong and looks like
nothing: the fit converges, on bonds of half the length. But the distance between bright maxima tells it.
Maxima are looked for at a scale, as wide as atoms would be if neighbours were so far apart. Too fine a
scale finds the same maxima, at more than that distance; too coarse a one merges them, and what is left is
as near as its separation allows. Where distance and scale agree is how far apart the atoms are.

At the element's own scale that takes one correlation of the map, and one more at half of it; others are
tried only where these disagree. A large map is judged by the part of it that varies most.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from atomfit.detection.denoise import denoise
from atomfit.detection.mean_atom import otsu_threshold
from atomfit.detection.noise_floor import noise_floor
from atomfit.detection.peaks import local_maxima
from atomfit.doubts.limits import LIMITS
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import in_order, nearest_distances
from atomfit.structure.scattering import GaussianMixture
from atomfit.support.errors import Doubt

#: Width of the atoms looked for, and least distance between maxima, in distances of neighbours.
WIDTH, _SEPARATION = 0.18, 0.5
#: Scales that are tried, as parts of the element's distance.
_SCALES = 2.0 ** (np.arange(-14, 9) / 2)
#: Voxels of the part that is judged.
_ENOUGH = 2_000_000


def measured_distance(density: DensityMap, element: Element) -> float | None:
    """Distance between the nearest bright maxima (Å); None if it cannot be told.

    **Arguments:**

    - `density`: a map in which atoms are bright.
    - `element`: whose distance between neighbours is expected.
    """
    density = liveliest(density)
    expected = element.neighbour_distance
    here, finer = (_found(density, part * expected) for part in (1.0, 0.5))
    merged = finer.agrees and len(finer.places) > LIMITS.spacing_more * len(here.places)
    # Noise has more maxima at a finer scale, too; but what is in order has not been merged.
    if here.agrees and (not merged or here.in_order):
        return here.distance
    tried = [_found(density, scale * expected) for scale in _SCALES.tolist()]
    agreeing = [one for one in tried if one.agrees]
    if not agreeing:
        return None
    ordered = [one for one in agreeing if one.in_order]
    return min(ordered or agreeing, key=lambda one: abs(np.log(one.distance / one.scale))).distance


def spacing_doubts(
    distance: float | None, spacing: Float[np.ndarray, " d"], element: Element
) -> tuple[list[Doubt], list[str]]:
    """Doubts about the voxel size, and warnings where a material might explain it.

    **Arguments:**

    - `distance`: measured (Å).
    - `spacing`: voxel sizes (Å).
    - `element`: that was given.
    """
    if distance is None:
        return [], []
    ratio = distance / element.neighbour_distance
    if 1 / LIMITS.spacing_odd < ratio < LIMITS.spacing_odd:
        return [], []
    expected = f"{element.symbol} atoms {element.neighbour_distance:.3g}"
    told = f"bright maxima are {distance:.3g} Å apart, but {expected}"
    if 1 / LIMITS.spacing_wrong < ratio < LIMITS.spacing_wrong:
        return [], [f"{told}: check the voxel size and the element"]
    size = ", ".join(f"{edge:.3g}" for edge in np.unique((spacing / ratio).round(4)))
    times = f"{ratio if ratio > 1 else 1 / ratio:.2g} times too {'large' if ratio > 1 else 'small'}"
    return [
        Doubt(
            f"{told}: voxels of {spacing.max():.4g} Å are about {times} ({_cause(ratio)})",
            f"give --voxel-size {size}, or --neighbour-distance {distance:.3g} for a compound",
        )
    ], []


def _cause(ratio: float) -> str:
    if 0.08 < ratio < 0.125:
        return "nm for Å?"
    if 8 < ratio < 12.5:
        return "Å taken for nm?"
    return "the size before binning?" if ratio < 1 else "binned by less than that?"


@dataclass(frozen=True, eq=False)
class _Found:
    """Bright maxima at a scale (Å)."""

    scale: float
    places: Float[np.ndarray, "n d"]

    @cached_property
    def _distances(self) -> Float[np.ndarray, " n"]:
        return nearest_distances(self.places)

    @property
    def distance(self) -> float:
        """Of the nearest, as a rule (Å)."""
        return float(np.median(self._distances))

    @property
    def agrees(self) -> bool:
        """Whether they are as far apart as the scale takes them to be, and evenly."""
        if len(self.places) < LIMITS.spacing_fewest:
            return False
        low, median = np.percentile(self._distances, [10, 50])
        return bool(
            LIMITS.spacing_agrees[0] * self.scale < median < LIMITS.spacing_agrees[1] * self.scale
            and low > LIMITS.spacing_even * median
        )

    @property
    def in_order(self) -> bool:
        """Whether they have a distance of their own."""
        return in_order(self.places, LIMITS.spacing_pairs)


def _found(density: DensityMap, scale: float) -> _Found:
    """Bright maxima, if neighbours are so far apart (Å); none where the grid cannot show that."""
    grid = density.grid
    if scale < 2 * grid.spacing.max() or scale > 0.5 * grid.extent.max():
        return _Found(scale, np.zeros((0, grid.ndim)))
    return _Found(scale, maxima(density, scale)[1])


def maxima(density: DensityMap, scale: float) -> tuple[DensityMap, Float[np.ndarray, "n d"]]:
    """A map denoised by atoms whose neighbours are so far apart (Å), and its bright maxima (Å)."""
    atom = GaussianMixture(np.ones(1), np.array([(WIDTH * scale) ** 2]))
    denoised = denoise(density, atom)
    above = max(otsu_threshold(denoised), noise_floor(density, denoised, atom, 2 * scale))
    voxels = local_maxima(denoised, above, _SEPARATION * scale)
    return denoised, density.grid.positions_of(_refined(denoised, voxels))


def _refined(density: DensityMap, voxels: Int[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Indices of maxima between voxels, by a parabola along each axis."""
    last = np.array(density.grid.shape) - 1
    places = voxels.astype(np.float64)
    middle = density.at(voxels)
    for axis in range(voxels.shape[1]):
        step = np.eye(voxels.shape[1], dtype=int)[axis]
        before, after = (density.at(np.clip(voxels + sign * step, 0, last)) for sign in (-1, 1))
        bend = np.maximum(2 * middle - before - after, 1e-30)
        places[:, axis] += np.clip(0.5 * (after - before) / bend, -0.5, 0.5)
    return places


def liveliest(density: DensityMap) -> DensityMap:
    """The part of a large map that varies most; a small map itself."""
    grid = density.grid
    parts = int(np.ceil((grid.size / _ENOUGH) ** (1 / grid.ndim)))
    if parts < 2:
        return density
    shape = tuple(n // parts for n in grid.shape)
    # Every half part, so that a particle in the middle is not divided.
    starts = product(
        *(range(0, n - size + 1, max(size // 2, 1)) for n, size in zip(grid.shape, shape, strict=True))
    )

    def part(start: tuple[int, ...]) -> np.ndarray:
        return density.values[tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))]

    best = max(starts, key=lambda start: float(part(start).std(dtype=np.float64)))
    return DensityMap(np.ascontiguousarray(part(best)), grid.crop(best, shape))
