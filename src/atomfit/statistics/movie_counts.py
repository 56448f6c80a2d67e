"""Cross-sections of columns in all frames in; which law they follow, and their history, out.

What k atoms scatter is found once for the movie (`statistics.counting`), from a mean cross-section of each
column: of the frames in which it has the count that it has most often, as a mean of several counts would be
that of none. Which frames these are follows from the history, and that from the law: it is done twice.

Where atoms are not counted a column is there or is not: its history has two states, and its cross-section
when it is there is its own, which may change by a part of itself without being gone.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.count_history import LAWS, CountHistory, LikelyLaws, MeasuredHistory, follow_counts
from atomfit.statistics.count_law import Library
from atomfit.statistics.counting import Counts, count_atoms
from atomfit.support.errors import InputError

#: How often law and history are found.
_TWICE = 2
#: By how much a column that is not counted may differ from itself.
_OWN_SCATTER = 0.3
#: Columns that are there in fewer frames, as a part, tell nothing of the law.
_OFTEN = 0.3


@final
@dataclass(frozen=True, eq=False)
class MovieCounts:
    """What is known of the atoms of columns.

    **Fields:**

    - `history`: counts, or whether columns are there (0 or 1).
    - `counts`: by which law; None if they were not counted, and `uncounted` says why.
    - `expected`: cross-sections that follow from the history, in the units of those given.
    """

    history: CountHistory
    counts: Counts | None
    uncounted: str
    expected: Float[np.ndarray, "t n"]


def count_movie(
    values: Float[np.ndarray, "t n"],
    variances: Float[np.ndarray, "t n"],
    expected: Float[np.ndarray, "t n"],
    law: tuple[Library | None, str],
    positions: Float[np.ndarray, "n 2"],
    steady: Bool[np.ndarray, " n"],
    quick: bool = False,
) -> MovieCounts:
    """Count the atoms of columns in all frames.

    **Arguments:**

    - `values`, `variances`: cross-sections of each frame (Å²), and theirs; infinite where it tells nothing.
    - `expected`: for which cross-sections variances were told.
    - `law`: a library, if there is one, and why columns are not counted, if they are not.
    - `positions`: of the columns (Å).
    - `steady`: columns that were found in the mean of all frames.
    - `quick`: whether one law is enough, as where only what to expect is asked for.
    """
    library, uncounted = law
    slope = _slope(variances, expected)
    if not uncounted:
        try:
            measured = MeasuredHistory(values, variances, expected, slope)
            return _counted(measured, library, positions, steady, quick)
        except InputError as error:
            uncounted = error.problem
    return _present(values, variances, expected, slope, uncounted)


def _counted(
    measured: MeasuredHistory,
    library: Library | None,
    positions: Float[np.ndarray, "n 2"],
    steady: Bool[np.ndarray, " n"],
    quick: bool,
) -> MovieCounts:
    weights = np.where(np.isfinite(measured.variances), 1 / measured.variances, 0.0)
    mine = np.ones(measured.values.shape, bool)
    counts, history = None, None
    for number in range(_TWICE):
        used = weights * mine
        told = used.sum(axis=0)
        mean = np.sum(used * np.nan_to_num(measured.values), axis=0) / np.where(told > 0, told, 1.0)
        some = steady & (told > 0) & (mean > 0)
        if history is not None:
            some &= history.present.mean(axis=0) > _OFTEN
        counts = count_atoms(
            mean[some], told[some] ** -0.5, library=library, positions=np.ascontiguousarray(positions[some])
        )
        few = quick or number < _TWICE - 1
        laws = LikelyLaws.of(counts.laws, 1 if few else LAWS)
        history = follow_counts(measured, laws, history.rates if history is not None else None)
        often = _most_often(history)
        mine = (history.most_likely == often) & (often > 0)
    assert history is not None
    law = np.concatenate([[0.0], history.law])
    expected = history.probabilities @ law
    return MovieCounts(history, counts, "", expected * _ratio(measured, weights, expected))


def _most_often(history: CountHistory) -> np.ndarray:
    """The count that each column has most often, but none."""
    return 1 + np.argmax(history.probabilities[:, :, 1:].sum(axis=0), axis=1)


def _ratio(
    measured: MeasuredHistory, weights: Float[np.ndarray, "t n"], expected: Float[np.ndarray, "t n"]
) -> Float[np.ndarray, " n"]:
    """By which each column is brighter than its counts."""
    power = np.sum(weights * expected**2, axis=0)
    product = np.sum(weights * expected * np.nan_to_num(measured.values), axis=0)
    return np.clip(np.where(power > 0, product / np.where(power > 0, power, 1.0), 1.0), 0.8, 1.25)


def _present(
    values: Float[np.ndarray, "t n"],
    variances: Float[np.ndarray, "t n"],
    expected: Float[np.ndarray, "t n"],
    slope: float,
    uncounted: str,
) -> MovieCounts:
    """Whether columns are there."""
    told = np.isfinite(variances)
    weights = np.where(told, 1 / np.where(told, variances, 1.0), 0.0)
    there = np.ones(values.shape, bool)
    laws = LikelyLaws(np.ones((1, 1)), np.array([_OWN_SCATTER]))
    history, own = None, np.ones(values.shape[1])
    for _ in range(_TWICE + 1):
        used = weights * there
        total = used.sum(axis=0)
        mean = np.sum(used * np.nan_to_num(values), axis=0) / np.where(total > 0, total, 1.0)
        own = np.maximum(np.where(total > 0, mean, own), 1e-12)
        scaled = MeasuredHistory(values / own, variances / own**2, expected / own, slope)
        history = follow_counts(scaled, laws)
        there = history.present > 0.5
    assert history is not None
    return MovieCounts(history, None, uncounted, history.present * own)


def _slope(variances: Float[np.ndarray, "t n"], expected: Float[np.ndarray, "t n"]) -> float:
    """By what variances grow with cross-sections."""
    told = np.isfinite(variances)
    v, y = variances[told], expected[told]
    if len(y) < 3 or not np.ptp(y) > 0:
        return 0.0
    low, high = np.quantile(v, [0.02, 0.98])
    kept = (v >= low) & (v <= high)
    apart = y[kept] - y[kept].mean()
    spread = float(np.sum(apart**2))
    return max(float(np.sum(apart * v[kept])) / spread, 0.0) if spread > 0 else 0.0
