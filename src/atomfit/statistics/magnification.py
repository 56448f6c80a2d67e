"""Whether one model is the other at another size: a wrong voxel size, or another unit.

Models that differ in size by a tenth lie on each other in their middles, and nothing else tells: every atom
farther out seems to have moved. The ratio of their sizes is guessed from the distances between neighbours,
which need no alignment. Then the second model, made larger or smaller so, is laid on the first again. If
they lie on each other far better than by chance (`statistics.chance`), and better than without, the guess
is right, and the ratio follows from the pairs, about their middles (Horn 1987, equations 41 and 42):

    ratio² = Σ b_i · b_i / Σ a_i · a_i

Unlike that of a least-squares fit of either model to the other it is the inverse for the models exchanged,
and noise as large in both does not make it smaller. Strains are ratios, too: what is too much to be one is
for the verdict to say.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.statistics.chance import Chance, by_chance
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.registration import register
from atomfit.structure.matching import match
from atomfit.structure.neighbours import shell_distance
from atomfit.support.errors import InputError


@dataclass(frozen=True)
class Magnification:
    """By how much one model is larger than another.

    **Fields:**

    - `ratio`: of lengths in the second to those in the first; NaN if it is not known.
    - `esd`: its standard uncertainty.
    - `common`: common atoms if the second had the first's size.
    - `chance`: what chance gives of these.
    - `neighbours`: mean distances of first neighbours in both (Å); NaN of a lone atom.
    """

    ratio: float
    esd: float
    common: int
    chance: Chance
    neighbours: tuple[float, float]


def magnification(
    a: Float[np.ndarray, "n 3"],
    b: Float[np.ndarray, "m 3"],
    laid: Float[np.ndarray, "m 3"],
    how: str,
    chance: Chance,
    distance: float,
) -> Magnification:
    """How much larger the second model is than the first.

    **Arguments:**

    - `a`, `b`: their positions, each in its own frame (Å).
    - `laid`, `how`: the second's as they were laid on the first, and how, as `Registration` has it.
    - `chance`: what chance gives of that.
    - `distance`: largest distance of a common pair (Å).
    """
    neighbours = shell_distance(a), shell_distance(b)
    guess = neighbours[0] / neighbours[1] if neighbours[1] > 0 else np.nan
    size = 1.0
    if guess > 0 and abs(np.log(guess)) > LIMITS.size_worth:
        again = _laid(a, b * guess, how)
        if again is not None:
            then = by_chance(a, again[0], again[1], distance)
            if then.log_probability < min(chance.log_probability, np.log(LIMITS.size_chance)):
                laid, size, chance = again[0], guess, then
    pairs = match(a, laid, distance)
    ratio, esd = _ratio(a[pairs.found], laid[pairs.known])
    return Magnification(ratio / size, esd / size, len(pairs.found), chance, neighbours)


def _laid(
    a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"], how: str
) -> tuple[Float[np.ndarray, "m 3"], str] | None:
    try:
        registration = register(a, b, move=how != "given")
    except InputError:
        return None
    return registration.motion(b), registration.how


def _ratio(a: Float[np.ndarray, "k 3"], b: Float[np.ndarray, "k 3"]) -> tuple[float, float]:
    """How much larger b is than a, and its standard uncertainty."""
    if len(a) < LIMITS.size_pairs:
        return np.nan, np.nan
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    square = float(np.sum(a * a))
    if not square > 0:
        return np.nan, np.nan
    ratio = (float(np.sum(b * b)) / square) ** 0.5
    return ratio, (float(np.mean((ratio * a - b) ** 2)) / square) ** 0.5
