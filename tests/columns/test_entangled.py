"""Faint columns in each other's place: which of them goes first."""

import numpy as np

from atomfit.fitting.column_fit import FittedColumns, columns_of
from atomfit.observation.spline import SplineBackground
from atomfit.selection.column_rounds import _not_entangled
from atomfit.structure.grid import Grid

GRID = Grid((40, 40), np.full(2, 0.25), np.zeros(2))


def columns(places, amplitudes):
    return FittedColumns(
        columns_of(np.array(places, float), np.array(amplitudes), 0.45),
        SplineBackground.over(GRID, 10.0, 0.0),
        np.ones(GRID.shape),
        np.ones(GRID.shape, bool),
        "fixed",
    )


def test_of_two_in_each_others_place_the_fainter_goes_first():
    state = columns([[2, 2], [2.9, 2], [6, 6], [8, 2]], [1.2, 0.1, 0.05, 1.0])
    faint = np.array([True, True, True, False])
    np.testing.assert_array_equal(_not_entangled(faint, state), [False, True, True, False])


def test_one_beside_a_column_that_is_sure_goes():
    state = columns([[2, 2], [2.9, 2]], [1.2, 0.1])
    np.testing.assert_array_equal(_not_entangled(np.array([False, True]), state), [False, True])


def test_of_a_chain_the_brightest_stays():
    state = columns([[2, 2], [3, 2], [4, 2]], [1.0, 0.5, 0.2])
    np.testing.assert_array_equal(_not_entangled(np.ones(3, bool), state), [False, True, True])
