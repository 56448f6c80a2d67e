"""Pixels of an image that were not measured though they have numbers: an image in, what counts out.

First what is blank at the border, then blank lines, then single pixels (`blank_pixels`, `hot_pixels`),
each without those that were found before. What does not count is filled with the mean of what counts
about it, in growing squares, so that filters that look at the image whole see neither a spot nor an edge
there. No fit looks at it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.doubts.blank_pixels import blank_border, blank_lines
from atomfit.doubts.hot_pixels import isolated_pixels

_WORDS = {
    "border": "of one value at the border",
    "lines": "in lines of one value",
    "hot": "hot",
    "dead": "dead",
}


@dataclass(frozen=True, eq=False)
class Defects:
    """What of an image was not measured.

    **Fields:**

    - `values`: with what does not count filled in.
    - `counted`: pixels that were measured.
    - `numbers`: of pixels of each kind that were left out, kinds that are there only.
    """

    values: Float[np.ndarray, "rows columns"]
    counted: Bool[np.ndarray, "rows columns"]
    numbers: dict[str, int]

    @property
    def kinds(self) -> list[str]:
        """Names of the kinds that are there."""
        return [_WORDS[kind] for kind in self.numbers]

    def told(self) -> list[str]:
        """A warning of what was left out; none of nothing."""
        if not self.numbers:
            return []
        kinds = [f"{n} {_WORDS[kind]}" for kind, n in self.numbers.items()]
        return [f"pixels that were not measured do not count: {', '.join(kinds)}"]


def without_defects(
    image: Float[np.ndarray, "rows columns"], counted: Bool[np.ndarray, "rows columns"] | None, pixel: float
) -> Defects:
    """An image without the pixels that no column and no noise can have made.

    **Arguments:**

    - `image`: any unit; finite.
    - `counted`: pixels that were measured, as far as is known; all if None.
    - `pixel`: its edge (Å).
    """
    counted = np.ones(image.shape, bool) if counted is None else counted
    found: dict[str, np.ndarray] = {}
    for kind, blank in (("border", blank_border), ("lines", blank_lines)):
        found[kind] = blank(image, counted, pixel)
        counted = counted & ~found[kind]
    values = filled(image, counted)
    found["hot"], found["dead"] = isolated_pixels(values, counted, pixel)
    counted = counted & ~found["hot"] & ~found["dead"]
    numbers = {kind: int(np.sum(which)) for kind, which in found.items() if which.any()}
    return Defects(
        filled(values, counted) if "hot" in numbers or "dead" in numbers else values, counted, numbers
    )


def filled(
    image: Float[np.ndarray, "rows columns"], counted: Bool[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "rows columns"]:
    """An image with means of what counts where nothing does.

    **Arguments:**

    - `image`: any unit; finite.
    - `counted`: pixels that were measured.
    """
    if counted.all():
        return image
    values = np.array(image, np.float32)
    lacking = np.nonzero(~counted)
    values[lacking] = _from_squares(np.where(counted, image, 0).astype(np.float64), counted)[lacking]
    # Squares have edges.
    edged = np.pad(values, 1, mode="edge")
    rows, columns = lacking
    values[lacking] = np.mean([edged[rows + i, columns + j] for i in range(3) for j in range(3)], axis=0)
    return values


def _from_squares(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means over the smallest square of 1, 2, 4, ... pixels that holds anything."""
    known = weights > 0
    mean = sums / np.maximum(weights, 1)
    if known.all() or sums.size == 1:
        return mean
    halves = [np.pad(x.astype(np.float64), [(0, n % 2) for n in x.shape]) for x in (sums, weights)]
    halves = [x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2] for x in halves]
    coarser = np.repeat(np.repeat(_from_squares(*halves), 2, axis=0), 2, axis=1)
    return np.where(known, mean, coarser[: sums.shape[0], : sums.shape[1]])
