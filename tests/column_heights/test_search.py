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


@pytest.mark.parametrize(
    ("below", "part"), [(5.0, 1 / (1 + np.exp(0.5))), (29.0, 1 / (1 + np.exp(2.9))), (31.0, 0)]
)
def test_what_is_nearly_as_likely_has_its_part(
    monkeypatch: pytest.MonkeyPatch, below: float, part: float
) -> None:
    it = planted(defocus=5.0, dose=1e3, seed=3, turn=20.0)
    heights = np.clip(it.truth.heights[it.problem.heavy], 1, 9).astype(int)
    n = len(heights)
    first, other = (search.with_heights(it.problem, it.truth, heights + off) for off in (0.0, 1.0))
    none = (np.zeros((n, 1)), np.zeros((n, n)), (np.eye(1), True), np.zeros(1), np.zeros((1, n)))

    def expanded(problem: Any, state: Any, *rest: Any) -> Round:
        levels = state.heights[problem.heavy][:, None]
        sampled = Sampled(np.ones((n, 1)), np.zeros((3, n), int), np.ones(3))
        return Round(state, levels, Pairwise(*none), sampled, 1.0, 100.0 - below * (state is other))

    said = np.eye(it.problem.most + 1)[heights]
    monkeypatch.setattr(search, "expanded", expanded)
    monkeypatch.setattr(search, "moved_on", lambda problem, found, enough: None)
    monkeypatch.setattr(search.Search, "_shifted", lambda self, found: [(100 - below, (other, said))])
    found = solve(it.problem, [first], said, 0, lambda number, value: None)
    every = np.arange(n)
    np.testing.assert_allclose(found.probabilities[every, heights + 1], part, atol=1e-9)
    np.testing.assert_allclose(found.probabilities[every, heights], 1 - part, atol=1e-9)
    # All columns are one higher together, in as many draws.
    higher = found.draws - heights
    assert np.all(higher == higher[:, :1])
    assert higher[:, 0].mean() == pytest.approx(part, abs=0.5 / len(higher))
    assert found.settled
