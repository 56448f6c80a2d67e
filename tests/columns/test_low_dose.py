"""Columns of few counts: most are found, hardly any other, and none in noise."""

import numpy as np

import atomfit
from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match

PIXEL, WIDTH, SIZE = 0.15, 0.5, 96
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.zeros(2))
#: Counts beneath a column, and of it: what is asked of noise without it has a score of 6.9.
BENEATH, OF_COLUMN = 27.0, 36.0


def test_most_columns_of_few_counts_are_found() -> None:
    index = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    places = index @ np.array([[2.5, 0.1], [0.2, 2.4]]) + 2.2
    clean = drawn(GRID, columns_of(places, np.full(25, OF_COLUMN * PIXEL**2), WIDTH))
    image = np.random.default_rng(1).poisson(clean + BENEATH * PIXEL**2 / np.pi)
    result = atomfit.columns(DensityMap(image.astype(np.float32), GRID), "Pt")
    pairs = match(np.asarray(result.positions), places, 0.6)
    assert len(pairs.known) >= 15
    assert pairs.false <= 1


def test_counts_without_columns_have_none() -> None:
    image = np.random.default_rng(2).poisson(BENEATH * PIXEL**2 / np.pi, (96, 96))
    result = atomfit.columns(image.astype(np.float32), pixel_size=PIXEL)
    assert len(result) == 0
    assert result.verdict.codes == ("no-columns",)
