"""Which displacements are more than noise.

A displacement d with the covariance C has dᵀ C⁻¹ d, which without a real displacement follows chi-square
with three degrees of freedom (two in a plane); `p_values` is the part of such that are larger. Of many
atoms some have a small p-value by chance, so atoms are called moved by their q-value, the least rate of
false ones among those called so (Benjamini & Hochberg 1995).

**Error bars may be wrong by a common factor.** Half of all chi-squares of unmoved atoms lie below 2.366
(1.386 in a plane). If the median is s² times that, error bars are too small by the factor s. A few moved
atoms hardly change a median. The standard error of s follows from that of a median, 1 / (2 f √n), with f
the density there.

**Or more than half of the atoms may have moved.** Two figures tell. Errors of neighbours are nearly
independent of each other, while a strained, expanded or shifted particle moves them together (`coherence`).
And wrong error bars stretch all chi-squares alike, while moves stretch some more than others
(`one_factor`). Moves that are like errors in both are not told from them.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree
from scipy.stats import chi2, false_discovery_control, kstest, median_abs_deviation

_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Scale:
    """By what factor error bars are too small.

    **Fields:**

    - `value`: the factor; NaN if there are no error bars.
    - `esd`: its standard uncertainty, if all atoms are unmoved.
    """

    value: float
    esd: float


@dataclass(frozen=True)
class Agreement:
    """Differences of one number in their standard uncertainties: mean 0 and deviation 1 if these are right.

    **Fields:**

    - `count`: of the pairs.
    - `mean`, `deviation`: of the quotients.
    - `robust_deviation`: the same from their median absolute deviation, which few outliers do not change.
    """

    count: int
    mean: float
    deviation: float
    robust_deviation: float


def chi_square_scale(squares: Float[np.ndarray, " n"], freedom: int = 3) -> Scale:
    """By what factor error bars are too small, from chi-squares; those that are NaN are left out."""
    known = squares[np.isfinite(squares)]
    if not len(known):
        return Scale(np.nan, np.nan)
    median = float(chi2.ppf(0.5, freedom))
    value = float(np.sqrt(np.median(known) / median))
    return Scale(value, value / (4 * float(chi2.pdf(median, freedom)) * median) / len(known) ** 0.5)


def coherence(
    positions: Float[np.ndarray, "n d"], displacements: Float[np.ndarray, "n d"], cutoff: float
) -> tuple[float, float]:
    """How much of their displacements neighbours have in common: mean d·d' over that of d², and its esd.

    Zero for independent errors, one for a shift of all; NaN if no two atoms are neighbours.

    **Arguments:**

    - `positions`, `displacements`: of atoms (Å); displacements that are not known are left out.
    - `cutoff`: distance within which atoms are neighbours (Å).
    """
    known = np.all(np.isfinite(displacements), axis=1)
    places, moves = positions[known], displacements[known]
    square = float(np.mean(np.sum(moves**2, axis=1))) if len(moves) else 0.0
    if not square or not np.isfinite(cutoff):
        return np.nan, np.nan
    pairs = cKDTree(places).query_pairs(cutoff, output_type="ndarray")
    if not len(pairs):
        return np.nan, np.nan
    shared = float(np.mean(np.sum(moves[pairs[:, 0]] * moves[pairs[:, 1]], axis=1)))
    return shared / square, float(1 / np.sqrt(positions.shape[1] * len(pairs)))


def one_factor(squares: Float[np.ndarray, " n"], scale: float, freedom: int = 3) -> float:
    """Probability that chi-squares scatter as much as these if all error bars are wrong by one factor.

    By the Kolmogorov-Smirnov distance; the scale was fitted to them, so that it is rather too large.
    """
    known = squares[np.isfinite(squares)]
    if not len(known) or not scale > _LEAST_SCALE:
        return np.nan
    return float(kstest(known / scale**2, chi2(freedom).cdf).pvalue)


def p_values(
    squares: Float[np.ndarray, " n"], scale: float = 1.0, freedom: int = 3
) -> Float[np.ndarray, " n"]:
    """Part of unmoved atoms with a larger chi-square, if error bars are too small by `scale`.

    **Arguments:**

    - `squares`: chi-square of each displacement.
    - `scale`: by what factor error bars are too small.
    - `freedom`: degrees of freedom.
    """
    # Two copies of one model have no displacements at all, and no scale.
    return np.asarray(chi2.sf(squares / np.maximum(scale, _LEAST_SCALE) ** 2, freedom))


def q_values(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Least false-discovery rate at which each is discovered; NaN where p is.

    **Arguments:**

    - `p`: p-values.
    """
    q, known = np.full(len(p), np.nan), np.isfinite(p)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q


def agreement(z: Float[np.ndarray, " n"]) -> Agreement:
    """Mean and deviation of quotients; those that are NaN are left out."""
    known = z[np.isfinite(z)]
    if len(known) < 2:
        return Agreement(len(known), np.nan, np.nan, np.nan)
    spread = float(median_abs_deviation(known, scale="normal"))
    return Agreement(len(known), float(known.mean()), float(known.std(ddof=1)), spread)
