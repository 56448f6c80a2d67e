"""What is wrong in an image's lattices: vacancies, dislocations, twins, stacking faults, grain boundaries.

A **vacancy** is a site that most of its neighbours expect and where no column is. Outside the particle a
site has neighbours on one side only.

Around a **dislocation** the steps of a closed way from column to column, each counted as the nearest
vector of the lattice, do not add up to nothing: what is left is the Burgers vector, reversed. Ways around
the triangles between columns are the smallest; those that do not close are at cores. So a core is found
without a circuit to be chosen, and every circuit is the sum of the triangles in it. Lengths are counted in
the median of the local lattices, as no lattice fits all sides of a dislocation.

Two domains that touch are **twins** if one is the other's reflection in a row that both share and that the
boundary runs along; a **fault** if they lie alike and are shifted; else a boundary of **grains**.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import polar
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, cKDTree

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_domains import PlaneDomains, known_covariances
from atomfit.statistics.plane_lattice import PlaneLattice
from atomfit.statistics.plane_sites import site_distance, surroundings
from atomfit.statistics.plane_strain import local_lattices

#: Changes of cell that keep its area, with these entries.
_ENTRIES = (-1, 0, 1)


@dataclass(frozen=True, eq=False)
class Vacancy:
    """A site without a column.

    **Fields:**

    - `domain`, `site`, `sublattice`: whose it is.
    - `position`, `covariance`: where the column would be, as its neighbours have it (Å, Å²).
    """

    domain: int
    site: tuple[int, int]
    sublattice: int
    position: Float[np.ndarray, " 2"]
    covariance: Float[np.ndarray, "2 2"]


@dataclass(frozen=True, eq=False)
class Dislocation:
    """A core.

    **Fields:**

    - `domain`: in which it is.
    - `position`: middle of the triangles that do not close (Å).
    - `steps`: the Burgers vector in a and b.
    - `burgers`, `esd`: the same, and its standard uncertainty along each axis (Å); the way round is from x
        to y.
    """

    domain: int
    position: Float[np.ndarray, " 2"]
    steps: tuple[int, int]
    burgers: Float[np.ndarray, " 2"]
    esd: Float[np.ndarray, " 2"]


@dataclass(frozen=True, eq=False)
class PlaneBoundary:
    """Between two domains.

    **Fields:**

    - `domains`: their numbers.
    - `kind`: what it is.
    - `angle`: by which the second is turned from the first, from x to y (degrees; the smallest).
    - `row`: of a twin, the row that both share, in a and b of the first.
    - `shift`: of a fault, by which the second is shifted, in a and b of the first, from -½ to ½.
    - `shift_esd`: standard uncertainty of these, from their scatter.
    - `pairs`: neighbours across it.
    """

    domains: tuple[int, int]
    kind: Literal["twin", "fault", "grains"]
    angle: float
    row: tuple[int, int] | None
    shift: Float[np.ndarray, " 2"] | None
    shift_esd: Float[np.ndarray, " 2"] | None
    pairs: Int[np.ndarray, "p 2"]


def find_vacancies(
    positions: Float[np.ndarray, "n 2"],
    covariances: Float[np.ndarray, "n 2 2"] | None,
    domains: PlaneDomains,
) -> tuple[Vacancy, ...]:
    """All vacancies.

    **Arguments:**

    - `positions`, `covariances`: of all columns (Å, Å²). Without the latter those of vacancies are NaN.
    - `domains`: of the same columns.
    """
    spread, known = known_covariances(covariances, len(positions))
    found = []
    finite = positions[np.isfinite(positions).all(axis=1)]
    for number, lattice in enumerate(domains.lattices):
        around = surroundings(positions, lattice, LIMITS.plane_bond * domains.spacing)
        sites = np.column_stack([lattice.sites[around.begin] + around.cells, around.kinds])
        empty = around.columns < 0
        missing, which = np.unique(sites[empty], axis=0, return_inverse=True)
        which, begin, places = which.ravel(), around.begin[empty], around.places[empty]
        for site, own in zip(missing, (which == i for i in range(len(missing))), strict=True):
            # As many as a column of this sublattice has neighbours.
            wanted = _neighbours_of(lattice, int(site[2]), LIMITS.plane_bond * domains.spacing)
            place = places[own].mean(axis=0)
            away = cKDTree(finite).query(place)[0]
            if own.sum() < LIMITS.vacancy_part * wanted or away < 0.5 * site_distance(lattice):
                continue
            errors = spread[lattice.columns[begin[own]]] if known else np.full((1, 2, 2), np.nan)
            covariance = np.nanmean(errors, axis=0) / own.sum() if known else errors[0]
            found.append(Vacancy(number, (int(site[0]), int(site[1])), int(site[2]), place, covariance))
    return tuple(found)


def _neighbours_of(lattice: PlaneLattice, kind: int, reach: float) -> int:
    steps = np.array(list(product(range(-4, 5), repeat=2)))
    vectors = (steps[:, None] + lattice.offsets - lattice.offsets[kind]) @ lattice.basis.T
    lengths = np.linalg.norm(vectors, axis=2)
    return int(np.sum((lengths < reach) & (lengths > 1e-6)))


def find_dislocations(
    positions: Float[np.ndarray, "n 2"], domains: PlaneDomains
) -> tuple[Dislocation, ...]:
    """All cores inside domains.

    **Arguments:**

    - `positions`: of all columns (Å).
    - `domains`: of the same columns.
    """
    found = []
    for number, lattice in enumerate(domains.lattices):
        corners, closure = _closures(positions, lattice)
        open_ = np.flatnonzero(closure.any(axis=1))
        if not len(open_):
            continue
        centres = corners[open_].mean(axis=1)
        near = cKDTree(centres).query_pairs(LIMITS.core * domains.spacing, output_type="ndarray")
        graph = coo_array((np.ones(len(near)), near.T), shape=(len(open_), len(open_)))
        _, labels = connected_components(graph, directed=False)
        basis, covariance = _unstrained(positions, lattice, centres, domains.spacing)
        for label in range(labels.max() + 1):
            own = open_[labels == label]
            steps = -closure[own].sum(axis=0)
            if steps.any():
                middle = corners[own].mean(axis=(0, 1))
                found.append(_dislocation(number, middle, steps, basis, covariance))
    return tuple(found)


def burgers_vector(
    positions: Float[np.ndarray, "n 2"],
    domains: PlaneDomains,
    centre: Float[np.ndarray, " 2"],
    radius: float,
    domain: int = 0,
) -> Dislocation:
    """What a circuit around a place leaves: the Burgers vectors of all cores in it, zero if there is none.

    **Arguments:**

    - `positions`: of all columns (Å).
    - `domains`: of the same columns.
    - `centre`, `radius`: of the circuit (Å); it goes along bonds between columns.
    - `domain`: in which it is.
    """
    lattice = domains.lattices[domain]
    corners, closure = _closures(positions, lattice)
    inside = np.linalg.norm(corners.mean(axis=1) - centre, axis=1) < radius
    basis, covariance = _unstrained(positions, lattice, np.reshape(centre, (1, 2)), domains.spacing)
    return _dislocation(domain, np.asarray(centre), -closure[inside].sum(axis=0), basis, covariance)


def _dislocation(
    domain: int, position: np.ndarray, steps: np.ndarray, basis: np.ndarray, covariance: np.ndarray
) -> Dislocation:
    blocks = covariance.reshape(2, 2, 2, 2)
    variances = np.einsum("i,iaja,j->a", steps, blocks, steps)
    counted = (int(steps[0]), int(steps[1]))
    return Dislocation(domain, position, counted, basis @ steps, np.sqrt(variances))


def _closures(
    positions: np.ndarray, lattice: PlaneLattice
) -> tuple[Float[np.ndarray, "t 3 2"], Int[np.ndarray, "t 2"]]:
    """Triangles between columns of one sublattice, and what the steps around them add up to."""
    kind = int(np.bincount(lattice.sublattices).argmax())
    x = positions[lattice.columns[lattice.sublattices == kind]]
    if np.linalg.matrix_rank(x - x[0], tol=0.1 * site_distance(lattice)) < 2:
        return np.zeros((0, 3, 2)), np.zeros((0, 2), int)
    corners = x[Delaunay(x).simplices]
    edges = np.roll(corners, -1, axis=1) - corners
    hand = np.sign(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]).astype(int)
    longest = np.linalg.norm(lattice.basis.sum(axis=1)), np.linalg.norm(lattice.basis @ [1, -1])
    small = np.linalg.norm(edges, axis=2).max(axis=1) < LIMITS.core_hole * max(longest)
    steps = np.rint(edges[small] @ np.linalg.inv(lattice.basis).T).astype(int)
    return corners[small], steps.sum(axis=1) * hand[small, None]


def _unstrained(
    positions: np.ndarray, lattice: PlaneLattice, cores: np.ndarray, spacing: float
) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, "4 4"]]:
    """Median of the local lattices away from cores, and the covariance of their mean."""
    local = local_lattices(positions, known_covariances(None, len(positions))[0], lattice)
    away = cKDTree(cores).query(positions[lattice.columns])[0] > LIMITS.core * spacing
    bases = local.bases[away & np.isfinite(local.bases).all(axis=(1, 2))]
    if len(bases) < LIMITS.plane_columns:
        return lattice.basis, lattice.covariance[:4, :4]
    flat = bases.transpose(0, 2, 1).reshape(-1, 4)
    return np.median(bases, axis=0), np.cov(flat.T) / len(flat) * np.pi / 2


def find_boundaries(
    positions: Float[np.ndarray, "n 2"], domains: PlaneDomains
) -> tuple[PlaneBoundary, ...]:
    """What is between domains that touch.

    **Arguments:**

    - `positions`: of all columns (Å).
    - `domains`: of the same columns.
    """
    held = np.flatnonzero(domains.membership >= 0)
    if len(domains.lattices) < 2:
        return ()
    reach = LIMITS.plane_bond * domains.spacing
    pairs = held[cKDTree(positions[held]).query_pairs(reach, output_type="ndarray")]
    numbers = domains.membership[pairs]
    pairs = np.where((numbers[:, 0] > numbers[:, 1])[:, None], pairs[:, ::-1], pairs)
    numbers = np.sort(numbers, axis=1)
    found = []
    for first, second in np.unique(numbers[numbers[:, 0] < numbers[:, 1]], axis=0):
        across = pairs[(numbers == [first, second]).all(axis=1)]
        if len(across) >= LIMITS.twin_bonds:
            found.append(_boundary(positions, domains, (int(first), int(second)), across))
    return tuple(found)


def _boundary(
    positions: np.ndarray, domains: PlaneDomains, numbers: tuple[int, int], pairs: np.ndarray
) -> PlaneBoundary:
    first, second = (domains.lattices[number] for number in numbers)
    changes = [np.reshape(e, (2, 2)) for e in product(_ENTRIES, repeat=4)]
    changes = [c for c in changes if abs(round(np.linalg.det(c))) == 1]
    maps = [second.basis @ c @ np.linalg.inv(first.basis) for c in changes]
    parted = [polar(m) for m in maps]
    alike = [q for q, s in parted if np.abs(s - np.eye(2)).max() < LIMITS.boundary_strain]
    angles = [np.degrees(np.arctan2(q[1, 0], q[0, 0])) for q in alike if np.linalg.det(q) > 0]
    angle = float(min(angles, key=abs)) if angles else np.nan
    if abs(angle) < LIMITS.boundary_angle:
        shift, esd = _shift(positions, domains, first, pairs)
        if np.linalg.norm(first.basis @ shift) > LIMITS.plane_near * domains.spacing:
            return PlaneBoundary(numbers, "fault", angle, None, shift, esd, pairs)
    else:
        along = np.linalg.svd(positions[pairs].mean(axis=1) - positions[pairs].mean(axis=(0, 1)))[2][0]
        for q in alike:
            row = _mirror_row(q, first.basis, along)
            if row is not None:
                return PlaneBoundary(numbers, "twin", angle, row, None, None, pairs)
    return PlaneBoundary(numbers, "grains", angle, None, None, None, pairs)


def _shift(
    positions: np.ndarray, domains: PlaneDomains, first: PlaneLattice, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """By how much the second lattice is off the first's sites, beside the boundary."""
    apart = (positions[pairs[:, 1]] - positions[pairs[:, 0]]) @ np.linalg.inv(first.basis).T
    kinds = domains.sublattices[pairs]
    count = len(first.origins)
    apart -= first.offsets[np.minimum(kinds[:, 1], count - 1)] - first.offsets[kinds[:, 0]]
    middle = np.angle(np.mean(np.exp(2j * np.pi * apart), axis=0)) / (2 * np.pi)
    away = (apart - middle + 0.5) % 1 - 0.5
    return middle, np.std(away, axis=0) / np.sqrt(len(apart))


def _mirror_row(
    q: Float[np.ndarray, "2 2"], basis: Float[np.ndarray, "2 2"], along: Float[np.ndarray, " 2"]
) -> tuple[int, int] | None:
    """The row of small indices that a reflection leaves where it is, if a boundary runs along it."""
    if np.linalg.det(q) > 0:
        return None
    axis = np.array([np.cos(np.arctan2(q[1, 0], q[0, 0]) / 2), np.sin(np.arctan2(q[1, 0], q[0, 0]) / 2)])
    if abs(axis @ along) < np.cos(np.radians(LIMITS.boundary_trace)):
        return None
    for u, v in sorted(product(_ENTRIES, repeat=2), key=lambda uv: uv[0] ** 2 + uv[1] ** 2):
        row = basis @ [u, v]
        length = np.linalg.norm(row)
        if length > 0 and axis @ row / length > np.cos(np.radians(LIMITS.plane_angle)):
            return u, v
    return None
