"""Whether images support rotations that were refined with the atoms, by halves of the views.

Images are described better when their views may turn, whether or not the views were wrong: a rotation
follows noise as readily as an error of direction. Halves of the views tell the two apart, because they
share no noise. Atoms are refined against every other view and against those between, with rotations
refined from the nominal ones in each half, and once more with the nominal ones kept. If rotations are real
errors of direction, the halves agree better on the atoms when these are refined; if they follow noise,
worse.

Halves have no common frame: a turn and a shift of all views of one belong to its atoms. So one half's atoms
are laid on the other's first (Kabsch 1976), unless something holds the atoms where they are. What is then
left between them is, in the mean, twice the error of atoms from all views.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from atomfit.projection.limits import LIMITS
from atomfit.projection.views import TiltSeries

log = logging.getLogger("atomfit")


#: Atoms (Å) refined against some of the images, whose rotations are refined or not; None if interrupted.
Refine = Callable[[TiltSeries, bool], Float[np.ndarray, "n 3"] | None]


@dataclass(frozen=True)
class HalfSets:
    """What halves of the views say of the atoms.

    **Fields:**

    - `refined`: root mean square distance of the atoms from one half to those from the other, rotations
      of the views being refined (Å).
    - `nominal`: the same with the rotations that were given.
    """

    refined: float
    nominal: float

    @property
    def supported(self) -> bool:
        """Whether the images support refined rotations."""
        return self.refined < self.nominal

    def describe(self) -> str:
        """In words."""
        return (
            f"halves of the views: their atoms are {self.refined:.3f} Å apart (rms) with rotations "
            f"refined, {self.nominal:.3f} Å with those that were given"
        )

    def warnings(self) -> list[str]:
        """What a user should know."""
        if self.supported:
            return []
        return [
            "the images do not support refined rotations: atoms from halves of the views agree worse with "
            f"them ({self.refined:.3f} Å) than with those that were given ({self.nominal:.3f} Å): leave "
            "turns out of --refine, or hold them with --known-turns"
        ]


def compare_half_sets(
    series: TiltSeries, fitted: Bool[np.ndarray, " v"], refine: Refine, placed: bool
) -> HalfSets | None:
    """Refine atoms against halves of the views; None if there are too few of them, or if interrupted.

    **Arguments:**

    - `series`: the images.
    - `fitted`: views that count; others were held out.
    - `refine`: atoms from some of the images.
    - `placed`: whether something holds the atoms where they are.
    """
    views = np.flatnonzero(fitted)
    if len(views) < 2 * LIMITS.half_set_views:
        return None

    log.info("rotations are tested: atoms are refined against halves of the views")

    apart = []
    for turning in (True, False):
        halves = []
        for first in (0, 1):
            atoms = refine(series[views[first::2]], turning)
            if atoms is None:
                return None
            halves.append(atoms)
        left = halves[0] - halves[1] if placed else _laid_on(*halves)
        apart.append(float(np.sqrt(np.mean(np.sum(left**2, axis=1)))))
    found = HalfSets(*apart)
    log.info(found.describe())
    return found


def _laid_on(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """What is left between two sets of the same atoms after one was laid on the other."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    # Fewer than three atoms have no orientation.
    return a - (Rotation.align_vectors(a, b)[0].apply(b) if len(a) > 2 else b)
