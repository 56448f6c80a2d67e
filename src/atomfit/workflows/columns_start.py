"""Columns to begin with, from a file: which of its readings the image agrees with, and whether with any."""

import logging

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.detection.column_scale import ColumnScale
from atomfit.doubts.column_starts import height_at
from atomfit.doubts.limits import LIMITS as DOUBTS
from atomfit.io.column_files import Readings, read_columns
from atomfit.options.columns import ColumnOptions
from atomfit.selection.limits import LIMITS
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError

log = logging.getLogger("atomfit")

_REMEDY = "give x, y in Å from the middle of the first pixel, or x_px, y_px"


def readings_of_start(image: DensityMap, options: ColumnOptions) -> Readings | None:
    """What the file of `--start` may mean; None without it.

    **Arguments:**

    - `image`: as it was read.
    - `options`: what was asked for.

    **Raises:** `InputError` if the file has no columns, or none that can be those of such an image.
    """
    if options.start is None:
        return None
    readings = read_columns(options.start, image.grid, options.frame)
    if not any(image.grid.contains(places).any() for places in readings.values()):
        raise InputError("none of these columns is in the image", _REMEDY, str(options.start))
    return readings


def columns_to_start(
    image: DensityMap, scale: ColumnScale, options: ColumnOptions, readings: Readings | None
) -> tuple[Float[np.ndarray, "n 2"] | None, list[str]]:
    """Columns of `--start` in the image's frame (Å), and what is to be said of them; None without it.

    **Arguments:**

    - `image`: as it was read.
    - `scale`: what its columns look like.
    - `options`: what was asked for.
    - `readings`: of the file.

    **Raises:** `InputError` if this image shows none of them.
    """
    if readings is None:
        return None, []
    heights = {name: height_at(image, scale, places) for name, places in readings.items()}
    name = max(heights, key=lambda one: heights[one])
    places, warnings = readings[name], []
    log.info("start: x and y are %s", name)
    inside = image.grid.contains(places)
    if not heights[name] > DOUBTS.start_columns:
        problem = f"this image shows no columns where the start has them ({len(places)}, read {name})"
        if not options.insist or not inside.any():
            raise InputError(problem, f"{_REMEDY}; if they are right: --insist", str(options.start))
        warnings.append(problem)
    if not inside.all():
        warnings.append(f"{int((~inside).sum())} columns of the start are outside the image, and left out")
    places = places[inside]
    _require_apart(places, scale, options)
    return places, warnings


def _require_apart(places: Float[np.ndarray, "n 2"], scale: ColumnScale, options: ColumnOptions) -> None:
    near = cKDTree(places).query_pairs(LIMITS.same_column * scale.width, output_type="ndarray")
    if len(near):
        i, j = np.sort(near[np.lexsort(near.T[::-1])][0])
        raise InputError(
            f"columns {i + 1} and {j + 1} of those in the image are "
            f"{np.linalg.norm(places[i] - places[j]):.3f} Å apart",
            "give each column once",
            str(options.start),
        )
