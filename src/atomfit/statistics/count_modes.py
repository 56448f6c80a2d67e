"""Which laws of what columns scatter explain cross-sections: all that do, and how wide each is.

A comb that is laid on a histogram fits in many places. So laws are started from many steps and from
combs that are shifted by parts of a tooth, and each climbs to its maximum of the posterior by Gauss-
Newton steps of the EM algorithm; those that come to one place are one. About each the posterior is
taken to be a Gaussian, with the matrix of what is observed (Louis 1982): what is complete, less what is
missing as counts are not known. This is only what samples are drawn from (`count_samples`), and nothing
rests on it by itself.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from atomfit.statistics.count_law import Law
from atomfit.statistics.count_likelihood import Measured

#: Ratio of steps that laws are started from, teeth that combs are shifted by, and over how many atoms.
_RATIO, _SHIFTS, _OVER = 1.05, (-1.0, -0.5, 0.0, 0.5, 1.0), 3
#: Columns of the first climb and of the next ones; rounds of each; and laws of one bin that go on.
_SOME, _MORE, _FIRST, _SECOND, _THIRD, _LAST, _ON = 150, 300, 8, 20, 5, 3, 3
#: Laws of a bin that are kept, if the logarithm of their evidence is no more below the best one; laws of a
#: bin count the same within so much (logarithm of the mean).
_KEPT, _BELOW, _BIN = 2, 10.0, 0.2
#: Scatter of columns among themselves, in units of an expected step, and its prior's mean (exponential).
SCATTERS = np.array([0.0, 0.12, 0.25, 0.4])
_SCATTER = 0.1
#: The one laws are looked for with.
_SEARCHED = 0.15


@final
@dataclass(frozen=True, eq=False)
class Modes:
    """Maxima of the posterior, one for each law and scatter.

    **Fields:**

    - `z`: the law's numbers.
    - `scatter`: in the same units.
    - `law`: number of the law; laws are alike but for their scatter.
    - `factors`: symmetric roots of the covariances, which no order or sign of eigenvectors changes.
    - `log_weights`: logarithms of their parts of the posterior, by Laplace's formula; their sum is one.
    """

    z: Float[np.ndarray, "m r"]
    scatter: Float[np.ndarray, " m"]
    law: np.ndarray
    factors: Float[np.ndarray, "m r r"]
    log_weights: Float[np.ndarray, " m"]


def log_scatter_prior(scatter: Float[np.ndarray, " h"]) -> Float[np.ndarray, " h"]:
    """Of the values of `SCATTERS`."""
    return np.asarray(-scatter / _SCATTER - np.log(np.exp(-SCATTERS / _SCATTER).sum()))


def find_modes(measured: Measured, law: Law, known: bool) -> Modes:
    """All laws that explain cross-sections.

    **Arguments:**

    - `measured`: of the columns.
    - `law`: the prior.
    - `known`: it is a library's.
    """
    some, more = measured.some(_SOME), measured.some(_MORE)
    z = _starts(law, float(measured.values.max()), known)
    z = _climb(some, law, z, np.full(len(z), _SEARCHED), _FIRST)
    z = _distinct(some, law, z, _ON, np.inf)
    z = _climb(more, law, z, np.full(len(z), _SEARCHED), _SECOND)
    z = _distinct(measured, law, z, _KEPT, _BELOW)
    number = np.repeat(np.arange(len(z)), len(SCATTERS))
    z, scatter = z[number], np.tile(SCATTERS, len(z))
    z = _climb(more, law, z, scatter, _THIRD)
    z = _climb(measured, law, z, scatter, _LAST)
    evidence, factors = _laplace(measured, law, z, scatter)
    evidence -= np.logaddexp.reduce(evidence)
    kept = evidence > evidence.max() - _BELOW
    weights = evidence[kept] - np.logaddexp.reduce(evidence[kept])
    return Modes(z[kept], scatter[kept], number[kept], factors[kept], weights)


def _starts(law: Law, largest: float, known: bool) -> Float[np.ndarray, "h r"]:
    scale = law.basis[0, 0]
    if known:
        z = np.zeros((9, law.basis.shape[1]))
        z[:, 0] = np.linspace(-2.5, 2.5, len(z))
        return z
    most = len(law.steps)
    steps = np.arange(np.log(1.1 * largest / most), np.log(1.05 * largest), np.log(_RATIO))
    asked = np.repeat(steps[:, None] - np.log(law.steps), len(_SHIFTS), axis=0)
    shifts = np.tile(_SHIFTS, len(steps))
    asked[:, :_OVER] += np.log1p(-shifts / _OVER)[:, None]
    return law.nearest(asked, 0.1 * scale)


def _climb(
    measured: Measured,
    law: Law,
    z: Float[np.ndarray, "h r"],
    scatter: Float[np.ndarray, " h"],
    rounds: int,
) -> Float[np.ndarray, "h r"]:
    """Rounds of the EM algorithm, each with one Gauss-Newton step."""
    climbed = z.copy()
    for batch in measured.batches(law.means(z)):
        climbed[batch] = _climb_together(measured, law, z[batch], scatter[batch], rounds)
    return climbed


def _climb_together(
    measured: Measured,
    law: Law,
    z: Float[np.ndarray, "h r"],
    scatter: Float[np.ndarray, " h"],
    rounds: int,
) -> Float[np.ndarray, "h r"]:
    for _ in range(rounds):
        means, jacobian = law.means(z), law.jacobian(z)
        weights = measured.shares(means, scatter)[1]
        # Counts beyond are of no column and have no weight.
        means, jacobian = means[:, : weights.shape[2]], jacobian[:, : weights.shape[2]]
        summed = weights.sum(axis=1)
        slope = measured.values @ weights - means * summed
        scaled = jacobian * np.sqrt(summed)[..., None]
        matrix = scaled.transpose(0, 2, 1) @ scaled + np.eye(z.shape[1])
        gradient = np.einsum("hkr,hk->hr", jacobian, slope) - z
        move = np.linalg.solve(matrix, gradient[..., None])[..., 0]
        z = z + move / np.maximum(1, np.abs(move).max(axis=1, keepdims=True))
    return z


def _laplace(
    measured: Measured, law: Law, z: Float[np.ndarray, "h r"], scatter: Float[np.ndarray, " h"]
) -> tuple[Float[np.ndarray, " h"], Float[np.ndarray, "h r r"]]:
    """Logarithms of evidence, and factors of covariances."""
    evidence, factors = np.zeros(len(z)), np.zeros((*z.shape, z.shape[1]))
    for batch in measured.batches(law.means(z)):
        evidence[batch], factors[batch] = _laplace_together(measured, law, z[batch], scatter[batch])
    return evidence, factors


def _laplace_together(
    measured: Measured, law: Law, z: Float[np.ndarray, "h r"], scatter: Float[np.ndarray, " h"]
) -> tuple[Float[np.ndarray, " h"], Float[np.ndarray, "h r r"]]:
    means, jacobian = law.means(z), law.jacobian(z)
    parts, weights, evidence = measured.shares(means, scatter)
    last = parts.shape[2]
    means, jacobian = means[:, :last], jacobian[:, :last]
    pulled = weights * (measured.values[:, None] - means[:, None, :])
    # A count of no part has no pull either.
    pull = pulled / np.maximum(parts, 1e-300)
    diagonal = np.sum(weights - pulled * pull, axis=1)
    inner = pulled.transpose(0, 2, 1) @ pulled
    inner[:, np.arange(last), np.arange(last)] += diagonal
    matrix = jacobian.transpose(0, 2, 1) @ inner @ jacobian + np.eye(z.shape[1])
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.transpose(0, 2, 1)))
    # No direction is known worse than before.
    values = np.maximum(values, 1.0)
    evidence = evidence - 0.5 * np.sum(z**2, axis=1) - 0.5 * np.log(values).sum(axis=1)
    factors = (vectors / np.sqrt(values)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return evidence + log_scatter_prior(scatter), factors


def _distinct(
    measured: Measured, law: Law, z: Float[np.ndarray, "h r"], most: int, below: float
) -> Float[np.ndarray, "m r"]:
    """The likeliest of each bin, each once: laws are one if no count differs by half an atom.

    Where noise hides the teeth, laws of any scale are as likely, and the best may all be of one scale.
    """
    scatter = np.full(len(z), _SEARCHED)
    evidence, _ = _laplace(measured, law, z, scatter)
    places = np.sort(measured.values)
    kept: list[int] = []
    counts: list[Float[np.ndarray, " n"]] = []
    number = np.arange(1, len(law.steps) + 1)
    bins: list[int] = []
    for h in np.argsort(-evidence, kind="stable"):
        if kept and evidence[h] < evidence[kept[0]] - below:
            break
        mine = np.interp(places, np.r_[0, law.means(z[h : h + 1])[0]], np.r_[0, number])
        place = int(np.log(mine.mean()) // _BIN)
        if bins.count(place) < most and all(np.max(np.abs(mine - other)) > 0.5 for other in counts):
            kept.append(int(h))
            counts.append(mine)
            bins.append(place)
    return z[kept]
