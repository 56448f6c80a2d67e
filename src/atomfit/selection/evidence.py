"""How sure it is that an atom is one: its likelihood ratio, and how often noise makes as good a one.

**Evidence.** Without an atom, the others being fitted again, chi-square would be larger by

    Λ = A² S,    S = the information on A where the atom's place and shape are what they are,

to second order. The covariance C of the atom's ten numbers, with all neighbours and the background free, is
what the joint fit ends with; its inverse is their information once the others have done what they can, and
S is the amplitude's element of it, a Schur complement of the Fisher information. No atom is left out of a
fit for that. Where atoms overlap, Λ is smaller than what a fit without the atom loses.

**Decoys.** Noise makes hollows as well as bumps. The scores of the hollows of the residual, at places
where an atom would be allowed (`candidates`), are scores of what can be no atom, found by the same
procedure in the same volume (target and decoy: Elias & Gygi 2007). Of N decoys above a low level t₀ the
number above t is

    λ(t) = N n(t / s) / n(t₀ / s),    n(u) ~ (u² - 1) exp(-u²/2) far up,

as of maxima of a smooth Gaussian field in three dimensions (`maxima`), with s as the decoys have it: about
one where noise is all there is, more where the model fails. λ(t) maxima of noise are expected above t among
the T(t) atoms and candidates that are: the false-discovery rate is λ / T, and an atom's q-value the least
rate at which it is taken.

**The cut**, if no rate is asked for, is where an atom is as likely as not: where -dλ/dt, the density of
what noise makes, equals that of atoms (the local false-discovery rate of Efron et al. 2001). The latter is
the histogram of scores, each weighed by its own probability and smoothed by the scatter of a score, with a
thousandth of the atoms spread evenly, since an atom may be unlike all others; where it rests on a few
scores only, it is taken to be smaller. Among clear atoms a map thus has none that is doubtful; in a noisy
one the doubtful are taken if they are more often right than wrong.

**Without an outside.** Where atoms fill the map, or it was clipped at zero, the residual has bumps but
hardly a hollow, and what the model lacks is not noise. There atoms are judged by each other: one is as
strong as most are (`limits`: `faintest_in_disorder`), and those fainter are the decoys from which λ is
extrapolated to the others.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter1d

from atomfit.gaussians.uncertainty import Uncertainty
from atomfit.selection import maxima
from atomfit.selection.limits import LIMITS

#: Scatter of a score.
_SCATTER = 1.0
#: Steps in which densities of scores are reckoned; those above the highest are as good as that.
_STEP, _BINS = 0.05, 800
_ROUNDS = 50


def likelihood_ratios(amplitudes: Float[np.ndarray, " n"], known: Uncertainty) -> Float[np.ndarray, " n"]:
    """Λ of each atom; NaN where the amplitude was frozen or is not known.

    **Arguments:**

    - `amplitudes`: map units x Å³.
    - `known`: what the fit that found them knows.
    """
    covariances = known.covariances
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    sound = np.all(np.isfinite(variances), axis=1) & (variances[:, -1] > 0)
    scale = np.sqrt(np.where(variances > 0, variances, np.inf))
    scaled = covariances / (scale[:, :, None] * scale[:, None, :])
    information = np.zeros(len(amplitudes))
    # Frozen numbers, and all displacements of an isotropic atom but one, have no information of their own.
    information[sound] = np.linalg.pinv(scaled[sound], rcond=1e-9, hermitian=True)[:, -1, -1]
    # Rounding makes it negative where an atom is hardly known.
    ratio = amplitudes**2 * np.maximum(information, 0) / scale[:, -1] ** 2
    return np.where(sound, ratio, np.nan)


@dataclass(frozen=True, eq=False)
class Decoys:
    """Maxima that noise makes.

    **Fields:**

    - `count`: N, above t₀.
    - `scale`: s.
    - `source`: hollows of the residual, or what is too faint for an atom.
    """

    count: float
    scale: float
    source: Literal["hollows", "faint"]

    @classmethod
    def of_hollows(cls, scores: Float[np.ndarray, " k"], count: float) -> "Decoys":
        """Of the scores of all hollows, and how many of them noise is expected to make."""
        # No fit takes more from the highest hollows than from others.
        return cls(count, max(_scale(scores[scores > LIMITS.lowest]), 1.0), "hollows")

    @classmethod
    def of_faint(cls, scores: Float[np.ndarray, " m"]) -> "Decoys":
        """Of what is too faint for an atom."""
        high = scores[scores > LIMITS.lowest]
        return cls(float(len(high)), _scale(high), "faint")

    def expected(self, score: Float[np.ndarray, "..."] | float) -> Float[np.ndarray, "..."]:
        """λ: how many maxima noise has above a score; one decoy is reckoned with if there is none."""
        height = np.maximum(np.asarray(score, np.float64), LIMITS.lowest) / self.scale
        return np.asarray(
            max(self.count, 1)
            * np.exp(maxima.log_number(height) - maxima.log_number(LIMITS.lowest / self.scale))
        )

    def clear(self, scores: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which scores noise is not expected to reach."""
        return self.expected(np.nan_to_num(scores, nan=LIMITS.lowest)) < LIMITS.expected_clear

    def probabilities(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " bins"]:
        """How probable it is that what has a score is an atom, in steps of the score.

        **Arguments:**

        - `scores`: of atoms and candidates.
        """
        grid = LIMITS.lowest + _STEP * np.arange(_BINS)
        height = grid / self.scale
        false = (
            self.expected(grid)
            * np.exp(maxima.log_density(height) - maxima.log_number(height))
            / self.scale
        )
        known = scores[np.isfinite(scores) & (scores >= LIMITS.lowest)]
        count = np.bincount(_bins(known), minlength=_BINS)
        # From those that are clear down to those that they make probable, not the other way round.
        probable = (self.expected(grid) < LIMITS.expected_clear).astype(np.float64)
        for _ in range(_ROUNDS):
            spread = LIMITS.unlike_others * max(float(count @ probable), 1.0) / (_STEP * _BINS)
            others = gaussian_filter1d(count * probable, _SCATTER / _STEP, mode="constant") / _STEP
            # No score speaks for itself.
            others -= np.minimum(count, 1) * probable / (_SCATTER * np.sqrt(2 * np.pi))
            # Nor do two or three: so many standard deviations of those under the kernel are taken off.
            others = np.maximum(others, 0)
            error = np.sqrt(others / (2 * np.sqrt(np.pi) * _SCATTER))
            sure = np.maximum(others - LIMITS.caution * error, 0)
            probable = 1 / (1 + false / (sure + spread))
        return probable

    def even(self, scores: Float[np.ndarray, " n"]) -> float:
        """The score at which an atom is as likely as not, if atoms and candidates have these scores."""
        doubtful = np.flatnonzero(self.probabilities(scores) < LIMITS.even)
        return float(LIMITS.lowest + _STEP * (doubtful[-1] + 1)) if len(doubtful) else LIMITS.lowest

    def q_values(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The least false-discovery rate at which each of some atoms and candidates is taken.

        NaN where a score is not known.
        """
        order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
        expected = np.nan_to_num(self.expected(scores[order]), nan=np.inf)
        rates = expected / np.arange(1, len(scores) + 1)
        q = np.empty(len(scores))
        q[order] = np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1.0)
        return np.where(np.isfinite(scores), q, np.nan)

    def cut(self, scores: Float[np.ndarray, " n"], rate: float) -> float:
        """The lowest score at which no more than a given rate of those above it is expected to be false."""
        known = np.sort(scores[np.isfinite(scores)])[::-1]
        q = self.q_values(known)
        taken = known[q <= rate]
        return float(max(taken.min(), LIMITS.lowest)) if len(taken) else self.even(known)


def _scale(scores: Float[np.ndarray, " k"]) -> float:
    """s, from maxima above t₀."""
    excess = float(np.sum(scores**2 - LIMITS.lowest**2)) / 2
    excess += LIMITS.gaussian_decoys * float(maxima.mean_excess(LIMITS.lowest))
    return maxima.scale(excess / (len(scores) + LIMITS.gaussian_decoys), LIMITS.lowest)


def _bins(scores: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    return np.clip(np.rint((scores - LIMITS.lowest) / _STEP), 0, _BINS - 1).astype(np.int64)
