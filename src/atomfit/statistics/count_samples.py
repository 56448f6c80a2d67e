"""Counts of columns, averaged over all laws of what columns scatter that are possible.

Laws are drawn from Gaussians about the maxima (`count_modes`), each maximum as often as its part of the
posterior asks for, and weighed by what the posterior is there over what they were drawn with (importance
sampling; the mixture of all Gaussians is what a sample is drawn with, whichever it came from). Given a law,
counts follow exactly if columns are independent, and by expectation propagation if neighbours count
(`count_neighbours`), which changes the weights as well, as far as there are draws enough. So the common
scale is not known better than it is: a total has the error of each column, given the law, and that of the
law, which all columns share.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import final

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.count_law import Law
from atomfit.statistics.count_likelihood import Measured
from atomfit.statistics.count_modes import Modes, log_scatter_prior
from atomfit.statistics.count_neighbours import (
    Propagated,
    Smoothness,
    Spoken,
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
#: Laws with a smaller weight are left out.
_WITHOUT_WEIGHT = 1e-12
#: Counts that no column has, but with a logarithm so much below its likeliest one's, are left out.
_NO_COUNT = 60.0


@final
@dataclass(frozen=True, eq=False)
class ByLaw:
    """What m maxima say of n columns.

    **Fields:**

    - `best`: the likeliest count of each column.
    - `numbers`, `variances`: of columns of 1 to k atoms, how many are expected, and the variance of that.
    """

    best: Int[np.ndarray, "m n"]
    numbers: Float[np.ndarray, "m k"]
    variances: Float[np.ndarray, "m k"]


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
    - `by_law`: what each maximum says, in the order of its number.
    - `totals`, `variances`: of the sum of counts, given each law.
    - `smoothness`: of the likeliest maximum; None without neighbours.
    """

    weights: Float[np.ndarray, " s"]
    law: Int[np.ndarray, " s"]
    means: Float[np.ndarray, "s k"]
    scale: Float[np.ndarray, " s"]
    scatter: Float[np.ndarray, " s"]
    probabilities: Float[np.ndarray, "n k"]
    by_law: ByLaw
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
    if positions is None:
        kept = np.flatnonzero(weights > _WITHOUT_WEIGHT * weights.max())
        z, mode, weights = z[kept], mode[kept], weights[kept] / weights[kept].sum()
        given = _alone(measured, law, z, modes.scatter[mode])
    else:
        # As often as they are likely by themselves; neighbours then say how much more likely.
        kept = np.searchsorted(np.cumsum(weights), (np.arange(_COUNTED) + rng.random()) / _COUNTED)
        kept, times = np.unique(np.minimum(kept, len(weights) - 1), return_counts=True)
        z, mode = z[kept], mode[kept]
        smooth = _smoothness(measured, law, modes, positions, np.unique(modes.law[mode]))
        counted = list(_together(measured, law, modes, z, mode, positions, smooth))
        weights = _borne(np.array([one.log_evidence for one in counted]) - alone[kept], times)
        given = iter(counted)
    laws, number = np.unique(modes.law[mode], return_inverse=True)
    best = int(laws[np.argmax(np.bincount(number, weights))])
    return Samples(
        weights,
        number,
        law.means(z),
        z[:, 0],
        modes.scatter[mode],
        *_averages(given, weights, number, len(law.steps)),
        smooth.get(best),
    )


def _averages(
    given: Iterable[Propagated], weights: Float[np.ndarray, " s"], number: Int[np.ndarray, " s"], most: int
) -> tuple[Float[np.ndarray, "n k"], ByLaw, Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Probabilities of counts, what each law says, and totals with their variances given each sample.

    Samples of a law follow each other, so that the counts of one law are held at a time.
    """
    totals, variances = np.zeros(len(weights)), np.zeros(len(weights))
    together: Float[np.ndarray, "n k"] | float = 0.0
    by_law: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for _, of_law in groupby(zip(number.tolist(), enumerate(given), strict=True), key=lambda one: one[0]):
        own: Float[np.ndarray, "n k"] | None = None
        for _, (s, one) in of_law:
            n, last = one.probabilities.shape
            own = np.zeros((n, most)) if own is None else own
            own[:, :last] += weights[s] * one.probabilities
            totals[s] = float(one.probabilities.sum(axis=0) @ np.arange(1, last + 1))
            variances[s] = one.total_variance
        assert own is not None
        together = together + own
        own = own / np.maximum(own.sum(axis=1, keepdims=True), 1e-300)
        by_law.append((1 + own.argmax(axis=1), own.sum(axis=0), (own * (1 - own)).sum(axis=0)))
    best, numbers, spread = (np.stack(values) for values in zip(*by_law, strict=True))
    return np.asarray(together), ByLaw(best, numbers, spread), totals, variances


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
    means, evidence = law.means(z), np.zeros(len(z))
    for batch in measured.batches(means):
        evidence[batch] = measured.shares(means[batch], scatter[batch])[2]
    return evidence


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
    measured: Measured,
    law: Law,
    modes: Modes,
    positions: Float[np.ndarray, "n 2"],
    numbers: Int[np.ndarray, " l"],
) -> dict[int, Smoothness]:
    """Of the likeliest maximum of each of some laws."""
    found = {}
    for number in numbers:
        m = int(np.argmax(np.where(modes.law == number, modes.log_weights, -np.inf)))
        means = law.means(modes.z[m : m + 1])
        edges, atoms = np.r_[0, means[0]], np.arange(len(means[0]) + 1)
        thickness = np.interp(measured.values, edges, atoms)
        step = np.interp(thickness, atoms[1:], np.diff(edges))
        own = (modes.scatter[m]) ** 2
        variances = (measured.variances + own) / step**2
        found[int(number)] = find_smoothness(positions, thickness, variances)
    return found


def _alone(
    measured: Measured, law: Law, z: Float[np.ndarray, "s r"], scatter: Float[np.ndarray, " s"]
) -> Iterator[Propagated]:
    """Counts given each law, columns being independent."""
    means = law.means(z)
    for s in range(len(z)):
        parts, _, evidence = measured.shares(means[s : s + 1], scatter[s : s + 1])
        counts = np.arange(1, parts.shape[2] + 1)
        own = parts[0] @ counts**2 - (parts[0] @ counts) ** 2
        yield Propagated(parts[0], float(evidence[0]), float(own.sum()))


def _together(
    measured: Measured,
    law: Law,
    modes: Modes,
    z: Float[np.ndarray, "s r"],
    mode: Int[np.ndarray, " s"],
    positions: Float[np.ndarray, "n 2"],
    smooth: dict[int, Smoothness],
) -> Iterator[Propagated]:
    """Counts given each law, with neighbours: groups of columns, and the covariances of their counts.

    Samples of a law are alike: each begins with what columns said to each other in the one before.
    """
    means, before = law.means(z), -1
    members = list(groups(positions))
    spoken: list[Spoken | None] = []
    for s, m in enumerate(mode.tolist()):
        number = int(modes.law[m])
        if number != before:
            before, spoken = number, [None] * len(members)
            covariances = [smooth[number].covariance(positions[own]) for own in members]
        logs = measured.log_likelihood(means[s : s + 1], modes.scatter[m : m + 1])[0][0]
        likely = (logs > logs.max(axis=1, keepdims=True) - _NO_COUNT).any(axis=0)
        logs = logs[:, : 1 + int(np.flatnonzero(likely)[-1])]
        probabilities, evidence, variance = np.zeros_like(logs), 0.0, 0.0
        for g, (own, covariance) in enumerate(zip(members, covariances, strict=True)):
            found, spoken[g] = propagate_counts(covariance, logs[own], spoken[g])
            probabilities[own] = found.probabilities
            evidence += found.log_evidence
            variance += found.total_variance
        yield Propagated(probabilities, evidence, variance)
