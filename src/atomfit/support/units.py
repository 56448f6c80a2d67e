"""Units, and the few conversions between the words that fields use for one quantity.

Lengths are in Å, displacements U in Å², angles in degrees, spatial frequencies in 1/Å. A
displacement matrix U is the variance matrix of an atom's density (the paper's Σ), never its square
root. Crystallographers quote B = 8π² U, microscopists the full width at half maximum.
"""

import math
from typing import TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray)

EIGHT_PI_SQUARED = 8.0 * math.pi**2

#: Semi-axes of the ellipsoid that holds half of a 3D Gaussian, in standard deviations.
HALF_PROBABILITY_SCALE = 1.5381722545

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


#: Lengths that differ by a tenth, about, and by a whole number, so nearly.
_TENTH, _WHOLE = (0.085, 0.118), 0.04


def odd_unit(ratio: float) -> str:
    """What makes two lengths that should be equal differ by a ratio, as a rule; in words."""
    less, more = min(ratio, 1 / ratio), max(ratio, 1 / ratio)
    if _TENTH[0] < less < _TENTH[1]:
        return "nm taken for Å"
    if round(more) > 1 and abs(more / round(more) - 1) < _WHOLE:
        return f"the voxel size before or after binning by {round(more)}"
    return "a wrong voxel or pixel size"


def u_from_b(b: Number) -> Number:
    """Displacement U (Å²) of a crystallographic B factor (Å²).

    **Arguments:**

    - `b`: B factor, or an array of them (Å²).
    """
    return b / EIGHT_PI_SQUARED


def b_from_u(u: Number) -> Number:
    """Crystallographic B factor (Å²) of a displacement U (Å²).

    **Arguments:**

    - `u`: displacement, or an array of them (Å²).
    """
    return u * EIGHT_PI_SQUARED


def fwhm_from_u(u: float) -> float:
    """Full width at half maximum (Å) of a Gaussian of variance U (Å²).

    **Arguments:**

    - `u`: variance (Å²).

        >>> round(fwhm_from_u(0.25), 3)
        1.177
    """
    return _FWHM_PER_SIGMA * math.sqrt(u)
