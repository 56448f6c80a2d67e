"""Sets of counts that hold the true one with a probability that was asked for.

A set is the shortest run of whole numbers that has at least that probability; of equally short ones it
is the likeliest. Counts are discrete, so most sets hold more than was asked for: where a count is
nearly sure, the set of 68 % is this count alone and holds 99 %. What a set does hold is therefore given
beside it, and this, averaged over columns, is what the part of columns whose count is in their set is
to be held against.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int


@final
@dataclass(frozen=True, eq=False)
class CredibleSets:
    """Of n columns.

    **Fields:**

    - `level`: the probability that was asked for.
    - `low`, `high`: the first and the last count of each set.
    - `held`: the probability that each has.
    """

    level: float
    low: Int[np.ndarray, " n"]
    high: Int[np.ndarray, " n"]
    held: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, probabilities: Float[np.ndarray, "n k"], level: float) -> "CredibleSets":
        """Of the probabilities of counts from 1."""
        n, k = probabilities.shape
        ends = np.concatenate([np.zeros((n, 1)), np.cumsum(probabilities, axis=1)], axis=1)
        low, high, held = np.ones(n, int), np.full(n, k), ends[:, -1].copy()
        waiting = np.ones(n, bool)
        for length in range(1, k + 1):
            runs = ends[:, length:] - ends[:, :-length]
            first = np.argmax(runs, axis=1)
            most = runs[np.arange(n), first]
            done = waiting & (most >= level)
            low[done], high[done], held[done] = first[done] + 1, first[done] + length, most[done]
            waiting &= ~done
        return cls(level, low, high, np.minimum(held, 1.0))
