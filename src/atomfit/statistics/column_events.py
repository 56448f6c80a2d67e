"""Events of a movie: histories of counts in, when which column gained or lost atoms out, and how probable.

The likeliest history of each column says what may have happened. How probable each of these changes is, and
when it was, follows from histories that were drawn (`statistics.count_history`): the part of them in which
the column has more (or fewer) atoms at the end of a window than at its beginning. Windows reach halfway to
the changes before and after.

Changes are called as long as the expected part of false ones among them stays below the rate that is asked
for (the mean of 1 - p; Efron 2010). A loss and a gain in columns beside each other, at one time as far as
that is known, are a **hop**, unless so many columns gain atoms that it would be chance; other gains are
**adsorption**, other losses **dissolution**.
"""

from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from atomfit.statistics.count_history import CountHistory
from atomfit.statistics.registration import typical_spacing

EventKind = Literal["adsorption", "dissolution", "hop"]
KINDS: tuple[EventKind, ...] = ("adsorption", "dissolution", "hop")
#: Columns beside each other are not farther apart than this (distances of neighbours).
_BESIDE = 1.6
#: A loss and a gain that would meet by chance more often than this are no hop.
_CHANCE = 0.1
#: Changes less probable than this are not listed.
_LISTED = 0.05
#: Quantiles of the time.
_QUANTILES = (0.16, 0.5, 0.84)


@final
@dataclass(frozen=True)
class ColumnEvent:
    """A change of a column's count.

    **Fields:**

    - `kind`: what it was; of a hop there is one event, of the column that lost.
    - `column`: index of the column, and `partner`: of the one that an atom hopped to; -1 for none.
    - `frame`: the first one after it; `earliest` and `latest`: of 68 % of its probability.
    - `before`, `after`: atoms of the column.
    - `probability`: of it.
    - `called`: whether it is one of those that are called at the rate of false ones that was asked for.
    """

    kind: EventKind
    column: int
    frame: int
    earliest: int
    latest: int
    before: int
    after: int
    probability: float
    called: bool = False
    partner: int = -1

    @property
    def atoms(self) -> int:
        """How many were gained (lost if negative) by the column."""
        return self.after - self.before


def find_events(
    history: CountHistory, positions: Float[np.ndarray, "n 2"], fdr: float = 0.05
) -> tuple[ColumnEvent, ...]:
    """What happened, in the order of time.

    **Arguments:**

    - `history`: of the columns.
    - `positions`: theirs (Å).
    - `fdr`: part of the events called that may be false.
    """
    found = [event for i in range(history.likeliest.shape[1]) for event in _of_column(history, i)]
    order = sorted(range(len(found)), key=lambda k: -found[k].probability)
    doubt = np.array([1 - found[k].probability for k in order])
    mean = np.cumsum(doubt) / np.arange(1, len(doubt) + 1)
    last = int(np.max(np.flatnonzero(mean <= fdr), initial=-1))
    for k in order[: last + 1]:
        found[k] = replace(found[k], called=True)
    return tuple(sorted(_with_hops(found, positions, history), key=lambda e: (e.frame, e.column)))


def _of_column(history: CountHistory, i: int) -> list[ColumnEvent]:
    path, drawn = history.likeliest[:, i], history.histories[:, :, i].astype(int)
    times = np.flatnonzero(np.diff(path)) + 1
    found = []
    for k, time in enumerate(times.tolist()):
        begin = 0 if k == 0 else (int(times[k - 1]) + time) // 2
        end = len(path) - 1 if k == len(times) - 1 else (int(times[k + 1]) + time) // 2
        begin, end = min(begin, time - 1), max(end, time)
        sign = int(np.sign(path[time] - path[time - 1]))
        changed = sign * (drawn[:, end] - drawn[:, begin]) > 0
        probability = float(changed.mean())
        if probability < _LISTED:
            continue
        steps = sign * np.diff(drawn[changed][:, begin : end + 1], axis=1) > 0
        when = begin + 1 + np.argmax(steps, axis=1)
        low, middle, high = (int(x) for x in np.rint(np.quantile(when, _QUANTILES)))
        kind: EventKind = "adsorption" if sign > 0 else "dissolution"
        before, after = int(path[time - 1]), int(path[time])
        found.append(ColumnEvent(kind, i, middle, low, high, before, after, probability))
    return found


def _with_hops(
    found: list[ColumnEvent], positions: Float[np.ndarray, "n 2"], history: CountHistory
) -> list[ColumnEvent]:
    """With losses and gains beside each other as one."""
    called = [k for k, event in enumerate(found) if event.called]
    gains = [k for k in called if found[k].atoms > 0]
    losses = [k for k in called if found[k].atoms < 0]
    if not gains or not losses:
        return found
    near = cKDTree(positions).query_ball_point(positions, _BESIDE * typical_spacing(positions))
    frames, n = history.likeliest.shape
    rate = len(gains) / (n * max(frames - 1, 1))
    pairs = []
    for i in losses:
        for j in gains:
            one, other = found[i], found[j]
            if one.column == other.column or other.column not in near[one.column]:
                continue
            window = 1 + max(one.latest, other.latest) - min(one.earliest, other.earliest)
            apart = max(one.earliest - other.latest, other.earliest - one.latest, 0)
            chance = -np.expm1(-rate * (len(near[one.column]) - 1) * (window + 1))
            if apart <= 1 and chance < _CHANCE and one.atoms + other.atoms == 0:
                pairs.append((chance, i, j))
    gone: set[int] = set()
    hops = []
    for chance, i, j in sorted(pairs):
        if i in gone or j in gone:
            continue
        gone |= {i, j}
        one, other = found[i], found[j]
        both = one.probability * other.probability * (1 - float(chance))
        hops.append(replace(one, kind="hop", partner=other.column, probability=both))
    return [event for k, event in enumerate(found) if k not in gone] + hops


def expected_changes(history: CountHistory) -> dict[str, tuple[float, float]]:
    """How many atoms were gained and lost by all columns, and how many in all; with standard uncertainties.

    **Arguments:**

    - `history`: of the columns.
    """
    steps: Int[np.ndarray, "m s n"] = np.diff(history.histories.astype(int), axis=1)
    gained = np.maximum(steps, 0).sum(axis=(1, 2))
    lost = np.maximum(-steps, 0).sum(axis=(1, 2))
    each = {"gained": gained, "lost": lost, "net": gained - lost}
    return {name: (float(x.mean()), float(x.std())) for name, x in each.items()}
