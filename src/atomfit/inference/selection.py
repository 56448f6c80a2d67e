"""Which atoms of a fit are there: the evidence for each, against what noise alone would give.

How much worse the data would be explained without an atom, all others and all nuisances refitted, is the
square of its amplitude in units of its marginal standard uncertainty. It counts what every observation
says, whatever its noise. Noise has maxima of that statistic too. It is a smooth Gaussian field, and above a
height t a volume V holds (Adler 1981, sections 5.7 and 6.9)

    V |Λ|^(1/2) (2π)^(-(d+1)/2) t^(d-1) e^(-t²/2)

of them, to first order in 1/t, Λ being the covariance of the field's gradient. The fit knows it: of an atom
of height t, information on its position is t² Λ. So the rate of false ones among those kept is a number,
and a cut follows from the rate that is asked for.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.inference.fit import Fit
from atomfit.support.errors import InputError

#: Below this height the formula does not hold, and nothing is an atom.
LEAST = 2.5


@dataclass(frozen=True, eq=False)
class Selection:
    """Which atoms are kept.

    **Fields:**

    - `kept`: those that are there, at the rate that was asked for.
    - `evidence`: by how much twice the log likelihood is larger with each atom.
    - `false`: how many as good as each, or better, noise alone would give.
    - `height`: the root of the evidence from which on atoms are kept.
    """

    kept: Bool[np.ndarray, " n"]
    evidence: Float[np.ndarray, " n"]
    false: Float[np.ndarray, " n"]
    height: float


def select(fit: Fit, fdr: float = 0.01, volume: float | None = None) -> Selection:
    """Atoms that are there, of a fit with some that may not be.

    **Arguments:**

    - `fit`: whose atoms' positions and amplitudes were free.
    - `fdr`: rate of false ones among those kept.
    - `volume`: in which atoms were looked for (Å³, of images of columns Å²); the largest of the
        observations' if not given.

    **Raises:** `InputError` if amplitudes were not free, or no observation tells a volume.
    """
    if not 0 < fdr < 1:
        raise InputError(f"a false-discovery rate of {fdr:g} is none", "give one between 0 and 1", "fdr")
    amplitudes = np.asarray(fit.structure.amplitudes, np.float64)
    deviations = np.asarray(fit.uncertainty.structure.amplitudes, np.float64)
    positions = fit.uncertainty.positions
    if np.all(np.isnan(deviations)) or np.all(np.isnan(positions)):
        raise InputError("amplitudes or positions were not free", "free them to weigh atoms", "structure")
    if volume is None:
        known = [o.volume for o in fit.observations if np.isfinite(o.volume)]
        if not known:
            raise InputError("no observation tells in which volume atoms are", "give it", "volume")
        volume = max(known)
    heights = np.where(
        np.isfinite(deviations), amplitudes / np.where(deviations > 0, deviations, np.inf), 0.0
    )
    evidence = np.maximum(heights, 0.0) ** 2
    d = positions.shape[1]
    # Of bright atoms, of which the fit is straight: one that is hardly there knows nothing of roughness.
    told = np.isfinite(positions).all(axis=1) & (heights >= np.median(heights))
    roughness = float(np.median(np.prod(1 / (positions[told] * heights[told, None]), axis=1)))
    false = maxima_of_noise(heights, d, volume * roughness)
    order = np.argsort(-heights)
    rate = false[order] / np.arange(1, len(order) + 1)
    good = np.flatnonzero((rate <= fdr) & (heights[order] >= LEAST))
    kept = np.zeros(len(heights), bool)
    kept[order[: good[-1] + 1 if len(good) else 0]] = True
    return Selection(kept, evidence, false, float(heights[kept].min(initial=np.inf)))


def maxima_of_noise(heights: Float[np.ndarray, " n"], d: int, resels: float) -> Float[np.ndarray, " n"]:
    """Maxima of noise at least so high; all that there may be below where the formula holds.

    **Arguments:**

    - `heights`: in standard deviations.
    - `d`: dimensions of the field.
    - `resels`: its volume times the root of the determinant of its slope's covariance.
    """
    t = np.maximum(heights, LEAST)
    return resels * (2 * np.pi) ** (-(d + 1) / 2) * t ** (d - 1) * np.exp(-0.5 * t**2)
