"""The Fisher information of a fit, on the host in float64: block-sparse, each block in its own unit.

Each atom meets only the neighbours that it overlaps with (the `CLUSTER` nearest, and those that it is one
of these for: the matrix is symmetric), in one block a pair, in the directions of its natural parameters
that were free. Amplitudes may be of any size and positions of any accuracy, so each number is measured in
its own inverse information.

Overlaps in closed form count all of space. Of an atom that reaches over a face of the region only a part
was seen: its blocks B are taken to L B Lᵀ, which makes its own what the voxels inside say (`pointwise`).
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.gaussians.block_solver import solve
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.neighbours import closed, neighbour_table
from atomfit.gaussians.overlaps import natural_blocks, natural_parameters
from atomfit.gaussians.scatterers import Overlap

#: Atoms of which the inverse for one atom is taken together, itself included.
CLUSTER = 19
_ATOMS_AT_A_TIME = 64

Blocks = Callable[[FittedAtoms, Any], Any]
#: What was known beforehand of atoms and their neighbours: blocks of precision, by the table of these.
Beforehand = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Information:
    """What a map and a prior say of n atoms.

    **Fields:**

    - `blocks`: of each atom with itself (first) and its neighbours, nearest first, zero where there are
        fewer; for numbers in units of `scale`.
    - `neighbours`: their indices, padded by the atom itself; whoever lists another is listed by it.
    - `missing`: where that is so.
    - `basis`: directions in the space of natural parameters in which an atom was free.
    - `scale`: root of the information of each number by itself.
    - `unit`: by what an overlap is divided to be information: voxel volume times variance of the noise.
    """

    blocks: Float[np.ndarray, "n m p p"]
    neighbours: Int[np.ndarray, "n m"]
    missing: Bool[np.ndarray, "n m"]
    basis: Float[np.ndarray, "q p"]
    scale: Float[np.ndarray, "n p"]
    unit: float

    @classmethod
    def of(
        cls,
        atoms: FittedAtoms,
        unit: float,
        basis: Float[np.ndarray, "q p"],
        overlap: Overlap,
        prior: Beforehand | None = None,
        blocks_of: Blocks | None = None,
        inside: Float[np.ndarray, "n q q"] | None = None,
    ) -> "Information":
        """Of fitted atoms.

        **Arguments:**

        - `atoms`, `unit`, `basis`: see above, and `free_directions`.
        - `overlap`, `prior`, `blocks_of`: as for `uncertainty`.
        - `inside`: L of each atom; see the head of this module.
        """
        n = len(atoms)
        neighbours = neighbour_table(atoms.positions, float(np.median(atoms.reach_variances)), n)
        neighbours = closed(neighbours[:, :CLUSTER])
        missing = (neighbours == np.arange(n)[:, None]) & (np.arange(neighbours.shape[1]) > 0)
        blocks_of = blocks_of or partial(overlap_blocks, overlap=overlap)
        natural = _seen(blocks_of(atoms, neighbours) / unit, neighbours, inside)
        blocks = _freely(natural, basis, missing, None if prior is None else prior(neighbours))
        scale = np.sqrt(np.maximum(np.diagonal(blocks[:, 0], axis1=1, axis2=2), 1e-300))
        blocks = blocks / (scale[:, None, :, None] * scale[neighbours][:, :, None, :])
        return cls(blocks, neighbours, missing, basis, scale, unit)

    def with_noise(
        self,
        atoms: FittedAtoms,
        overlap: Overlap,
        prior: Beforehand | None,
        inside: Float[np.ndarray, "n q q"] | None = None,
    ) -> Float[np.ndarray, "n m p p"]:
        """Blocks of the same, with the noise's covariance between, in the same units."""
        natural = overlap_blocks(atoms, self.neighbours, overlap) / self.unit
        natural = _seen(natural, self.neighbours, inside)
        known = None if prior is None else prior(self.neighbours)
        blocks = _freely(natural, self.basis, self.missing, known)
        return blocks / (self.scale[:, None, :, None] * self.scale[self.neighbours][:, :, None, :])

    def solve(self, right: Float[np.ndarray, "n p c"]) -> Float[np.ndarray, "n p c"]:
        """The inverse times vectors, all in units of `scale`; NaN where it is not found."""
        return solve(self.blocks, self.neighbours, right) if right.shape[2] else right


def _seen(
    natural: Float[np.ndarray, "n m q q"],
    neighbours: Int[np.ndarray, "n m"],
    inside: Float[np.ndarray, "n q q"] | None,
) -> Float[np.ndarray, "n m q q"]:
    """Blocks of atoms of which only a part was seen."""
    if inside is None:
        return natural
    return inside[:, None] @ natural @ np.swapaxes(inside[neighbours], 2, 3)


def free_directions(d: int, isotropic: bool, frozen: Collection[str]) -> Float[np.ndarray, "q p"]:
    """Directions in the space of natural parameters in which an atom was free."""
    q = len(natural_parameters(d))
    unit = np.eye(q)
    shape = unit[:, d : 2 * d].sum(axis=1, keepdims=True) if isotropic else unit[:, d:-1]
    parts = {"positions": unit[:, :d], "displacements": shape, "amplitudes": unit[:, -1:]}
    return np.concatenate(
        [np.zeros((q, 0)), *(part for name, part in parts.items() if name not in frozen)], axis=1
    )


def overlap_blocks(
    atoms: FittedAtoms, neighbours: Int[np.ndarray, "n m"], overlap: Overlap
) -> Float[np.ndarray, "n m q q"]:
    """Inner products of each atom's derivatives with its neighbours' (per unit of voxel volume)."""
    d, amplitudes = atoms.positions.shape[1], np.nan_to_num(atoms.amplitudes)
    blocks = []
    for rows, derivatives in overlaps(atoms, neighbours, overlap):
        mine, theirs = np.broadcast_arrays(amplitudes[rows, None], amplitudes[neighbours[rows]])
        blocks.append(np.asarray(natural_blocks(derivatives, mine, theirs, d)))
    return np.concatenate(blocks)


def overlaps(
    atoms: FittedAtoms, neighbours: Int[np.ndarray, "n m"], overlap: Overlap, kind: type = np.float64
) -> Iterator[tuple[slice, Float[np.ndarray, "c m k"]]]:
    """Derivatives of the overlap of each atom with its neighbours, for some atoms at a time."""
    positions, shapes = (np.nan_to_num(x.astype(np.float64)) for x in (atoms.positions, atoms.shapes))
    for begin in range(0, len(atoms), _ATOMS_AT_A_TIME):
        rows = slice(begin, begin + _ATOMS_AT_A_TIME)
        others = neighbours[rows]
        derivatives = atoms.scattering.overlap(
            overlap,
            (positions[rows, None] - positions[others]).astype(kind),
            (shapes[rows, None] + shapes[others]).astype(kind),
            np.arange(len(atoms))[rows, None],
            others,
        )
        yield rows, np.asarray(derivatives)


def _freely(
    natural: Float[np.ndarray, "n m q q"],
    basis: Float[np.ndarray, "q p"],
    missing: Bool[np.ndarray, "n m"],
    prior: Float[np.ndarray, "n m q q"] | None,
) -> Float[np.ndarray, "n m p p"]:
    """Blocks of what was free, with what was known beforehand."""
    if prior is not None:
        natural = natural + prior
    # Where everything is free, the directions are the numbers themselves.
    free = natural if basis.shape[0] == basis.shape[1] else basis.T @ natural @ basis
    free[missing] = 0.0
    return free
