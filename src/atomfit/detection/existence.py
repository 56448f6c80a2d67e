"""Whether atoms describe a map better than they describe noise of the same kind.

Every other test asks which of the atoms are real, and takes it for granted that most of them are. This one
asks whether there are any. Identical atoms are put onto the highest crests of the filtered map, as many as
correlate with it best. What they reach in the map is compared with what they reach in maps of the same
values, colour and outline that have none (`surrogates`). In noise both are alike. Atoms are as high as each
other, round, and apart, and reach more.

Maps are filtered by a narrow Gaussian, for noise, and freed of what varies slowly: a featureless ball, or a
blurred map, has nothing left there but noise. How narrow is best depends on the noise's colour: three are
tried.

The test is of all atoms together. Surrogates of a few atoms are too different from one another to say
anything: fewer than `existence_atoms` (`limits`) are not judged.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy import fft
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from atomfit.detection.denoise import SLOW, frequencies
from atomfit.detection.limits import LIMITS
from atomfit.detection.peaks import local_maxima
from atomfit.detection.surrogates import Texture
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.scattering import GaussianMixture

#: If it is by more or less than these, no more surrogates are made.
_CLEAR, _HOPELESS = 10.0, 1.5
#: Surrogates, at least and at most.
_FEWEST, _MOST = 6, 16
#: Variances of the filters, in that of an atom.
_FILTERS = (1.0, 0.25, 0.05)
#: The map is judged in a box of at most so many voxels along an edge, in the middle of its atoms.
_LARGEST_EDGE = 112
#: The region reaches so far from the atoms, in distances between neighbours.
_REACH = 1.5


@dataclass(frozen=True)
class Existence:
    """How well atoms describe data, and data without atoms.

    **Fields:**

    - `reached`: measures of how well they do; of a map its correlation with atoms, for each filter.
    - `by_surrogates`: the same of each surrogate.
    """

    reached: tuple[float, ...]
    by_surrogates: tuple[tuple[float, ...], ...]

    @classmethod
    def beside(cls, reached: tuple[float, ...], surrogates: Iterable[tuple[float, ...]]) -> "Existence":
        """Data beside as many surrogates as it takes to tell.

        **Arguments:**

        - `reached`: measures of the data.
        - `surrogates`: the same of surrogates, made as they are asked for; at least two.
        """
        drawn: list[tuple[float, ...]] = []
        for one in islice(surrogates, _MOST):
            drawn.append(one)
            if len(drawn) >= _FEWEST and not _HOPELESS < cls(reached, tuple(drawn)).deviations < _CLEAR:
                break
        return cls(reached, tuple(drawn))

    @property
    def deviations(self) -> float:
        """By how many standard deviations atoms describe the map better."""
        drawn = np.array(self.by_surrogates)
        scatter = drawn.std(axis=0, ddof=1) * np.sqrt(1 + 1 / len(drawn))
        more = np.array(self.reached) - drawn.mean(axis=0)
        return float(np.max(more / np.maximum(scatter, 1e-6)))


def existence(
    density: DensityMap, positions: Float[np.ndarray, "n d"], u: float, distance: float
) -> Existence | None:
    """Whether a map has atoms; None if there are too few of them to tell.

    **Arguments:**

    - `density`: the map.
    - `positions`: of what may be its atoms (Å).
    - `u`: variance of an atom (Å²).
    - `distance`: between neighbours (Å).
    """
    density, positions = _middle(density, positions)
    if len(positions) < LIMITS.existence_atoms or np.ptp(density.values) == 0:
        return None
    scales = [_Scale(density.grid, u, part * u, distance) for part in _FILTERS]
    outline = _outline(scales[1].filtered(_transform(density.values)), density.grid, positions, distance)
    region = outline & _near(density.grid, positions, _REACH * distance)
    texture = Texture.of(density, outline, region)
    if not texture.values.any():
        return None

    def reached(values: Float[np.ndarray, "..."]) -> tuple[float, ...]:
        field = _transform(texture.deviations * values)
        return tuple(scale.reached(np.where(region, scale.filtered(field), 0)) for scale in scales)

    rng = np.random.default_rng(0)
    surrogates = (reached(texture.surrogate(rng)) for _ in count())
    return Existence.beside(reached(texture.values), surrogates)


@dataclass(frozen=True, eq=False)
class _Scale:
    """A filter, and what an atom becomes in it.

    **Fields:**

    - `grid`: of the map.
    - `u`, `narrow`: variances of an atom and of the filter (Å²).
    - `distance`: between neighbours (Å).
    """

    grid: Grid
    u: float
    narrow: float
    distance: float

    def filtered(self, transform: Complex[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """A map, given by its transform, through the filter, less what varies slowly."""
        return fft.irfftn(transform * self._filter, self.grid.shape, workers=-1)

    def reached(self, field: Float[np.ndarray, "..."]) -> float:
        """The best correlation of a filtered map with identical atoms on its highest crests.

        Sums over atoms in place of maps of atoms, as in `detection.threshold`, one atom after the other.
        """
        crests = local_maxima(DensityMap(field, self.grid), 0.0, LIMITS.closest * self.distance)
        total = float(np.sum(np.square(field, dtype=np.float64)))
        if not len(crests) or total == 0:
            return 0.0
        # Atoms are not denser than closely packed.
        volume = np.count_nonzero(field) * self.grid.voxel_volume
        crests = crests[: int(np.sqrt(2) * volume / self.distance**3) + 1]
        overlap = fft.irfftn(
            fft.rfftn(field, workers=-1) * self._atom_in_filter, self.grid.shape, workers=-1
        )
        atom = self._of_filter(self.u + self.narrow)
        pair = GaussianMixture(
            np.outer(atom.weights, atom.weights).ravel(),
            np.add.outer(atom.variances, atom.variances).ravel(),
        )
        places = self.grid.positions_of(crests)
        pairs = cKDTree(places).query_pairs(3 * SLOW * self.distance, output_type="ndarray")
        apart = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)
        squares = np.bincount(pairs.max(axis=1, initial=0), 2 * pair.profile(apart), len(places))
        squares = np.maximum(np.cumsum(squares + pair.profile(np.zeros(1))), 1e-300)
        along = np.cumsum(overlap[tuple(crests.T)], dtype=np.float64)
        # Sums over voxels of atoms that are densities: each has a volume in its denominator.
        return float(np.max(along / np.sqrt(squares * total * self.grid.voxel_volume)))

    def _of_filter(self, variance: float) -> GaussianMixture:
        """A Gaussian less what varies slowly of it."""
        return GaussianMixture(
            np.array([1.0, -1.0]), np.array([variance, variance + (SLOW * self.distance) ** 2])
        )

    @cached_property
    def _filter(self) -> Float[np.ndarray, "..."]:
        return self._of_filter(self.narrow).transform_on(frequencies(self.grid.shape, self.grid))

    @cached_property
    def _atom_in_filter(self) -> Float[np.ndarray, "..."]:
        return self._of_filter(self.u + self.narrow).transform_on(frequencies(self.grid.shape, self.grid))


def _transform(values: Float[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
    return fft.rfftn(values.astype(np.float32, copy=False), workers=-1)


def _outline(
    filtered: Float[np.ndarray, "..."], grid: Grid, positions: Float[np.ndarray, "n d"], distance: float
) -> Bool[np.ndarray, "..."]:
    """Where a filtered map is about as loud as at its atoms."""
    power = gaussian_filter(filtered**2, distance / grid.spacing[::-1], mode="nearest")
    typical = float(np.median(power[tuple(grid.nearest_voxels(positions).T)]))
    return power > LIMITS.loud**2 * typical


def _near(grid: Grid, positions: Float[np.ndarray, "n d"], reach: float) -> Bool[np.ndarray, "..."]:
    """Voxels within a distance of any atom's."""
    elsewhere = np.ones(grid.shape, bool)
    elsewhere[tuple(grid.nearest_voxels(positions).T)] = False
    return np.asarray(distance_transform_edt(elsewhere, sampling=grid.spacing[::-1]) <= reach)


def _middle(
    density: DensityMap, positions: Float[np.ndarray, "n d"]
) -> tuple[DensityMap, Float[np.ndarray, "k d"]]:
    """The part of a map in the middle of its atoms, and the atoms in it."""
    grid = density.grid
    if not len(positions):
        return density, positions
    middle = np.rint(np.median(grid.indices_of(positions), axis=0)).astype(int)
    edges = np.minimum(grid.shape, _LARGEST_EDGE)
    begin = np.clip(middle - edges // 2, 0, np.array(grid.shape) - edges)
    part = grid.crop(tuple(map(int, begin)), tuple(map(int, edges)))
    box = tuple(slice(b, b + n) for b, n in zip(begin, edges, strict=True))
    return DensityMap(density.values[box], part), positions[part.contains(positions)]
