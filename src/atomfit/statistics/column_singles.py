"""Columns of one image without a partner in the other: were they lost, or not seen?

That one was lost is doubted by as much as the other image may have missed it, or as it may itself be noise:
the sum of the two probabilities is its p-value. How probable it is to have been lost weighs in how many
columns were, out of all that the other image would show the place of.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.statistics.image_columns_seen import DetectionLimit, ImageColumns, inside

_ROUNDS = 200


@final
@dataclass(frozen=True, eq=False)
class SingleColumns:
    """Columns without a partner.

    **Fields:**

    - `which`: their indices.
    - `inside`: whether the other image shows their place.
    - `p`: p-value of being gone; NaN outside, and where cross-sections are not known.
    - `probability`: of being gone; NaN as `p`.
    """

    which: Int[np.ndarray, " n"]
    inside: Bool[np.ndarray, " n"]
    p: Float[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]


def measure_singles(
    image: ImageColumns,
    which: Int[np.ndarray, " n"],
    other: ImageColumns,
    places: Float[np.ndarray, "m 2"],
    ratio: float,
    limit: DetectionLimit,
) -> SingleColumns:
    """Measure what single columns say.

    **Arguments:**

    - `image`: the columns of one image.
    - `which`: those of them that have no partner.
    - `other`: the other image.
    - `places`: of all columns of the first in the frame of the other (Å).
    - `ratio`: of the other image's cross-sections to the first's.
    - `limit`: of detection in the other.
    """
    seen = inside(other, places)
    missed = limit.missed(ratio * image.cross_sections, abs(ratio) * image.cross_section_esds)
    p = np.minimum(missed + np.clip(np.nan_to_num(image.false), 0, 1), 1.0)
    known = seen & np.isfinite(ratio * image.cross_sections)
    p = np.where(known, np.maximum(p, 1e-300), np.nan)
    alone = np.zeros(len(image), bool)
    alone[which] = True
    candidates, part = known.sum(), 0.05
    odds = np.where(alone & known, 1 / np.maximum(np.nan_to_num(p, nan=1.0), 1e-12), 0.0)
    for _ in range(_ROUNDS):
        gone = part * odds / (1 - part + part * odds)
        part = float((gone.sum() + 0.5) / (candidates + 1))
    probability = np.where(known, part * odds / (1 - part + part * odds), np.nan)
    return SingleColumns(which, seen[which], p[which], probability[which])
