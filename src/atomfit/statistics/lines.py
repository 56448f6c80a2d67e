"""Straight lines in time: of one number of each model, and of many atoms at once, weighted.

A number of each model has a line whose own scatter says how well it is known, by Student's t. Lines of many
atoms are computed together, with what is needed to judge them together: residuals, and how much of each
value's variance is left in them.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm
from scipy.stats import t as t_law


@dataclass(frozen=True)
class Line:
    """A straight line through numbers of models.

    **Fields:**

    - `middle`: its value at the mean of all times.
    - `slope`, `esd`: its change a unit of time, and the standard uncertainty; NaN where nothing tells.
    - `z`, `p`: the slope in its uncertainties, as a normal deviate; and its probability without a change.
    """

    middle: float
    slope: float
    esd: float
    z: float
    p: float


def line_of(
    times: Float[np.ndarray, " t"],
    values: Float[np.ndarray, " t"],
    variances: Float[np.ndarray, " t"] | None = None,
) -> Line:
    """A line through one number of each model, whose scatter says how well it is known.

    **Arguments:**

    - `times`: of the models.
    - `values`: NaN where not known.
    - `variances`: in proportion to which each is uncertain; alike if not given.
    """
    known = np.isfinite(values) if variances is None else np.isfinite(values) & (variances > 0)
    if known.sum() < 2:
        return Line(float(values[known].mean()) if known.any() else np.nan, *[np.nan] * 4)
    w = np.ones(int(known.sum())) if variances is None else 1 / variances[known]
    y, x = values[known], times[known] - times.mean()
    middle_x, middle_y = np.average(x, weights=w), np.average(y, weights=w)
    square = float(np.sum(w * (x - middle_x) ** 2))
    slope = float(np.sum(w * (x - middle_x) * y) / square)
    at_middle, free = float(middle_y - slope * middle_x), int(known.sum()) - 2
    if free < 1:
        return Line(at_middle, slope, *[np.nan] * 3)
    rest = y - middle_y - slope * (x - middle_x)
    esd = float(np.sqrt(np.sum(w * rest**2) / free / square))
    quotient = slope / esd if esd > 0 else np.nan
    p = float(2 * t_law.sf(abs(quotient), free)) if np.isfinite(quotient) else np.nan
    return Line(at_middle, slope, esd, float(deviates(np.array([p]), np.array([quotient]))[0]), p)


@dataclass(frozen=True, eq=False)
class Lines:
    """Weighted lines of all atoms.

    **Fields:**

    - `middle`: value at the mean of all times.
    - `slopes`, `variances`: change a unit of time, and its variance if weights are right.
    - `residuals`: NaN where there is no value.
    - `kept`: which part of each value's variance is left in its residual.
    - `levers`: derivatives of slopes by values.
    """

    middle: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, " n"]
    variances: Float[np.ndarray, " n"]
    residuals: Float[np.ndarray, "t n"]
    kept: Float[np.ndarray, "t n"]
    levers: Float[np.ndarray, "t n"]


def lines_through(
    times: Float[np.ndarray, " t"], values: Float[np.ndarray, "t n"], weights: Float[np.ndarray, "t n"]
) -> Lines:
    """Weighted lines of all atoms.

    **Arguments:**

    - `times`: of the models.
    - `values`: NaN where not known.
    - `weights`: inverse variances; zero where a value is not known.
    """
    y = np.where(weights > 0, values, 0.0)
    x = (times - times.mean())[:, None]
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle_x, middle_y = np.sum(weights * x, axis=0) / total, np.sum(weights * y, axis=0) / total
        apart = x - middle_x
        square = np.sum(weights * apart**2, axis=0)
        square = np.where(square > 1e-12 * total * np.ptp(times) ** 2, square, np.nan)
        levers = weights * apart / square
        slopes = np.sum(np.where(weights > 0, levers * y, 0.0), axis=0)
        slopes = np.where(np.isfinite(square), slopes, np.nan)
        residuals = np.where(weights > 0, values - middle_y - slopes * apart, np.nan)
        kept = np.where(weights > 0, 1 - weights / total - weights * apart**2 / square, np.nan)
    return Lines(middle_y - slopes * middle_x, slopes, 1 / square, residuals, kept, np.nan_to_num(levers))


def weights_of(
    values: Float[np.ndarray, "t n"], esds: Float[np.ndarray, "t n"] | None
) -> Float[np.ndarray, "t n"]:
    """Inverse variances; zero where a value is not known, and the median's where its error is not."""
    known = np.isfinite(values)
    if esds is None:
        return known.astype(float)
    good = known & np.isfinite(esds) & (esds > 0)
    if not good.any():
        return known.astype(float)
    middle = float(np.median(esds[good]))
    return np.where(known, 1 / np.where(good, esds, middle) ** 2, 0.0)


def deviates(p: Float[np.ndarray, " n"], signs: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Probabilities of both sides as normal deviates with a sign."""
    return np.sign(signs) * norm.isf(np.maximum(p, 1e-300) / 2)
