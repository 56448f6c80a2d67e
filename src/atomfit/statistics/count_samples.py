"""Counts of columns, averaged over all laws of what columns scatter that are possible.

Laws are drawn from Gaussians about the maxima (`count_modes`), each maximum as often as its part of the
posterior asks for, and weighed by what the posterior is there over what they were drawn with (importance
sampling; the mixture of all Gaussians is what a sample is drawn with, whichever it came from). Given a law,
counts follow exactly if columns are independent, and by expectation propagation if neighbours count
(`count_neighbours`), which changes the weights as well, as far as there are draws enough. So the common
scale is not known better than it is: a total has the error of each column, given the law, and that of the
law, which all columns share.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.count_law import Law
from atomfit.statistics.count_likelihood import Measured, normalised
from atomfit.statistics.count_modes import Modes, log_scatter_prior
from atomfit.statistics.count_neighbours import (
    Propagated,
    Smoothness,
    find_smoothness,
    groups,
    propagate_counts,
)

#: Laws that are drawn, by how much wider than the posterior is thought to be (variance), and by how much
#: evidence of few maxima is evened out, as neighbours change it.
_DRAWN, _WIDER, _EVENED = 600, 1.2, 0.8
#: Those that are counted with neighbours.
_COUNTED = 64
#: Laws that a mean is to rest on, at least, and parts of the neighbours' evidence that are tried for it.
_BORNE, _TEMPERED = 12, np.array([1.0, 0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.04, 0.0])
#: Numbers of an array at once.
_TOGETHER = 500_000


@final
@dataclass(frozen=True, eq=False)
class Samples:
    """Laws, their weights, and counts of n columns given each.

    **Fields:**

    - `weights`: of the samples; their sum is one.
    - `law`: number of the maximum each came from.
    - `means`: mean cross-sections of 1 to k atoms.
    - `scale`: logarithm of the common scale, by its prior standard deviation.
    - `scatter`: of columns among themselves.
    - `probabilities`: of each column's counts, averaged.
    - `by_law`: the same of each maximum, in the order of its number.
    - `totals`, `variances`: of the sum of counts, given each law.
    - `smoothness`: of the likeliest maximum; None without neighbours.
    """

    weights: Float[np.ndarray, " s"]
    law: Int[np.ndarray, " s"]
    means: Float[np.ndarray, "s k"]
    scale: Float[np.ndarray, " s"]
    scatter: Float[np.ndarray, " s"]
    probabilities: Float[np.ndarray, "n k"]
    by_law: Float[np.ndarray, "m n k"]
    totals: Float[np.ndarray, " s"]
    variances: Float[np.ndarray, " s"]
    smoothness: Smoothness | None


def draw(
    measured: Measured, law: Law, modes: Modes, positions: Float[np.ndarray, "n 2"] | None, seed: int
) -> Samples:
    """Draw laws, and count with each.

    **Arguments:**

    - `measured`: of the columns.
    - `law`: the prior of mean cross-sections.
    - `modes`: maxima of the posterior.
    - `positions`: of the columns, if neighbours count (Å).
    - `seed`: of the draws.
    """
    rng = np.random.default_rng(seed)
    z, mode, log_drawn = _proposed(modes, rng)
    log_weights = log_scatter_prior(modes.scatter[mode]) - 0.5 * np.sum(z**2, axis=1) - log_drawn
    alone = _evidence(measured, law, z, modes.scatter[mode])
    weights = _parts(log_weights + alone)
    smooth: dict[int, Smoothness] = {}
    given: Iterable[Propagated] = (
        _alone(measured, law, modes, one, m) for one, m in zip(z, mode.tolist(), strict=True)
    )
    if positions is not None:
        # As often as they are likely by themselves; neighbours then say how much more likely.
        kept = np.searchsorted(np.cumsum(weights), (np.arange(_COUNTED) + rng.random()) / _COUNTED)
        kept, times = np.unique(np.minimum(kept, len(weights) - 1), return_counts=True)
        z, mode = z[kept], mode[kept]
        smooth = _smoothness(measured, law, modes, positions)
        near = [(members, positions[members]) for members in groups(positions)]
        known = {k: [(i, one.covariance(places)) for i, places in near] for k, one in smooth.items()}
        given = [
            _together(measured, law, modes, one, m, known[int(modes.law[m])])
            for one, m in zip(z, mode.tolist(), strict=True)
        ]
        weights = _borne(np.array([one.log_evidence for one in given]) - alone[kept], times)
    laws, number = np.unique(modes.law[mode], return_inverse=True)
    best = int(laws[np.argmax(np.bincount(number, weights))])
    return Samples(
        weights,
        number,
        law.means(z),
        z[:, 0],
        modes.scatter[mode],
        *_averages(given, weights, number),
        smooth.get(best),
    )


def _averages(
    given: Iterable[Propagated], weights: Float[np.ndarray, " s"], number: Int[np.ndarray, " s"]
) -> tuple[
    Float[np.ndarray, "n k"], Float[np.ndarray, "m n k"], Float[np.ndarray, " s"], Float[np.ndarray, " s"]
]:
    """Probabilities of counts, the same of each law, and totals with their variances given each sample."""
    by_law: dict[int, Float[np.ndarray, "n k"]] = {}
    totals, variances = np.zeros(len(weights)), np.zeros(len(weights))
    for s, one in enumerate(given):
        m, part = int(number[s]), weights[s] * one.probabilities
        by_law[m] = by_law[m] + part if m in by_law else part
        totals[s] = float(np.sum(one.probabilities @ np.arange(1, part.shape[1] + 1)))
        variances[s] = one.total_variance
    stacked = np.stack([by_law[m] for m in sorted(by_law)])
    return (
        stacked.sum(axis=0),
        stacked / np.maximum(stacked.sum(axis=2, keepdims=True), 1e-300),
        totals,
        variances,
    )


def _borne(gains: Float[np.ndarray, " s"], times: Int[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """Weights by what neighbours say of laws, as far as the draws bear it.

    Where it would leave a few laws only, none of them the best there is, its logarithm is taken in part.
    """
    for part in _TEMPERED:
        weights = _parts(np.log(times) + part * gains)
        if 1 / np.sum(weights**2) >= min(_BORNE, 0.5 * len(weights)):
            break
    return weights


def _parts(logs: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    return np.asarray(np.exp(logs - np.logaddexp.reduce(logs)))


def _evidence(
    measured: Measured, law: Law, z: Float[np.ndarray, "s r"], scatter: Float[np.ndarray, " s"]
) -> Float[np.ndarray, " s"]:
    """Logarithms of probabilities of cross-sections, columns being independent."""
    together = max(1, _TOGETHER // (len(measured.values) * len(law.steps)))
    parts = [slice(i, i + together) for i in range(0, len(z), together)]
    return np.concatenate(
        [normalised(measured.log_joint(law.means(z[p]), scatter[p])[0])[1] for p in parts]
    )


def _proposed(
    modes: Modes, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "s r"], Int[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Samples, which maximum each came from, and the logarithm of the density it was drawn with."""
    parts = np.exp(_EVENED * modes.log_weights)
    parts /= parts.sum()
    edges = np.cumsum(parts)
    mode = np.minimum(np.searchsorted(edges, (np.arange(_DRAWN) + 0.5) / _DRAWN), len(parts) - 1)
    normal = rng.standard_normal((_DRAWN, modes.z.shape[1])) * np.sqrt(_WIDER)
    z = modes.z[mode] + np.einsum("srq,sq->sr", modes.factors[mode], normal)
    logs = np.full((_DRAWN, len(parts)), -np.inf)
    for m in range(len(parts)):
        mine = modes.scatter[mode] == modes.scatter[m]
        off = np.linalg.solve(modes.factors[m], (z[mine] - modes.z[m]).T)
        width = np.linalg.slogdet(modes.factors[m])[1] + 0.5 * len(off) * np.log(_WIDER)
        logs[mine, m] = np.log(parts[m]) - 0.5 * np.sum(off**2, axis=0) / _WIDER - width
    return z, mode, np.asarray(np.logaddexp.reduce(logs, axis=1))


def _smoothness(
    measured: Measured, law: Law, modes: Modes, positions: Float[np.ndarray, "n 2"]
) -> dict[int, Smoothness]:
    """Of each law's likeliest maximum."""
    found = {}
    for number in np.unique(modes.law):
        m = int(np.argmax(np.where(modes.law == number, modes.log_weights, -np.inf)))
        means = law.means(modes.z[m : m + 1])
        edges, atoms = np.r_[0, means[0]], np.arange(len(means[0]) + 1)
        thickness = np.interp(measured.values, edges, atoms)
        step = np.interp(thickness, atoms[1:], np.diff(edges))
        own = (modes.scatter[m]) ** 2
        variances = (measured.variances + own) / step**2
        found[int(number)] = find_smoothness(positions, thickness, variances)
    return found


def _alone(measured: Measured, law: Law, modes: Modes, z: Float[np.ndarray, " r"], m: int) -> Propagated:
    """Counts given a law, columns being independent."""
    logs = measured.log_joint(law.means(z[None]), modes.scatter[m : m + 1])[0]
    probabilities, evidence = normalised(logs)
    counts = np.arange(1, logs.shape[2] + 1)
    own = probabilities[0] @ counts**2 - (probabilities[0] @ counts) ** 2
    return Propagated(probabilities[0], float(evidence[0]), float(own.sum()))


def _together(
    measured: Measured,
    law: Law,
    modes: Modes,
    z: Float[np.ndarray, " r"],
    m: int,
    covariances: Sequence[tuple[Int[np.ndarray, " m"], Float[np.ndarray, "m m"]]],
) -> Propagated:
    """Counts given a law, with neighbours: groups of columns, and the covariances of their counts."""
    logs = measured.log_likelihood(law.means(z[None]), modes.scatter[m : m + 1])[0][0]
    probabilities, evidence, variance = np.zeros_like(logs), 0.0, 0.0
    for members, covariance in covariances:
        found = propagate_counts(covariance, logs[members])
        probabilities[members] = found.probabilities
        evidence += found.log_evidence
        variance += found.total_variance
    return Propagated(probabilities, evidence, variance)
