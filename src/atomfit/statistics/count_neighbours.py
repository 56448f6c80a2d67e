"""Thickness changes slowly: what neighbouring columns say of a column's count.

Counts are a smooth function of place plus a roughness, n_i = h(x_i) + ε_i, where h is a Gaussian
process (Matérn, 5/2) of some amplitude and length and ε_i is normal. Unlike a prior that wants
neighbours to be alike (Potts) this one follows the slope of a facet. How strong it is is found from the
data: amplitude, length and roughness are those of the largest likelihood of the thicknesses that cross-
sections have by themselves, a rough particle having a large roughness and no gain.

Counts are whole numbers, so their posterior is found by expectation propagation (Minka 2001; Rasmussen &
Williams 2006, section 3.6): a column's cavity, what all others say of it, is a normal distribution, its
values at whole numbers times the likelihood are the column's probabilities, and a normal distribution with
their mean and variance is what the column says to the others. The joint covariance of counts that comes
of it has the error of a total in it, and the evidence weighs laws against each other.

The cost grows as the cube of the number of columns, so that of many columns compact groups are done by
themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve, cholesky
from scipy.linalg.lapack import dpotri, dtrtri
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

#: Columns of a group at most, and of those that the prior's strength is found from.
_GROUP = 250
#: Whole numbers about a smooth function: roughness is no less.
_LEAST_ROUGHNESS = 0.3
#: What is known of amplitude (by the thickest column), length (spacings) and roughness (atoms): medians,
#: and standard deviations of logarithms.
_MEDIANS, _FACTORS = np.array([0.5, 5.0, 0.6]), np.array([0.7, 0.7, 0.7])
#: Rounds at most, part of a move that is made, and the least variance of a column's count.
_ROUNDS, _DAMPING, _CERTAIN = 12, 0.8, 0.01
#: Rounds end when no column's cavity moves by more than this part of its standard deviation.
_SETTLED = 1e-3
#: The least precision of what a column says.
_VAGUE = 1e-4


@final
@dataclass(frozen=True)
class Smoothness:
    """How slowly thickness changes.

    **Fields:**

    - `amplitude`: by how much it differs, over far (standard deviation, atoms).
    - `length`: how far it does not (Å).
    - `roughness`: what a column differs by from a smooth thickness (standard deviation, atoms).
    """

    amplitude: float
    length: float
    roughness: float

    @property
    def mean_variance(self) -> float:
        """What is not known of the mean."""
        return (10 * self.amplitude) ** 2

    def matern(
        self, distances: Float[np.ndarray, "n n"]
    ) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n n"]]:
        """Covariance of the smooth thickness over some distances (Å), and its derivative by log(length)."""
        far = np.sqrt(5) / self.length * distances
        near = self.amplitude**2 * np.exp(-far)
        falling = far**2 / 3 * near
        return near * (1 + far) + falling, falling * (1 + far)

    def covariance(self, positions: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n n"]:
        """Of counts, whose mean is not known (Å)."""
        smooth = self.matern(cdist(positions, positions))[0]
        return np.asarray(smooth + self.mean_variance + self.roughness**2 * np.eye(len(positions)))


def find_smoothness(
    positions: Float[np.ndarray, "n 2"],
    thickness: Float[np.ndarray, " n"],
    variances: Float[np.ndarray, " n"],
) -> Smoothness:
    """The strength of the prior, from thicknesses that columns have by themselves.

    **Arguments:**

    - `positions`: of the columns (Å).
    - `thickness`, `variances`: in atoms.
    """
    middle = np.median(positions, axis=0)
    inner = np.argsort(np.sum((positions - middle) ** 2, axis=1), kind="stable")[:_GROUP]
    positions, thickness, variances = positions[inner], thickness[inner], variances[inner]
    spacing = float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
    units = np.array([max(float(thickness.max()), 1.0), spacing, 1.0]) * _MEDIANS

    far = cdist(positions, positions)
    diagonal = np.diag_indices(len(positions))

    def smoothness(p: Float[np.ndarray, " 3"]) -> Smoothness:
        amplitude, length, roughness = units * np.exp(np.clip(_FACTORS * p, -4, 4))
        return Smoothness(float(amplitude), float(length), float(np.hypot(roughness, _LEAST_ROUGHNESS)))

    def unlikely(p: Float[np.ndarray, " 3"]) -> tuple[float, Float[np.ndarray, " 3"]]:
        found = smoothness(p)
        smooth, falling = found.matern(far)
        matrix = smooth + found.mean_variance
        # By the logarithms of amplitude and length; that of roughness is on the diagonal only.
        changes = 2 * matrix, falling
        matrix[diagonal] += found.roughness**2 + variances
        factor = cho_factor(matrix, lower=True, check_finite=False)
        pulled = cho_solve(factor, thickness, check_finite=False)
        inverse = _inverse(factor[0])
        half = float(np.sum(np.log(np.diag(factor[0]))))
        slopes = [0.5 * (np.sum(inverse * change) - pulled @ change @ pulled) for change in changes]
        rough = found.roughness**2 - _LEAST_ROUGHNESS**2
        slopes.append(rough * float(np.trace(inverse) - pulled @ pulled))
        within = np.abs(_FACTORS * p) < 4
        value = 0.5 * float(thickness @ pulled) + half + 0.5 * float(np.sum(p**2))
        return value, np.where(within, _FACTORS * slopes, 0.0) + p

    found = minimize(unlikely, np.zeros(3), jac=True, method="L-BFGS-B", options={"maxiter": 30})
    return smoothness(found.x)


def _inverse(factor: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Of a matrix whose lower Cholesky factor is given (what is above its diagonal is not looked at)."""
    inverse = dpotri(factor, lower=1)[0]
    return np.asarray(np.tril(inverse) + np.tril(inverse, -1).T)


def groups(positions: Float[np.ndarray, "n 2"]) -> Iterator[Int[np.ndarray, " m"]]:
    """Columns in compact groups, halved along the longer side until each is small."""
    waiting = [np.arange(len(positions))]
    while waiting:
        members = waiting.pop()
        if len(members) <= _GROUP:
            yield members
            continue
        inside = positions[members]
        order = np.argsort(inside[:, np.argmax(np.ptp(inside, axis=0))], kind="stable")
        waiting += [members[order[: len(order) // 2]], members[order[len(order) // 2 :]]]


@final
@dataclass(frozen=True, eq=False)
class Propagated:
    """Counts of n columns, given a law.

    **Fields:**

    - `probabilities`: of each count, from 1.
    - `log_evidence`: logarithm of what the cross-sections' probability is.
    - `total_variance`: of the sum of counts.
    """

    probabilities: Float[np.ndarray, "n k"]
    log_evidence: float
    total_variance: float


@final
@dataclass(frozen=True, eq=False)
class Spoken:
    """What n columns say to each other: normal distributions of counts, as factors of each column's.

    **Fields:**

    - `precision`: inverses of their variances.
    - `shift`: the same, times their means.
    """

    precision: Float[np.ndarray, " n"]
    shift: Float[np.ndarray, " n"]


def propagate_counts(
    covariance: Float[np.ndarray, "n n"],
    log_likelihood: Float[np.ndarray, "n k"],
    spoken: Spoken | None = None,
) -> tuple[Propagated, Spoken]:
    """Expectation propagation; see the head of this module.

    **Arguments:**

    - `covariance`: of counts, by `Smoothness`.
    - `log_likelihood`: of each column and count, from 1.
    - `spoken`: what to begin with; what columns say by themselves if not given.

    **Returns:** counts, and what columns said in the end.
    """
    counts = np.arange(1, log_likelihood.shape[1] + 1)
    if spoken is None:
        mean, variance, _, _ = _moments(log_likelihood, counts)
        spoken = Spoken(1 / (variance + 1), mean / (variance + 1))
    precision, shift = spoken.precision, spoken.shift
    before = np.full(len(precision), np.inf)
    for i in range(_ROUNDS + 1):
        root = np.sqrt(precision)
        # With B = 1 + √P K √P the joint covariance is √P⁻¹ (1 - B⁻¹) √P⁻¹, P being the precisions.
        factor = np.tril(cholesky(root[:, None] * covariance * root + np.eye(len(root)), lower=True))
        halves = dtrtri(factor, lower=1)[0]
        spread = (1 - np.sum(halves**2, axis=0)) / precision
        joint_mean = (shift - root * (halves.T @ (halves @ (shift / root)))) / precision
        cavity = 1 / (1 / spread - precision)
        centre = cavity * (joint_mean / spread - shift)
        prior = -0.5 * (
            (counts - centre[:, None]) ** 2 / cavity[:, None] + np.log(2 * np.pi * cavity)[:, None]
        )
        mean, variance, mass, probabilities = _moments(log_likelihood + prior, counts)
        if np.max(np.abs(centre - before) / np.sqrt(cavity)) < _SETTLED:
            break
        before = centre
        if i < _ROUNDS:
            new = np.clip(1 / variance - 1 / cavity, _VAGUE, None)
            precision = (1 - _DAMPING) * precision + _DAMPING * new
            shift = (1 - _DAMPING) * shift + _DAMPING * ((1 / cavity + new) * mean - centre / cavity)
    site, wide = shift / precision, cavity + 1 / precision
    # Their joint density has the covariance √P⁻¹ B √P⁻¹.
    scaled = halves @ (root * site)
    evidence = -0.5 * scaled @ scaled - np.sum(np.log(np.diag(factor) / root))
    evidence += np.sum(mass + 0.5 * np.log(wide) + 0.5 * (centre - site) ** 2 / wide)
    # There is no column of no atom: what a cavity has there is no evidence against a law of few atoms.
    evidence -= np.sum(_shares(prior)[0])
    # Columns' own variances are exact; how they go together is the normal distribution's.
    exact = np.maximum(probabilities @ counts.astype(float) ** 2 - mean**2, 0)
    scale = np.sqrt(exact / spread) / root
    total = scale @ scale - np.sum((halves @ scale) ** 2)
    return Propagated(probabilities, float(evidence), float(total)), Spoken(precision, shift)


def _moments(
    logs: Float[np.ndarray, "n k"], counts: Int[np.ndarray, " k"]
) -> tuple[
    Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, "n k"]
]:
    """Means, variances, logarithms of sums, and probabilities."""
    mass, parts = _shares(logs)
    mean = parts @ counts
    return mean, np.maximum(parts @ counts.astype(float) ** 2 - mean**2, _CERTAIN), mass, parts


def _shares(logs: Float[np.ndarray, "n k"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
    """Logarithms of sums, and each one's part of its own."""
    most = logs.max(axis=1, keepdims=True)
    parts = np.exp(logs - most)
    summed = parts.sum(axis=1, keepdims=True)
    parts /= summed
    return (most + np.log(summed))[:, 0], parts
