"""Variances of many alike things, each known from few numbers: shrunk to what they have in common.

A line through ten points leaves eight degrees of freedom for its scatter, so that a t-test of one atom's
trend is weak, and with three points next to useless. But there are hundreds of atoms. If variances are
drawn from a scaled inverse chi-square distribution, with prior d0 and s0², that of an atom is, after its
own s² with d degrees of freedom has been seen,

    (d0 s0² + d s²) / (d0 + d),

and its trend in these units follows Student's t with d0 + d degrees of freedom (Smyth 2004, on genes). d0
and s0² follow from the mean and variance of log s² over all atoms: log s² has the mean
log s0² + ψ(d/2) - ψ(d0/2) - log(d/d0), and the variance ψ'(d/2) + ψ'(d0/2). Error bars that are wrong by a
factor, for all atoms or for each by its own, are so put right by the data. Where few numbers say how unlike
atoms are, they are taken to be as unlike as one standard error allows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import digamma, polygamma

#: Degrees of freedom that are as good as infinitely many.
MANY = 1e6


@dataclass(frozen=True, eq=False)
class Moderated:
    """Variances after all of them were looked at.

    **Fields:**

    - `variances`: shrunk; NaN where there is none.
    - `freedom`: degrees of freedom of each, the prior's included.
    - `prior`, `prior_freedom`: s0² and d0.
    """

    variances: Float[np.ndarray, " n"]
    freedom: Float[np.ndarray, " n"]
    prior: float
    prior_freedom: float


def moderated(variances: Float[np.ndarray, " n"], freedom: Float[np.ndarray, " n"]) -> Moderated:
    """Shrink variances to their common prior.

    **Arguments:**

    - `variances`: s² of each; of those without freedom it is not looked at.
    - `freedom`: d of each; zero where s² is not known.

        >>> rng = np.random.default_rng(0)
        >>> m = moderated(4.0 * rng.chisquare(3, 5000) / 3, np.full(5000, 3.0))
        >>> bool(abs(m.prior - 4) < 0.2), bool(m.prior_freedom > 20)
        (True, True)
    """
    known = (freedom > 0) & (variances > 0) & np.isfinite(variances)
    if not known.any():
        return Moderated(np.full(len(variances), np.nan), freedom.astype(float), np.nan, 0.0)
    d = freedom[known]
    logs = np.log(variances[known]) - digamma(d / 2) + np.log(d / 2)
    middle = float(logs.mean())
    # As unlike as they may well be: one standard error more.
    unsure = np.sqrt(max(np.mean((logs - middle) ** 4) - logs.var() ** 2, 0.0) / len(logs))
    spread = float(logs.var(ddof=1)) if len(logs) > 1 else 0.0
    excess = spread + float(unsure) - float(polygamma(1, d / 2).mean())
    if excess > 0:
        half = _inverse_trigamma(excess)
        prior, freedoms = float(np.exp(middle + digamma(half) - np.log(half))), 2 * half
    else:
        prior, freedoms = float(np.exp(middle)), MANY
    own = np.where(known, freedom, 0.0)
    shrunk = (freedoms * prior + own * np.where(known, variances, 0.0)) / (freedoms + own)
    return Moderated(shrunk, freedoms + own, prior, freedoms)


def _inverse_trigamma(value: float) -> float:
    """x with ψ'(x) = value, by Newton's method on 1/ψ' (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        now = float(polygamma(1, x))
        step = now * (1 - now / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x
