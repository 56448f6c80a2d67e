"""The lattice of each grain: parameters with their errors, and where each atom would be in it.

Sites are counted along bonds: the end of a bond that is the crystal's k-th lies that bond away in the
crystal's frame. So strain that grows across the grain never puts an atom on the wrong site. The atoms x
then are

    x = x₀ + M s + error,

s being their sites in the crystal's frame (in lattice constants), and M turns, stretches and shears. It
is fitted with Tukey's weights, so that what has moved at the surface does not count. Edges and angles of
the cell, and their errors, follow from M. Of the settings that symmetry allows the one is taken whose axes
are nearest to the box's.

The reference that displacements and strain are counted from is an ideal crystal in the same place and
orientation (the rotation in M), with the fitted volume of an atom, or that of the bulk.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import polar
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from atomfit.statistics.bonds import Bonds
from atomfit.statistics.crystals import Crystal
from atomfit.statistics.grains import Grains, matches
from atomfit.statistics.limits import LIMITS

#: Beyond so many robust standard deviations an atom does not count.
_TUKEY = 4.685
#: Weighted mean square of normal errors under these weights, in their variance.
_SEEN = 0.8143
_ROUNDS = 10


@dataclass(frozen=True, eq=False)
class Lattice:
    """Of one grain.

    **Fields:**

    - `crystal`: its structure.
    - `atoms`: which atoms have a site.
    - `sites`: theirs, in the crystal's frame (in lattice constants).
    - `origin`: x₀ (Å).
    - `map`: M (Å).
    - `deviation`: of an atom from its site, along each axis (Å).
    - `covariance`: of each row of M (Å²).
    """

    crystal: Crystal
    atoms: Int[np.ndarray, " m"]
    sites: Float[np.ndarray, "m 3"]
    origin: Float[np.ndarray, " 3"]
    map: Float[np.ndarray, "3 3"]
    deviation: float
    covariance: Float[np.ndarray, "3 3"]

    def __len__(self) -> int:
        return len(self.atoms)

    @property
    def constant(self) -> float:
        """a of the ideal crystal with this volume of an atom (Å)."""
        return float(np.cbrt(np.linalg.det(self.map)))

    @property
    def constant_esd(self) -> float:
        """Its standard uncertainty (Å)."""
        # d ln det M = tr(M⁻¹ dM), rows of M being independent.
        slope = np.linalg.inv(self.map).T * self.constant / 3
        return float(np.sqrt(np.einsum("ri,ij,rj->", slope, self.covariance, slope)))

    @property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Of the crystal's frame to the map's."""
        return np.asarray(polar(self.map)[0])

    @property
    def edges(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
        """a, b and c of the conventional cell, and their standard uncertainties (Å)."""
        cell = self.crystal.cell
        lengths = np.linalg.norm(self.map @ cell.T, axis=0)
        return lengths, np.sqrt(np.einsum("ki,ij,kj->k", cell, self.covariance, cell))

    @property
    def angles(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
        """α, β and γ of the conventional cell, and their standard uncertainties (degrees)."""
        axes, between = (self.map @ self.crystal.cell.T).T, []
        joint = self.crystal.cell @ self.covariance @ self.crystal.cell.T
        for i, j in ((1, 2), (2, 0), (0, 1)):
            u, v = axes[i], axes[j]
            lengths = np.linalg.norm(u), np.linalg.norm(v)
            cosine = u @ v / (lengths[0] * lengths[1])
            angle = np.arccos(cosine)
            # An angle changes by what moves each axis across the other, in their plane.
            du = (cosine * u / lengths[0] - v / lengths[1]) / np.sin(angle) / lengths[0]
            dv = (cosine * v / lengths[1] - u / lengths[0]) / np.sin(angle) / lengths[1]
            variance = joint[i, i] * du @ du + joint[j, j] * dv @ dv + 2 * joint[i, j] * du @ dv
            between.append((angle, np.sqrt(variance)))
        angles, errors = np.degrees(np.array(between)).T
        return angles, errors

    def ideal(self) -> Float[np.ndarray, "m 3"]:
        """Places of the atoms in the ideal crystal (Å)."""
        middle = self.sites.mean(axis=0)
        away = self.constant * (self.sites - middle) @ self.rotation.T
        return np.asarray(self.origin + self.map @ middle + away)


def fit_lattices(positions: Float[np.ndarray, "n 3"], bonds: Bonds, grains: Grains) -> tuple[Lattice, ...]:
    """A lattice for each grain that has enough atoms.

    **Arguments:**

    - `positions`: of all atoms (Å).
    - `bonds`, `grains`: theirs.
    """
    if grains.crystal is None:
        return ()
    found = []
    for number, grain in enumerate(grains.grains):
        members = np.flatnonzero(grains.membership == number)
        atoms, sites = _sites(grains.crystal, bonds, grain.map, members, grain.explained)
        if (
            len(atoms) >= LIMITS.lattice_atoms
            and np.linalg.matrix_rank(sites - sites.mean(axis=0), tol=1e-3) == 3
        ):
            found.append(_fit(grains.crystal, positions, atoms, sites))
    return tuple(found)


def _sites(
    crystal: Crystal,
    bonds: Bonds,
    map: Float[np.ndarray, "3 3"],
    members: Int[np.ndarray, " m"],
    explained: np.ndarray,
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k 3"]]:
    """Atoms that bonds of the grain connect with one inside it, and their sites."""
    n = len(bonds.coordination_numbers)
    which = np.stack([matches(crystal, bonds, map, site) for site in range(len(crystal.bonds))])
    counts = np.stack([bonds.sum_at(row >= 0) for row in which])
    kind = counts.argmax(axis=0)
    own = np.zeros(n, bool)
    own[members] = True
    bond = which[kind[bonds.begin], np.arange(len(bonds))]
    used = own[bonds.begin] & own[bonds.end] & (bond >= 0)
    edge = np.full(len(bonds), -1)
    edge[used] = np.arange(int(used.sum()))
    graph = coo_array(
        (np.flatnonzero(used) + 1.0, (bonds.begin[used], bonds.end[used])), shape=(n, n)
    ).tocsr()
    begin = int(members[np.argmax(counts.max(axis=0)[members] + explained[members])])
    order, before = breadth_first_order(graph, begin, directed=True)
    sites = np.zeros((n, 3))
    for i in order[1:]:
        number = int(graph[int(before[i]), int(i)]) - 1
        sites[i] = sites[before[i]] + crystal.bonds[int(kind[before[i]])][bond[number]]
    # Two atoms at one site are none of the grain's.
    _, first, count = np.unique(sites[order].round(3), axis=0, return_index=True, return_counts=True)
    single = np.sort(first[count == 1])
    return order[single], sites[order[single]]


def _fit(
    crystal: Crystal,
    positions: Float[np.ndarray, "n 3"],
    atoms: Int[np.ndarray, " m"],
    sites: Float[np.ndarray, "m 3"],
) -> Lattice:
    """M and x₀ by reweighted least squares."""
    design = np.column_stack([sites, np.ones(len(sites))])
    x, weights = positions[atoms], np.ones(len(atoms))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)[:, None]
        solution = np.linalg.lstsq(root * design, root * x, rcond=None)[0]
        away = np.linalg.norm(x - design @ solution, axis=1)
        # The median of a length in three dimensions is 1.538 standard deviations.
        spread = max(float(np.median(away)) / 1.538, 1e-6)
        weights = np.clip(1 - (away / (_TUKEY * spread)) ** 2, 0, 1) ** 2
    square = (
        float(np.sum(weights * away**2) / (3 * np.sum(weights) - 12)) if np.sum(weights) > 4 else np.nan
    )
    known = np.linalg.inv((weights[:, None] * design).T @ design)[:3, :3]
    turn = _setting(crystal, solution[:3].T)
    return Lattice(
        crystal,
        atoms,
        sites @ turn,
        solution[3],
        solution[:3].T @ turn,
        float(np.sqrt(square)),
        square * turn.T @ known @ turn,
    )


def _setting(crystal: Crystal, map: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation of the crystal's frame that lays its axes nearest to the box's."""
    return crystal.rotations[int(np.argmax([np.trace(map @ turn) for turn in crystal.rotations]))]
