"""Views that have drifted by pixels: drawings and images in, shifts to begin with out.

A gradient moves an image by less than the width of its atoms; one that has drifted farther sits among its
neighbours for good. So where shifts are refined, each image is first laid on what the atoms look like from
its view, by cross-correlation. A view begins there if it agrees clearly better so, and where it was
otherwise: a crystal without edges agrees with itself a lattice vector farther on, but not better. Atoms
that account for little of what is in the images, wrong ones or a few of many, say nothing of drift.
"""

import numpy as np
from jaxtyping import Float

from atomfit.projection.agreement import attainable_correlation, best_shift, least_gain
from atomfit.projection.limits import LIMITS
from atomfit.projection.verdict import correlation
from atomfit.projection.views import TiltSeries


def drifts(drawn: Float[np.ndarray, "v rows columns"], series: TiltSeries) -> Float[np.ndarray, "v 2"]:
    """By how many pixels (u, v) each image has drifted; zero if that is not clear.

    **Arguments:**

    - `drawn`: the atoms as they are seen without drift.
    - `series`: the images.
    """
    shifts, pixels = np.zeros((len(series), 2)), series.counted.sum(axis=(1, 2))
    before, then = np.zeros((2, len(series)))
    measured = np.flatnonzero(pixels)
    for k in measured:
        image, counted = series.images[k], series.counted[k]
        shifts[k] = best_shift(drawn[k], image, counted)
        before[k], then[k] = (
            correlation(each[counted], image[counted]) for each in (drawn[k], _moved(drawn[k], shifts[k]))
        )
    shifts[then - before <= least_gain(then, pixels)] = 0
    best = np.maximum(before, then)[measured]
    if not len(best) or np.mean(best) <= LIMITS.agreement_enough * attainable_correlation(series):
        return np.zeros_like(shifts)
    return shifts


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
