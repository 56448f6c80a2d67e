"""Views that have drifted by pixels: drawings and images in, shifts to begin with out.

A gradient moves an image by less than the width of its atoms; one that has drifted farther sits among its
neighbours for good. So where shifts are refined, each image is first laid on what the atoms look like from
its view, by cross-correlation. A view begins there if it agrees clearly better so, and where it was
otherwise: a crystal without edges agrees with itself a lattice vector farther on, but not better.
"""

import numpy as np
from jaxtyping import Bool, Float

from atomfit.projection.agreement import best_shift, least_gain
from atomfit.projection.verdict import correlation


def drifts(
    drawn: Float[np.ndarray, "v rows columns"],
    images: Float[np.ndarray, "v rows columns"],
    counted: Bool[np.ndarray, "v rows columns"],
) -> Float[np.ndarray, "v 2"]:
    """By how many pixels (u, v) each image has drifted; zero if that is not clear.

    **Arguments:**

    - `drawn`: the atoms as they are seen without drift.
    - `images`, `counted`: what was measured, and where.
    """
    return np.stack([_drift(*each) for each in zip(drawn, images, counted, strict=True)])


def _drift(
    drawn: Float[np.ndarray, "rows columns"],
    image: Float[np.ndarray, "rows columns"],
    counted: Bool[np.ndarray, "rows columns"],
) -> Float[np.ndarray, " 2"]:
    if not counted.any():
        return np.zeros(2)
    shift = best_shift(drawn, image, counted)
    before, then = (correlation(each[counted], image[counted]) for each in (drawn, _moved(drawn, shift)))
    least = least_gain(np.array([then]), np.array([np.count_nonzero(counted)]))[0]
    return shift if then - before > least else np.zeros(2)


def _moved(
    drawn: Float[np.ndarray, "rows columns"], shift: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "rows columns"]:
    """Moved by whole pixels (u, v); what comes in is empty."""
    moved = np.full_like(drawn, drawn.min())
    across, down = (int(k) for k in shift)
    rows, columns = drawn.shape
    to = [slice(max(k, 0), n + min(k, 0)) for k, n in ((down, rows), (across, columns))]
    of = [slice(max(-k, 0), n - max(k, 0)) for k, n in ((down, rows), (across, columns))]
    moved[*to] = drawn[*of]
    return moved
