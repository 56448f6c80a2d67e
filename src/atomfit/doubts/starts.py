"""What speaks against a model to start a fit to images from: its unit, and what the images say of it.

The distance of nearest atoms tells a model in nm. Beyond that the images tell (`projection.misreadings`):
what else may have been meant and would agree clearly better is named, with what to do.
"""

import logging

import numpy as np
from jaxtyping import Float

from atomfit.doubts.limits import LIMITS
from atomfit.projection.agreement import mean_correlation
from atomfit.projection.misreadings import AS_GIVEN, Agreement, Reading, agreement, size_of_images
from atomfit.projection.views import TiltSeries
from atomfit.structure.elements import Element
from atomfit.structure.neighbours import nearest_distances
from atomfit.support.errors import Doubt, InputError

log = logging.getLogger("atomfit")

#: A tenth, about: nm for Å.
_TENTH = (0.07, 0.14)
#: A model that is in no image fits into them below this size, if they agree by so much more.
_FITS, _BETTER = 0.8, 0.05


def require_distances(positions: Float[np.ndarray, "n 3"], element: Element) -> None:
    """**Raises:** `InputError` if atoms are so near each other that they cannot be in Å."""
    if len(positions) < 2:
        return
    distance, expected = float(np.median(nearest_distances(positions))), element.neighbour_distance
    told = f"nearest atoms are {distance:.3g} Å apart, and {element.symbol} atoms {expected:.3g}"
    ratio = distance / expected
    if ratio < LIMITS.start_no_distance:
        cause = "coordinates in nm?" if _TENTH[0] < ratio < _TENTH[1] else "another unit, or atoms twice?"
        raise InputError(f"{told} ({cause})", "give the model in Å")
    if not LIMITS.start_odd[0] < ratio < LIMITS.start_odd[1]:
        log.warning("%s: check the unit of the start, and the element", told)


def start_doubts(
    series: TiltSeries,
    positions: Float[np.ndarray, "n 3"],
    distance: float,
    reading: Reading = AS_GIVEN,
) -> tuple[Agreement, list[Doubt], list[str]]:
    """How well a start agrees with the images; doubts and warnings about it.

    **Arguments:**

    - `series`: the images.
    - `positions`: of the atoms (Å).
    - `distance`: typical distance of neighbours (Å).
    - `reading`: how views were read.
    """
    found = agreement(series, positions, distance, reading)
    if found.misread is not None:
        if found.surely_another:
            return found, [found.misread], []
        return found, [], [f"{found.misread.problem}: {found.misread.remedy}"]
    if not found.hardly_any:
        return found, [], []
    warning = (
        f"the start agrees with the images by a correlation of {found.correlation:.2f} only, of about "
        f"{found.attainable:.2f} that their noise allows: check the unit of the start, "
        "the pixel size, the centre, the tilt axis and the sign of its angles, the order of axes, and "
        "whether atoms are bright (nothing that was tried agrees clearly better)"
    )
    return found, [], [warning]


def why_outside(series: TiltSeries, positions: Float[np.ndarray, "n 3"], distance: float) -> str:
    """What to do about atoms that are in no image."""
    size, correlation = size_of_images(series, positions, distance)
    if size < _FITS and correlation > mean_correlation(series, positions, distance) + _BETTER:
        unit = " (is it in nm?)" if _TENTH[0] < size < _TENTH[1] else ""
        return (
            f"check the pixel size of {series.pixel:.3g} Å{unit} and the unit of the start; --pixel-size "
            f"{series.pixel / size:.2g} would agree"
        )
    return "give the point that the views turn about with --centre, in Å, or leave these atoms out"
