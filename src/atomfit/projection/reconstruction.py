"""A quick map from images alone, to find atoms to start from.

Each image is filtered and smeared back along its beam. In Fourier space an image is a central plane of the
specimen's transform; where planes lie close the transform is measured often, and each counts for less. Seen
through a specimen of diameter D, view j is blurred to a slab of thickness 1/D, so that at its frequency k

    weight_j(k) = 1 / Σ_i exp(-½ (π D w_ij(k) / 2)²),    w_ij(k) = n_i · R_jᵀ (k_u, k_v, 0),

n_i being the beam of view i: the exact filter of views in any directions (Radermacher 1992, in *Electron
Tomography*; his sinc has zeros, a Gaussian has none). For a single axis it is the ramp. A Gaussian about as
wide as an atom takes off the noise that the ramp brings in.

Nothing here is a fit. Maxima of such a map are a few tenths of an ångström from the atoms, which is near
enough; what is missing or invented is found by what the fit to the images leaves
(`selection.image_scores`).
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float
from scipy import fft

from atomfit.detection.limits import LIMITS as DETECTION_LIMITS
from atomfit.detection.peaks import local_maxima
from atomfit.projection.limits import LIMITS
from atomfit.projection.views import TiltSeries
from atomfit.structure.atoms import Leaf
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.compiled import kept

#: Standard deviation of the Gaussian (Å), in neighbour distances.
SMOOTH = 0.17
#: Edge of a voxel, in neighbour distances; not less than a pixel.
VOXEL = 0.15


def places_of_atoms(series: TiltSeries, neighbour_distance: float) -> Float[np.ndarray, "n 3"]:
    """Where atoms may be (Å): the bright maxima of a quick map.

    Taken are maxima higher than the deepest hollow is deep, because streaks are of either sign, and of
    these the brighter of two classes (Otsu 1979).

    **Arguments:**

    - `series`: the images.
    - `neighbour_distance`: typical distance of neighbours (Å).
    """
    from skimage.filters import threshold_otsu

    density = reconstruct(series, SMOOTH * neighbour_distance, VOXEL * neighbour_distance)
    apart = DETECTION_LIMITS.closest * neighbour_distance
    deepest = -float(density.values.min())
    voxels = local_maxima(density, max(deepest, 0.0), apart)
    heights = density.at(voxels)
    if len(heights) > 2 and np.ptp(heights) > 0:
        between = float(threshold_otsu(heights))
        # Where there are atoms only, the two classes are both of them.
        voxels = voxels[
            heights > min(between, LIMITS.faintest * float(np.median(heights[heights > between])))
        ]
    return density.grid.positions_of(voxels)


def reconstruct(series: TiltSeries, smooth: float, voxel: float) -> DensityMap:
    """The weighted back-projection of a series.

    Pixels that were not measured are taken to be as the image's edge.

    **Arguments:**

    - `series`: the images.
    - `smooth`: standard deviation (Å) of a Gaussian that the map is blurred by.
    - `voxel`: edge of its voxels (Å), a pixel at least.
    """
    half = half_extent(series)
    grid = grid_about(series.centre, half, max(voxel, series.pixel))
    images = _filtered(series, 2 * float(half.max()), smooth)
    return DensityMap(back_projected(series, images, grid), grid)


def half_extent(series: TiltSeries) -> Float[np.ndarray, " 3"]:
    """How far along x, y, z from the centre most views show the specimen (Å)."""
    extent = 0.5 * series.pixel * np.array(series.shape[::-1])
    across = np.abs(series.views.rotations[:, :2])
    # How far one can go along each axis without leaving a view.
    reach = (extent[None, :, None] / np.maximum(across, 1e-6)).min(axis=1)
    return np.minimum(np.quantile(reach, 1 - LIMITS.seen_by, axis=0), extent.max())


def grid_about(centre: Float[np.ndarray, " 3"], half: Float[np.ndarray, " 3"], voxel: float) -> Grid:
    """A grid that reaches so far to each side of a place (Å)."""
    steps = np.maximum(np.ceil(half / voxel).astype(int), 1)
    shape = 2 * steps + 1
    return Grid((int(shape[2]), int(shape[1]), int(shape[0])), np.full(3, voxel), centre - steps * voxel)


def back_projected(
    series: TiltSeries, images: Float[np.ndarray, "v rows columns"], grid: Grid
) -> Float[np.ndarray, "z y x"]:
    """Sum over views of what their images have where each voxel is seen; nothing outside of an image.

    **Arguments:**

    - `series`: whose views they are.
    - `images`: to be smeared back.
    - `grid`: of the result.
    """
    axes = [np.arange(n) * step for n, step in zip(grid.shape[::-1], grid.spacing, strict=True)]
    axes = [
        (axis + first).astype(np.float32)
        for axis, first in zip(axes, grid.origin - series.centre, strict=True)
    ]
    views = series.views
    # Pixels (row, column) of a view are linear in x, y, z.
    planes = (views.rotations[:, 1::-1] / series.pixel).astype(np.float32)
    middles = views.centres[:, ::-1].astype(np.float32)
    return np.asarray(_smeared(images.astype(np.float32), planes, middles, *axes))


@kept
def _smeared(
    images: Float[Leaf, "v rows columns"],
    planes: Float[Leaf, "v 2 3"],
    middles: Float[Leaf, "v 2"],
    x: Float[Leaf, " nx"],
    y: Float[Leaf, " ny"],
    z: Float[Leaf, " nz"],
) -> Float[Array, "nz ny nx"]:
    def at_height(height: Array) -> Array:
        def add(total: Array, view: tuple[Array, Array, Array]) -> tuple[Array, None]:
            image, plane, middle = view
            places = [
                middle[i] + plane[i, 0] * x[None, :] + plane[i, 1] * y[:, None] + plane[i, 2] * height
                for i in range(2)
            ]
            return total + map_coordinates(image, places, order=1, mode="constant"), None

        layer = jnp.zeros((len(y), len(x)), jnp.float32)
        return lax.scan(add, layer, (jnp.asarray(images), jnp.asarray(planes), jnp.asarray(middles)))[0]

    return lax.map(at_height, jnp.asarray(z))


def _filtered(series: TiltSeries, diameter: float, smooth: float) -> Float[np.ndarray, "v rows columns"]:
    rows, columns = series.shape
    down = fft.fftfreq(rows, series.pixel)[:, None]
    across = fft.rfftfreq(columns, series.pixel)[None, :]
    blur = np.exp(-2 * np.pi**2 * smooth**2 * (down**2 + across**2))
    rotations = series.views.rotations
    filtered = np.zeros((len(series), rows, columns), np.float32)
    for k, rotation in enumerate(rotations):
        tilted = rotation[:2] @ rotations[:, 2].T
        how_often = sum(
            np.exp(-0.5 * (0.5 * np.pi * diameter * (across * u + down * v)) ** 2) for u, v in tilted.T
        )
        image, counted = series.images[k], series.counted[k]
        level = _edge(image, counted)
        transform = fft.rfft2(np.where(counted, image - level, 0.0))
        filtered[k] = fft.irfft2(transform * blur / how_often, (rows, columns))
    return filtered


def _edge(image: Float[np.ndarray, "rows columns"], counted: np.ndarray) -> float:
    """What an image shows at its edge, where it was measured; its least value if it was not."""
    frame = np.ones_like(counted)
    frame[1:-1, 1:-1] = False
    at_edge = image[frame & counted]
    return float(np.median(at_edge)) if len(at_edge) else float(image[counted].min())
