"""Crystal structures, as an atom in them sees its neighbours.

A lattice fit does not need a cell to begin with: it needs to know which bonds an atom of the structure has.
A structure is the bonds of each of its kinds of site, in lattice constants and in its own frame, and where
each bond leads. Bonds are those within half-way to the next shell as coordination numbers count
them (`neighbours`): 12 in fcc and hcp, 14 in bcc (two shells), 4 in diamond, 6 in rocksalt.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Crystal:
    """A structure.

    **Fields:**

    - `name`: as the field calls it.
    - `cell`: edges of the conventional cell (rows; in lattice constants a).
    - `bonds`: of each kind of site (in a).
    - `leads_to`: the kind of site at the end of each bond.
    """

    name: str
    cell: Float[np.ndarray, "3 3"]
    bonds: tuple[Float[np.ndarray, "b 3"], ...]
    leads_to: tuple[Int[np.ndarray, " b"], ...]

    @property
    def coordination(self) -> int:
        """Bonds of an atom inside the crystal."""
        return len(self.bonds[0])

    @property
    def bond_length(self) -> float:
        """Mean length of an atom's bonds (in a)."""
        return float(np.linalg.norm(self.bonds[0], axis=1).mean())

    def constant(self, neighbour_distance: float) -> float:
        """a of a crystal whose nearest neighbours are so far apart (Å)."""
        return neighbour_distance / float(np.linalg.norm(self.bonds[0], axis=1).min())

    @cached_property
    def rotations(self) -> Float[np.ndarray, "r 3 3"]:
        """Proper rotations that leave a site's bonds as they are."""
        return _rotations_of(self.bonds[0])


def _rotations_of(bonds: Float[np.ndarray, "b 3"]) -> Float[np.ndarray, "r 3 3"]:
    """All proper rotations of a set of vectors onto itself, found by trying where three of them may go."""
    triples = (np.array(t) for t in permutations(range(len(bonds)), 3))
    basis = next(t for t in triples if abs(np.linalg.det(bonds[t])) > 1e-3)
    inverse = np.linalg.inv(bonds[basis])
    gram = bonds[basis] @ bonds[basis].T
    found = []
    for image in permutations(range(len(bonds)), 3):
        to = bonds[list(image)]
        if np.abs(to @ to.T - gram).max() > 1e-6:
            continue
        rotation = (inverse @ to).T
        turned = bonds @ rotation.T
        same = np.linalg.norm(turned[:, None] - bonds, axis=2).min(axis=1).max() < 1e-6
        if same and np.linalg.det(rotation) > 0:
            found.append(rotation)
    return np.array(found)


def _shells(
    cell: Float[np.ndarray, "3 3"], sites: Float[np.ndarray, "s 3"], reach: float
) -> tuple[tuple[Float[np.ndarray, "b 3"], ...], tuple[Int[np.ndarray, " b"], ...]]:
    """Bonds shorter than a reach (in a) of each site of a cell (fractional coordinates)."""
    cells = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)))
    bonds, ends = [], []
    for site in sites:
        vectors = (cells[:, None] + sites - site) @ cell
        length = np.linalg.norm(vectors, axis=-1)
        which = (length > 1e-6) & (length < reach)
        bonds.append(vectors[which])
        ends.append(np.nonzero(which)[1])
    return tuple(bonds), tuple(ends)


def _primitive(name: str, primitive: list[list[float]], reach: float, cell: np.ndarray) -> Crystal:
    return Crystal(name, cell, *_shells(np.array(primitive), np.zeros((1, 3)), reach))


_CUBE = np.eye(3)
_FCC = [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
_HEXAGON = np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [0, 0, (8 / 3) ** 0.5]])

CRYSTALS: dict[str, Crystal] = {
    "fcc": _primitive("fcc", _FCC, 0.85, _CUBE),
    "bcc": _primitive("bcc", [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]], 1.1, _CUBE),
    "hcp": Crystal(
        "hcp", _HEXAGON, *_shells(_HEXAGON, np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]), 1.2)
    ),
    "diamond": Crystal(
        "diamond", _CUBE, *_shells(np.array(_FCC), np.array([[0, 0, 0], [0.25, 0.25, 0.25]]), 0.6)
    ),
    "rocksalt": Crystal(
        "rocksalt",
        _CUBE,
        *_shells(np.array(_FCC), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), 0.6),
    ),
}
