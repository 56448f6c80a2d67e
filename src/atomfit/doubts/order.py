"""Whether images are in the order of their views: a series and atoms in, a doubt out.

Files that were sorted by name, a list of angles in the order of exposure, two images that were exchanged:
each image then belongs to another's view, and no convention of signs and axes mends it. Atoms, even rough
ones, tell which image shows them from where. Every image is compared with the atoms drawn from every view,
and images are given to views so that all agree best (Kuhn's assignment). If that is another order than the
one that was given, and most of the images that change places gain clearly by it, that order was meant.

Views that are alike, as those that are beside each other or of a symmetric particle, gain nothing.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from atomfit.errors import Doubt
from atomfit.projection.agreement import WIDTHS, correlations_of_views
from atomfit.projection.views import TiltSeries

#: By how much an image must agree better with another view: standard errors, and a part of what it then is.
_ERRORS, _PART = 5.0, 0.05
#: Part of the images that change places that must gain clearly.
_MOST = 0.5
#: Images that are named.
_NAMED = 4


def order_doubts(series: TiltSeries, positions: Float[np.ndarray, "n 3"], distance: float) -> list[Doubt]:
    """A doubt about images that agree clearly better with each other's views.

    **Arguments:**

    - `series`: the images.
    - `positions`: of atoms (Å).
    - `distance`: typical distance of neighbours (Å).
    """
    for width in WIDTHS:
        table = correlations_of_views(series, positions, width * distance)
        views = linear_sum_assignment(table, maximize=True)[1]
        clear = _gaining(table, views, series.counted)
        changed = int(np.sum(views != np.arange(len(views))))
        if clear.sum() > 1 and clear.sum() > _MOST * changed:
            return [_doubt(np.flatnonzero(clear), views)]
    return []


def _gaining(
    table: Float[np.ndarray, "v v"],
    views: Int[np.ndarray, " v"],
    counted: Bool[np.ndarray, "v rows columns"],
) -> Bool[np.ndarray, " v"]:
    """Images that agree clearly better with the views that they are given to."""
    then = table[np.arange(len(views)), views]
    pixels = np.maximum(counted.sum(axis=(1, 2)), 1)
    return then - np.diag(table) > np.maximum(_ERRORS / np.sqrt(pixels), _PART * then)


def _doubt(images: Int[np.ndarray, " k"], views: Int[np.ndarray, " v"]) -> Doubt:
    named = ", ".join(f"{k} with view {views[k]}" for k in images[:_NAMED])
    more = f" and {len(images) - _NAMED} more" if len(images) > _NAMED else ""
    return Doubt(
        f"{len(images)} of {len(views)} images agree clearly better with each other's views: image "
        f"{named}{more}, counted from 0",
        "give views and images in the same order",
    )
