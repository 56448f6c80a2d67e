"""Atoms of columns through a movie: cross-sections at each time in, probabilities of counts out.

A column has k atoms, none among them, and from frame to frame gains one, loses one, or comes to have any
other number, each with a probability that all columns share: a hidden Markov chain (Rabiner 1989; of
columns of atoms De wael et al., Physical Review Letters 124, 106105 (2020)). What is measured of k atoms is

    y ~ N(μ_k + o, esd² + b (μ_k - y₀)),

with μ a law of what k atoms scatter (`statistics.counting`, with a library or without; μ_0 = 0), b the
slope of variances against brightness, y₀ where esd was told, and o an offset that a column has for itself
in all frames: columns scatter among themselves, and no number of frames makes that less. A few frames are
off by as much as an atom.

Probabilities of gains and losses are the likeliest ones (Baum & Welch), with half an event more than were
seen, if that makes the movie so much likelier that it is no chance: else a change costs the logarithm of 2
n t, in n columns and t frames, as in a movie in which nothing happens. Counts are averaged over offsets,
and over laws that are equally likely: where the scale is open they say so. Whole histories are drawn as
well (forward filtering, backward sampling), from which totals and events have their errors, which columns
share; and one is the likeliest of all (Viterbi).
"""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.count_laws import CountLaws

#: Points of an offset where frames hardly tell it (Gauss & Hermite, in standard deviations); where they do,
#: points as dense as they tell it, out to so many standard deviations, at most so many of them.
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_COARSE, _FARTHEST, _MOST_POINTS = 0.9, 3.0, 25
#: Standard deviation of a frame, in distances of points, at least.
_SEEN_APART = 0.6
#: Part of frames that are odd, and what they are off by (atoms).
_ODD, _ODD_WIDTH = 0.01, 1.0
#: A variance is no smaller than this part of what was told.
_LEAST = 0.25
#: Where rates are begun, when they have settled, and rounds at most.
_BEGIN, _SETTLED, _ROUNDS = 0.02, 0.1, 10
#: The most a rate can be; and how much likelier it has to be that something happens than that nothing does
#: (logarithm): three is what two rates that mean nothing give by chance, once in twenty times.
_MOST, _MEANS = 0.3, 3.0
#: How many laws stand for all that are possible, and histories that are drawn with each.
LAWS, _DRAWN = 12, 8
#: Numbers of an array at once.
_TOGETHER = 6_000_000


@final
@dataclass(frozen=True, eq=False)
class LikelyLaws:
    """Laws that are equally likely.

    **Fields:**

    - `means`: mean cross-sections of columns of 1 to k atoms (Å²).
    - `scatter`: of columns among themselves (Å²).
    """

    means: Float[np.ndarray, "s k"]
    scatter: Float[np.ndarray, " s"]

    @classmethod
    def of(cls, laws: CountLaws, number: int = LAWS) -> "LikelyLaws":
        """So many of all that explain some cross-sections, from small scales to large."""
        order = np.argsort(laws.means[:, 0], kind="stable")
        by_scale = replace(
            laws, weights=laws.weights[order], means=laws.means[order], scatter=laws.scatter[order]
        )
        which = by_scale.chosen(number)
        return cls(laws.unit * by_scale.means[which], laws.unit * by_scale.scatter[which])


@final
@dataclass(frozen=True)
class Rates:
    """Probabilities of changes from one frame to the next, of a column.

    **Fields:**

    - `gain`, `loss`: of an atom.
    - `other`: of any other change.
    """

    gain: float
    loss: float
    other: float

    def matrix(self, states: int) -> Float[np.ndarray, "k k"]:
        """From each state (row) to each."""
        found = np.full((states, states), self.other / max(states - 1, 1))
        index = np.arange(states - 1)
        found[index, index + 1] += self.gain
        found[index + 1, index] += self.loss
        np.fill_diagonal(found, 0.0)
        np.fill_diagonal(found, 1 - found.sum(axis=1))
        return found


@final
@dataclass(frozen=True, eq=False)
class MeasuredHistory:
    """Cross-sections of n columns in t frames (Å², or whatever the law is in).

    **Fields:**

    - `values`, `variances`: what each frame told; infinite variances where nothing.
    - `expected`: for which cross-sections variances were told.
    - `slope`: by what the variance grows with the cross-section.
    """

    values: Float[np.ndarray, "t n"]
    variances: Float[np.ndarray, "t n"]
    expected: Float[np.ndarray, "t n"]
    slope: float = 0.0

    def offsets(
        self, scatter: float
    ) -> tuple[Float[np.ndarray, " o"], Float[np.ndarray, " o"], "MeasuredHistory"]:
        """Points of the columns' offsets and their weights, and what frames tell on these.

        **Arguments:**

        - `scatter`: standard deviation of the offsets.
        """
        told = self.variances[np.isfinite(self.variances)]
        error = float(np.quantile(told, 0.1)) ** 0.5 if len(told) else np.inf
        if error > _COARSE * scatter:
            return scatter * _POINTS, _WEIGHTS / _WEIGHTS.sum(), self
        number = min(int(np.ceil(2 * _FARTHEST * scatter / error)) | 1, _MOST_POINTS)
        points = np.linspace(-_FARTHEST, _FARTHEST, number)
        weights = np.exp(-0.5 * points**2)
        least = (_SEEN_APART * scatter * float(points[1] - points[0])) ** 2
        seen = replace(self, variances=np.maximum(self.variances, least))
        return scatter * points, weights / weights.sum(), seen

    def likelihoods(
        self, means: Float[np.ndarray, " k"], offsets: Float[np.ndarray, " o"], step: float, which: slice
    ) -> Float[np.ndarray, "t n o k"]:
        """Of each count, up to a factor for each column and frame."""
        values, variances = (x[:, which, None, None] for x in (self.values, self.variances))
        told = np.isfinite(variances)
        grown = self.slope * (means - self.expected[:, which, None, None])
        spread = np.maximum(np.where(told, variances, 1.0) + grown, _LEAST * np.where(told, variances, 1.0))
        shifted = np.where(means > 0, means + offsets[:, None], 0.0)
        square = (np.where(told, values, 0.0) - shifted) ** 2
        wide = spread + (_ODD_WIDTH * step) ** 2
        logs = -0.5 * (square / spread + np.log(spread))
        top = logs.max(axis=(2, 3), keepdims=True)
        odd = _ODD * np.exp(-0.5 * (square / wide + np.log(wide)) - top)
        found = (1 - _ODD) * np.exp(logs - top) + odd
        return np.where(told, found, 1.0)


@final
@dataclass(frozen=True, eq=False)
class CountHistory:
    """Atoms of n columns in t frames.

    **Fields:**

    - `probabilities`: of 0, 1, ..., k atoms.
    - `gained`, `lost`: probability that a column has more, or fewer, atoms than in the frame before.
    - `rates`, `rate_esds`: of changes, and standard uncertainties of theirs.
    - `histories`: drawn ones.
    - `likeliest`: the likeliest of all.
    - `law`: mean cross-sections of 1, ..., k atoms, averaged.
    """

    probabilities: Float[np.ndarray, "t n k"]
    gained: Float[np.ndarray, "s n"]
    lost: Float[np.ndarray, "s n"]
    rates: Rates
    rate_esds: Rates
    histories: Int[np.ndarray, "m t n"]
    likeliest: Int[np.ndarray, "t n"]
    law: Float[np.ndarray, " l"]

    @property
    def most_likely(self) -> Int[np.ndarray, "t n"]:
        """The likeliest count of each column in each frame."""
        return np.argmax(self.probabilities, axis=2)

    @property
    def present(self) -> Float[np.ndarray, "t n"]:
        """Probability that there is a column."""
        return 1 - self.probabilities[:, :, 0]

    @property
    def mean(self) -> Float[np.ndarray, "t n"]:
        """Expected counts."""
        return self.probabilities @ np.arange(self.probabilities.shape[2], dtype=np.float64)

    @property
    def totals(self) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
        """Expected sum of counts in each frame, and its standard uncertainty."""
        drawn = self.histories.sum(axis=2)
        return self.mean.sum(axis=1), drawn.std(axis=0)


def follow_counts(
    measured: MeasuredHistory, laws: LikelyLaws, near: Rates | None = None, seed: int = 0
) -> CountHistory:
    """Count the atoms of columns at each time.

    **Arguments:**

    - `measured`: their cross-sections.
    - `laws`: of what columns of k atoms scatter.
    - `near`: about what rates are, if that is known.
    - `seed`: of the histories that are drawn.
    """
    t, n = measured.values.shape
    finite = measured.values[np.isfinite(measured.variances)]
    largest = float(finite.max(initial=0.0))
    middle = laws.means[len(laws.means) // 2]
    states = 1 + min(laws.means.shape[1], int(np.sum(np.median(laws.means, axis=0) < 1.2 * largest)) + 2)
    rates, esds = _likeliest_rates(measured, middle[: states - 1], float(np.median(laws.scatter)), near)
    total = np.zeros((t, n, states))
    ups, downs = np.zeros((t - 1, n)), np.zeros((t - 1, n))
    rng, drawn = np.random.default_rng(seed), []
    for means, scatter in zip(laws.means, laws.scatter, strict=True):
        found = _one_law(measured, means[: states - 1], float(scatter), rates, rng)
        total += found.parts
        ups += found.gained
        downs += found.lost
        drawn.append(found.histories)
    s = len(laws.means)
    law = laws.means.mean(axis=0)[: states - 1]
    best = _viterbi(measured, middle[: states - 1], float(np.median(laws.scatter)), rates)
    return CountHistory(total / s, ups / s, downs / s, rates, esds, np.concatenate(drawn), best, law)


@final
@dataclass(frozen=True, eq=False)
class _Found:
    """What one law says: probabilities of counts, of changes, the numbers of these, evidence, histories."""

    parts: Float[np.ndarray, "t n k"]
    gained: Float[np.ndarray, "s n"]
    lost: Float[np.ndarray, "s n"]
    numbers: Float[np.ndarray, " 3"]
    evidence: float
    histories: Int[np.ndarray, "m t n"]


def _likeliest_rates(
    measured: MeasuredHistory, means: Float[np.ndarray, " k"], scatter: float, near: Rates | None
) -> tuple[Rates, Rates]:
    t, n = measured.values.shape
    steps = max((t - 1) * n, 1)

    def with_events(numbers: Float[np.ndarray, " 3"]) -> Rates:
        # Half an event more than were seen (Jeffreys).
        return Rates(*(float(x) for x in np.minimum((numbers + 0.5) / (steps + 1), _MOST)))

    none = np.zeros(3)
    rates, numbers, found = near or Rates(_BEGIN, _BEGIN, 0.1 * _BEGIN), none, None
    for _ in range(_ROUNDS if t > 1 else 0):
        found = _one_law(measured, means, scatter, rates, None)
        numbers, new = found.numbers, with_events(found.numbers)
        change = abs(np.log(new.gain / rates.gain)) + abs(np.log(new.loss / rates.loss))
        rates = new
        if change < _SETTLED:
            break
    if found is not None:
        still = _one_law(measured, means, scatter, with_events(none), None)
        if found.evidence < still.evidence + _MEANS:
            rates, numbers = with_events(none), none
    else:
        rates = with_events(none)
    return rates, Rates(*(float(x) for x in np.sqrt(numbers + 0.5) / (steps + 1)))


def _one_law(
    measured: MeasuredHistory,
    means: Float[np.ndarray, " k"],
    scatter: float,
    rates: Rates,
    rng: np.random.Generator | None,
) -> _Found:
    """With one law, for some columns after the other."""
    t, n = measured.values.shape
    means = np.concatenate([[0.0], means])
    step = float(np.diff(means).mean())
    offsets, weights, measured = measured.offsets(scatter)
    matrix = rates.matrix(len(means))
    many = max(1, _TOGETHER // (t * len(offsets) * len(means)))
    found = []
    for start in range(0, n, many):
        seen = measured.likelihoods(means, offsets, step, slice(start, start + many))
        found.append(_chains(seen, np.log(weights), matrix, rates, rng))
    parts, gained, lost = (np.concatenate([one[k] for one in found], axis=1) for k in range(3))
    numbers = np.sum([one[3] for one in found], axis=0)
    histories = np.concatenate([one[4] for one in found], axis=2)
    return _Found(parts, gained, lost, numbers[:3], float(numbers[3]), histories)


def _chains(
    seen: Float[np.ndarray, "t n o k"],
    log_weights: Float[np.ndarray, " o"],
    matrix: Float[np.ndarray, "k k"],
    rates: Rates,
    rng: np.random.Generator | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Forward and backward through chains: probabilities, changes, numbers and evidence, and histories."""
    t, n, _, k = seen.shape
    before, evidence = np.empty(seen.shape), np.zeros(seen.shape[1:3]) + log_weights
    state = np.full(seen.shape[1:], 1 / k)
    for i in range(t):
        state = seen[i] * (state @ matrix if i else state)
        size = state.sum(axis=2, keepdims=True)
        state = state / size
        evidence += np.log(size[..., 0])
        before[i] = state
    top = evidence.max(axis=1, keepdims=True)
    offsets = np.exp(evidence - top)
    likelihood = float(np.sum(top[:, 0] + np.log(offsets.sum(axis=1))))
    offsets /= offsets.sum(axis=1, keepdims=True)
    parts, gained, lost = np.empty((t, n, k)), np.zeros((t - 1, n)), np.zeros((t - 1, n))
    numbers = np.zeros(3)
    after = np.ones(seen.shape[1:])
    parts[-1] = np.einsum("nok,no->nk", before[-1], offsets)
    upper, lower = np.triu(matrix, 1), np.tril(matrix, -1)
    index = np.arange(k - 1)
    one_up, one_down = matrix[index, index + 1], matrix[index + 1, index]
    for i in range(t - 2, -1, -1):
        ahead = seen[i + 1] * after
        after = ahead @ matrix.T
        whole = before[i] * after
        size = whole.sum(axis=2, keepdims=True)
        parts[i] = np.einsum("nok,no->nk", whole / size, offsets)
        weight = offsets / size[..., 0]
        up = np.einsum("nok,nok->no", before[i] @ upper, ahead) * weight
        down = np.einsum("nok,nok->no", before[i] @ lower, ahead) * weight
        gained[i], lost[i] = up.sum(axis=1), down.sum(axis=1)
        single = np.einsum("nok,nok->no", before[i][..., :-1] * one_up, ahead[..., 1:]) * weight
        numbers[0] += single.sum()
        single_down = np.einsum("nok,nok->no", before[i][..., 1:] * one_down, ahead[..., :-1]) * weight
        numbers[1] += single_down.sum()
        numbers[2] += up.sum() + down.sum() - single.sum() - single_down.sum()
        after = after / after.max(axis=2, keepdims=True)
    if rng is None:
        return parts, gained, lost, np.r_[numbers, likelihood], np.empty((0, t, n), np.int16)
    return parts, gained, lost, np.r_[numbers, likelihood], _drawn(before, offsets, matrix, rng)


def _drawn(
    before: Float[np.ndarray, "t n o k"],
    offsets: Float[np.ndarray, "n o"],
    matrix: Float[np.ndarray, "k k"],
    rng: np.random.Generator,
) -> Int[np.ndarray, "m t n"]:
    """Histories, backwards."""
    t, n, _, _ = before.shape
    columns = np.arange(n)
    chosen = np.argmax(np.cumsum(offsets, axis=1) > rng.random((_DRAWN, n, 1)), axis=2)
    found = np.empty((_DRAWN, t, n), np.int16)
    for i in range(t - 1, -1, -1):
        parts = before[i][columns, chosen]
        if i < t - 1:
            parts = parts * matrix.T[found[:, i + 1]]
        total = np.cumsum(parts, axis=2)
        found[:, i] = np.argmax(total > rng.random((_DRAWN, n, 1)) * total[..., -1:], axis=2)
    return found


def _viterbi(
    measured: MeasuredHistory, means: Float[np.ndarray, " k"], scatter: float, rates: Rates
) -> Int[np.ndarray, "t n"]:
    """The likeliest history of each column, and its likeliest offset."""
    t, n = measured.values.shape
    means = np.concatenate([[0.0], means])
    step, moves = float(np.diff(means).mean()), np.log(np.maximum(rates.matrix(len(means)), 1e-300))
    offsets, weights, measured = measured.offsets(scatter)
    weights = np.log(weights)
    found = np.empty((t, n), int)
    many = max(1, _TOGETHER // (t * len(offsets) * len(means)))
    for start in range(0, n, many):
        seen = measured.likelihoods(means, offsets, step, slice(start, start + many))
        logs = np.log(np.maximum(seen, 1e-300))
        ways = [_best_path(logs[:, :, o], moves) for o in range(len(offsets))]
        scores = np.stack([score for _, score in ways]) + weights[:, None]
        best = np.argmax(scores, axis=0)
        paths = np.stack([path for path, _ in ways])
        found[:, start : start + many] = paths[best, :, np.arange(seen.shape[1])].T
    return found


def _best_path(
    logs: Float[np.ndarray, "t n k"], moves: Float[np.ndarray, "k k"]
) -> tuple[Int[np.ndarray, "t n"], Float[np.ndarray, " n"]]:
    """The likeliest path through states, and the logarithm of its likelihood."""
    t, n, _ = logs.shape
    score, back = logs[0], np.empty(logs.shape, np.int16)
    for i in range(1, t):
        whole = score[:, :, None] + moves
        back[i] = np.argmax(whole, axis=1)
        score = np.max(whole, axis=1) + logs[i]
    path = np.empty((t, n), int)
    path[-1] = np.argmax(score, axis=1)
    for i in range(t - 1, 0, -1):
        path[i - 1] = back[i][np.arange(n), path[i]]
    return path, score.max(axis=1)
