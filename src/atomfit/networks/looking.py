"""Raw counts of any size in, a network's maps and columns out: scaled by the dose, padded, and in tiles.

A network takes electrons over their mean. Images whose edges are no multiples of its stride are padded with
their reflection. Large ones are cut into tiles that overlap by more than the network looks, and of what it
makes of each only the middle is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.networks.columns_seen import ColumnsSeen, columns_seen
from atomfit.networks.residual_unet import STRIDE, ResidualUNet, Seen, known_features
from atomfit.networks.weights import TrainedNetwork
from atomfit.support.errors import InputError

#: Edge of a tile, and how far its middle is from its edges (pixels).
TILE, OVERLAP = 1024, 88


@dataclass(frozen=True, eq=False)
class ImageSeen:
    """What a network makes of an image.

    **Fields:**

    - `presence`: logit that a column's centre is near, of each pixel.
    - `heights`: logits of 0, 1, ... atoms.
    - `columns`: that are found.
    - `dose`: electrons per Å², the image's mean.
    - `defocus`, `defocus_spread`: nm; medians over tiles.
    """

    presence: Float[np.ndarray, "rows columns"]
    heights: Float[np.ndarray, "rows columns levels"]
    columns: ColumnsSeen
    dose: float
    defocus: float
    defocus_spread: float


def look(
    trained: TrainedNetwork,
    counts: Float[np.ndarray, "rows columns"],
    pixel: float,
    gain: float = 1.0,
    conditions: dict[str, float] | None = None,
) -> ImageSeen:
    """See columns in an image.

    **Arguments:**

    - `trained`: the network.
    - `counts`: of the image.
    - `pixel`: its edge (Å); that which the network has learned.
    - `gain`: counts of an electron.
    - `conditions`: those that are known (`residual_unet.CONDITIONS`).

    **Raises:** `InputError` if the image has no electrons.
    """
    electrons = np.asarray(counts, np.float64) / gain
    mean = float(electrons.mean()) if electrons.size else 0.0
    if not (np.isfinite(mean) and mean > 0):
        raise InputError("the image has no electrons on average", "give raw counts, and their gain")
    dose = mean / pixel**2
    features = jnp.asarray(known_features(dose, conditions))
    image = (electrons / mean).astype(np.float32)
    presence = np.zeros(image.shape, np.float32)
    heights = np.zeros((*image.shape, trained.network.architecture.most + 1), np.float32)
    defocus, spread = [], []
    for tile, kept, within in tiles(image.shape):
        seen = _seen(trained.network, jnp.asarray(padded(image[tile])), features)
        presence[kept], heights[kept] = np.asarray(seen.presence)[within], np.asarray(seen.heights)[within]
        defocus.append(float(seen.defocus))
        spread.append(float(seen.defocus_spread))
    found = columns_seen(presence, heights, pixel, trained.calibration.temperature(dose))
    return ImageSeen(presence, heights, found, dose, float(np.median(defocus)), float(np.median(spread)))


def padded(image: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "more_rows more_columns"]:
    """An image with edges that are multiples of the stride.

    **Arguments:**

    - `image`: of any size.
    """
    return np.pad(image, [(0, -n % STRIDE) for n in image.shape], mode="symmetric")


Part = tuple[slice, slice]


def tiles(
    shape: tuple[int, int], edge: int = TILE, overlap: int = OVERLAP
) -> Iterator[tuple[Part, Part, Part]]:
    """Tiles of an image: each one, what of the image is taken from it, and where in the tile that is.

    **Arguments:**

    - `shape`: of the image.
    - `edge`: of a tile; a multiple of the stride.
    - `overlap`: a multiple of the stride.
    """
    for rows in spans(shape[0], edge, overlap):
        for columns in spans(shape[1], edge, overlap):
            tile, kept, within = zip(rows, columns, strict=True)
            yield tile, kept, within


def spans(length: int, edge: int, overlap: int) -> list[tuple[slice, slice, slice]]:
    """Along one axis; as of `tiles`.

    **Arguments:**

    - `length`: of the image.
    - `edge`, `overlap`: of the tiles.
    """
    if length <= edge:
        whole = slice(0, length)
        return [(whole, whole, whole)]
    found, done = [], 0
    while done < length:
        # The last tile ends with the image, and begins where the stride lets it.
        latest = length - edge + (-(length - edge) % STRIDE)
        start = min(max(done - overlap, 0), latest)
        end = min(start + edge, length)
        until = length if end == length else end - overlap
        found.append((slice(start, end), slice(done, until), slice(done - start, until - start)))
        done = until
    return found


@eqx.filter_jit
def _seen(network: ResidualUNet, image: Float[Array, "rows columns"], features: Float[Array, " f"]) -> Seen:
    return network(image, features)
