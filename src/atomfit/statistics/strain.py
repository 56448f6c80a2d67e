"""Displacements from the ideal crystal, and strain, by a local fit around each atom.

The displacement of an atom is x - X, X being its site in the ideal crystal (`lattice.Lattice.ideal`).
Around each atom the displacements u_j of the grain's atoms are fitted by a linear field,

    u_j = u + G (X_j - X_i),    weighted by exp(-|X_j - X_i|² / 2w²),

and the strain is the symmetric part of G: no difference of neighbouring atoms is divided by a distance,
and noise of positions is averaged over the kernel, whose width w is that of one bond. Strain that changes
within a bond length is not seen. Radial strain is rᵀ ε r with r the direction from the particle's centre:
∂u_R/∂R of the paper.

An error follows from the scatter about the local fit, which holds noise and disorder alike. Where too few
atoms, or atoms on one side only, would make it larger than `strain_error` (`limits`), there is no strain.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.statistics.lattice import Lattice
from atomfit.statistics.limits import LIMITS

StrainReference = Literal["fitted", "bulk"]

#: Width of the kernel, in bond lengths, and where it ends, in widths.
KERNEL = 1.0
_REACH = 2.6
#: Determinant of the scaled normal matrix below which atoms lie in a plane.
_FLAT = 1e-4
#: Pooled scatter counts as so many residuals of an atom's own.
_POOLED = 30.0


@dataclass(frozen=True, eq=False)
class Strain:
    """Of n atoms; NaN where it is not known.

    **Fields:**

    - `displacements`: from the ideal crystal (Å).
    - `tensors`: strain (11, 22, 33, 12, 13, 23).
    - `errors`: standard uncertainties of these.
    - `radial`, `radial_errors`: along the direction from the particle's centre.
    - `reference`: whose crystal it is counted from.
    - `kernel`: width of the kernel (Å).
    - `constants`: a of the ideal crystal of each atom (Å).
    """

    displacements: Float[np.ndarray, "n 3"]
    tensors: Float[np.ndarray, "n 6"]
    errors: Float[np.ndarray, "n 6"]
    radial: Float[np.ndarray, " n"]
    radial_errors: Float[np.ndarray, " n"]
    reference: StrainReference
    kernel: float
    constants: Float[np.ndarray, " n"]

    def from_bulk(self, constant: float) -> "Strain":
        """The same counted from the crystal with the bulk's lattice constant (Å).

        Sites that are k times as far apart make (1 + ε) / k of 1 + ε. There are no displacements: far from
        the middle of a grain they would be those of its size.
        """
        ratio = self.constants / constant
        one = np.array([1.0, 1, 1, 0, 0, 0])
        return replace(
            self,
            displacements=np.full_like(self.displacements, np.nan),
            tensors=(one + self.tensors) * ratio[:, None] - one,
            errors=self.errors * ratio[:, None],
            radial=(1 + self.radial) * ratio - 1,
            radial_errors=self.radial_errors * ratio,
            reference="bulk",
        )


def measure_strain(
    positions: Float[np.ndarray, "n 3"],
    lattices: tuple[Lattice, ...],
    centre: Float[np.ndarray, " 3"],
) -> Strain:
    """Strain of all atoms that have a site in a lattice.

    **Arguments:**

    - `positions`: of all atoms (Å).
    - `lattices`: of the grains.
    - `centre`: of the particle (Å).
    """
    n, nothing = len(positions), np.nan
    displacements, tensors, errors = (np.full((n, k), nothing) for k in (3, 6, 6))
    radial, radial_errors, constants = (np.full(n, nothing) for _ in range(3))
    kernel = nothing
    for lattice in lattices:
        atoms, ideal = lattice.atoms, lattice.ideal()
        constants[atoms] = lattice.constant
        u = positions[atoms] - ideal
        displacements[atoms] = u
        kernel = KERNEL * lattice.crystal.bond_length * lattice.constant
        out = positions[atoms] - centre
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
        found = _local_fields(ideal, u, out, kernel)
        tensors[atoms], errors[atoms], radial[atoms], radial_errors[atoms] = found
    return Strain(displacements, tensors, errors, radial, radial_errors, "fitted", float(kernel), constants)


_ELEMENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def _local_fields(
    ideal: Float[np.ndarray, "m 3"],
    u: Float[np.ndarray, "m 3"],
    out: Float[np.ndarray, "m 3"],
    width: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Strain, its errors, and the same along given directions, from a linear field around each atom."""
    m = len(ideal)
    gradients, known = np.full((m, 3, 3), np.nan), np.full((m, 3, 3), np.nan)
    squares, freedom = np.zeros(m), np.zeros(m)
    for i, near in enumerate(cKDTree(ideal).query_ball_point(ideal, _REACH * width)):
        apart = ideal[near] - ideal[i]
        weights = np.exp(-np.sum(apart**2, axis=1) / (2 * width**2))
        design = np.column_stack([np.ones(len(near)), apart])
        normal = (weights[:, None] * design).T @ design
        scale = np.sqrt(np.diag(normal))
        if (
            len(near) < LIMITS.strain_atoms
            or scale.min() == 0
            or np.linalg.det(normal / np.outer(scale, scale)) < _FLAT
        ):
            continue
        inverse = np.linalg.inv(normal)
        gain = inverse @ (weights[:, None] * design).T
        fitted = gain @ u[near]
        gradients[i] = fitted[1:].T
        known[i] = (gain @ gain.T)[1:, 1:]
        rest = u[near] - design @ fitted
        squares[i] = float(np.sum(weights[:, None] * rest**2))
        # tr(W) - tr(W H), for each axis.
        freedom[i] = 3 * float(np.sum(weights) - np.trace(gain @ (weights[:, None] * design)))
    pooled = squares.sum() / max(freedom.sum(), 1e-9)
    # Few residuals say little of their own scatter.
    variances = (squares + _POOLED * pooled) / (freedom + _POOLED)
    known = known * variances[:, None, None]
    strain = (gradients + np.swapaxes(gradients, 1, 2)) / 2
    tensors = np.stack([strain[:, i, j] for i, j in _ELEMENTS], axis=1)
    # Rows of G are independent: of ½(G_ij + G_ji) each adds a quarter.
    errors = np.sqrt(
        np.stack(
            [known[:, i, i] if i == j else (known[:, i, i] + known[:, j, j]) / 4 for i, j in _ELEMENTS],
            axis=1,
        )
    )
    radial = np.einsum("mi,mij,mj->m", out, strain, out)
    radial_errors = np.sqrt(np.einsum("mi,mij,mj->m", out, known, out))
    bad = ~(errors.max(axis=1) < LIMITS.strain_error)
    tensors[bad], errors[bad], radial[bad], radial_errors[bad] = np.nan, np.nan, np.nan, np.nan
    return tensors, errors, radial, radial_errors
