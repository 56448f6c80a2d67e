"""What the fit of a map may do, and when it draws displacements to a mean: its thresholds, in one place."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class FittingLimits:
    """Thresholds of the fit of maps.

    **Fields:**

    - `prior_atoms`: atoms that are needed to say anything of the others.
    - `prior_spread`: a spread of displacements below this part of a typical standard uncertainty is as good
        as none.
    - `prior_gain`: a change with coordination must gain so much in twice the log likelihood for each of its
        numbers, times the logarithm of the number of atoms (Schwarz 1978).
    - `uncertain`: the map alone leaves displacements uncertain where half of them are known worse than
        this, relatively, or not at all.
    - `prior_shift`: a prior that moves displacements by less than this, in standard uncertainties, is left
        out.
    - `rigid`: displacement of the most rigid atoms along an axis, if nothing else is known (Å²).
    - `narrower`: part of the atoms that may be narrower than the resolution, unless the mean U is given.
    - `move`: largest move of an atom, in neighbour distances.
    - `widest`: largest standard deviation of an atom along an axis, in neighbour distances.
    - `sharpest`: form factors are of no use where blur is a smaller part of the mean atom's variance.
    """

    prior_atoms: int = 20
    prior_spread: float = 0.2
    prior_gain: float = 1.0
    uncertain: float = 0.1
    prior_shift: float = 0.1
    rigid: float = 0.005
    narrower: float = 0.01
    move: float = 0.22
    widest: float = 0.45
    sharpest: float = 0.1


LIMITS = FittingLimits()
