"""How bright one image is beside another: cross-sections of pairs of columns in, their ratio out.

Doses and gains of two images differ, so that all cross-sections do by one factor k. With errors in both,

    Σ (s_b - k s_a)² / (σ_b² + k² σ_a²)

is least for the likeliest k (a straight line through zero with errors in both coordinates). Columns that
changed are left out as moved ones are by registration: those that differ by more than one in a thousand
would by noise, whose size is that of the median. Without standard uncertainties all columns err by one
part of themselves.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import chi2

from atomfit.statistics.limits import LIMITS

_ROUNDS = 30


@final
@dataclass(frozen=True, eq=False)
class BrightnessRatio:
    """Cross-sections of the second image in those of the first.

    **Fields:**

    - `value`, `esd`: the factor and its standard uncertainty, as the error bars are; NaN if there are too
        few pairs.
    - `used`: pairs that it follows from.
    """

    value: float
    esd: float
    used: Bool[np.ndarray, " n"]


def brightness_ratio(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    a_esd: Float[np.ndarray, " n"],
    b_esd: Float[np.ndarray, " n"],
) -> BrightnessRatio:
    """The factor between two images.

    **Arguments:**

    - `a`, `b`: cross-sections of pairs of columns; NaN where not known.
    - `a_esd`, `b_esd`: their standard uncertainties; NaN where not known.
    """
    known = np.isfinite(a) & np.isfinite(b) & (a * b > 0)
    nothing = BrightnessRatio(np.nan, np.nan, np.zeros(len(a), bool))
    if known.sum() < LIMITS.column_pairs:
        return nothing
    certain = known & (a_esd > 0) & (b_esd > 0)
    if certain.sum() >= LIMITS.column_pairs:
        known = certain
    else:
        a_esd, b_esd = np.abs(a), np.abs(b)
    s, t, u, v = a[known], b[known], a_esd[known], b_esd[known]
    k, kept = float(np.median(t / s)), np.ones(len(s), bool)
    for _ in range(_ROUNDS):
        before, variance = (k, kept), v**2 + (k * u) ** 2
        squares = (t - k * s) ** 2 / variance
        noise = max(float(np.median(squares)) / float(chi2.ppf(0.5, 1)), 1e-12)
        kept = squares <= float(chi2.ppf(1 - LIMITS.by_noise, 1)) * noise
        left = (t - k * s) / variance
        # Where the line is nearest to each pair.
        nearest = s + k * u**2 * left
        k += float(np.sum((left * nearest)[kept]) / np.sum((nearest**2 / variance)[kept]))
        if np.array_equal(kept, before[1]) and abs(k - before[0]) < 1e-10 * abs(k):
            break
    esd = float(np.sum((nearest**2 / variance)[kept]) ** -0.5)
    if not certain.sum() >= LIMITS.column_pairs:
        esd *= noise**0.5
    used = np.zeros(len(a), bool)
    used[np.flatnonzero(known)[kept]] = True
    return BrightnessRatio(k, esd, used)
