"""Cells of plane lattices: the shortest vectors, the setting, the symmetry, lengths and angle with errors.

A lattice in the plane has endless pairs of vectors that span it. The two shortest are a cell whose angle
lies between 60° and 120° (Lagrange's and Gauss's reduction). Of such cells, and of those that symmetry
makes as good within the tolerance, the one is taken whose angle is not acute and whose first vector points
most along x.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Float

from atomfit.statistics.limits import LIMITS

Bravais = Literal["oblique", "rectangular", "centred rectangular", "square", "hexagonal"]


@dataclass(frozen=True, eq=False)
class PlaneCell:
    """Lengths and angle of a cell.

    **Fields:**

    - `lengths`, `lengths_esd`: a and b, and their standard uncertainties (Å).
    - `angle`, `angle_esd`: γ (degrees).
    """

    lengths: Float[np.ndarray, " 2"]
    lengths_esd: Float[np.ndarray, " 2"]
    angle: float
    angle_esd: float


def cell_of(basis: Float[np.ndarray, "... 2 2"], covariance: Float[np.ndarray, "... 4 4"]) -> np.ndarray:
    """a, b (Å) and γ (degrees) of cells, and their standard uncertainties: an array (..., 2, 3).

    **Arguments:**

    - `basis`: a and b as columns (Å).
    - `covariance`: of (a_x, a_y, b_x, b_y) (Å²).
    """
    a, b = basis[..., 0], basis[..., 1]
    lengths = np.linalg.norm(a, axis=-1), np.linalg.norm(b, axis=-1)
    area = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    angle = np.arctan2(np.abs(area), np.sum(a * b, axis=-1))
    zero = np.zeros_like(a)
    along = a / lengths[0][..., None], b / lengths[1][..., None]
    # An angle changes by what moves each axis across itself.
    hand = np.sign(area)[..., None]
    across = [np.stack([-v[..., 1], v[..., 0]], axis=-1) for v in along]
    turn = [hand * n / length[..., None] for n, length in zip(across, lengths, strict=True)]
    slopes = np.stack(
        [
            np.concatenate([along[0], zero], axis=-1),
            np.concatenate([zero, along[1]], axis=-1),
            np.degrees(np.concatenate([-turn[0], turn[1]], axis=-1)),
        ],
        axis=-2,
    )
    variances = np.einsum("...ki,...ij,...kj->...k", slopes, covariance, slopes)
    values = np.stack([*lengths, np.degrees(angle)], axis=-1)
    return np.stack([values, np.sqrt(np.maximum(variances, 0))], axis=-2)


def reduced(basis: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "2 2"]:
    """The cell of a lattice in the setting of this module's head (a and b as columns, right-handed; Å)."""
    a, b = basis.T
    while True:
        if a @ a > b @ b:
            a, b = b, a
        along = a @ b / (a @ a)
        # Of two vectors that are as short rounding would take each in turn.
        if abs(along) < 0.5 + 1e-9:
            break
        b = b - np.rint(along) * a
    vectors = [h * a + k * b for h, k in product((-1, 0, 1), repeat=2) if (h, k) != (0, 0)]
    shortest, area = np.linalg.norm(a) + np.linalg.norm(b), abs(a[0] * b[1] - a[1] * b[0])
    best, right = basis, -np.inf
    for u, v in product(vectors, repeat=2):
        lengths = np.linalg.norm(u), np.linalg.norm(v)
        if not np.isclose(u[0] * v[1] - u[1] * v[0], area, rtol=1e-6):
            continue
        short = sum(lengths) <= shortest * (1 + LIMITS.plane_metric / 2)
        blunt = u @ v <= np.sin(np.radians(LIMITS.plane_angle)) * lengths[0] * lengths[1]
        if short and blunt and u[0] / lengths[0] > right:
            best, right = np.column_stack([u, v]), float(u[0] / lengths[0])
    return best


def bravais(basis: Float[np.ndarray, "2 2"]) -> Bravais:
    """Which of the five plane lattices a reduced cell has, within `plane_metric` and `plane_angle`."""
    a, b = np.linalg.norm(basis, axis=0)
    angle = np.degrees(np.arccos(basis[:, 0] @ basis[:, 1] / (a * b)))
    equal = abs(a - b) < LIMITS.plane_metric * max(a, b)
    near = [abs(angle - wanted) < LIMITS.plane_angle for wanted in (90, 120)]
    if near[0]:
        return "square" if equal else "rectangular"
    if equal:
        return "hexagonal" if near[1] else "centred rectangular"
    overlap = abs(basis[:, 0] @ basis[:, 1]) / min(a, b) ** 2
    return "centred rectangular" if abs(overlap - 0.5) < LIMITS.plane_metric else "oblique"
