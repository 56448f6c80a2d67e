"""Whether images agree on atoms better than images do that have nothing in common.

A series in, by how much its views agree out. A back-projection has crests, whatever the images: of noise
there are as many as of atoms, and a fit with that many atoms describes noise well. But atoms are where the
views agree. So the crests are compared with those of surrogates: the same images, each moved by a way of
its own, around its edges. They have the same noise, counts and colour and the same views, and only by
chance anything at one place.

Bodies without atoms agree, too: on where they end. What varies slowly is taken off before, and what an
image shows at each depth below a body's outline, on average; how loud the image is stays where it is, so
that a ball of noise is still one. So does what all images have at the same pixels, as a camera's bright
ones: if they are alike on average where no place in space is seen by all of them, and by more than
independent noise would be, then their mean is taken off, too.

Compared is the mean height of the highest crest, of the two highest, the four highest and so on: one atom
is seen in the first, many faint ones in a later. Of 80 series of noise of four kinds, balls among them,
none came to 4 standard deviations. Measured and simulated series of 15 views and more have 14 to 107, one
to three atoms 11 to 31; of atoms with an eighth of the counts that a fit needs, 200 have 6.4 and 1,000
have 4.5. So series are refused, too, that show less than a few atoms of some 8 σ. Bodies with flat faces
agree as well (without noise 6 to 26, a cube in counts 5): they are left to the verdict of the fit.

Of a crystal few images agree at many places, even if they are moved. So where views are few, nothing is
said unless the images are as good as white: then there is nothing to agree on.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.filters import threshold_otsu

from atomfit.detection.existence import Existence
from atomfit.detection.limits import LIMITS as DETECTION_LIMITS
from atomfit.detection.peaks import local_maxima
from atomfit.projection.colour import power_spectrum
from atomfit.projection.limits import LIMITS
from atomfit.projection.reconstruction import SMOOTH, VOXEL, reconstruct
from atomfit.projection.views import TiltSeries
from atomfit.structure.grid import DensityMap

#: What varies more slowly than this is taken off: standard deviation of a Gaussian, in neighbour distances.
_SLOW = 0.5
#: The edge of a body is so wide, to both sides, in the same.
_DEEPEST = 4.0
#: Of all crests of a map, at most one in so many is looked at.
_ONE_IN = 4


def existence_in_images(series: TiltSeries, distance: float) -> Existence | None:
    """Whether views agree on atoms; None if there are too few of them, or nothing in them, to tell.

    **Arguments:**

    - `series`: the images.
    - `distance`: between neighbours (Å).
    """
    loudness, texture, alike = _texture(series, distance)
    if not texture.any() or (
        len(series) < LIMITS.existence_views and not _white(texture, series.pixel, distance)
    ):
        return None
    own = _crests(series, loudness * texture, distance)
    counts = 2 ** np.arange(max(int(np.log2(max(len(own) // _ONE_IN, 1))), 0) + 1)

    def means(heights: Float[np.ndarray, " n"]) -> tuple[float, ...]:
        enough = np.concatenate([heights, np.zeros(max(int(counts[-1]) - len(heights), 0))])
        return tuple(float(enough[:count].mean()) for count in counts)

    def surrogates() -> Iterator[tuple[float, ...]]:
        rng = np.random.default_rng(0)
        while True:
            ways = rng.integers(0, series.shape, (len(series), 2))
            moved = np.stack([np.roll(view, way, (0, 1)) for view, way in zip(texture, ways, strict=True)])
            if alike:
                moved -= moved.mean(axis=0)
            yield means(_crests(series, loudness * moved, distance))

    return Existence.beside(means(own), surrogates())


def _texture(series: TiltSeries, distance: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """How loud each place of each image is, and what it shows there beside its surroundings, so loud.

    The last is whether images were alike, so that their mean was taken off.
    """
    width = _SLOW * distance / series.pixel

    def smooth(values: np.ndarray) -> Float[np.ndarray, "v rows columns"]:
        return np.stack([gaussian_filter(view, width, mode="constant") for view in values])

    counted = series.counted.astype(np.float32)
    share = np.maximum(smooth(counted), 1e-6)
    images = np.where(series.counted, series.images, 0)
    slow = smooth(images) / share
    left = images - slow
    for image, outlined, known in zip(left, slow, series.counted, strict=True):
        image -= _of_the_outline(image, outlined, known, int(np.ceil(_DEEPEST * width)))
    left *= counted
    alike = _alike(left, series, LIMITS.existence_place * distance)
    if alike:
        left = (left - left.mean(axis=0)) * counted
    loudness = np.sqrt(smooth(left**2) / share)
    return loudness, np.where(loudness > 0, left / np.where(loudness > 0, loudness, 1), 0), alike


def _of_the_outline(
    left: Float[np.ndarray, "rows columns"],
    slow: Float[np.ndarray, "rows columns"],
    known: Bool[np.ndarray, "rows columns"],
    deepest: int,
) -> Float[np.ndarray, "rows columns"]:
    """What an image shows at each depth below a body's outline, on average: its edge."""
    if not known.any():
        return np.zeros_like(left)
    inside = slow > threshold_otsu(slow[known])
    depth = distance_transform_edt(inside) - distance_transform_edt(~inside)
    step = np.clip(np.rint(depth), -deepest, deepest).astype(int) + deepest
    count = np.bincount(step[known], minlength=2 * deepest + 1)
    mean = np.bincount(step[known], left[known], 2 * deepest + 1) / (count + LIMITS.existence_more)
    return mean[step]


def _alike(left: Float[np.ndarray, "v rows columns"], series: TiltSeries, apart: float) -> bool:
    """Whether images show the same at the same pixels, on average, by more than chance or atoms could."""
    nowhere = _seen_nowhere(series, apart)
    by_chance = np.sum(left.var(axis=0)[nowhere]) / (len(series) - 1)
    return bool(np.sum(left.mean(axis=0)[nowhere] ** 2) > LIMITS.existence_alike * by_chance)


def _seen_nowhere(series: TiltSeries, apart: float) -> Bool[np.ndarray, "rows columns"]:
    """Pixels at which no place is seen by all views, not even so far off (root mean square, Å)."""
    views, (rows, columns) = series.views, series.shape
    # A place that all views see at one pixel solves two equations a view of its three coordinates. Their
    # right side is -centres + u (1, 0) + v (0, 1): three vectors, and what a place cannot solve of each.
    toward = views.rotations[:, :2].reshape(-1, 3)
    steps = (np.tile(one, (len(series), 1)) for one in np.eye(2))
    sides = np.stack([-views.centres, *steps]).reshape(3, -1)
    missed = series.pixel * (sides - sides @ np.linalg.pinv(toward).T @ toward.T)
    v, u = np.indices((rows, columns))
    pixels = np.stack([np.ones_like(u), u, v], axis=-1)
    squares = np.einsum("rci,ij,rcj->rc", pixels, missed @ missed.T, pixels)
    return squares / len(series) > apart**2


def _white(texture: Float[np.ndarray, "v rows columns"], pixel: float, distance: float) -> bool:
    frequencies, power = power_spectrum(texture / texture.std(), pixel)
    return bool(np.all(power[frequencies > 0.5 / (_SLOW * distance)] < LIMITS.existence_white))


def _crests(
    series: TiltSeries, images: Float[np.ndarray, "v rows columns"], distance: float
) -> Float[np.ndarray, " n"]:
    """Heights of the crests of a back-projection, in its standard deviations; the highest come first."""
    density = reconstruct(replace(series, images=images), SMOOTH * distance, VOXEL * distance)
    heights = density.at(local_maxima(density, 0.0, DETECTION_LIMITS.closest * distance)).astype(np.float64)
    return np.sort(heights)[::-1] / max(_deviation(density), 1e-30)


def _deviation(density: DensityMap) -> float:
    return float(np.sqrt(np.mean(np.square(density.values, dtype=np.float64))))
