"""What speaks against the values of a map or of images: those that stand for something else, hot pixels.

Programs mark what was not measured by a number far from all that were (-9999, -32768, 3.4e38, or 0 beside a
background of a thousand). Taken for density such values rule every threshold and every fit. No list of
them is needed: a value that is there more than once, and is farther from all others than these are
from each other, was not measured. (Where all others are one value too, it is a mask, and may be meant; so
may zero, where a map was cut off below some level.)

A hot pixel is told by its neighbours. An atom sampled as coarsely as may be still shows in the pixels
beside its middle; what exceeds them by more than the narrowest atom would, and everything else in the data
by several times, is none. Many such pixels are no defects of a detector but single counts at a low dose.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.doubts.limits import LIMITS
from atomfit.doubts.unmeasured import Unmeasured
from atomfit.support.errors import Doubt

#: So many of the farthest values are looked at.
_CANDIDATES = 2000


def fill_doubts(values: Float[np.ndarray, " n"], what: str, remedy: str) -> list[Doubt]:
    """Doubts about a value that stands for what was not measured.

    **Arguments:**

    - `values`: all that count.
    - `what`: their name ("voxels").
    - `remedy`: what to do; `{value}` is replaced by the value.
    """
    for extreme in (values.min(), values.max()):
        rest = values[values != extreme]
        count = len(values) - len(rest)
        if not len(rest) or count < 2:
            continue
        low, high = float(rest.min()), float(rest.max())
        gap = low - float(extreme) if extreme < low else float(extreme) - high
        if gap > (LIMITS.fill_far_zero if extreme == 0 else LIMITS.fill_far) * (high - low) > 0:
            value = f"{float(extreme):g}"
            problem = (
                f"{count} of {len(values)} {what} are exactly {value}, far from all others ({low:g} to "
                f"{high:g}): they were not measured"
            )
            return [Doubt(problem, remedy.format(value=value))]
    return []


def surrounding_doubts(around: Unmeasured | None) -> list[Doubt]:
    """Doubts about a number around the measured part of a map that is no level of emptiness.

    **Arguments:**

    - `around`: what surrounds it; None if all was measured.
    """
    if around is None or not around.foreign:
        return []
    value, level = f"{around.value:g}", f"{around.beside:.3g}"
    return [
        Doubt(
            f"{100 * around.part:.0f} % of the voxels, around all others, are exactly {value}, where those "
            f"beside them are {level} on average: they were not measured",
            f"cut the box down to what was measured, or replace {value} by the background level ({level}?)",
        )
    ]


def sharpest(distance: float, pixel: float) -> float:
    """How many times the narrowest atom's middle exceeds the pixel beside it.

    **Arguments:**

    - `distance`: of neighbouring atoms (Å).
    - `pixel`: edge of a pixel or voxel (Å).
    """
    return max(
        LIMITS.hot_isolated,
        1.5 * float(np.exp(0.5 * min(pixel / (LIMITS.narrowest_atom * distance), 10) ** 2)),
    )


def hot_pixels(
    values: Float[np.ndarray, "..."], counted: Bool[np.ndarray, "..."] | None, factor: float
) -> Int[np.ndarray, "n d"]:
    """Array indices of single pixels, or a few together, that no atom can be, the farthest first.

    **Arguments:**

    - `values`: of a map or an image.
    - `counted`: pixels that were measured; all if None.
    - `factor`: by how much an atom may exceed its neighbours (`sharpest`).
    """
    some = values.ravel() if counted is None else values[counted]
    # An element, because the mean of two may be beyond 32 bits.
    level = np.partition(some, len(some) // 2)[len(some) // 2]
    with np.errstate(over="ignore"):
        off = np.abs(values - level)
    if counted is not None:
        off[~counted] = 0
    many = min(_CANDIDATES, off.size)
    flat = np.argpartition(off.ravel(), off.size - many)[off.size - many :]
    farthest = np.stack(np.unravel_index(flat, off.shape), axis=1)
    farthest = farthest[np.argsort(-off[tuple(farthest.T)], kind="stable")]
    own = off[tuple(farthest.T)].astype(np.float64)
    alone = own > factor * _beside(off, farthest)
    # What is beside a hot pixel, and as hot, is told by the same neighbourhood.
    highest = own[~alone].max(initial=0.0)
    counts = LIMITS.hot_counts if np.all(values[: len(values) // 8 + 1] % 1 == 0) else 0.0
    hot = farthest[alone & (own > LIMITS.hot_higher * highest + counts)]
    return hot if len(hot) <= max(LIMITS.hot_few, LIMITS.hot_few_part * values.size) else hot[:0]


def hot_doubts(values: Float[np.ndarray, "z y x"], factor: float) -> list[Doubt]:
    """Doubts about hot voxels of a map; `factor` as for `hot_pixels`."""
    hot = hot_pixels(values, None, factor)
    if not len(hot):
        return []
    place = ", ".join(str(i) for i in hot[0])
    value = float(values[tuple(hot[0])])
    problem = (
        f"one voxel, at [z, y, x] = [{place}], has the value {value:g}, which nothing beside it has"
        if len(hot) == 1
        else f"{len(hot)} voxels have values that nothing beside them has (the first is {value:g}, at "
        f"[z, y, x] = [{place}])"
    )
    return [Doubt(problem, "replace each by the mean of its neighbours")]


def _beside(off: Float[np.ndarray, "..."], places: Int[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Highest value but a few beside each place."""
    d = off.ndim
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * d, indexing="ij"), axis=-1).reshape(-1, d)
    steps = steps[np.any(steps != 0, axis=1)]
    around = np.clip(places[:, None] + steps, 0, np.array(off.shape) - 1)
    # At the edge of the box a neighbour is the place itself, which is none.
    inside = np.all(around == places[:, None] + steps, axis=-1)
    found = np.where(inside, off[tuple(np.moveaxis(around, -1, 0))], 0)
    return np.sort(found, axis=1)[:, -1 - LIMITS.hot_company].astype(np.float64)
