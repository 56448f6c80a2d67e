"""How many maxima a smooth Gaussian field has above a height, so that noise is reckoned with where none is.

Far up each maximum is an island of its own, and the islands above a height are counted by the Euler
characteristic (Adler 1981; Worsley et al. 1992): in three dimensions there are

    N(u) ~ (u² - 1) exp(-u²/2)

above u standard deviations. The factor before the exponential matters: whoever reckons with exp(-u²/2)
alone from 2.5 upwards expects two and a half times too few above 4.5. Nor is it enough below 3, where
islands have two tops and lakes. There the density of maxima (Bardeen et al. 1986, eqs. 4.3-4.5 and A15)

    n(u) = exp(-u²/2) ∫ f(x) N(x; γu, 1 - γ²) dx

holds at any height, f being what a maximum's curvature x does to their number and γ² = 3/5 for white noise
behind a Gaussian filter, as scores of like atoms are.

Noise that is s times as loud has N(t / s). The mean of (t² - t₀²) / 2 over heights above t₀ grows with s,
and so tells it.

Voxels miss the tops. Of a field whose filter is 1.4 or 2.5 voxels wide, 1.3 or 1.15 times as many maxima
are expected above 4.5, from those above 2.5, as there are. That errs to the safe side.
"""

from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.special import erf

#: γ², by which heights and curvatures of white noise behind a Gaussian filter are alike.
_ALIKE = 3 / 5
#: From here on the Euler characteristic counts maxima to 0.04 %.
_HIGH, _STEP = 5.0, 0.005
#: t₀ / s that are reckoned with.
_RATIOS = np.geomspace(1e-3, 25.0, 500)

Heights = Float[np.ndarray, "..."]


def log_number(u: Heights | float) -> Heights:
    """Logarithm of N(u), in units in which N is (u² - 1) exp(-u²/2) far up.

    **Arguments:**

    - `u`: heights, not below zero (standard deviations of the field).
    """
    u = np.asarray(u, np.float64)
    grid, number, _ = _table()
    far = np.log(np.maximum(u, _HIGH) ** 2 - 1) - u**2 / 2
    return np.where(u < _HIGH, np.interp(u, grid, np.log(number)), far)


def log_density(u: Heights | float) -> Heights:
    """Logarithm of n(u) = -dN/du; see `log_number`."""
    u = np.asarray(u, np.float64)
    grid, _, each = _table()
    high = np.maximum(u, _HIGH)
    far = np.log(high**3 - 3 * high) - u**2 / 2
    return np.where(u < _HIGH, np.interp(u, grid, np.log(each)), far)


def mean_excess(u: Heights | float) -> Heights:
    """Mean of (v² - u²) / 2 over the heights v of maxima that are above u."""
    u = np.asarray(u, np.float64)
    grid, number, _ = _table()
    # An integral by parts: that of v N(v) over what is above u.
    above = _integral_from(grid * number, (_HIGH**2 + 1) * np.exp(-(_HIGH**2) / 2))
    far = (u**2 + 1) / np.maximum(u**2 - 1, 1)
    return np.where(u < _HIGH, np.interp(u, grid, above / number), far)


def scale(excess: float, lowest: float) -> float:
    """s of noise whose maxima above a height have so much excess.

    **Arguments:**

    - `excess`: mean of (t² - t₀²) / 2.
    - `lowest`: t₀.
    """
    of_ratios = mean_excess(_RATIOS) / _RATIOS**2
    ratio = np.exp(np.interp(-np.log(excess / lowest**2), -np.log(of_ratios), np.log(_RATIOS)))
    return float(lowest / ratio)


@cache
def _table() -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Heights up to `_HIGH`, N and n there."""
    u = np.linspace(0, _HIGH, round(_HIGH / _STEP) + 1)
    x = np.linspace(0, 12, 1200)
    near = np.exp(-((x - np.sqrt(_ALIKE) * u[:, None]) ** 2) / (2 * (1 - _ALIKE)))
    near /= np.sqrt(2 * np.pi * (1 - _ALIKE))
    # N is that of the Euler characteristic, far up, in units of γ³.
    each = np.exp(-(u**2) / 2) * np.trapezoid(near * _of_curvature(x), x, axis=1) / _ALIKE**1.5
    return u, _integral_from(each, (_HIGH**2 - 1) * np.exp(-(_HIGH**2) / 2)), each


def _integral_from(values: Float[np.ndarray, " k"], beyond: float) -> Float[np.ndarray, " k"]:
    """The integral from each height of the table upwards, given what is beyond its end."""
    steps = _STEP * (values[:-1] + values[1:]) / 2
    return beyond + np.append(np.cumsum(steps[::-1])[::-1], 0.0)


def _of_curvature(x: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """f of Bardeen et al. 1986, eq. A15."""
    root, square = np.sqrt(5 / 2) * x, x**2
    smooth = (x**3 - 3 * x) / 2 * (erf(root) + erf(root / 2))
    tails = (31 * square / 4 + 8 / 5) * np.exp(-5 * square / 8)
    tails += (square / 2 - 8 / 5) * np.exp(-5 * square / 2)
    return np.asarray(smooth + np.sqrt(2 / (5 * np.pi)) * tails)
