"""How an atom at rest scatters electrons: its potential as a sum of Gaussians.

Tabulated electron form factors are sums of Gaussians in reciprocal space,
`f(s) = Σ a_k exp(-b_k s²/4)` with s in 1/Å, so an atom blurred by a temperature factor B is a sum
of Gaussians in real space too, of variances `(b_k + B) / 8π²`. The coefficients are those of the
International Tables C, table 4.3.2.2 (Peng et al. 1996, 0 < sin θ/λ < 2 1/Å), as gemmi carries them.

The blur of a reconstruction is not known beforehand; `blur_to_width` chooses it so that a Gaussian
fitted to the simulated atom has the width that was measured on the map's own atoms.

Five terms an atom are more than a blurred atom needs: its core is one bump. `reduced` puts the fewest
Gaussians in their place that differ from it by no more than a given part of its peak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.support.units import EIGHT_PI_SQUARED

#: The most Gaussians that are tried in place of more.
FEW = 4
#: Their weights (before these add up to 1) and variances (Å²) lie within this exponent of one.
_MOST_LOG = 20.0


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """An isotropic density written as a sum of normalised Gaussians.

    **Fields:**

    - `weights`: integrals of the terms; they add up to 1.
    - `variances`: of the terms (Å²).
    """

    weights: Float[np.ndarray, " k"]
    variances: Float[np.ndarray, " k"]

    def profile(self, radius: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Density (1/Å³) of a three-dimensional atom at distances from its centre (Å)."""
        r2 = np.asarray(radius)[..., None] ** 2
        terms = np.exp(-0.5 * r2 / self.variances) / (2 * np.pi * self.variances) ** 1.5
        return terms @ self.weights

    def transform_on(self, axes: Sequence[Float[np.ndarray, " _"]]) -> Float[np.ndarray, "..."]:
        """Fourier transform on a grid of spatial frequencies (1/Å), given along each axis (float32)."""
        total = np.zeros(tuple(len(axis) for axis in axes), np.float32)
        for weight, variance in zip(self.weights, self.variances, strict=True):
            # A Gaussian is the product of what it is along each axis.
            *others, last = (np.exp(-2 * np.pi**2 * variance * axis**2).astype(np.float32) for axis in axes)
            outer: Any = np.multiply.outer
            total += outer(reduce(outer, others, np.float32(weight)), last)
        return total

    def transform(self, frequency_squared: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Fourier transform at squared spatial frequencies (1/Å²); 1 at zero."""
        total = np.zeros_like(frequency_squared)
        for weight, variance in zip(self.weights, self.variances, strict=True):
            total += weight * np.exp(-2 * np.pi**2 * variance * frequency_squared)
        return total


def is_tabulated(symbol: str) -> bool:
    """Whether an element's form factor is known (all up to californium are)."""
    import gemmi

    table = gemmi.Element(symbol).c4322
    return table is not None and any(table.a)


def form_factor(symbol: str, b: float) -> GaussianMixture:
    """Electron form factor of an element, blurred by a temperature factor B (Å²).

    **Arguments:**

    - `symbol`: of the element.
    - `b`: temperature factor (Å²).
    """
    import gemmi

    table = gemmi.Element(symbol).c4322
    weights = np.array(table.a, np.float64)
    return GaussianMixture(weights / weights.sum(), (np.array(table.b) + b) / EIGHT_PI_SQUARED)


def reduced(mixture: GaussianMixture, blur: float, accuracy: float) -> GaussianMixture:
    """The fewest positive Gaussians of the same integral that look alike once they are blurred.

    **Arguments:**

    - `mixture`: what they stand for; it is returned itself if not even `FEW` Gaussians will do.
    - `blur`: variance that is added to every term (Å²) before the two are compared.
    - `accuracy`: largest difference, as a part of the peak; 0 keeps all terms.
    """
    from scipy.optimize import least_squares

    if accuracy == 0:
        return mixture
    r = np.linspace(0, 4 * np.sqrt(blur + mixture.variances.max()), 200)
    target = GaussianMixture(mixture.weights, mixture.variances + blur).profile(r)

    def few(numbers: np.ndarray) -> GaussianMixture:
        weights, variances = np.exp(np.clip(numbers, -_MOST_LOG, _MOST_LOG).reshape(2, -1))
        return GaussianMixture(weights / weights.sum(), variances)

    def difference(numbers: np.ndarray) -> np.ndarray:
        new = few(numbers)
        return (GaussianMixture(new.weights, new.variances + blur).profile(r) - target) / target[0]

    for count in range(1, min(FEW, len(mixture.weights) - 1) + 1):
        middle = np.quantile(mixture.variances, (np.arange(count) + 0.5) / count)
        start = np.concatenate([np.zeros(count), np.log(middle)])
        # Volume grows with the square of the radius.
        best = least_squares(lambda numbers: difference(numbers) * r, start).x
        if np.max(np.abs(difference(best))) <= accuracy:
            return few(best)
    return mixture


def matched_to_width(symbol: str, u: float, radius: float) -> GaussianMixture:
    """The element's simulated atom, blurred until it looks as wide as the map's atoms.

    A plain Gaussian is returned where even the unblurred form factor is wider than the map's atoms,
    and for elements without a tabulated form factor.

    **Arguments:** those of `blur_to_width`.
    """
    blur = blur_to_width(symbol, u, radius)
    if blur is None:
        return GaussianMixture(np.ones(1), np.array([u]))
    return form_factor(symbol, EIGHT_PI_SQUARED * blur)


def blur_to_width(symbol: str, u: float, radius: float) -> float | None:
    """Variance (Å²) that makes the element's atom look as wide as the map's; None if nothing does.

    **Arguments:**

    - `symbol`: chemical symbol.
    - `u`: variance of the Gaussian that fits the map's mean atom within `radius` (Å²).
    - `radius`: of the fit (Å), the same that was used on the map.
    """
    low, high = 0.0, EIGHT_PI_SQUARED * u
    if not is_tabulated(symbol) or fitted_variance(form_factor(symbol, low), radius) > u:
        return None
    for _ in range(40):
        middle = 0.5 * (low + high)
        if fitted_variance(form_factor(symbol, middle), radius) < u:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high) / EIGHT_PI_SQUARED


def fitted_variance(mixture: GaussianMixture, radius: float) -> float:
    """Variance (Å²) of the Gaussian on a constant that best fits a profile within `radius` (Å)."""
    r = np.linspace(0.0, radius, 25)
    return fit_profile(r, mixture.profile(r), r**2)[1]


def fit_profile(
    r: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> tuple[float, float, float]:
    """Least-squares Gaussian on a constant: peak height, variance (Å²) and constant.

    The height and the constant are linear, so the variance is all that has to be searched for.
    """
    from scipy.optimize import minimize_scalar

    root = np.sqrt(weights)

    def solve(log_variance: float) -> tuple[np.ndarray, float]:
        shape = np.exp(-0.5 * r**2 / np.exp(log_variance))
        design = np.stack([shape, np.ones_like(r)], axis=1) * root[:, None]
        solution = np.linalg.lstsq(design, values * root, rcond=None)[0]
        return solution, float(np.sum((design @ solution - values * root) ** 2))

    reach = r.max()
    bounds = (2 * np.log(0.05 * reach), 2 * np.log(2.0 * reach))
    best = minimize_scalar(lambda v: solve(v)[1], bounds=bounds, method="bounded").x
    height, constant = solve(best)[0]
    return float(height), float(np.exp(best)), float(constant)
