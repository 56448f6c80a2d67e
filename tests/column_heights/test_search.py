"""A search that is interrupted: what it has found is not lost."""

from typing import Any

import numpy as np
import pytest

from atomfit.column_heights import search
from atomfit.column_heights.pairwise import Pairwise
from atomfit.column_heights.rounds import Round
from atomfit.column_heights.sampling import Sampled
from atomfit.column_heights.search import solve
from column_heights.planted import planted


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_an_interrupted_search_ends_with_the_likeliest_round(
    monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    it = planted(defocus=5.0, dose=1e3, seed=3, turn=20.0)
    values = iter([5.0, 9.0, 7.0])
    heights = it.truth.heights[it.problem.heavy].astype(int)
    levels = np.stack([heights, np.maximum(heights - 1, 0)], axis=1).astype(float)

    def expanded(problem: Any, state: Any, *rest: Any) -> Round:
        value = next(values, None)
        if value is None or len(made) == rounds:
            raise KeyboardInterrupt
        n = len(levels)
        none = (
            np.zeros((n, 2)),
            np.zeros((2 * n, 2 * n)),
            (np.eye(1), True),
            np.zeros(1),
            np.zeros((1, 2 * n)),
        )
        sampled = Sampled(np.tile([0.9, 0.1], (n, 1)), np.zeros((1, n), int), np.ones(3))
        made.append(value)
        return Round(state, levels, Pairwise(*none), sampled, 1.5, value)

    made: list[float] = []
    monkeypatch.setattr(search, "expanded", expanded)
    monkeypatch.setattr(search, "moved_on", lambda problem, found, enough: found.state)
    said = np.eye(it.problem.most + 1)[heights]
    if rounds == 0:
        with pytest.raises(KeyboardInterrupt):
            solve(it.problem, [it.truth], said, 0, lambda number, value: None)
        return
    found = solve(it.problem, [it.truth], said, 0, lambda number, value: None)
    assert found.interrupted
    assert not found.settled
    assert found.last.value == max(made)
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), heights)
