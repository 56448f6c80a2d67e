"""What speaks against the views of a tilt series: they are too few, or so alike that depth is not told.

A view tells where an atom is across its beam, and nothing of where along it. Of n views with beams b the
information on a position along a unit vector e is in proportion to the mean of 1 - (e·b)², which is least
where e is the principal axis of the beams. Its square root is by how much worse positions are known along
that direction than across it (for tilts from -a to a, about √3 / a).
"""

import numpy as np
from jaxtyping import Float

from atomfit.doubts.limits import LIMITS
from atomfit.support.errors import Doubt


def view_doubts(rotations: Float[np.ndarray, "v 3 3"]) -> tuple[list[Doubt], list[str]]:
    """Doubts and warnings about the directions of views."""
    remedy = "check the views, or give more of them"
    if len(rotations) < LIMITS.views_fewest:
        return [Doubt(f"{len(rotations)} views do not tell where atoms are in depth", remedy)], []
    beams = rotations[:, 2]
    values, vectors = np.linalg.eigh(beams.T @ beams / len(beams))
    worse = 1 / np.sqrt(max(1 - float(values[-1]), 1e-12))
    if worse < LIMITS.views_odd:
        return [], []
    span = 2 * np.degrees(np.arccos(np.clip(np.abs(beams @ vectors[:, -1]).min(), 0, 1)))
    if span < 0.05:
        return [Doubt(f"all {len(rotations)} views are from one direction", remedy)], []
    told = (
        f"views span {span:.3g} degrees only, so that depth is known {worse:.2g} times worse than what is "
        "across the beam"
    )
    return ([Doubt(told, remedy)], []) if worse > LIMITS.views_wrong else ([], [told])
