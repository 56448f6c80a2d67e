"""Domains of an image's columns: which of them share a lattice, and which site each of them has.

The best proposal (`plane_proposals`) grows from its seed. A column beside some that have sites has one
where their sites say, if it is there and if at least half of all its neighbours are where the lattice has
them. So strain that grows across a particle puts no column on the wrong site, and a domain ends where
another orientation begins; a column on a twin's boundary has neighbours of both sides and goes to the
larger. Then the next domain is looked for among what is left. A domain hangs together, so that two
particles are two.

Columns at random have neighbours near sites of some lattice, too. A domain is kept if its columns lie so
near to their sites, and so few columns between them have none, that columns strewn over the same area
would not: by the logarithm of the ratio of the two likelihoods, less that of the number of lattices that
were tried.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_lattice import PlaneLattice, fit_plane_lattice
from atomfit.statistics.plane_proposals import Proposal, Vicinity, explained, propose
from atomfit.support.errors import InputError

#: Seeds that are tried at once, and how often again if they give no domain.
_SEEDS, _BATCHES = 6, 3
_MOST_DOMAINS = 60


@dataclass(frozen=True, eq=False)
class PlaneDomains:
    """What n columns of an image are made of.

    **Fields:**

    - `lattices`: of the domains, the largest first; none if the columns have no lattice.
    - `membership`: which domain each column belongs to; -1 for none.
    - `sites`: (h, k) of each column in its domain's lattice.
    - `sublattices`: of each column; -1 without a domain.
    - `spacing`: root of the area of a column (Å); NaN if there are fewer than two.
    """

    lattices: tuple[PlaneLattice, ...]
    membership: Int[np.ndarray, " n"]
    sites: Int[np.ndarray, "n 2"]
    sublattices: Int[np.ndarray, " n"]
    spacing: float


def known_covariances(
    covariances: Float[np.ndarray, "n 2 2"] | None, n: int
) -> tuple[Float[np.ndarray, "n 2 2"], bool]:
    """Covariances of n positions, and whether they are given: ones are taken if not.

    **Raises:** `InputError` for matrices that are no covariances.
    """
    if covariances is None:
        return np.broadcast_to(np.eye(2), (n, 2, 2)).copy(), False
    given = np.array(covariances, float)
    good = np.isfinite(given).all(axis=(1, 2))
    if good.any() and (
        np.linalg.eigvalsh(given[good]).min() <= 0
        or not np.allclose(given[good, 0, 1], given[good, 1, 0], rtol=1e-6, atol=0)
    ):
        raise InputError(
            "not all covariances are symmetric and positive", "give NaN where they are not known"
        )
    if good.sum() < LIMITS.plane_columns:
        return known_covariances(None, n)
    given[~good] = np.nan
    return given, True


def find_domains(
    positions: Float[np.ndarray, "n 2"], covariances: Float[np.ndarray, "n 2 2"] | None = None
) -> PlaneDomains:
    """Find the lattices of columns, and the site of each.

    **Arguments:**

    - `positions`: of all columns (Å); one that is not finite has no site, and of some at one place one has.
    - `covariances`: of these (Å²); NaN where they are not known. Without any, all positions count alike.

    **Raises:** `InputError` for matrices that are no covariances.
    """
    positions = np.asarray(positions, float)
    n = len(positions)
    spread, given = known_covariances(covariances, n)
    finite = np.flatnonzero(np.isfinite(positions).all(axis=1))
    membership, sites, kinds = np.full(n, -1), np.zeros((n, 2), int), np.full(n, -1)
    if len(finite) > 1:
        finite = finite[np.sort(np.unique(positions[finite], axis=0, return_index=True)[1])]
    if len(finite) < 2:
        return PlaneDomains((), membership, sites, kinds, np.nan)
    vicinity = Vicinity(positions[finite])
    lattices: list[PlaneLattice] = []
    left, inversion = np.ones(len(finite), bool), vicinity.inversion()
    while len(finite) >= LIMITS.plane_columns and len(lattices) < _MOST_DOMAINS:
        found = _next_domain(vicinity, left, inversion)
        if found is None:
            break
        own, where, which = found
        left[own] = False
        columns = finite[own]
        everyone = np.ones(len(own), bool)
        lattices.append(fit_plane_lattice(positions, spread, columns, where, which, everyone, given))
    lattices.sort(key=lambda lattice: -len(lattice))
    for number, lattice in enumerate(lattices):
        membership[lattice.columns] = number
        sites[lattice.columns], kinds[lattice.columns] = lattice.sites, lattice.sublattices
    return PlaneDomains(tuple(lattices), membership, sites, kinds, vicinity.spacing)


_Members = tuple[Int[np.ndarray, " m"], Int[np.ndarray, "m 2"], Int[np.ndarray, " m"]]


def _next_domain(
    vicinity: Vicinity, left: np.ndarray, inversion: Float[np.ndarray, " n"]
) -> _Members | None:
    """The domain that explains most of the columns left, with their sites; None if nothing is one."""
    asked = left.copy()
    for _ in range(_BATCHES):
        seeds: list[int] = []
        for i in np.argsort(-inversion * asked, kind="stable")[: 20 * _SEEDS]:
            away = np.linalg.norm(vicinity.positions[seeds] - vicinity.positions[i], axis=1)
            if asked[i] and len(seeds) < _SEEDS and away.min(initial=np.inf) > 2 * vicinity.spacing:
                seeds.append(int(i))
        asked[seeds] = False
        proposals = [p for p in (propose(vicinity, seed) for seed in seeds) if p is not None]
        counts = np.array([np.sum(explained(vicinity, p) & left) for p in proposals])
        for number in np.argsort(-counts, kind="stable"):
            members = _grown(vicinity, proposals[number], left)
            # Liquids have ordered patches, and crystals small grains beside large ones.
            most = np.sum(~left) + len(members[0]) >= LIMITS.plane_part * len(left)
            enough = LIMITS.plane_evidence if most else LIMITS.plane_patch
            if _evidence(vicinity, proposals[number], members, left) > enough:
                return members
    return None


def _grown(vicinity: Vicinity, proposal: Proposal, left: np.ndarray) -> _Members:
    """Columns that a lattice gives sites to, from the seed on."""
    x, basis, offsets = vicinity.positions, proposal.basis, proposal.offsets
    kinds, sites = np.full(len(x), -1), np.zeros((len(x), 2), int)
    kinds[proposal.seed] = 0
    pairs = vicinity.pairs(LIMITS.plane_step * float(np.linalg.norm(basis, axis=0).max()))
    apart = (x[pairs[:, 1]] - x[pairs[:, 0]]) @ np.linalg.inv(basis).T
    # Sublattice of the end of each vector, and cells to it, for each sublattice of its beginning.
    cells, ends = np.empty((len(offsets), *apart.shape), int), np.empty((len(offsets), len(apart)), int)
    for kind, offset in enumerate(offsets):
        rest = (apart + offset)[:, None] - offsets
        away = np.linalg.norm((rest - np.rint(rest)) @ basis.T, axis=2)
        best = away.argmin(axis=1)
        row = np.arange(len(apart))
        cells[kind] = np.rint(rest[row, best])
        ends[kind] = np.where(away[row, best] < proposal.tolerance, best, -1)
    near = np.linalg.norm(x[pairs[:, 1]] - x[pairs[:, 0]], axis=1) < LIMITS.plane_bond * vicinity.spacing
    begin, end, n = pairs[:, 0], pairs[:, 1], len(x)
    beside = np.maximum(np.bincount(begin[near], minlength=n), 1)
    matched = np.stack([np.bincount(begin[near], (row >= 0)[near], n) / beside for row in ends])
    new = np.zeros(n, bool)
    new[proposal.seed] = True
    while new.any():
        # Bonds from what has a site to what has none, but may.
        open_ = (kinds >= 0)[begin] & (kinds < 0)[end] & left[end]
        begins = np.flatnonzero(open_)
        kind = kinds[begin[begins]]
        votes = np.column_stack(
            [end[begins], sites[begin[begins]] + cells[kind, begins], ends[kind, begins]]
        )
        asked = np.bincount(votes[:, 0], minlength=n)
        wanted, counts = np.unique(votes[votes[:, 3] >= 0], axis=0, return_counts=True)
        wanted = wanted[np.argsort(counts, kind="stable")]
        counts = np.sort(counts, kind="stable")
        good = (2 * counts >= asked[wanted[:, 0]]) & (
            matched[wanted[:, 3], wanted[:, 0]] >= LIMITS.plane_matched
        )
        wanted = wanted[good]
        new = np.zeros(n, bool)
        new[wanted[:, 0]] = True
        sites[wanted[:, 0]], kinds[wanted[:, 0]] = wanted[:, 1:3], wanted[:, 3]
    own = np.flatnonzero(kinds >= 0)
    return _single(vicinity, proposal, own, sites[own], kinds[own])


def _single(
    vicinity: Vicinity, proposal: Proposal, own: np.ndarray, sites: np.ndarray, kinds: np.ndarray
) -> _Members:
    """Of columns at one site, which a dislocation makes as well, those that lie close together are one."""
    keys = np.column_stack([sites, kinds])
    _, place, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    kept = np.ones(len(own), bool)
    design = np.column_stack([sites + proposal.offsets[kinds], np.ones(len(own))])
    for number in np.flatnonzero(counts > 1):
        same = np.flatnonzero(place.ravel() == number)
        points = vicinity.positions[own[same]]
        if np.ptp(points, axis=0).max() < 2 * proposal.tolerance:
            fitted = np.linalg.lstsq(design, vicinity.positions[own], rcond=None)[0]
            kept[same] = False
            kept[same[int(np.linalg.norm(points - design[same] @ fitted, axis=1).argmin())]] = True
    return own[kept], sites[kept], kinds[kept]


def _evidence(vicinity: Vicinity, proposal: Proposal, members: _Members, left: np.ndarray) -> float:
    """Logarithm of how much likelier a lattice is than columns strewn over the same area."""
    own, sites, kinds = members
    sublattices = len(proposal.offsets)
    m, unknown = len(own), 2 + sublattices
    area = abs(np.linalg.det(proposal.basis)) / sublattices
    # Sites far apart leave most columns out.
    if area > LIMITS.plane_open * vicinity.spacing**2:
        return -np.inf
    if m < LIMITS.plane_columns or np.linalg.matrix_rank(sites - sites.mean(axis=0)) < 2:
        return -np.inf
    # Neighbours differ by a vector of the lattice, however it is strained further away.
    x = vicinity.positions
    tree = type(vicinity)(x[own])
    pairs = tree.pairs(LIMITS.plane_step * float(np.linalg.norm(proposal.basis, axis=0).max()))
    ideal = (sites + proposal.offsets[kinds]) @ proposal.basis.T
    apart = (x[own] - ideal)[pairs[:, 1]] - (x[own] - ideal)[pairs[:, 0]]
    consistent = np.linalg.norm(apart, axis=1) < 2 * proposal.tolerance
    square = float(np.mean(apart[consistent] ** 2)) / 2 + (1e-4 * vicinity.spacing) ** 2
    gain = np.log(area / (2 * np.pi * np.e * square))
    rest = left.copy()
    rest[own] = False
    between = tree.tree.query(x[rest], k=3, distance_upper_bound=LIMITS.plane_bond * vicinity.spacing)[0]
    others = int(np.sum(np.isfinite(between).all(axis=1)))
    part = m / (m + others)
    mixed = m * np.log(part) + (others * np.log(1 - part) if others else 0.0)
    tried = np.log(len(x) * 64.0**2)
    return float((m - unknown) * gain + mixed - tried)
