"""Whether atoms are bright in a map, as everything here takes for granted, or dark.

Bright-field images and some reconstructions have dark atoms. In the denoised map atoms are then the
deep minima, so its sign is read from which extremes are larger: noise has both alike, a particle only
those of its atoms. Between blurred atoms of a full box there are deep holes as well, but the atoms
always exceed them.
"""

from dataclasses import dataclass

import numpy as np

from atomfit.detection.denoise import denoise
from atomfit.detection.limits import LIMITS
from atomfit.detection.peaks import local_maxima
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.scattering import GaussianMixture

_FIRST_GUESS = 0.18


@dataclass(frozen=True)
class Contrast:
    """Extremes of the denoised map.

    **Fields:**

    - `highest`, `deepest`: largest value, and largest of the negated map.
    - `maxima`, `minima`: how many lie beyond half of the larger one.
    """

    highest: float
    deepest: float
    maxima: int
    minima: int

    @property
    def inverted(self) -> bool:
        """Whether the atoms are dark."""
        return self.deepest > LIMITS.contrast * self.highest and self.minima >= self.maxima

    @property
    def decided(self) -> bool:
        """Whether extremes of one sign stand out at all; in pure noise they do not."""
        low, high = sorted((self.highest, self.deepest))
        return high > LIMITS.contrast * low


def measure_contrast(density: DensityMap, element: Element) -> Contrast:
    """Compare the bright and the dark extremes at the scale of an atom."""
    u = (_FIRST_GUESS * element.neighbour_distance) ** 2
    denoised = denoise(density, GaussianMixture(np.ones(1), np.array([u])))
    negated = denoised.with_values(-denoised.values)
    highest, deepest = float(denoised.values.max()), float(negated.values.max())
    level = LIMITS.contrast_level * max(highest, deepest)
    separation = LIMITS.closest * element.neighbour_distance
    counts = [len(local_maxima(m, level, separation)) for m in (denoised, negated)]
    return Contrast(highest, deepest, counts[0], counts[1])
