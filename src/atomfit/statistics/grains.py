"""Grains: which atoms share a crystal's orientation, found without knowing any.

An atom whose bonds are those of a crystal, turned and stretched, says how the crystal lies there
(polyhedral template matching; Larsen et al. 2016). Such atoms propose; the proposal that
explains most atoms by their bonds is a grain, is refined on all of them, and what it explains is taken off
before the next is looked for. A grain hangs together. So a single crystal is one grain, a decahedron five
and an icosahedron twenty. An atom on a twin plane has bonds of both sides, and goes to the grain that has
more of them.

Only bonds count, never the box's axes, and an atom far from its site disturbs none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from atomfit.statistics.bonds import Bonds
from atomfit.statistics.crystals import CRYSTALS, Crystal
from atomfit.statistics.limits import LIMITS

#: Structures with at least so many bonds are no open networks.
_PACKED = 6
_PROPOSALS = 30
#: Atoms that no grain explains join one so many shells around it.
_SHELLS = 4
_MOST_GRAINS = 60
#: Atoms that proposals are compared on, at most.
_SAMPLE = 20_000


@dataclass(frozen=True, eq=False)
class Grain:
    """A part of a particle with one orientation.

    **Fields:**

    - `map`: takes bonds of the crystal (in a) to those of the particle (Å): rotation and stretch.
    - `explained`: atoms whose bonds are the grain's.
    """

    map: Float[np.ndarray, "3 3"]
    explained: Bool[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Grains:
    """What a particle is made of.

    **Fields:**

    - `crystal`: the structure; None if no part of the particle is one.
    - `grains`: the largest first.
    - `membership`: which grain each atom belongs to; -1 for none.
    """

    crystal: Crystal | None
    grains: tuple[Grain, ...]
    membership: Int[np.ndarray, " n"]


def find_grains(bonds: Bonds, names: tuple[str, ...] = tuple(CRYSTALS), seed: int = 0) -> Grains:
    """Find the structure and the grains.

    **Arguments:**

    - `bonds`: of all atoms.
    - `names`: structures to choose from, the likeliest first: small twins of fcc have more atoms that look
        like hcp, so that the first is taken that explains a tenth of what the best does.
    - `seed`: of the choice of atoms that propose.
    """
    n = len(bonds.coordination_numbers)
    everyone, rng = np.ones(n, bool), np.random.default_rng(seed)
    all_inside = bonds.coordination_numbers >= LIMITS.inside
    found: dict[str, Grain] = {}
    for name in names:
        grain = _next_grain(CRYSTALS[name], bonds, everyone, rng)
        if grain is not None:
            found[name] = grain
            # No other structure can explain more.
            if np.sum(grain.explained & all_inside) > np.sum(all_inside) / 2:
                break
    if not found:
        return Grains(None, (), np.full(n, -1))
    inside = {name: _inside(CRYSTALS[name], bonds, grain.explained) for name, grain in found.items()}
    name = next(name for name in found if inside[name] >= LIMITS.grain_worth * max(inside.values()))
    crystal, grain = CRYSTALS[name], found[name]
    grains, left = [grain], ~_around(crystal, bonds, grain)
    while len(grains) < _MOST_GRAINS:
        more = _next_grain(crystal, bonds, left, rng)
        if more is None:
            break
        grains.append(more)
        left &= ~_around(crystal, bonds, more)
    grains.sort(key=lambda grain: -int(grain.explained.sum()))
    if crystal.coordination < _PACKED and np.mean(grains[0].explained) < LIMITS.grain_fragment:
        return Grains(None, (), np.full(n, -1))
    return Grains(crystal, tuple(grains), _membership(crystal, bonds, grains))


def _around(crystal: Crystal, bonds: Bonds, grain: Grain) -> Bool[np.ndarray, " n"]:
    """A grain's atoms, and those beside it that are its own but for errors of position."""
    loosely = matched_part(crystal, bonds, grain.map, LIMITS.grain_loose) >= LIMITS.grain_explained
    return grain.explained | (loosely & (bonds.sum_at(grain.explained[bonds.end]) > 0))


def _membership(crystal: Crystal, bonds: Bonds, grains: Sequence[Grain]) -> Int[np.ndarray, " n"]:
    """Explained atoms are their grain's; others join the neighbouring one that has most of their bonds."""
    parts = np.stack([matched_part(crystal, bonds, grain.map) for grain in grains])
    explained = np.stack([grain.explained for grain in grains])
    membership = np.where(explained.any(axis=0), np.where(explained, parts, -1).argmax(axis=0), -1)
    for _ in range(_SHELLS):
        beside = np.stack([bonds.sum_at(membership[bonds.end] == g) for g in range(len(grains))])
        # Grains of the same orientation explain an atom alike: it is next to more of one.
        score = np.where((beside > 0) & (parts >= 0.5), parts + 0.01 * beside, 0.0)
        joining = (membership < 0) & (score.max(axis=0) > 0)
        membership = np.where(joining, score.argmax(axis=0), membership)
    return membership


def matches(
    crystal: Crystal,
    bonds: Bonds,
    map: Float[np.ndarray, "3 3"],
    site: int = 0,
    tolerance: float | None = None,
) -> Int[np.ndarray, " b"]:
    """Which bond of the crystal each bond is, for atoms at a kind of site; -1 for none."""
    tolerance = LIMITS.grain_tolerance if tolerance is None else tolerance
    wanted = crystal.bonds[site] @ map.T
    lengths = np.linalg.norm(wanted, axis=1)
    # |v|² - what makes |v - w|² smallest.
    nearness = 2 * bonds.vectors @ wanted.T - lengths**2
    best = nearness.argmax(axis=1)
    square = bonds.squares - nearness[np.arange(len(bonds)), best]
    near = square < (tolerance * lengths.mean()) ** 2
    return np.where(near, best, -1)


def matched_part(
    crystal: Crystal, bonds: Bonds, map: Float[np.ndarray, "3 3"], tolerance: float | None = None
) -> Float[np.ndarray, " n"]:
    """Which part of each atom's bonds is a grain's, at the kind of site that suits it best."""
    cn = np.maximum(bonds.coordination_numbers, 1)
    sites = range(len(crystal.bonds))
    return np.max(
        [bonds.sum_at(matches(crystal, bonds, map, s, tolerance) >= 0) / cn for s in sites], axis=0
    )


def _inside(crystal: Crystal, bonds: Bonds, explained: Bool[np.ndarray, " n"]) -> int:
    """How many explained atoms have all bonds of the crystal: fewer would suit many crystals."""
    return int(np.sum(explained & (bonds.coordination_numbers == crystal.coordination)))


def _next_grain(
    crystal: Crystal, bonds: Bonds, left: Bool[np.ndarray, " n"], rng: np.random.Generator
) -> Grain | None:
    """The grain that explains most of what is left; None if nothing is one."""
    few, left = _some_of(bonds, rng), left.copy()
    fewest = max(LIMITS.grain_atoms, int(LIMITS.grain_part * len(left)))
    while np.count_nonzero(left) >= fewest:
        asked, maps = _proposals(crystal, bonds, left, rng)
        if not len(asked):
            return None
        left[asked] &= bool(maps)
        if not maps:
            continue
        counts = [np.sum(_explained(crystal, few[0], map) & left[few[1]]) for map in maps]
        best = maps[int(np.argmax(counts))]
        for _ in range(2):
            best = _refined(crystal, bonds, best, _explained(crystal, bonds, best) & left)
        explained = _explained(crystal, bonds, best)
        parts = _connected(bonds, explained)
        # Most atoms of a small twin are those of its neighbours as well, but not the ones inside.
        inside = [_inside(crystal, bonds, part & left) for part in parts]
        if max(inside, default=0) == 0:
            left[asked] = False
            continue
        part = parts[int(np.argmax(inside))]
        if part.sum() >= fewest:
            return Grain(_refined(crystal, bonds, best, part), part)
        left &= ~part
        left[asked] = False
    return None


def _connected(bonds: Bonds, atoms: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, "p n"]:
    """The parts of a set of atoms that hang together: an icosahedron has grains of the same orientation."""
    kept = atoms[bonds.begin] & atoms[bonds.end]
    n = len(atoms)
    graph = coo_array((np.ones(int(kept.sum())), (bonds.begin[kept], bonds.end[kept])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return np.unique(labels[atoms])[:, None] == np.where(atoms, labels, -1)


def _some_of(bonds: Bonds, rng: np.random.Generator) -> tuple[Bonds, Int[np.ndarray, " m"]]:
    """The bonds of some of very many atoms, and which these are."""
    n = len(bonds.coordination_numbers)
    if n <= _SAMPLE:
        return bonds, np.arange(n)
    chosen = np.sort(rng.choice(n, _SAMPLE, replace=False))
    kept = np.isin(bonds.begin, chosen)
    begin = np.searchsorted(chosen, bonds.begin[kept])
    first = np.searchsorted(begin, np.arange(_SAMPLE + 1))
    return Bonds(begin, bonds.end[kept], bonds.vectors[kept], first), chosen


def _explained(crystal: Crystal, bonds: Bonds, map: Float[np.ndarray, "3 3"]) -> Bool[np.ndarray, " n"]:
    return (matched_part(crystal, bonds, map) >= LIMITS.grain_explained) & (bonds.coordination_numbers > 0)


def _refined(
    crystal: Crystal, bonds: Bonds, map: Float[np.ndarray, "3 3"], atoms: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "3 3"]:
    """The map that fits the bonds of some atoms best."""
    wanted, found = [], []
    counts = [bonds.sum_at(matches(crystal, bonds, map, s) >= 0) for s in range(len(crystal.bonds))]
    kind = np.argmax(counts, axis=0)
    for site, vectors in enumerate(crystal.bonds):
        which = matches(crystal, bonds, map, site)
        used = (which >= 0) & atoms[bonds.begin] & (kind[bonds.begin] == site)
        wanted.append(vectors[which[used]])
        found.append(bonds.vectors[used])
    if sum(map_.shape[0] for map_ in wanted) < len(map):
        return map
    return np.linalg.lstsq(np.concatenate(wanted), np.concatenate(found), rcond=None)[0].T


def _proposals(
    crystal: Crystal, bonds: Bonds, left: Bool[np.ndarray, " n"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " a"], list[Float[np.ndarray, "3 3"]]]:
    """Some atoms that have as many bonds as the crystal's, and the maps that they propose."""
    inside = np.flatnonzero(left & (bonds.coordination_numbers == crystal.coordination))
    asked = rng.permutation(inside)[:_PROPOSALS]
    maps = [_fitted(crystal.bonds[0], bonds.vectors[bonds.of_atom(int(i))]) for i in asked]
    return asked, [map for map in maps if map is not None]


def _fitted(
    template: Float[np.ndarray, "b 3"], vectors: Float[np.ndarray, "b 3"]
) -> Float[np.ndarray, "3 3"] | None:
    """The map of a template onto bonds, whichever goes where; None if it is not theirs."""
    length = np.linalg.norm(vectors, axis=1).mean()
    scale = length / np.linalg.norm(template, axis=1).mean()
    seen = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    known = template / np.linalg.norm(template, axis=1, keepdims=True)
    other = int(np.abs(seen @ seen[0]).argmin())
    angles = np.arccos(np.clip(known @ known.T, -1, 1))
    wanted = np.arccos(np.clip(seen[0] @ seen[other], -1, 1))
    first, second = np.nonzero(np.abs(angles - wanted) < 0.3)
    proper = first != second
    if not proper.any():
        return None
    turned = _frame(seen[0], seen[other]) @ np.swapaxes(_frames(known[first], known[second]), 1, 2)[proper]
    ends = scale * np.einsum("cij,bj->cbi", turned, template)
    apart = np.linalg.norm(ends[:, :, None] - vectors, axis=3)
    best = int(np.mean(apart.min(axis=2) ** 2, axis=1).argmin())
    pairs = apart[best].argmin(axis=1)
    if len(set(pairs.tolist())) < len(vectors):
        return None
    map = np.linalg.lstsq(template, vectors[pairs], rcond=None)[0].T
    rest = vectors[pairs] - template @ map.T
    return map if np.sqrt(np.mean(np.sum(rest**2, axis=1))) < LIMITS.grain_misfit * length else None


def _frame(u: Float[np.ndarray, " 3"], v: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    return _frames(u[None], v[None])[0]


def _frames(u: Float[np.ndarray, "c 3"], v: Float[np.ndarray, "c 3"]) -> Float[np.ndarray, "c 3 3"]:
    """Right-handed axes (columns): half-way between two directions, across in their plane, and normal."""
    middle = u + v
    normal = np.cross(u, v)
    # Opposite directions span no plane.
    middle, normal = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9) for x in (middle, normal)
    )
    return np.stack([middle, np.cross(normal, middle), normal], axis=2)
