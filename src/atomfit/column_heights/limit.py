"""Columns that might have other heights in, how surely counts tell which they have out: the limit.

The limit of any method is met where one column is unknown and all else is known: atoms, optics, detector.
Then the probability of a height is the likelihood of the counts, over its sum for all heights. One column's
heights take as many multislice images as there are heights; all columns' take hardly more, as columns that
are farther apart than `APART` are changed together in one image, and each has what changes within `REACH`
of it. Colours of a graph say which (greedily). Noise is then drawn as often as is wanted: its likelihood is
a product of matrices.

A hypothesis is a column's height, or its height and where it begins; several of one height are weighed
alike. Heights themselves are as likely as each other beforehand.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax

#: Distance of columns that are changed in one image, and from a column to pixels that it changes (Å).
APART, REACH = 9.0, 4.5
#: Of an intensity, so that its logarithm is finite.
_DARK = 1e-6

See = Callable[[Float[np.ndarray, " atoms"]], Float[Array, "views rows columns"]]


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """Heights that columns of a specimen might have.

    **Fields:**

    - `places`: x, y of the columns from the first pixel's centre (Å).
    - `occupancies`: of all atoms, those included that no column has in truth.
    - `members`: numbers of the atoms that a column has or might have.
    - `present`: which of these are there, by each hypothesis.
    - `heights`: that each hypothesis is of; -1 where there are fewer.
    """

    places: Float[np.ndarray, "n 2"]
    occupancies: Float[np.ndarray, " atoms"]
    members: Int[np.ndarray, "n planes"]
    present: Bool[np.ndarray, "n hypotheses planes"]
    heights: Int[np.ndarray, "n hypotheses"]


@dataclass(frozen=True, eq=False)
class Contrasts:
    """What each hypothesis changes in an image, or in several (views) of one specimen.

    **Fields:**

    - `expected`: intensity in truth, in parts of the dose.
    - `pixels`: of each column, those that it changes, as numbers in a flat image.
    - `log_ratios`: of each column, the logarithm of intensity over that in truth.
    - `changes`: of each column, the sum of what is changed.
    - `heights`: as of `Hypotheses`.
    """

    expected: Float[np.ndarray, "views rows columns"]
    pixels: tuple[Int[np.ndarray, " _"], ...]
    log_ratios: tuple[Float[np.ndarray, "views hypotheses _"], ...]
    changes: Float[np.ndarray, "n views hypotheses"]
    heights: Int[np.ndarray, "n hypotheses"]


def contrasts_of(
    hypotheses: Hypotheses, see: See, pixel: float, apart: float = APART, reach: float = REACH
) -> Contrasts:
    """Images of all hypotheses, many columns at a time.

    **Arguments:**

    - `hypotheses`: of the columns.
    - `see`: makes views (in parts of the dose, without margins) of all atoms' occupancies.
    - `pixel`: edge of a pixel (Å).
    - `apart`, `reach`: distances (Å) of columns that are changed together, and of pixels that a column has.
    """
    truth = np.asarray(see(hypotheses.occupancies), np.float32)
    expected = np.maximum(truth, _DARK)
    flat = expected.reshape(len(expected), -1)
    count, several = hypotheses.heights.shape
    pixels = [_near(place, expected.shape[1:], pixel, reach) for place in hypotheses.places]
    ratios = [np.zeros((len(flat), several, len(each)), np.float32) for each in pixels]
    changes = np.zeros((count, len(flat), several))
    colour = coloured(hypotheses.places, apart)
    for number in range(colour.max(initial=-1) + 1):
        together = np.flatnonzero(colour == number)
        for k in range(several):
            changed = [c for c in together if hypotheses.heights[c, k] >= 0]
            occupancies = hypotheses.occupancies.copy()
            for c in changed:
                occupancies[hypotheses.members[c]] = hypotheses.present[c, k]
            if not changed or np.array_equal(occupancies, hypotheses.occupancies):
                continue
            seen = np.maximum(np.asarray(see(occupancies), np.float32), _DARK).reshape(len(flat), -1)
            for c in changed:
                here, there = flat[:, pixels[c]], seen[:, pixels[c]]
                ratios[c][:, k] = np.log(there) - np.log(here)
                changes[c, :, k] = (there.astype(np.float64) - here).sum(axis=1)
    return Contrasts(expected, tuple(pixels), tuple(ratios), changes, hypotheses.heights)


def coloured(places: Float[np.ndarray, "n 2"], apart: float) -> Int[np.ndarray, " n"]:
    """Numbers of columns, such that two of one number are far from each other.

    **Arguments:**

    - `places`: of the columns (Å).
    - `apart`: the least distance of two of one number (Å).
    """
    near = cdist(places, places) < apart
    found = np.full(len(places), -1)
    for c in range(len(places)):
        taken = set(found[near[c]].tolist())
        found[c] = next(k for k in range(len(places)) if k not in taken)
    return found


def posteriors(
    contrasts: Contrasts, electrons: Float[np.ndarray, "draws rows columns"], scale: float, view: int = 0
) -> Float[np.ndarray, "draws n levels"]:
    """Probabilities of each column's heights, given counts and all else.

    **Arguments:**

    - `contrasts`: of the hypotheses.
    - `electrons`: counted, in each draw of noise.
    - `scale`: electrons of a pixel where the intensity is 1.
    - `view`: which of them was counted.
    """
    counted = electrons.reshape(len(electrons), -1)
    levels = int(contrasts.heights.max(initial=0)) + 1
    found = np.zeros((len(counted), len(contrasts.pixels), levels))
    for c, (pixels, ratios) in enumerate(zip(contrasts.pixels, contrasts.log_ratios, strict=True)):
        likely = counted[:, pixels].astype(np.float64) @ ratios[view].T.astype(np.float64)
        likely -= scale * contrasts.changes[c, view]
        of = contrasts.heights[c]
        alike = np.full((len(counted), levels), -np.inf)
        for height in range(levels):
            which = np.flatnonzero(of == height)
            if len(which):
                alike[:, height] = logsumexp(likely[:, which], axis=1) - np.log(len(which))
        found[:, c] = softmax(alike, axis=1)
    return found


def _near(
    place: Float[np.ndarray, " 2"], shape: tuple[int, ...], pixel: float, reach: float
) -> Int[np.ndarray, " _"]:
    """Pixels within a distance, as numbers in a flat image."""
    y, x = (pixel * np.arange(edge) for edge in shape)
    apart = (x[None, :] - place[0]) ** 2 + (y[:, None] - place[1]) ** 2
    return np.flatnonzero(apart.ravel() < reach**2)
