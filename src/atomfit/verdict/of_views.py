"""The verdict on the views of a tilt series: correlations, shifts and turns in, findings out.

A view that was read with a wrong angle, has drifted out, or shows something else agrees less than others
do. Where rotations are refined it may agree all the same, turned to where another was: then its turn is
far from what the others have. Where all have drifted a little, none stands out, and atoms are where that
has put them.
"""

import numpy as np
from jaxtyping import Bool, Float

from atomfit.projection.unrefined import Unrefined
from atomfit.projection.verdict import far_below, listed
from atomfit.verdict.findings import Finding
from atomfit.verdict.limits import LIMITS, level_above

_CHECK = "check their angles and centres and the order of images, or leave them out"


def undescribed(correlations: Float[np.ndarray, " v"]) -> list[Finding]:
    """Whether there are views that the model describes far less well than the others, or not at all."""
    views = far_below(correlations)
    if not len(views):
        return []
    none = bool(np.all(correlations[views] < LIMITS.correlation_none))
    told, whole = ("does not describe", " at all") if none else ("disagrees with", "")
    return [
        Finding(
            "views",
            "doubtful",
            f"the model {told} the images of views {listed(correlations, views)}{whole}; "
            f"the median of all is {np.median(correlations):.2f}",
            _CHECK,
        )
    ]


def turned(turns: Float[np.ndarray, "v 3"], fitted: Bool[np.ndarray, " v"]) -> list[Finding]:
    """Whether there are views that were turned far from where they were said to be: to where others are.

    **Arguments:**

    - `turns`: of the views, about each axis (degrees).
    - `fitted`: views that were not held out.
    """
    sizes = np.where(fitted, np.linalg.norm(turns, axis=1), 0.0)
    median = float(np.median(sizes[fitted])) if fitted.any() else 0.0
    far = np.flatnonzero(sizes > max(LIMITS.turned_least, LIMITS.turned_medians * median))
    if not np.any(sizes[far] > LIMITS.turned_wrong):
        return []
    first = ", ".join(f"{k} ({sizes[k]:.1f}°)" for k in far[:10])
    more = f" and {len(far) - 10} more" if len(far) > 10 else ""
    return [
        Finding(
            "views",
            "doubtful",
            f"views {first}{more} were turned far from where they were said to be; the median of all is "
            f"{median:.1f}°",
            _CHECK,
        )
    ]


def drifted(shifts: Unrefined, views: int, error: float, distance: float) -> list[Finding]:
    """Whether images have drifted by more than error bars allow for.

    A shift of each view moves an atom across the tilt axis by √(2 / views) of what it is.

    **Arguments:**

    - `shifts`: that were not refined (Å).
    - `views`: how many were fitted.
    - `error`: median standard uncertainty of positions (Å).
    - `distance`: of neighbours (Å).
    """
    moved = shifts.rms * (2 / max(views, 1)) ** 0.5
    if not shifts.clear or not moved > LIMITS.drift_doubtful * error:
        return []
    return [
        Finding(
            "drift",
            level_above(shifts.rms / distance, 0.0, LIMITS.drift_bad),
            f"images have drifted by {shifts.rms:.2g} Å (root mean square), and shifts were not refined: "
            f"atoms are off by about {moved:.2g} Å, and their error bars say {error:.2g} Å",
            "refine shifts as well (--refine shifts), or align the images",
        )
    ]
