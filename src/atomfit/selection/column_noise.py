"""How much worse an image errs than its pixels do: what a fit leaves, seen through a column's own filter.

Pixels of interpolated, filtered or drifting images err together, and what no Gaussian describes errs in the
same way at every column. Both are slow beside a pixel and as wide as a column, so that they count for more
than their variance. They are measured where they act: the residual, in units of the pixels' noise, through
a filter as wide as a column, beside what the same fit leaves of simulated noise that has neither. A fit
absorbs most of what looks like columns, and the simulated one absorbs as much.

Numbers of columns err by what is as fine as they are. Whether there is a column at all is asked of a mean
over its area, to which a film of many atoms adds much more: bumps and hollows as wide as columns or wider.
How strong the texture is, bumps and hollows between columns tell; a film goes on beneath them. Columns of a
crystal that are lacking are no texture, though they look like one: their power is in a few spatial
frequencies, a film's in all of one wavelength, whose median says how much.

What it is about a column follows from two averages, over pixels as bright and over a neighbourhood of many
columns, of which the smaller one counts: columns at the rim of a bright particle are dark, and a thin
particle beside a thick one is not where that one errs.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt, median

from atomfit.detection.column_filter import BROADER, BlobFilter
from atomfit.fitting.column_fit import FittedColumns
from atomfit.fitting.column_information import ColumnInformation
from atomfit.selection.limits import LIMITS
from atomfit.structure.grid import DensityMap, Grid

#: Width of the neighbourhood (Å).
_AROUND = 5.0
#: Over which edges of a region are smoothed before waves in it are looked at (Å), and the width of rings of
#: spatial frequencies, in those that a period of the image's side has.
_TAPER, _RINGS = 4.0, 2.0
#: Classes of brightness, and pixels of a class at least.
_CLASSES, _FEWEST = 6, 400
#: Seed of the simulated noise.
_SEED = 0


@dataclass(frozen=True, eq=False)
class Excess:
    """By how much variances are larger than those of pixels that err independently.

    **Fields:**

    - `around`: of the variances in the neighbourhood of each pixel of the region that was fitted.
    - `brightness`, `factors`: of classes of pixels, and of the variances in these.
    - `grid`: of that region.
    - `texture`: of what looks like columns, of variances where there are none; one elsewhere.
    - `earlier`: of a fit with other columns, of which the smaller counts.
    """

    around: Float[np.ndarray, "rows columns"]
    brightness: Float[np.ndarray, " c"]
    factors: Float[np.ndarray, " c"]
    grid: Grid
    texture: Float[np.ndarray, "rows columns"]
    earlier: "Excess | None" = None

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> "Excess":
        """Of a region without columns."""
        ones = np.ones(shape)
        return cls(ones, np.zeros(1), np.ones(1), Grid(shape, np.ones(2), np.zeros(2)), ones)

    def at(
        self, positions: Float[np.ndarray, "n 2"], brightness: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """At places (Å) of some brightness."""
        around = self.around[tuple(self.grid.nearest_voxels(positions).T)]
        found = np.minimum(around, self._of(brightness))
        return found if self.earlier is None else np.minimum(found, self.earlier.at(positions, brightness))

    def everywhere(self, model: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
        """On the pixels of the region, as bright as a model has them."""
        found = np.minimum(self.around, self._of(model))
        return found if self.earlier is None else np.minimum(found, self.earlier.everywhere(model))

    def beneath(
        self, positions: Float[np.ndarray, "n 2"], brightness: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Of what is asked whether there is a column at all: at places (Å) of some brightness."""
        texture = self.texture[tuple(self.grid.nearest_voxels(positions).T)]
        return np.maximum(self.at(positions, brightness), texture)

    def beneath_everywhere(
        self, model: Float[np.ndarray, "rows columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        """The same on the pixels of the region."""
        return np.maximum(self.everywhere(model), self.texture)

    def _of(self, brightness: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return np.interp(brightness, self.brightness, self.factors)


def measure_excess(
    image: DensityMap,
    fitted: FittedColumns,
    information: ColumnInformation,
    model: Float[np.ndarray, "rows columns"],
    lacking: bool = False,
) -> Excess:
    """What a fit leaves, beside what it leaves of white noise.

    **Arguments:**

    - `image`: the region that was fitted.
    - `fitted`, `information`: the fit.
    - `model`: what it predicts.
    - `lacking`: whether columns are; then what has the order of a lattice in the residual is no noise.
    """
    pixel, counted, width = float(image.grid.spacing[0]), fitted.counted, fitted.width
    left = np.where(counted, (image.values - model) / np.sqrt(fitted.variance), 0.0)
    noise = np.random.default_rng(_SEED).standard_normal(image.grid.size) * counted.ravel()
    simulated = information.left_of(noise).reshape(counted.shape)
    filters = [BlobFilter(field, pixel) for field in (left, simulated)]
    fields = [each.blobs(width) for each in filters]
    seen, expected = (np.where(counted, np.abs(field), 0.0) for field in fields)
    # The part of the residual that is noise.
    noisy, most = 1.0, np.inf
    if lacking:
        noisy, most = _disordered(fields[0], fields[1], counted, pixel)
    ratio = np.maximum(noisy * _ratio(seen, expected, pixel), 1.0)
    brightness = model[counted]
    classes = max(min(_CLASSES, len(brightness) // _FEWEST), 1)
    edges = np.quantile(brightness, np.linspace(0, 1, classes + 1))
    which = np.clip(np.searchsorted(edges[1:-1], brightness, side="right"), 0, classes - 1)
    middles, factors = [], []
    for k in np.unique(which):
        inside = which == k
        middles.append(float(np.mean(brightness[inside])))
        # Medians: what the fit lacks is to be found, not to count as noise.
        of_class = [float(np.median(np.abs(field[counted][inside]))) for field in fields]
        factors.append(max(noisy * (of_class[0] / max(of_class[1], 1e-30)) ** 2, 1.0))
    between = counted & (model - fitted.background.on(image.grid, image.grid) < np.sqrt(fitted.variance))
    seen, expected = (each.spots(width, BROADER) for each in filters)
    texture = np.clip(_texture(seen, expected, between, pixel, width, fitted.variance), 1.0, max(most, 1.0))
    return Excess(ratio, np.array(middles), np.array(factors), image.grid, texture)


def _texture(
    seen: Float[np.ndarray, "rows columns"],
    expected: Float[np.ndarray, "rows columns"],
    between: Bool[np.ndarray, "rows columns"],
    pixel: float,
    width: float,
    variance: Float[np.ndarray, "rows columns"],
) -> Float[np.ndarray, "rows columns"]:
    """By how much bumps and hollows are larger than noise makes them, where there are no columns.

    Columns that are lacking are bumps with hollows about them, beside which nothing can be measured. A film
    goes on beneath columns, whose brightness makes more noise beside it.
    """
    one = np.ones(seen.shape)
    if not between.any() or seen[between].max() > LIMITS.lacking_bump * -seen[between].min():
        return one
    rough, noise = (np.where(between, np.abs(field), 0.0) for field in (seen, expected))
    depth, beside = (float(np.median(field[field > 0])) if field.any() else 1.0 for field in (rough, noise))
    # Shrunk by its standard error (James & Stein 1961): 1.17 / √n of each half-normal's median, of n spots.
    spots = between.sum() * pixel**2 / (4 * np.pi * width**2)
    more = max(depth / beside - 1, 1e-30)
    surely = (1 + more * max(1 - (1.65 / np.sqrt(spots) / more) ** 2, 0.0)) ** 2
    most = BlobFilter(between.astype(np.float32), pixel).smooth(_AROUND) > LIMITS.mostly_empty
    if not most.any():
        return one
    there = np.minimum(_ratio(rough, noise, pixel), surely)
    nearest = tuple(distance_transform_edt(~most, return_distances=False, return_indices=True))
    return 1 + (there[nearest] - 1) * variance[nearest] / np.maximum(variance, variance[nearest])


def disordered_part(
    image: DensityMap, fitted: FittedColumns, model: Float[np.ndarray, "rows columns"], width: float
) -> float:
    """The part of what a fit leaves, seen through a column's own filter, that has no order of a lattice.

    **Arguments:**

    - `image`, `fitted`, `model`: as for `measure_excess`; there may be no column.
    - `width`: of columns (Å).
    """
    pixel, counted = float(image.grid.spacing[0]), fitted.counted
    left = np.where(counted, (image.values - model) / np.sqrt(fitted.variance), 0.0)
    white = np.where(counted, np.random.default_rng(_SEED).standard_normal(counted.shape), 0.0)
    seen, expected = (BlobFilter(field, pixel).blobs(width) for field in (left, white))
    return _disordered(seen, expected, counted, pixel)[0]


def _disordered(
    seen: Float[np.ndarray, "rows columns"],
    expected: Float[np.ndarray, "rows columns"],
    there: Bool[np.ndarray, "rows columns"],
    pixel: float,
) -> tuple[float, float]:
    """The part of what is seen that has no order, and how much that is of what is expected."""
    power = _without_order(seen, expected, there, pixel)
    whole = float(np.sum(seen[there] ** 2) / max(np.sum(expected[there] ** 2), 1e-300))
    return min(power / max(whole, 1e-300), 1.0), power


def _without_order(
    seen: Float[np.ndarray, "rows columns"],
    expected: Float[np.ndarray, "rows columns"],
    there: Bool[np.ndarray, "rows columns"],
    pixel: float,
) -> float:
    """Power of what is seen in what is expected, without that of lattices: medians at each wavelength."""
    # Edges would have power in all directions.
    inside = BlobFilter(np.pad(there.astype(np.float32), 1), pixel).smooth(_TAPER)[1:-1, 1:-1]
    weights = np.clip(2 * inside - 1, 0.0, 1.0) * there
    if not weights.any():
        return np.inf
    step = _RINGS / (min(there.shape) * pixel)
    frequencies = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, pixel) for n in there.shape), indexing="ij"))
    rings = (frequencies / step).astype(int)
    sizes = np.bincount(rings.ravel())
    found = []
    for field in (seen, expected):
        tapered = weights * (field - np.sum(weights * field) / np.sum(weights))
        power = np.abs(np.fft.fft2(tapered)) ** 2
        found.append(float(sizes @ median(power, rings, np.arange(len(sizes)))))
    return found[0] / max(found[1], 1e-300)


def _ratio(
    seen: Float[np.ndarray, "rows columns"], expected: Float[np.ndarray, "rows columns"], pixel: float
) -> Float[np.ndarray, "rows columns"]:
    """Squares of what is seen in a neighbourhood beside what is expected there, one at least."""
    around, beside = (BlobFilter(field, pixel).smooth(_AROUND) for field in (seen, expected))
    there = expected > 0
    least = 0.1 * float(np.median(beside[there])) if there.any() else 1.0
    return np.maximum(around / np.maximum(beside, least), 1.0) ** 2
