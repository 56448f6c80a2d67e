"""Which heights the last samples are drawn from."""

import numpy as np

from atomfit.column_heights.rounds import within_reach


def test_far_heights_are_drawn_if_they_are_not_unlikely_alone() -> None:
    none = np.nan
    levels = np.array([[5, 4, 6, 0, 8, 2], [0, 1, 3, 7, none, none]], float)
    alone = np.array([[0, -20, 1, -4.5, -5.5, -30], [0, 9, 4, 2, 50, 50]], float)
    expected = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0]], bool)
    np.testing.assert_array_equal(within_reach(levels, alone), expected)


def test_the_state_is_always_drawn() -> None:
    levels = np.array([[3.0, 9.0, 0.0]])
    alone = np.array([[0.0, 40.0, 39.0]])
    assert within_reach(levels, alone).tolist() == [[True, True, True]]
    assert within_reach(levels, alone - np.array([0.0, 0.0, 50.0])).tolist() == [[True, True, False]]
