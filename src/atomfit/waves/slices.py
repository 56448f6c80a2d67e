"""Atoms along the beam in, slices of them out: which atoms of each element are in which slice.

The wave passes slices one after the other, and what they have must be of one shape to be compiled once: a
table of atoms' numbers, slices by the most atoms of an element that a slice has, with a mask of those that
are there. It is made on the host and stays as it is while positions, occupancies and displacement factors
change, which is what a fit changes.

Slices should end between planes of atoms (`clear_of`): one repeat of the crystal along the beam is a good
thickness, up to about 4 Å at 300 kV (`slice_thickness`; `experiments/heights` has thicker ones' errors).
"""

import math

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

Leaf = Array | np.ndarray

#: The thickest slice (Å).
THICKEST = 4.0
#: Atoms by which tables grow.
_SMALLEST_STEP = 32


class Slices(eqx.Module):
    """Which atoms are in which slice.

    **Fields:**

    - `elements`: chemical symbols.
    - `atoms`: for each element, numbers of the atoms in each slice; filled up with atom 0.
    - `present`: for each element, 1 where there is an atom and 0 where it is filled up.
    - `thickness`: of a slice (Å).
    """

    elements: tuple[str, ...] = eqx.field(static=True)
    atoms: tuple[Int[Leaf, "slices _"], ...]
    present: tuple[Float[Leaf, "slices _"], ...]
    thickness: Float[Leaf, ""] | float

    @property
    def count(self) -> int:
        """Number of slices."""
        return int(self.atoms[0].shape[0])


class SlicedAtoms(eqx.Module):
    """Atoms that a wave passes, all differentiable.

    **Fields:**

    - `positions`: x, y (Å), from the centre of the image's first pixel.
    - `occupancies`: 1 for an atom that is there.
    - `b_factors`: of each element of the slices, in their order: B = 8π² U (Å²).
    - `absorption`: imaginary part of the potential, as a part of the real one.
    - `slices`: which atoms are in which slice.
    """

    positions: Float[Leaf, "n 2"]
    occupancies: Float[Leaf, " n"]
    b_factors: Float[Leaf, " elements"]
    absorption: Float[Leaf, ""] | float
    slices: Slices


def slice_atoms(
    heights: Float[np.ndarray, " n"],
    symbols: np.ndarray,
    thickness: float,
    count: int | None = None,
    most: int | None = None,
) -> Slices:
    """Sort atoms into slices.

    **Arguments:**

    - `heights`: z of the atoms along the beam (Å), from the surface that it enters by.
    - `symbols`: of their elements.
    - `thickness`: of a slice (Å).
    - `count`: of slices; as many as there are atoms in by default. Atoms beyond are in the last, or first.
    - `most`: atoms of one element that a slice may have, for tables of one shape; as many as there are.

    **Raises:** `ValueError` if a slice has more atoms than `most`.
    """
    symbols = np.asarray(symbols).astype(str)
    where = np.floor(np.asarray(heights, np.float64) / thickness).astype(int)
    if count is None:
        count = int(where.max(initial=0)) + 1
    where = np.clip(where, 0, count - 1)
    elements = tuple(sorted(set(symbols.tolist()))) or ("C",)
    atoms, present = [], []
    for symbol in elements:
        which = np.flatnonzero(symbols == symbol)
        which = which[np.argsort(where[which], kind="stable")]
        sizes = np.bincount(where[which], minlength=count)
        wide = max(int(sizes.max(initial=0)), 1) if most is None else most
        if wide < sizes.max(initial=0):
            raise ValueError(f"a slice has {sizes.max()} atoms of {symbol}, more than {most}")
        rank = np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        table, mask = np.zeros((count, wide), np.int32), np.zeros((count, wide), np.float32)
        table[where[which], rank], mask[where[which], rank] = which, 1.0
        atoms.append(table)
        present.append(mask)
    return Slices(elements, tuple(atoms), tuple(present), float(thickness))


def with_room(atoms: SlicedAtoms) -> SlicedAtoms:
    """The same with room for a few more atoms, so that similar specimens share compiled code.

    **Arguments:**

    - `atoms`: on the host; those that are added have an occupancy of 0.
    """
    slices, more = atoms.slices, _next_size(len(atoms.occupancies)) - len(atoms.occupancies)
    wider = [(0, 0), (0, 0)]
    tables = []
    for table in (*slices.atoms, *slices.present):
        wider[1] = (0, _next_size(table.shape[1]) - table.shape[1])
        tables.append(np.pad(np.asarray(table), wider))
    half = len(slices.atoms)
    return SlicedAtoms(
        np.pad(np.asarray(atoms.positions), [(0, more), (0, 0)]),
        np.pad(np.asarray(atoms.occupancies), [(0, more)]),
        atoms.b_factors,
        atoms.absorption,
        Slices(slices.elements, tuple(tables[:half]), tuple(tables[half:]), slices.thickness),
    )


def _next_size(n: int) -> int:
    """At most a quarter larger where that matters."""
    step = max(_SMALLEST_STEP, 2 ** (max(n, 1).bit_length() - 3))
    return -(-n // step) * step


def slice_thickness(repeat: float) -> float:
    """Thickness of slices (Å): a crystal's repeat along the beam, or the largest part of it up to 4 Å.

    **Arguments:**

    - `repeat`: in Å.

        >>> slice_thickness(3.8), slice_thickness(9.0)
        (3.8, 3.0)
    """
    return repeat / math.ceil(repeat / THICKEST)


def clear_of(heights: Float[np.ndarray, " n"], period: float) -> float:
    """By how much to move atoms along the beam, so that multiples of a period are between them.

    **Arguments:**

    - `heights`: of the atoms (Å).
    - `period`: of the planes that none is to be on (Å).
    """
    at = np.unique(np.round(np.asarray(heights) % period, 3) % period)
    if len(at) == 0:
        return 0.0
    gaps = np.diff(np.append(at, at[0] + period))
    k = int(np.argmax(gaps))
    return float(-(at[k] + 0.5 * gaps[k]) % period)
