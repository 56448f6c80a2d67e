"""Maps without atoms that are as like a given one as can be.

Crests of noise look like atoms: filtered to the width of an atom they are round, of that width, and nearly
as densely packed. Where noise cannot be measured apart from atoms (it lies within a mask, it was clipped at
zero, the particle fills the box) what noise would make is asked of surrogates (Theiler et al. 1992; values
and power adjusted in turns: Schreiber & Schmitz 1996). Where there may be atoms, a surrogate has

- the *values* of the map, so that noise which is positive stays so;
- the *power* of the map at each length of the spatial frequency, so that it is as coloured;
- the *outline* of the map: mean and standard deviation are those of the map at the same depth below it, so
  that a ball, a film, or the edge of a mask stays where it is;

and random phases. What phases say is lost: that heights are alike, distances regular, crests round.

The outline is where the map, filtered to the scale of atoms, is about as loud as at the atoms. Power is
averaged over directions: Bragg peaks are evidence of atoms, which a surrogate should not have.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import fft
from scipy.ndimage import distance_transform_edt

from atomfit.detection.denoise import frequencies
from atomfit.structure.grid import DensityMap, Grid

#: Steps of depth in which mean and deviation are measured, and what counts as equally deep (Å).
_STEP, _DEEPEST = 0.5, 6.0
#: Shells of the spatial frequency have this width, in steps of the box's transform.
_SHELL_STEPS = 1.5
#: Times that power and values are adjusted in turns.
_TURNS = 4


@dataclass(frozen=True, eq=False)
class Texture:
    """What a map is like around its atoms, whatever the phases say.

    **Fields:**

    - `grid`: of the map.
    - `region`: voxels around the atoms.
    - `deviations`: of the map at each voxel's depth below the outline (map units); zero outside the region.
    - `values`: of the map, less their mean at that depth, in these deviations; zero outside.
    """

    grid: Grid
    region: Bool[np.ndarray, "..."]
    deviations: Float[np.ndarray, "..."]
    values: Float[np.ndarray, "..."]

    @classmethod
    def of(
        cls, density: DensityMap, outline: Bool[np.ndarray, "..."], region: Bool[np.ndarray, "..."]
    ) -> "Texture":
        """The texture of a map.

        **Arguments:**

        - `density`: the map.
        - `outline`: where it is loud.
        - `region`: the part of that which is around atoms; not empty.
        """
        depth = _depths(outline, density.grid)[region]
        inside = density.values[region].astype(np.float64)
        left = inside - _by_depth(inside, depth)
        deviation = np.sqrt(np.maximum(_by_depth(left**2, depth), 0))
        values, deviations = np.zeros((2, *density.grid.shape), np.float32)
        deviations[region] = deviation
        # Where all values of a depth are alike nothing is left.
        values[region] = left / np.where(deviation > 0, deviation, 1.0)
        return cls(density.grid, region, deviations, values)

    def surrogate(self, rng: np.random.Generator) -> Float[np.ndarray, "..."]:
        """Other values of the same kind, in standard deviations; zero outside the region."""
        phases = fft.rfftn(rng.standard_normal(self.grid.shape, np.float32), workers=-1)
        amplitudes = np.sqrt(self._power)
        found = np.zeros(self.grid.shape, np.float32)
        for turn in range(_TURNS):
            if turn:
                now = _of_shells(_shell_means(found, self._shells), self._shells)
                amplitudes = amplitudes * np.sqrt(self._power / np.maximum(now, 1e-12 * now.max()))
            field = fft.irfftn(phases * amplitudes, self.grid.shape, workers=-1)[self.region]
            ranked = np.empty_like(self._sorted)
            ranked[np.argsort(field)] = self._sorted
            found[self.region] = ranked
        return found

    @cached_property
    def _sorted(self) -> Float[np.ndarray, " m"]:
        return np.sort(self.values[self.region])

    @cached_property
    def _shells(self) -> Int[np.ndarray, "..."]:
        axes = frequencies(self.grid.shape, self.grid)
        length = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij", sparse=True)))
        return (length * (float(self.grid.extent.min()) / _SHELL_STEPS)).astype(np.int32)

    @cached_property
    def _power(self) -> Float[np.ndarray, "..."]:
        return _of_shells(_shell_means(self.values, self._shells), self._shells)


def _depths(outline: Bool[np.ndarray, "..."], grid: Grid) -> Float[np.ndarray, "..."]:
    """Depth of each voxel below an outline (Å), at most `_DEEPEST`; a face of the box is none."""
    if outline.all():
        return np.full(grid.shape, _DEEPEST)
    return np.minimum(distance_transform_edt(outline, sampling=grid.spacing[::-1]), _DEEPEST)


def _by_depth(values: Float[np.ndarray, " m"], depth: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """The mean of what lies as deep as each value: of steps of depth, and linear between them."""
    step = (depth / _STEP).astype(int)
    count = np.bincount(step)
    some = count > 0
    means, depths = (np.bincount(step, of)[some] / count[some] for of in (values, depth))
    return np.interp(depth, depths, means)


def _shell_means(
    values: Float[np.ndarray, "..."], shells: Int[np.ndarray, "..."]
) -> Float[np.ndarray, " k"]:
    power = np.abs(fft.rfftn(values, workers=-1)) ** 2
    numbers = shells.ravel()
    return np.bincount(numbers, power.ravel()) / np.maximum(np.bincount(numbers), 1)


def _of_shells(means: Float[np.ndarray, " k"], shells: Int[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return means.astype(np.float32)[shells]
