"""Images of a series tilted about y in, a density out: gradient descent with positivity and support.

As in RESIRE (Pham et al. 2023) the squared difference of images and projections is lowered step by step,
and after each step what is below zero or out of the support is zero; steps are accelerated (Beck & Teboulle
2009), so that eighty of them go as far as some hundreds. All views are about y: rows of the images are
planes of the density, which know nothing of each other, and one sparse matrix does for all.

A voxel's shadow in an image is its centre's, shared by the two nearest pixels; the density is periodic
along x, and so are images along u.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array

from experiments.film.imaging import Tilted, pixels_of
from experiments.film.scenes import VOXEL


def shadows(
    tilts: Sequence[float], period: tuple[int, int], support: Bool[np.ndarray, "nz nx"]
) -> csr_array:
    """Projections of a plane: a row for each pixel of all images, a column for each voxel of the support.

    **Arguments:**

    - `tilts`: in degrees.
    - `period`: voxels along x and y.
    - `support`: voxels of a plane that may be other than zero, z about its middle.
    """
    nz = len(support)
    z, x = np.nonzero(support)
    heights, across = VOXEL * (z - (nz - 1) / 2), VOXEL * x
    rows, weights, first = [], [], 0
    for angle in tilts:
        columns, pixel = pixels_of(angle, period)
        theta = np.radians(angle)
        u = np.mod((across * np.cos(theta) + heights * np.sin(theta)) / pixel, columns)
        low = np.floor(u).astype(int)
        part = u - low
        rows.append(first + np.stack([low % columns, (low + 1) % columns], axis=1))
        # Integral along the beam of what is per Å³, seen by a pixel of its own size.
        area = VOXEL**3 / (pixel * VOXEL)
        weights.append(area * np.stack([1 - part, part], axis=1))
        first += columns
    index = np.broadcast_to(np.arange(len(z))[:, None], (len(z), 2))
    entries = np.concatenate([w.ravel() for w in weights]).astype(np.float32)
    places = np.concatenate([r.ravel() for r in rows]), np.tile(index.ravel(), len(tilts))
    return csr_array((entries, places), shape=(first, len(z)))


def reconstructed(
    images: Sequence[Tilted], period: tuple[int, int], support: Bool[np.ndarray, "nz nx"], steps: int
) -> Float[np.ndarray, "nz ny nx"]:
    """The density: electrons per Å³.

    **Arguments:**

    - `images`: electrons per pixel.
    - `period`: voxels along x and y.
    - `support`: of each plane.
    - `steps`: of descent.
    """
    forward = shadows([image.angle for image in images], period, support)
    backward = forward.T.tocsr()
    measured = np.concatenate([image.values.T / np.prod(image.pixels) for image in images]).astype(
        np.float32
    )
    step = np.float32(1 / _largest(forward, backward))
    density = np.zeros((forward.shape[1], measured.shape[1]), np.float32)
    ahead, speed = density, 1.0
    for _ in range(steps):
        changed = np.maximum(ahead - step * (backward @ (forward @ ahead - measured)), 0)
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        ahead = changed + np.float32((speed - 1) / faster) * (changed - density)
        density, speed = changed, faster
    whole = np.zeros((*support.shape, measured.shape[1]), np.float32)
    whole[support] = density
    return np.ascontiguousarray(whole.transpose(0, 2, 1))


def _largest(forward: csr_array, backward: csr_array) -> float:
    """Largest eigenvalue of a projection and back again, or a little more."""
    ones = np.ones((forward.shape[1], 1), np.float32)
    # No row of a matrix without negative numbers adds up to less than the largest eigenvalue.
    return float((backward @ (forward @ ones)).max())
