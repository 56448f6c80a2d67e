"""A small image of planted columns, and what is found of them, for the tests of what is shown."""

from functools import cache

import numpy as np

import atomfit
from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.results.columns import ColumnsResult
from atomfit.structure.grid import DensityMap, Grid

PIXEL, WIDTH, GAIN = 0.15, 0.45, 0.01
GRID = Grid((112, 88), np.full(2, PIXEL), np.array([2.0, -1.0]))


def places() -> np.ndarray:
    """Five columns in a row, four beneath it, and one apart: without any symmetry."""
    rows = [(3.0 + 2.3 * i, 3.2) for i in range(5)] + [(3.6 + 2.3 * i, 6.0) for i in range(4)]
    return GRID.origin + np.array([*rows, (8.5, 12.0)])


@cache
def image() -> DensityMap:
    """Poisson counts of columns over a support."""
    sizes = np.linspace(0.4, 1.0, len(places()))
    clean = drawn(GRID, columns_of(places(), sizes, WIDTH)) + 0.08
    return DensityMap((GAIN * np.random.default_rng(3).poisson(clean / GAIN)).astype(np.float32), GRID)


@cache
def found() -> ColumnsResult:
    """What `columns` finds in it."""
    return atomfit.columns(image(), "Pt")
