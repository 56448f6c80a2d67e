"""Facets of the domains of an image, and how their outermost layers have relaxed.

The outline of a domain runs along its outer columns: the border of the triangles between columns that are
no longer than a few spacings. It is made straight where columns lie less than part of a row beside a line
(Douglas and Peucker 1973), in the places of the lattice and not of the columns, so that neither noise nor
relaxation breaks a facet. A stretch of at least three columns is a facet, with the indices (h k) of the
row of the lattice that it is parallel to (h a* + k b* is its outward normal), if there is one of small
indices.

Layers of a facet are its own row and those beneath. The relaxation of a layer is the mean displacement of
its columns along the outward normal, counted from the lattice of the inner columns. Its uncertainty
follows from the covariances of positions, and has that of the reference's extrapolation, which columns of
one layer share.
"""

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import Delaunay

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_domains import PlaneDomains, known_covariances
from atomfit.statistics.plane_lattice import PlaneLattice, design_of, fit_plane_lattice
from atomfit.statistics.plane_strain import inner

#: Layers of a facet that are looked at, and how far columns are from a layer's line, in their distance.
_LAYERS, _BESIDE = 4, 0.3


@dataclass(frozen=True, eq=False)
class Facet:
    """A straight part of the outline of a domain.

    **Fields:**

    - `domain`: its number.
    - `indices`: (h, k) in the domain's cell; None if it is parallel to no row of small indices.
    - `normal`: outwards.
    - `columns`: its outermost ones, along the outline.
    - `length`: from the first of these to the last (Å).
    - `spacing`: distance of layers in the lattice (Å); NaN without indices.
    - `relaxations`, `errors`: of the layers, from the outermost in, along the normal (Å), and their
        standard uncertainties; none without indices.
    - `counts`: columns of each layer.
    """

    domain: int
    indices: tuple[int, int] | None
    normal: Float[np.ndarray, " 2"]
    columns: Int[np.ndarray, " k"]
    length: float
    spacing: float
    relaxations: Float[np.ndarray, " l"]
    errors: Float[np.ndarray, " l"]
    counts: Int[np.ndarray, " l"]


def find_facets(
    positions: Float[np.ndarray, "n 2"],
    covariances: Float[np.ndarray, "n 2 2"] | None,
    domains: PlaneDomains,
) -> tuple[Facet, ...]:
    """Facets of all domains, in the order of the outline.

    **Arguments:**

    - `positions`, `covariances`: of all columns (Å, Å²). Without the latter all positions err alike, by the
        scatter of the inner ones about their lattice.
    - `domains`: of the same columns.
    """
    spread, known = known_covariances(covariances, len(positions))
    found = []
    for number, lattice in enumerate(domains.lattices):
        inside = inner(positions, lattice, domains.spacing)
        if inside.sum() < 2 * LIMITS.plane_columns:
            inside = np.ones(len(lattice), bool)
        own = lattice.columns, lattice.sites, lattice.sublattices
        base = fit_plane_lattice(positions, spread, *own, inside, known)
        ideal = base.ideal()
        loop = _outline(ideal, LIMITS.outline_edge * domains.spacing)
        for stretch in _straight(ideal, loop, LIMITS.facet_straight * domains.spacing):
            if len(stretch) >= LIMITS.facet_columns:
                found.append(_facet(number, base, positions, spread, ideal, stretch))
    return tuple(found)


def _outline(x: Float[np.ndarray, "m 2"], longest: float) -> Int[np.ndarray, " k"]:
    """Columns around the outside, from x to y; the longest loop if there are some."""
    triangles = Delaunay(x).simplices
    edges = x[np.roll(triangles, -1, axis=1)] - x[triangles]
    triangles = triangles[np.linalg.norm(edges, axis=2).max(axis=1) < longest]
    first, second = x[triangles[:, 1]] - x[triangles[:, 0]], x[triangles[:, 2]] - x[triangles[:, 0]]
    clockwise = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0
    triangles[clockwise] = triangles[clockwise][:, ::-1]
    sides = {(int(a), int(b)) for t in triangles for a, b in zip(t, np.roll(t, -1), strict=True)}
    after: dict[int, list[int]] = {}
    for a, b in sorted(sides):
        if (b, a) not in sides:
            after.setdefault(a, []).append(b)
    best: list[int] = []
    while after:
        loop = [min(after)]
        while loop[-1] in after:
            then = after[loop[-1]].pop()
            if not after[loop[-1]]:
                del after[loop[-1]]
            loop.append(then)
        best = loop if len(loop) > len(best) else best
    return np.array(best[:-1], int)


def _straight(
    x: Float[np.ndarray, "m 2"], loop: Int[np.ndarray, " k"], beside: float
) -> list[Int[np.ndarray, " s"]]:
    """Straight stretches of a loop, each with both of its ends."""
    if len(loop) < 3:
        return []
    # The column farthest from the middle is a corner, and so is the one farthest from it.
    start = int(np.linalg.norm(x[loop] - x[loop].mean(axis=0), axis=1).argmax())
    loop = np.roll(loop, -start)
    loop = np.append(loop, loop[0])
    points = x[loop]
    across = int(np.linalg.norm(points - points[0], axis=1).argmax())
    corners, open_ = {0, across, len(loop) - 1}, [(0, across), (across, len(loop) - 1)]
    while open_:
        first, last = open_.pop()
        away = _away(points, first, last)
        if away.max() > beside:
            middle = first + int(away.argmax())
            corners.add(middle)
            open_ += [(first, middle), (middle, last)]
    ends = sorted(corners)
    # All columns of a facet are as far from a line along it: the one that was taken is no corner.
    for corner in ends[1:-1]:
        place = ends.index(corner)
        if _away(points, ends[place - 1], ends[place + 1]).max() <= beside:
            ends.remove(corner)
    return [loop[a : b + 1] for a, b in pairwise(ends)]


def _away(points: Float[np.ndarray, "k 2"], first: int, last: int) -> Float[np.ndarray, " s"]:
    """Distances of the points between two from the line through these."""
    way = points[last] - points[first]
    way = way / max(float(np.linalg.norm(way)), 1e-12)
    apart = points[first : last + 1] - points[first]
    return np.asarray(np.abs(apart[:, 0] * way[1] - apart[:, 1] * way[0]))


def _facet(
    number: int,
    base: PlaneLattice,
    positions: np.ndarray,
    spread: np.ndarray,
    ideal: np.ndarray,
    stretch: np.ndarray,
) -> Facet:
    along = ideal[stretch[-1]] - ideal[stretch[0]]
    length = float(np.linalg.norm(along))
    along = along / length
    normal = np.array([along[1], -along[0]])
    indices = _indices(base.basis, normal)
    columns = base.columns[stretch]
    nothing = np.zeros(0)
    if indices is None:
        return Facet(number, None, normal, columns, length, np.nan, nothing, nothing, np.zeros(0, int))
    star = np.linalg.inv(base.basis).T @ indices
    normal, spacing = star / np.linalg.norm(star), float(1 / np.linalg.norm(star))
    # Sublattices make layers of their own only where they lie apart.
    height = (ideal @ normal - (ideal[stretch] @ normal).max()) / spacing
    tangent = (ideal - ideal[stretch[0]]) @ along
    beside = (tangent > -0.1 * length / len(stretch)) & (tangent < length * (1 + 0.1 / len(stretch)))
    away = (positions[base.columns] - ideal) @ normal
    scale = 1.0 if base.given else base.scatter
    design = design_of(base.sites, base.sublattices, len(base.origins))
    blocks = base.covariance.reshape(design.shape[1], 2, design.shape[1], 2)
    values, errors, counts = [], [], []
    for layer in range(_LAYERS):
        known = np.isfinite(spread[base.columns]).all(axis=(1, 2))
        own = np.flatnonzero(beside & known & (np.abs(height + layer) < _BESIDE))
        if not len(own):
            break
        mean = design[own].mean(axis=0)
        shared = np.einsum("i,iajb,j->ab", mean, blocks, mean)
        # What the fit has of a layer's columns: nothing, if they are not inside.
        moved = np.einsum("i,miab->mab", mean, base.gains[own].reshape(len(own), -1, 2, 2))
        each = spread[base.columns[own]]
        crossed = np.mean(moved @ each, axis=0)
        variance = each.sum(axis=0) / len(own) ** 2 + shared - crossed - crossed.T
        values.append(float(away[own].mean()))
        errors.append(float(np.sqrt(max(scale * normal @ variance @ normal, 0.0))))
        counts.append(len(own))
    return Facet(
        number,
        indices,
        normal,
        columns,
        length,
        spacing,
        np.array(values),
        np.array(errors),
        np.array(counts, int),
    )


def _indices(basis: Float[np.ndarray, "2 2"], normal: Float[np.ndarray, " 2"]) -> tuple[int, int] | None:
    """(h, k) of the smallest sum of squares whose row is parallel to a facet."""
    most = LIMITS.facet_indices
    best, least = None, np.inf
    for h, k in product(range(-most, most + 1), repeat=2):
        if np.gcd(h, k) != 1:
            continue
        star = np.linalg.inv(basis).T @ [h, k]
        length = float(np.linalg.norm(star))
        if star @ normal / length > np.cos(np.radians(LIMITS.facet_angle)) and length < least:
            best, least = (h, k), length
    return best
