"""How likely cross-sections are, of a law of what columns of k atoms scatter, with the counts summed over.

A column of k atoms has a cross-section about μ_k. Its variance is that of its own measurement and of a
scatter that columns have among themselves. The former was told for the cross-section that was found; where
noise is that of counts a brighter column has more of it, so that of two columns of k atoms the one that
came out fainter is also said to be known better. What is known of column i, if it has k atoms, is therefore

    v_ik = esd_i² + b (μ_k - y_i) + scatter²,

with b the slope of esd² against y over all columns (1 / dose where there is nothing but counting
noise). Some columns are not whole, lie on a slope of the support or are none: a few per cent are off by
an atom more, or else one faint smudge would forbid each law in which one atom scatters more than that.
Scatter and what odd columns are off by are counted in one unit for all laws: counted in each law's own
step they would favour small steps.

How many columns there are of k atoms is not free: any comb of narrow teeth explains any numbers if each
tooth has a height of its own. It is the density of all cross-sections, smoothed, at μ_k, times the step
there. So where noise is wider than the steps all laws are equally likely, and the prior alone decides.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

#: Points at which the density is tabulated.
_TABLE = 512
#: Part of the values' variance that is not noise's, at least.
_LEAST_TRUE = 0.05
#: Columns that are not whole, or have something beside them: their part, and what they are off by (standard
#: deviation, in units).
_ODD, _ODD_WIDTH = 0.02, 1.0
#: A variance is no smaller than this part of what was told.
_LEAST = 0.25


@final
@dataclass(frozen=True, eq=False)
class Measured:
    """Cross-sections of n columns, in units of what an atom is expected to add (`Law.unit`).

    **Fields:**

    - `values`, `variances`: of the columns.
    - `slope`: of the variances against the values.
    - `places`, `density`: the smoothed density of values, tabulated.
    """

    values: Float[np.ndarray, " n"]
    variances: Float[np.ndarray, " n"]
    slope: float
    places: Float[np.ndarray, " t"]
    density: Float[np.ndarray, " t"]

    @classmethod
    def of(cls, values: Float[np.ndarray, " n"], esds: Float[np.ndarray, " n"]) -> "Measured":
        """Of cross-sections and their standard uncertainties."""
        variances, apart = esds**2, values - values.mean()
        spread = float(np.sum(apart**2))
        slope = max(float(np.sum(apart * variances)) / spread, 0.0) if spread > 0 else 0.0
        # Values drawn together and smoothed (Scott's rule) have the variance that is not noise's: a density
        # that is too wide favours laws of few atoms, whose comb is narrower than what it is laid on.
        spread = max(float(values.var()), 1e-12)
        true = max(spread - float(variances.mean()), _LEAST_TRUE * spread)
        smoothed = len(values) ** -0.4 * true
        drawn = values.mean() + ((true - smoothed) / spread) ** 0.5 * apart
        # A few columns are no density.
        width = float(np.hypot(smoothed**0.5, values.mean() / len(values)))
        places = np.linspace(0, values.max() + 4 * width, _TABLE)
        density = np.zeros(_TABLE)
        for one in drawn:
            density += np.exp(-0.5 * ((places - one) / width) ** 2)
        density /= len(values) * width * np.sqrt(2 * np.pi)
        return cls(values, variances, slope, places, density)

    def some(self, most: int) -> "Measured":
        """At most so many of the columns, evenly from the faintest to the brightest."""
        if len(self.values) <= most:
            return self
        order = np.argsort(self.values, kind="stable")
        chosen = order[np.linspace(0, len(order) - 1, most).astype(int)]
        return Measured(self.values[chosen], self.variances[chosen], self.slope, self.places, self.density)

    def expected_variances(
        self, means: Float[np.ndarray, "h k"], scatter: Float[np.ndarray, " h"]
    ) -> Float[np.ndarray, "h n k"]:
        """Variances v_ik."""
        told = self.variances[:, None] + self.slope * (means[:, None, :] - self.values[:, None])
        own = scatter**2
        return np.asarray(np.maximum(told, _LEAST * self.variances[:, None]) + own[:, None, None])

    def log_likelihood(
        self, means: Float[np.ndarray, "h k"], scatter: Float[np.ndarray, " h"]
    ) -> tuple[Float[np.ndarray, "h n k"], Float[np.ndarray, "h n k"]]:
        """Of each column and count, without what is known of numbers of columns.

        Beside it the inverse of the variance, averaged over whether the column is whole.
        """
        variances = self.expected_variances(means, scatter)
        wide = variances + _ODD_WIDTH**2
        squared = (self.values[:, None] - means[:, None, :]) ** 2
        whole = -0.5 * (squared / variances + np.log(2 * np.pi * variances)) + np.log1p(-_ODD)
        odd = -0.5 * (squared / wide + np.log(2 * np.pi * wide)) + np.log(_ODD)
        logs = np.logaddexp(whole, odd)
        part = np.exp(whole - logs)
        return logs, part / variances + (1 - part) / wide

    def log_prior(self, means: Float[np.ndarray, "h k"]) -> Float[np.ndarray, "h k"]:
        """Of each count: density times step, which add up to one, or less if the law ends too soon."""
        ends = np.concatenate([np.zeros((len(means), 1)), means], axis=1)
        middles = 0.5 * (ends[:, 1:] + ends[:, :-1])
        steps = np.diff(middles, axis=1, append=(2 * means[:, -1] - middles[:, -1])[:, None])
        density = np.interp(means, self.places, self.density, right=0.0)
        parts = np.maximum(density * steps, 1e-300)
        return np.asarray(np.log(parts / np.maximum(parts.sum(axis=1, keepdims=True), 1.0)))

    def log_joint(
        self, means: Float[np.ndarray, "h k"], scatter: Float[np.ndarray, " h"]
    ) -> tuple[Float[np.ndarray, "h n k"], Float[np.ndarray, "h n k"]]:
        """Of each column and count, with it, and the same inverse."""
        logs, inverse = self.log_likelihood(means, scatter)
        return logs + self.log_prior(means)[:, None, :], inverse


def normalised(
    logs: Float[np.ndarray, "h n k"],
) -> tuple[Float[np.ndarray, "h n k"], Float[np.ndarray, " h"]]:
    """Probabilities of counts, and the logarithm of what was divided by, summed over columns."""
    total = logsumexp(logs, axis=2, keepdims=True)
    return np.exp(logs - total), np.asarray(total.sum(axis=(1, 2)))
