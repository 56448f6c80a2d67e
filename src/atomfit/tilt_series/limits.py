"""When a stage of the fit of images is at its end, and what counts beyond: thresholds, in one place."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class SeriesLimits:
    """Thresholds of the fit of tilt series.

    **Fields:**

    - `per_atom`: where noise is most of the objective, what chi-square must fall by for each atom.
    - `most_colour`: by how much coloured noise loosens that, at most: a model that is far off leaves what
        is no noise.
    - `same_noise`: a fit is repeated if noise turns out to be less than this part of what it was taken for.
    - `likelier`: another direction of a view must have a logarithm of the likelihood that is larger by
        this: that of the best of some hundreds by chance.
    - `sharpest`: form factors are of no use where what widens them is a smaller part of an atom's variance.
    - `largest_square`: a square of a sampled error that counts at most, beside a mean of one: of three, one
        in 3000 is larger by chance. An atom that another has pushed away says nothing of their neighbours.
    """

    per_atom: float = 0.02
    most_colour: float = 10.0
    same_noise: float = 0.9
    likelier: float = 8.0
    sharpest: float = 0.1
    largest_square: float = 6.0


LIMITS = SeriesLimits()
