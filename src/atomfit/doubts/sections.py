"""Whether an array is a map or a stack of images: files and arrays of both look alike.

Images of one specimen are all as lively as each other, from the first to the last, and each is empty at
its edges if the specimen is a particle. Their fine detail changes from one to the next, more than from row
to row. A map of a particle is empty in its first and last sections as it is on its other faces. Where
neither is so, as of a film that fills the field, nothing is said.
"""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from atomfit.doubts.limits import LIMITS
from atomfit.support.errors import Doubt

#: Part of the sections along an axis that are its ends.
_END = 0.1
#: Fine detail is what a mean over so many pixels (standard deviation) does not keep.
_FINE = 3.0


def map_doubts(values: Float[np.ndarray, "z y x"]) -> tuple[list[Doubt], list[str]]:
    """Doubts about a map that may be a stack of images, and warnings where it may be a wire along z."""
    first, *others = liveliness(values)
    if min(first) < LIMITS.sections_lively or max(max(_ends(of)) for of in others) > LIMITS.sections_empty:
        return [], []
    told = f"all {len(first)} sections are alike in what they hold, and empty at their edges"
    between, *within = alikeness(values)
    if 0 < max(between, *within) < LIMITS.sections_as_rows * min(between, *within):
        return [], []
    if between > min(within) - LIMITS.sections_change:
        return [], [f"{told}: if this is a stack of images, it is no map"]
    return [
        Doubt(
            f"{told}, and they change more from one to the next than rows do: this seems to be a stack of "
            "images, not a map",
            "give the reconstructed volume, or the images to atomfit tilt",
        )
    ], []


def image_doubts(images: Float[np.ndarray, "v rows columns"]) -> list[Doubt]:
    """Doubts about images that may be the sections of a map."""
    first, *others = liveliness(images)
    if max(_ends(first)) > LIMITS.sections_empty:
        return []
    along = next((k for k, of in enumerate(others, 1) if min(of) > LIMITS.sections_lively), None)
    if along is not None:
        return [
            Doubt(
                "the first and the last images are empty, and what is along the "
                f"{'second' if along == 1 else 'last'} axis is not: the views seem to be there",
                f"give [view, row, column] (numpy.moveaxis(images, {along}, 0))",
            )
        ]
    if max(max(_ends(of)) for of in others) > LIMITS.sections_empty:
        return []
    return [
        Doubt(
            "the first and the last images are empty: these seem to be the sections of a map, not the "
            "images of a tilt series",
            "give the images, and the map as --map",
        )
    ]


def liveliness(values: Float[np.ndarray, "a b c"]) -> list[Float[np.ndarray, " _"]]:
    """Variance of the sections along each axis above that of the quietest, as part of the largest."""
    # What was not measured is as dark as most.
    if not np.isfinite(values).all():
        values = np.where(np.isfinite(values), values, np.nanmedian(values))
    variances = [
        values.var(axis=tuple(k for k in range(3) if k != axis), dtype=np.float64) for axis in range(3)
    ]
    noise = min(float(of.min()) for of in variances)
    return [(of - noise) / max(float(of.max()) - noise, 1e-300) for of in variances]


def alikeness(values: Float[np.ndarray, "a b c"]) -> list[float]:
    """Mean correlation of the fine detail of each section with the next, along each axis."""
    found = []
    for axis in range(3):
        fine = values
        for k in range(3):
            if k != axis:
                fine = fine - gaussian_filter1d(fine, _FINE, axis=k, mode="nearest")
        sections = np.moveaxis(fine, axis, 0).reshape(values.shape[axis], -1)
        products = np.einsum("ij,ij->i", sections[:-1], sections[1:])
        squares = np.einsum("ij,ij->i", sections, sections)
        lengths = np.sqrt(squares[:-1] * squares[1:])
        found.append(float(products.sum() / max(float(lengths.sum()), 1e-300)))
    return found


def _ends(profile: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The liveliest section at either end."""
    n = max(int(_END * len(profile)), 1)
    return float(profile[:n].max()), float(profile[-n:].max())
