"""Displacement, strain and rotation of every column of an image, with error bars.

Around each column a local lattice is fitted to the columns of its domain. With n_ij the vector to a
neighbour in a and b, counted along the bond itself, and one place o_q for each sublattice,

    x_j = o_q + L n_ij + error,    weighted by C_j⁻¹ exp(-|L n_ij|² / 2w²),

with C_j the covariance of the position and w the width of the kernel, the root of the cell's area. L has
the local a and b as columns, and F = L M⁻¹ is the deformation from the reference lattice M. Its rotation
is taken off (F = R U), and U - 1 is the strain: e_xx, e_yy, e_xy along the axes of the image.

L is a sum over columns, and so is a reference that is fitted to them. Errors follow from the covariances
of the positions through both, correlations included; no scatter is looked at, unless there are no
covariances. At a surface there are fewer neighbours, on one side: their error bars are larger, and are no
larger than that says, as a kernel that is one-sided is biased where strain changes within it.

The reference is the lattice of the domain, fitted to all its columns (`fitted`) or to those at least two
shells inside (`bulk`), or a given one, which is laid as the domain's lies. Composition changes the lattice
constant, and then strain from one reference says so: that is no stress.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import logm, polar
from scipy.spatial import cKDTree

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_cells import cell_of
from atomfit.statistics.plane_domains import PlaneDomains, known_covariances
from atomfit.statistics.plane_lattice import PlaneLattice, fit_plane_lattice
from atomfit.statistics.plane_sites import surroundings
from atomfit.support.errors import InputError

PlaneReference = Literal["fitted", "bulk", "given"]

#: Width of the kernel in roots of the cell's area, and where it ends, in widths.
_KERNEL, _REACH = 1.0, 2.6
#: Smallest eigenvalue of the scaled normal matrix below which columns lie on a line.
_FLAT = 1e-3


@dataclass(frozen=True, eq=False)
class PlaneStrain:
    """Of n columns; NaN where it is not known.

    **Fields:**

    - `displacements`, `displacement_covariances`: from the sites of the reference lattice (Å, Å²).
    - `tensors`, `errors`: e_xx, e_yy and e_xy, and their standard uncertainties.
    - `rotations`, `rotation_errors`: from the reference, from x to y (degrees).
    - `cells`, `cell_errors`: local a, b (Å) and γ (degrees).
    - `reference`: whose lattice it is counted from.
    - `references`: that lattice of each domain, a and b as columns (Å).
    - `kernel`: width of the kernel in each domain (Å).
    """

    displacements: Float[np.ndarray, "n 2"]
    displacement_covariances: Float[np.ndarray, "n 2 2"]
    tensors: Float[np.ndarray, "n 3"]
    errors: Float[np.ndarray, "n 3"]
    rotations: Float[np.ndarray, " n"]
    rotation_errors: Float[np.ndarray, " n"]
    cells: Float[np.ndarray, "n 3"]
    cell_errors: Float[np.ndarray, "n 3"]
    reference: PlaneReference
    references: tuple[Float[np.ndarray, "2 2"], ...]
    kernel: tuple[float, ...]


def measure_plane_strain(
    positions: Float[np.ndarray, "n 2"],
    covariances: Float[np.ndarray, "n 2 2"] | None,
    domains: PlaneDomains,
    reference: PlaneReference = "fitted",
    given: Float[np.ndarray, "2 2"] | None = None,
) -> PlaneStrain:
    """Strain of all columns that have a site.

    **Arguments:**

    - `positions`: of all columns (Å).
    - `covariances`: of these (Å²), as `find_domains` had them. Without any, a variance that all share
        follows from the scatter about the local lattices.
    - `domains`: of the same columns.
    - `reference`: what strain is counted from.
    - `given`: the lattice of `reference="given"`, a and b as columns in any setting and orientation (Å).

    **Raises:** `InputError` for a reference that is given without a lattice, or is none.
    """
    n = len(positions)
    spread, known = known_covariances(covariances, n)
    if (reference == "given") != (given is not None) or (
        given is not None and not (np.isfinite(given).all() and abs(np.linalg.det(given)) > 1e-6)
    ):
        raise InputError("the reference is no lattice", "give two vectors (Å), or another reference")
    out = {name: np.full((n, width), np.nan) for name, width in _WIDTHS.items()}
    displacements, scatter = np.full((n, 2), np.nan), np.full((n, 2, 2), np.nan)
    references, kernels = [], []
    for lattice in domains.lattices:
        own = lattice.columns
        base = _base(positions, spread, lattice, domains.spacing, reference)
        local = local_lattices(positions, spread, lattice)
        scale = 1.0 if known else local.variance
        basis, together = base.basis, _together(local, spread, base)
        if given is not None:
            # Nothing of it comes from these columns, but how it lies.
            basis, together = _laid(given, lattice.basis), local.covariances
        found = _strains(local, basis, together)
        for name, values in found.items():
            out[name][own] = values * (np.sqrt(scale) if name.endswith("errors") else 1.0)
        ideal = base.origins[lattice.sublattices] + lattice.sites @ basis.T
        if given is not None:
            # A lattice of another size is laid on the middle of the domain.
            ideal += np.mean(positions[own] - ideal, axis=0)
        displacements[own] = positions[own] - ideal
        scatter[own] = scale * base.residual_covariances(spread)
        references.append(basis)
        kernels.append(local.kernel)
    return PlaneStrain(
        displacements,
        scatter,
        out["tensors"],
        out["errors"],
        out["rotations"][:, 0],
        out["rotation_errors"][:, 0],
        out["cells"],
        out["cell_errors"],
        reference,
        tuple(references),
        tuple(kernels),
    )


_WIDTHS = {"tensors": 3, "errors": 3, "rotations": 1, "rotation_errors": 1, "cells": 3, "cell_errors": 3}


def _base(
    positions: np.ndarray,
    spread: np.ndarray,
    lattice: PlaneLattice,
    spacing: float,
    reference: PlaneReference,
) -> PlaneLattice:
    """The lattice of a domain, or of its inner columns if there are enough."""
    used = np.ones(len(lattice), bool)
    if reference == "bulk":
        inside = inner(positions, lattice, spacing)
        used = inside if inside.sum() >= 2 * LIMITS.plane_columns else used
    own = lattice.columns, lattice.sites, lattice.sublattices
    return fit_plane_lattice(positions, spread, *own, used, lattice.given)


def inner(positions: np.ndarray, lattice: PlaneLattice, spacing: float) -> Bool[np.ndarray, " m"]:
    """Which columns of a domain are at least two shells inside."""
    around = surroundings(positions, lattice, LIMITS.plane_bond * spacing)
    surface = np.ones(len(positions), bool)
    surface[lattice.columns] = around.surface(len(lattice))
    beside = np.bincount(around.begin, weights=surface[around.columns], minlength=len(lattice)) > 0
    return ~surface[lattice.columns] & ~beside


def _laid(given: Float[np.ndarray, "2 2"], fitted: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "2 2"]:
    """A lattice in the setting and the orientation of another, which it is least strained from."""
    best, least = fitted, np.inf
    for entries in product((-2, -1, 0, 1, 2), repeat=4):
        change = np.reshape(entries, (2, 2))
        if abs(round(np.linalg.det(change))) != 1:
            continue
        candidate = given @ change
        turn, stretch = polar(fitted @ np.linalg.inv(candidate))
        strain = float(np.linalg.norm(logm(stretch)))
        if strain < least - 1e-9:
            best, least = turn @ candidate, strain
    return best


@dataclass(frozen=True, eq=False)
class LocalLattices:
    """Local lattices of the columns of a domain.

    **Fields:**

    - `bases`: a and b as columns.
    - `covariances`: of (a_x, a_y, b_x, b_y).
    - `gains`: by how much these move with each neighbour's position.
    - `ends`, `own`: the neighbours among all columns and among the domain's; -1 for none.
    - `variance`: mean square of what is left, in that of the covariances.
    - `kernel`: its width (Å).
    """

    bases: Float[np.ndarray, "m 2 2"]
    covariances: Float[np.ndarray, "m 4 4"]
    gains: Float[np.ndarray, "m 4 k 2"]
    ends: Int[np.ndarray, "m k"]
    own: Int[np.ndarray, "m k"]
    variance: float
    kernel: float


def _neighbours(x: Float[np.ndarray, "m 2"], reach: float) -> Int[np.ndarray, "m k"]:
    """Columns nearer than a distance, itself among them, filled up with -1."""
    pairs = cKDTree(x).query_pairs(reach, output_type="ndarray")
    itself = np.repeat(np.arange(len(x)), 2).reshape(-1, 2)
    both = np.concatenate([itself, pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    first = np.searchsorted(both[:, 0], np.arange(len(x) + 1))
    table = np.full((len(x), int(np.diff(first).max())), -1)
    table[both[:, 0], np.arange(len(both)) - first[both[:, 0]]] = both[:, 1]
    return table


def _flat(design: Float[np.ndarray, "m k p"], weights: Float[np.ndarray, "m k"]) -> Bool[np.ndarray, " m"]:
    """Where neighbours lie on a line."""
    normal = np.einsum("mki,mk,mkj->mij", design, weights, design, optimize=True)
    scale = np.sqrt(np.maximum(np.einsum("mii->mi", normal), 1e-12))
    scaled = normal / (scale[:, :, None] * scale[:, None])
    absent = np.einsum("mii->mi", scaled)
    absent[absent < 0.5] = 1.0
    return np.asarray(np.linalg.eigvalsh(scaled)[:, 0] < _FLAT)


def local_lattices(
    positions: Float[np.ndarray, "n 2"], spread: Float[np.ndarray, "n 2 2"], lattice: PlaneLattice
) -> LocalLattices:
    """The lattice around each column of a domain.

    **Arguments:**

    - `positions`, `spread`: of all columns of the image, and their covariances (Å, Å²).
    - `lattice`: of the domain.
    """
    x, known = positions[lattice.columns], spread[lattice.columns]
    kernel = _KERNEL * float(np.sqrt(abs(np.linalg.det(lattice.basis))))
    own = _neighbours(x, _REACH * kernel)
    count, offsets = len(lattice.origins), lattice.offsets
    kinds = lattice.sublattices
    shift = offsets[kinds[own]] - offsets[kinds][:, None]
    apart = (x[own] - x[:, None]) @ np.linalg.inv(lattice.basis).T
    vectors = np.rint(apart - shift) + shift
    usable = (own >= 0) & np.isfinite(known).all(axis=(1, 2))[own]
    far = np.sum((vectors @ lattice.basis.T) ** 2, axis=2) / kernel**2
    inverse = np.linalg.inv(np.where(np.isfinite(known), known, np.eye(2)))[own]
    weights = (usable * np.exp(-far / 2))[..., None, None] * inverse
    design = np.concatenate([vectors, (kinds[own][..., None] == np.arange(count)).astype(float)], axis=2)
    p = count + 2
    normal = np.einsum("mki,mkab,mkj->miajb", design, weights, design, optimize=True)
    normal = normal.reshape(len(x), 2 * p, 2 * p)
    flat = _flat(design, usable * np.exp(-far / 2)) | (usable.sum(axis=1) < p)
    normal[flat] = np.eye(2 * p)
    # A sublattice that is not there has no place to be found.
    diagonal = np.einsum("mii->mi", normal)
    diagonal[diagonal == 0] = 1.0
    scale = np.sqrt(diagonal)
    scales = scale[:, :, None] * scale[:, None]
    solver = np.linalg.inv(normal / scales) / scales
    solver = solver.reshape(len(x), 2 * p, p, 2)
    gains = np.einsum("mpia,mki,mkab->mpkb", solver, design, weights, optimize=True)
    # From the column itself, beside which an image's size is a large number.
    found = np.einsum("mpkb,mkb->mp", gains, x[own] - x[:, None])
    rest = x[own] - x[:, None] - np.einsum("mki,mia->mka", design, found.reshape(len(x), p, 2))
    squares = np.einsum("mka,mkab,mkb->m", rest, weights, rest)
    spreads = np.where(np.isfinite(known), known, 0.0)[own]
    leverage = np.einsum("mki,miakb->mkab", design, gains.reshape(len(x), p, 2, -1, 2), optimize=True)
    # Of errors of unit variance: tr W (1 - H).
    freedom = np.einsum("mkab,mkba->m", weights, usable[..., None, None] * np.eye(2) - leverage)
    variance = float(squares[~flat].sum() / max(freedom[~flat].sum(), 1e-12))
    gains = gains[:, :4]
    covariances = np.einsum("mpka,mkab,mqkb->mpq", gains, spreads, gains, optimize=True)
    bases = found[:, :4].reshape(-1, 2, 2).transpose(0, 2, 1)
    bases[flat], covariances[flat] = np.nan, np.nan
    ends = np.where(own >= 0, lattice.columns[own], -1)
    return LocalLattices(bases, covariances, gains, ends, own, variance, kernel)


def _together(local: LocalLattices, spread: np.ndarray, base: PlaneLattice) -> Float[np.ndarray, "m 4 4"]:
    """Covariances of local lattices less F times the reference: both are sums over the same columns."""
    spreads = np.where(np.isfinite(spread), spread, 0.0)[local.ends]
    shared = base.gains[:, :4][local.own]
    crossed = np.einsum("mpka,mkab,mkqb->mpq", local.gains, spreads, shared, optimize=True)
    change = local.bases @ np.linalg.inv(base.basis)
    by = np.zeros((len(change), 4, 4))
    by[:, :2, :2] = by[:, 2:, 2:] = change
    crossed = crossed @ np.swapaxes(by, 1, 2)
    own = by @ base.covariance[:4, :4] @ np.swapaxes(by, 1, 2)
    return np.asarray(local.covariances - crossed - np.swapaxes(crossed, 1, 2) + own)


def _strains(
    local: LocalLattices, basis: Float[np.ndarray, "2 2"], together: Float[np.ndarray, "m 4 4"]
) -> dict[str, np.ndarray]:
    """Strain and rotation of F = L M⁻¹, and the local cells."""
    back = np.linalg.inv(basis)
    change = local.bases @ back
    angle = np.arctan2(change[:, 1, 0] - change[:, 0, 1], change[:, 0, 0] + change[:, 1, 1])
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], axis=1)
    stretch = turned @ change
    trace = stretch[:, 0, 0] + stretch[:, 1, 1]
    cross = np.array([[0.0, -1.0], [1.0, 0.0]])
    slopes = np.empty((len(change), 4, 4))
    for number in range(4):
        unit = np.zeros((2, 2))
        unit[number % 2, number // 2] = 1.0
        moved = turned @ (unit @ back)
        turn = (moved[:, 1, 0] - moved[:, 0, 1]) / trace
        # U stays symmetric: the rotation takes up the rest.
        moved = moved - turn[:, None, None] * (cross @ stretch)
        elements = moved[:, 0, 0], moved[:, 1, 1], (moved[:, 0, 1] + moved[:, 1, 0]) / 2, np.degrees(turn)
        slopes[:, :, number] = np.stack(elements, axis=1)
    variances = np.einsum("mki,mij,mkj->mk", slopes, together, slopes)
    errors = np.sqrt(np.maximum(variances, 0))
    cells = cell_of(local.bases, local.covariances)
    return {
        "tensors": np.stack([stretch[:, 0, 0] - 1, stretch[:, 1, 1] - 1, stretch[:, 0, 1]], axis=1),
        "errors": errors[:, :3],
        "rotations": np.degrees(angle)[:, None],
        "rotation_errors": errors[:, 3:],
        "cells": cells[:, 0],
        "cell_errors": cells[:, 1],
    }
