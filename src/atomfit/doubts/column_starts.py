"""What an image says of places that may be its columns: how much higher it is there than anywhere.

At columns the filtered image is high. At places that have nothing to do with them it is as often low as
high, so that the mean over n places, in deviations of all pixels, is zero within one over the root of n.
"""

import numpy as np
from jaxtyping import Float

from atomfit.detection.column_filter import BlobFilter
from atomfit.detection.column_scale import ColumnScale
from atomfit.structure.grid import DensityMap


def height_at(image: DensityMap, scale: ColumnScale, places: Float[np.ndarray, "n 2"]) -> float:
    """The filtered image's mean at places (Å), in standard deviations of such a mean.

    **Arguments:**

    - `image`: of columns.
    - `scale`: what they look like.
    - `places`: in the image's frame; those outside count as zero.
    """
    inside = image.grid.contains(places)
    response = BlobFilter(image.values, float(image.grid.spacing[0])).blobs(scale.width)
    response = (response if scale.bright else -response) / max(float(np.std(response)), 1e-300)
    at = response[tuple(image.grid.nearest_voxels(places[inside]).T)]
    return float(np.sum(at)) / np.sqrt(max(len(places), 1))
