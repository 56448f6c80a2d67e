"""Small specimens that the tests of this folder share."""

import numpy as np

from atomfit.waves import Field, SlicedAtoms, slice_atoms

FIELD = Field((48, 40), 0.2)


def columns(height: int = 4, element: str = "Ce", b: float = 0.5, absorption: float = 0.0) -> SlicedAtoms:
    """Three columns of an element, on no grid, and one of oxygen."""
    places = np.array([[2.03, 3.11], [4.96, 3.37], [3.48, 6.02], [5.71, 5.83]], np.float32)
    positions = np.tile(places, (height, 1))
    symbols = np.tile([element, element, element, "O"], height)
    heights = np.repeat(3.8 * (np.arange(height) + 0.5), 4)
    sliced = slice_atoms(heights, symbols, 3.8, height)
    factors = np.full(len(sliced.elements), b, np.float32)
    return SlicedAtoms(positions, np.ones(len(positions), np.float32), factors, absorption, sliced)
