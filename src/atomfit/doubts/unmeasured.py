"""Voxels around a map's particle that were not measured: those outside a mask, or of a pad.

Programs multiply a map by a mask, or put it into a larger box, and leave one and the same number outside.
Taken for density it presses every atom that the edge cuts through, and its silence passes for a small
noise. But one number all around is often meant: a simulation has zeros far from its atoms, and a map that
was cut below some level has them beside each atom. There the number's edge is a level set, and the values
next to it are the lowest of all. An edge that was drawn by someone runs through any values: on both sides
of the number, continuously, or as high as elsewhere.

Of maps that were tried, values beside the edge lie below others with a probability of 0.37 to 0.55 where a
mask cuts through a particle (0.71 where it cuts nothing), and of 0.78 to 1.00 where values were cut.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped
from scipy.ndimage import binary_dilation, label, maximum_filter, minimum_filter
from scipy.stats import mannwhitneyu

from atomfit.doubts.limits import LIMITS

#: At most so many values are compared.
_COMPARED = 20_000
#: Standard deviations in a median absolute deviation of Gaussian noise.
_PER_MEDIAN = 1.4826


@dataclass(frozen=True, eq=False)
class Unmeasured:
    """What surrounds the part of a map that was measured.

    **Fields:**

    - `voxels`: that were not measured.
    - `value`: which all of them have (map units).
    - `beside`: median of the values at their edge.
    - `scatter`: standard deviation of these, from their median absolute deviation.
    """

    voxels: Bool[np.ndarray, "..."]
    value: float
    beside: float
    scatter: float

    @property
    def part(self) -> float:
        """Of the box."""
        return float(self.voxels.mean())

    @property
    def foreign(self) -> bool:
        """Whether the value is none that an empty surrounding could have."""
        return abs(self.value - self.beside) > LIMITS.unmeasured_far * self.scatter


def find_unmeasured(values: Shaped[np.ndarray, "..."]) -> Unmeasured | None:
    """The voxels outside a mask or of a pad, if there are such; None if all were measured.

    **Arguments:**

    - `values`: of a map, finite.
    """
    found, counts = np.unique(faces(values), return_counts=True)
    outside = found[np.argmax(counts)]
    alike = values == outside
    if np.mean(alike) < LIMITS.unmeasured_least:
        return None
    around = _reaching_the_faces(alike)
    if np.mean(around) < max(LIMITS.unmeasured_least, LIMITS.unmeasured_together * float(np.mean(alike))):
        return None
    edge = binary_dilation(around) & ~alike
    beside, elsewhere = (
        values[where].astype(np.float64) - float(outside) for where in (edge, ~alike & ~edge)
    )
    # Of noise that was cut below some level most of what is left is beside the number.
    if not 0 < len(beside) < len(elsewhere):
        return None
    if not _crosses(beside) and _lower(beside, elsewhere):
        return None
    middle = float(np.median(beside))
    scatter = _PER_MEDIAN * float(np.median(np.abs(beside - middle)))
    return Unmeasured(around, float(outside), middle + float(outside), scatter)


def faces(values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, " n"]:
    """Values on the faces of a box."""
    return np.concatenate(
        [np.take(values, i, axis).ravel() for axis in range(values.ndim) for i in (0, -1)]
    )


def _reaching_the_faces(alike: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Of voxels that are alike, those that lie together and reach the box's faces, without thin parts."""
    solid = maximum_filter(minimum_filter(alike, 3, mode="nearest"), 3, mode="nearest")
    bodies, _ = label(solid)
    outer = np.unique(faces(bodies))
    return np.isin(bodies, outer[outer > 0])


def _crosses(beside: Shaped[np.ndarray, " n"]) -> bool:
    """Whether values beside an edge run through the number there, which a cut of values cannot do."""
    if min(np.mean(beside < 0), np.mean(beside > 0)) < LIMITS.unmeasured_both_sides:
        return False
    nearest, middle = np.quantile(np.abs(beside), [0.05, 0.5])
    return bool(nearest < LIMITS.unmeasured_continuous * middle)


def _lower(beside: Shaped[np.ndarray, " n"], elsewhere: Shaped[np.ndarray, " m"]) -> bool:
    """Whether values beside an edge are nearer to the number there than those elsewhere are."""
    some, others = (np.abs(x[:: 1 + len(x) // _COMPARED]) for x in (beside, elsewhere))
    pairs = len(some) * len(others)
    return bool(mannwhitneyu(others, some).statistic > LIMITS.unmeasured_lower * pairs)
