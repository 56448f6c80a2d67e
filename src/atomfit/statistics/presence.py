"""Is an atom gone, or was it missed? Whether each was there at each time, with a probability.

An atom that is not found in a model is gone, or was missed; one that is found is there, or is false. One
model does not tell. Over many models misses and false atoms come and go by chance, while atoms that are
lost stay away: a hidden Markov model of two states (Rabiner 1989), whose four rates (lost and gained in a
step, missed, false) are found from all atoms together by expectation-maximisation. Each rate begins as if
one of a hundred had been seen, without which two models would say nothing at all: there, an atom that is
not found may be lost or missed, and its probability says so.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.structure.tracked import Event

_ROUNDS = 200
#: Rates before anything was seen, and of how many observations.
_RATE, _OBSERVATIONS = 0.01, 100.0
#: Events that are less probable are not told.
_TOLD = 0.05
#: Changes of rates that are none.
_SETTLED = 1e-8


@dataclass(frozen=True)
class Rates:
    """Probabilities of what happens.

    **Fields:**

    - `lost`, `gained`: that an atom goes, or comes, from one model to the next.
    - `missed`: that one that is there is not found.
    - `false`: that one is found that is not there.
    - `first`: that an atom is there in the first model.
    """

    lost: float = _RATE
    gained: float = _RATE
    missed: float = _RATE
    false: float = _RATE
    first: float = 0.5


@dataclass(frozen=True, eq=False)
class Presence:
    """Whether atoms were there.

    **Fields:**

    - `probability`: that each atom was there at each time.
    - `rates`: by which that is so.
    """

    probability: Float[np.ndarray, "t n"]
    rates: Rates


def presence(found: Bool[np.ndarray, "t n"]) -> Presence:
    """Whether atoms were there, from where they were found.

    **Arguments:**

    - `found`: whether each atom was found at each time; each at one at least.

        >>> seen = np.ones((9, 60), bool)
        >>> seen[4, 3], seen[5:, 7] = False, False
        >>> p = presence(seen).probability
        >>> bool(p[4, 3] > 0.9), bool(p[8, 7] < 0.1)
        (True, True)
    """
    rates = Rates()
    if not found.size:
        return Presence(np.zeros(found.shape), rates)
    for _ in range(_ROUNDS):
        there, steps = _smoothed(found, rates)
        better = _better(found, there, steps)
        change = max(abs(getattr(better, name) - getattr(rates, name)) for name in vars(rates))
        rates = better
        if change < _SETTLED:
            break
    return Presence(_smoothed(found, rates)[0], rates)


def _smoothed(
    found: Bool[np.ndarray, "t n"], rates: Rates
) -> tuple[Float[np.ndarray, "t n"], Float[np.ndarray, "2 2"]]:
    """Probability of being there at each time, and expected numbers of steps between states."""
    t, n = found.shape
    likely = np.stack(
        [np.where(found, rates.false, 1 - rates.false), np.where(found, 1 - rates.missed, rates.missed)]
    )
    step = np.array([[1 - rates.gained, rates.gained], [rates.lost, 1 - rates.lost]])
    forward, backward = np.zeros((t, 2, n)), np.ones((t, 2, n))
    forward[0] = np.array([1 - rates.first, rates.first])[:, None] * likely[:, 0]
    forward[0] /= forward[0].sum(axis=0)
    for k in range(1, t):
        forward[k] = (step.T @ forward[k - 1]) * likely[:, k]
        forward[k] /= forward[k].sum(axis=0)
    for k in range(t - 2, -1, -1):
        backward[k] = step @ (backward[k + 1] * likely[:, k + 1])
        backward[k] /= backward[k].sum(axis=0)
    both = forward * backward
    steps = np.zeros((2, 2))
    for k in range(t - 1):
        pairs = forward[k][:, None] * step[:, :, None] * (backward[k + 1] * likely[:, k + 1])[None]
        steps += (pairs / pairs.sum(axis=(0, 1))).sum(axis=2)
    return both[:, 1] / both.sum(axis=1), steps


def _better(
    found: Bool[np.ndarray, "t n"], there: Float[np.ndarray, "t n"], steps: Float[np.ndarray, "2 2"]
) -> Rates:
    """Rates from what is expected to have happened."""

    def rate(times: float, of: float) -> float:
        return float((times + _RATE * _OBSERVATIONS) / (of + _OBSERVATIONS))

    first = float(there[0].sum())
    return Rates(
        rate(steps[1, 0], steps[1].sum()),
        rate(steps[0, 1], steps[0].sum()),
        rate(there[~found].sum(), there.sum()),
        rate((1 - there)[found].sum(), (1 - there).sum()),
        (first + 0.5) / (there.shape[1] + 1.0),
    )


def events_of(
    moves: list[tuple[int, int]], there: Bool[np.ndarray, "t n"], known: Presence
) -> tuple[Event, ...]:
    """What happened, in the order of time; see `statistics.presence` for probabilities."""
    found = []
    p, last = known.probability, len(there) - 1
    for index in range(there.shape[1]):
        seen = np.flatnonzero(there[:, index])
        begin, end = int(seen[0]), int(seen[-1])
        came, went = p[begin, index] - p[0, index], p[end, index] - p[last, index]
        if begin > 0:
            found.append(Event("gained", index, begin, float(came)))
        for a, b in zip(seen[:-1].tolist(), seen[1:].tolist(), strict=True):
            if b > a + 1:
                gap = min(p[a, index], p[b, index]) - p[a + 1 : b, index].min()
                found.append(Event("lost", index, a + 1, float(gap), f"for {b - a - 1} models"))
                found.append(Event("returned", index, b, float(gap), f"after {b - a - 1} models"))
        if end < last:
            found.append(Event("lost", index, end + 1, float(went)))
    found = [event for event in found if event.probability >= _TOLD]
    found += [Event("moved", index, k, detail="to another site") for index, k in moves]
    return tuple(sorted(found, key=lambda event: (event.frame, event.kind, event.index)))
