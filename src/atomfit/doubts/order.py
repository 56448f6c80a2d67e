"""Whether images are in the order of their views: a series and atoms in, a doubt out.

Files that were sorted by name, a list of angles in the order of exposure, two images that were exchanged:
each image then belongs to another's view, and no convention of signs and axes mends it. Atoms, even rough
ones, tell which image shows them from where. Every image is compared with the atoms drawn from every view,
and images are given to views so that all together agree best (Kuhn's assignment), where another view than
its own must gain clearly to count. If most of the images that change places do, and all agree well then,
that order was meant.

Views that are alike, as those that are beside each other or of a symmetric particle, gain nothing.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from atomfit.doubts.limits import LIMITS
from atomfit.projection.agreement import (
    WIDTHS,
    attainable_correlation,
    correlations_of_views,
    least_gain,
)
from atomfit.projection.limits import LIMITS as IMAGE_LIMITS
from atomfit.projection.views import TiltSeries
from atomfit.support.errors import Doubt

#: Images that are named.
_NAMED = 4


def order_doubts(series: TiltSeries, positions: Float[np.ndarray, "n 3"], distance: float) -> list[Doubt]:
    """A doubt about images that agree clearly better with each other's views.

    **Arguments:**

    - `series`: the images.
    - `positions`: of atoms (Å).
    - `distance`: typical distance of neighbours (Å).
    """
    each, pixels = np.arange(len(series)), series.counted.sum(axis=(1, 2))
    enough = IMAGE_LIMITS.agreement_enough * attainable_correlation(series)
    for width in WIDTHS:
        table = correlations_of_views(series, positions, width * distance)
        gain = table - np.diag(table)[:, None] - least_gain(table, pixels[:, None])
        np.fill_diagonal(gain, 0.0)
        views = linear_sum_assignment(gain, maximize=True)[1]
        clear = gain[each, views] > 0
        agreeing = float(np.mean(table[each, views])) > enough
        if agreeing and clear.sum() > 1 and clear.sum() > LIMITS.images_exchanged * np.sum(views != each):
            return [_doubt(np.flatnonzero(clear), views)]
    return []


def _doubt(images: Int[np.ndarray, " k"], views: Int[np.ndarray, " v"]) -> Doubt:
    named = ", ".join(f"{k} with view {views[k]}" for k in images[:_NAMED])
    more = f" and {len(images) - _NAMED} more" if len(images) > _NAMED else ""
    return Doubt(
        f"{len(images)} of {len(views)} images agree clearly better with each other's views: image "
        f"{named}{more}, counted from 0",
        "give views and images in the same order",
    )
