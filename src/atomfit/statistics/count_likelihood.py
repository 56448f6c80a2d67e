"""How likely cross-sections are, of a law of what columns of k atoms scatter, with the counts summed over.

A column of k atoms has a cross-section about μ_k. Its variance is that of its own measurement and of a
scatter that columns have among themselves. The former was told for the cross-section that was found; where
noise is that of counts a brighter column has more of it, so that of two columns of k atoms the one that
came out fainter is also said to be known better. What is known of column i, if it has k atoms, is therefore

    v_ik = esd_i² + b (μ_k - y_i) + scatter²,

with b the slope of esd² against y over all columns (1 / dose where there is nothing but counting
noise). Some columns are not whole, lie on a slope of the support or are none: a few per cent are off by
an atom more, or else one faint smudge would forbid each law in which one atom scatters more than that.
Where the scale is to be found, columns that are hardly above their own uncertainty are most likely such
smudges (bumps of a film), if they are few.
Scatter and what odd columns are off by are counted in one unit for all laws: counted in each law's own
step they would favour small steps.

How many columns there are of k atoms is not free: any comb of narrow teeth explains any numbers if each
tooth has a height of its own. It is the density of all cross-sections, smoothed, at μ_k, times the step
there. So where noise is wider than the steps all laws are equally likely, and the prior alone decides.

Nearly all time of counting is spent here, on arrays of laws, columns and counts. So probabilities are
multiplied, not their logarithms added, which saves three of five functions that are not arithmetic; counts
of cross-sections that no column has are left out; and arrays are no larger than what a core holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from atomfit.statistics.limits import LIMITS

#: Points at which the density is tabulated.
_TABLE = 512
#: Part of the values' variance that is not noise's, at least.
_LEAST_TRUE = 0.05
#: Columns that are not whole, or have something beside them: their part, and what they are off by (standard
#: deviation, in units).
_ODD, _ODD_WIDTH = 0.02, 1.0
#: With what probability columns are odd that may be none (`LIMITS.count_none`).
_ODD_IF_NONE = 0.9
#: A variance is no smaller than this part of what was told.
_LEAST = 0.25
#: The part of columns that a count has where no column is; and the least probability of a column, by all
#: counts, that is told without logarithms.
_NOWHERE, _TOLD = 1e-300, 1e-250
#: Numbers of an array at once: a dozen of them are within a core's own memory.
_TOGETHER = 20_000


@final
@dataclass(frozen=True, eq=False)
class Measured:
    """Cross-sections of n columns, in units of what an atom is expected to add (`Law.unit`).

    **Fields:**

    - `values`, `variances`: of the columns.
    - `slope`: of the variances against the values.
    - `odd`: with what probability each is odd.
    - `places`, `density`: the smoothed density of values, tabulated.
    """

    values: Float[np.ndarray, " n"]
    variances: Float[np.ndarray, " n"]
    slope: float
    odd: Float[np.ndarray, "n 1"]
    places: Float[np.ndarray, " t"]
    density: Float[np.ndarray, " t"]

    @classmethod
    def of(
        cls, values: Float[np.ndarray, " n"], esds: Float[np.ndarray, " n"], known: bool = True
    ) -> "Measured":
        """Of cross-sections and their standard uncertainties, and whether one atom's is known."""
        faint = values < LIMITS.count_none * esds
        doubtful = faint & (not known and faint.mean() <= LIMITS.count_smudges)
        odd = np.where(doubtful, _ODD_IF_NONE, _ODD)[:, None]
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
        return cls(values, variances, slope, odd, places, density)

    @property
    def doubtful(self) -> int:
        """How many columns are more likely odd than whole."""
        return int(np.sum(self.odd > 0.5))

    def some(self, most: int) -> "Measured":
        """At most so many of the columns, evenly from the faintest to the brightest."""
        if len(self.values) <= most:
            return self
        order = np.argsort(self.values, kind="stable")
        chosen = order[np.linspace(0, len(order) - 1, most).astype(int)]
        return replace(
            self, values=self.values[chosen], variances=self.variances[chosen], odd=self.odd[chosen]
        )

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
        whole = -0.5 * (squared / variances + np.log(2 * np.pi * variances)) + np.log1p(-self.odd)
        odd = -0.5 * (squared / wide + np.log(2 * np.pi * wide)) + np.log(self.odd)
        logs = np.logaddexp(whole, odd)
        part = np.exp(whole - logs)
        return logs, part / variances + (1 - part) / wide

    def prior(self, means: Float[np.ndarray, "h k"]) -> Float[np.ndarray, "h k"]:
        """Of each count: density times step, which add up to one, or less if the law ends too soon."""
        ends = np.concatenate([np.zeros((len(means), 1)), means], axis=1)
        middles = 0.5 * (ends[:, 1:] + ends[:, :-1])
        steps = np.diff(middles, axis=1, append=(2 * means[:, -1] - middles[:, -1])[:, None])
        density = np.interp(means, self.places, self.density, right=0.0)
        parts = np.maximum(density * steps, _NOWHERE)
        return np.asarray(parts / np.maximum(parts.sum(axis=1, keepdims=True), 1.0))

    def log_joint(
        self, means: Float[np.ndarray, "h k"], scatter: Float[np.ndarray, " h"]
    ) -> tuple[Float[np.ndarray, "h n k"], Float[np.ndarray, "h n k"]]:
        """Of each column and count, with what is known of numbers of columns, and the same inverse."""
        logs, inverse = self.log_likelihood(means, scatter)
        return logs + np.log(self.prior(means))[:, None, :], inverse

    def counts(self, means: Float[np.ndarray, "h k"]) -> Int[np.ndarray, " h"]:
        """Up to which count there are columns, of each law, and at least the first."""
        return np.maximum(np.sum(means <= self.places[-1], axis=1), 1)

    def shares(
        self, means: Float[np.ndarray, "h k"], scatter: Float[np.ndarray, " h"]
    ) -> tuple[Float[np.ndarray, "h n c"], Float[np.ndarray, "h n c"], Float[np.ndarray, " h"]]:
        """What counts have of each column, up to the last that has any (`counts`), each law by itself.

        That is probabilities, the same times the inverse variance, and the logarithm of the evidence.
        """
        last = int(self.counts(means).max())
        prior, means = self.prior(means)[:, None, :last], means[:, None, :last]
        apart = self.values[:, None] - means
        variances = self.variances[:, None] - self.slope * apart
        np.maximum(variances, _LEAST * self.variances[:, None], out=variances)
        variances += (scatter**2)[:, None, None]
        squared = np.multiply(apart, apart, out=apart)
        squared *= -0.5
        whole = _bell(squared, variances)
        whole *= (1 - self.odd) * prior
        weights = whole / variances
        variances += _ODD_WIDTH**2
        parts = _bell(squared, variances)
        parts *= self.odd * prior
        weights += np.divide(parts, variances, out=variances)
        parts += whole
        total = parts.sum(axis=2, keepdims=True)
        if total.min() < _TOLD:
            logs, inverse = self.log_likelihood(means[:, 0], scatter)
            parts, evidence = normalised(logs + np.log(prior))
            return parts, parts * inverse, evidence
        inverse = np.reciprocal(total)
        parts *= inverse
        weights *= inverse
        evidence = np.log(total[..., 0]).sum(axis=1) - 0.5 * len(self.values) * np.log(2 * np.pi)
        return parts, weights, np.asarray(evidence)

    def batches(self, means: Float[np.ndarray, "h k"]) -> Iterator[Int[np.ndarray, " b"]]:
        """Laws that are looked at together: with alike numbers of counts, in arrays that are not large."""
        last = self.counts(means)
        order = np.argsort(last, kind="stable")
        while len(order):
            sizes = np.arange(1, len(order) + 1) * len(self.values) * last[order]
            number = max(1, int(np.searchsorted(sizes, _TOGETHER, side="right")))
            yield order[:number]
            order = order[number:]


def _bell(
    squared: Float[np.ndarray, "h n k"], variances: Float[np.ndarray, "h n k"]
) -> Float[np.ndarray, "h n k"]:
    """Normal density, but for the root of 2π, of half the squares with a minus before them."""
    bell = squared / variances
    np.exp(bell, out=bell)
    bell /= np.sqrt(variances)
    return bell


def normalised(
    logs: Float[np.ndarray, "h n k"],
) -> tuple[Float[np.ndarray, "h n k"], Float[np.ndarray, " h"]]:
    """Probabilities of counts, and the logarithm of what was divided by, summed over columns."""
    total = logsumexp(logs, axis=2, keepdims=True)
    return np.exp(logs - total), np.asarray(total.sum(axis=(1, 2)))
