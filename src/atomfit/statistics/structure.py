"""Local structure: what the neighbours of an atom's bonds look like (common-neighbour analysis).

Of each bond it is counted how many neighbours its atoms share, how many bonds there are between those, and
whether these bonds hang together (Honeycutt & Andersen 1987; Faken & Jónsson 1994). It needs no lattice
and no orientation, and bonds do not change when positions are a little wrong:

| structure | bonds |
|---|---|
| fcc | 12 x 421 |
| hcp: stacking faults and twin planes | 6 x 421, 6 x 422 |
| fivefold: axis of a decahedron | 10 x 422, 2 x 555 |
| icosahedral: centre of an icosahedron | 12 x 555 |
| bcc | 8 x 666, 6 x 444 |

Atoms with fewer than ten neighbours are at the surface, and classed by their number: on an fcc crystal 9 is
a (111) facet, 8 is (100), 7 and 6 are edges, and 5 or fewer corners and adatoms.
"""

import numpy as np
from jaxtyping import Int

from atomfit.statistics.bonds import Bonds
from atomfit.statistics.limits import LIMITS

#: Neighbours of an atom that are looked at.
_WIDTH = 18
#: Bonds whose neighbours are compared at a time.
_AT_A_TIME = 20_000
_PATTERNS = {
    "fcc": {"421": 12},
    "hcp": {"421": 6, "422": 6},
    "fivefold": {"422": 10, "555": 2},
    "icosahedral": {"555": 12},
    "bcc": {"666": 8, "444": 6},
}
_FEWEST_NAMED = 6


def local_structure(bonds: Bonds) -> np.ndarray:
    """The structure around each atom.

    **Arguments:**

    - `bonds`: who is whose neighbour.

    **Returns:** fcc, hcp, fivefold, icosahedral, bcc or other; surface_9 to surface_6 or surface_few.
    """
    kinds = _kinds(bonds)
    names = [*_PATTERNS["fcc"], "422", "555", "666", "444"]
    counts = {name: bonds.sum_at(kinds == name) for name in names}
    cn = bonds.coordination_numbers
    found = np.full(len(cn), "other", dtype=object)
    for name, pattern in _PATTERNS.items():
        is_this = cn == sum(pattern.values())
        for kind, count in pattern.items():
            is_this &= counts[kind] == count
        found[is_this] = name
    for i in np.flatnonzero(cn < LIMITS.inside):
        found[i] = f"surface_{cn[i]}" if cn[i] >= _FEWEST_NAMED else "surface_few"
    return found


def _kinds(bonds: Bonds) -> np.ndarray:
    """Of each bond: shared neighbours, bonds between these, and the longest chain of those, as digits."""
    table = bonds.padded(_WIDTH)
    result = np.empty(len(bonds), dtype="<U3")
    for start in range(0, len(bonds), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        result[part] = _kinds_of(table, bonds.begin[part], bonds.end[part])
    return result


def _kinds_of(
    table: Int[np.ndarray, "n w"], begin: Int[np.ndarray, " b"], end: Int[np.ndarray, " b"]
) -> np.ndarray:
    mine = table[begin]
    shared = np.any(mine[:, :, None] == table[end][:, None, :], axis=2) & (mine >= 0)
    # The shared neighbours first; no known kind has more than six.
    few = np.argsort(~shared, axis=1, kind="stable")[:, :7]
    which, there = np.take_along_axis(mine, few, 1), np.take_along_axis(shared, few, 1)
    bonded = np.any(table[which][:, :, None, :] == which[:, None, :, None], axis=3)
    bonded &= there[:, :, None] & there[:, None, :]
    degrees = bonded.sum(axis=2)
    atoms, links, most = shared.sum(axis=1), degrees.sum(axis=1) // 2, degrees.max(axis=1)
    # Bonds that are as many as atoms close a ring; two that share no atom are chains of one.
    chain = np.where(links == atoms, atoms, np.where(most <= 1, np.minimum(links, 1), links))
    digits = np.stack([np.minimum(x, 9) for x in (atoms, links, chain)], axis=1)
    return np.array(["".join(map(str, row)) for row in digits]) if len(digits) else np.empty(0, "<U3")
