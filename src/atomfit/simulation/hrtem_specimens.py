"""A crystal, a zone axis and a shape in, atoms above a field and the columns that they are in out.

The crystal is cut by its edge and by two surfaces (`hrtem_cuts`), of the thickness that a profile says; an
atom is there if it is between them. So columns of whatever elements have their heights, and lighter ones go
with the heavier beside them. Then whole columns are displaced. A mistilt leans all columns over, about the
middle of the specimen. Amorphous carbon is atoms at random, none nearer to another than a bond. z is along
the beam, from where it enters.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.options.hrtem import HrtemOptions
from atomfit.simulation.hrtem_cuts import MOST_ATOMS, Slab, cut, slab_of, with_faults
from atomfit.structure.crystals import TYPICAL_B, Crystal, crystal, zone_columns
from atomfit.support.errors import InputError
from atomfit.waves import Field

#: Atoms of amorphous carbon in an Å³ (2 g/cm³), and the least distance of two (Å).
_CARBON, _BOND = 0.1, 1.3


@dataclass(frozen=True, eq=False)
class HrtemColumns:
    """Columns of a crystal that are seen end-on.

    **Fields:**

    - `positions`: x, y (Å) from the centre of the first pixel: the mean of the column's atoms.
    - `elements`: the heaviest one of each.
    - `heights`: numbers of atoms of that element; 0 where a column is vacant.
    - `starts`: places of such atoms that are empty above the first one, where the beam enters.
    - `missing`: atoms that were taken out: all of a vacant column, or one.
    """

    positions: Float[np.ndarray, "n 2"]
    elements: np.ndarray
    heights: Int[np.ndarray, " n"]
    starts: Int[np.ndarray, " n"]
    missing: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, which: np.ndarray) -> "HrtemColumns":
        """Columns at indices, or where a mask is true."""
        return HrtemColumns(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class HrtemSpecimen:
    """Atoms that a beam passes.

    **Fields:**

    - `positions`: x, y from the centre of the first pixel, z along the beam (Å).
    - `symbols`: of their elements.
    - `columns`: of the crystal, those in the field.
    - `crystal`: that they are of.
    - `repeat`: of the crystal along the beam (Å).
    - `depth`: from where the beam enters to the lower surface (Å).
    """

    positions: Float[np.ndarray, "n 3"]
    symbols: np.ndarray
    columns: HrtemColumns
    crystal: Crystal
    repeat: float
    depth: float


def hrtem_specimen(options: HrtemOptions, field: Field, rng: np.random.Generator) -> HrtemSpecimen:
    """Place what is to be imaged.

    **Arguments:**

    - `options`: of the image.
    - `field`: pixels and margins.
    - `rng`: of everything random.

    **Raises:** `InputError` if there is no such crystal, or it has too many atoms.
    """
    of = crystal(options.crystal)
    zone = zone_columns(of, options.axis)
    spacing = zone.repeat / max(np.bincount(zone.of[zone.atom_symbols == of.heaviest]).max(), 1)
    depth = options.thickness[1] * spacing
    turn = rng.uniform(0, 2 * np.pi) if options.turn is None else np.radians(options.turn)
    c, s = np.cos(turn), np.sin(turn)
    view = np.array([[c, s], [-s, c]])
    size = np.array(field.shape[::-1]) * field.pixel
    slab = slab_of(zone, 0.5 * float(np.hypot(*(size + 2 * field.margin * field.pixel))), depth, rng)
    slab = cut(slab, options, (spacing, size, view), rng)
    whole = slab.per_column(slab.heavy & slab.there)
    slab = with_faults(slab, options, rng)
    flat = slab.places @ view + 0.5 * (size - field.pixel)
    flat = flat + rng.normal(0, options.displacement, flat.shape)
    lean = np.outer(slab.heights - 0.5 * depth, 1e-3 * np.array(options.mistilt))
    positions = np.column_stack([flat[slab.of] + lean, slab.heights])
    columns = _columns(slab, whole, flat, positions)
    shown = (whole > 0) & np.all(
        np.abs(columns.positions - 0.5 * (size - field.pixel)) < 0.5 * size, axis=1
    )
    found = columns[np.flatnonzero(shown)]
    kept = slab.there & _in_field(positions[:, :2], field)
    made = HrtemSpecimen(
        positions[kept],
        slab.symbols[kept],
        found[np.lexsort((found.positions[:, 0], found.positions[:, 1]))],
        of,
        zone.repeat,
        depth,
    )
    return made if options.carbon == 0 else _on_carbon(made, options.carbon, field, rng)


def _columns(
    slab: Slab, whole: Int[np.ndarray, " c"], flat: Float[np.ndarray, "c 2"], at: Float[np.ndarray, "n 3"]
) -> HrtemColumns:
    """What is true of columns.

    **Arguments:**

    - `slab`: atoms that are there.
    - `whole`: atoms of each column before it had faults.
    - `flat`, `at`: places of columns, and of atoms.
    """
    there = slab.heavy & slab.there
    heights = slab.per_column(there)
    sums = np.stack([np.bincount(slab.of[there], at[there, k], len(flat)) for k in (0, 1)], axis=1)
    first = np.full(len(flat), np.inf)
    np.minimum.at(first, slab.of[there], slab.heights[there])
    return HrtemColumns(
        np.where(heights[:, None] > 0, sums / np.maximum(heights, 1)[:, None], flat),
        slab.elements,
        heights,
        np.where(heights > 0, slab.per_column(slab.heavy & (slab.heights < first[slab.of])), 0),
        whole - heights,
    )


def _in_field(places: Float[np.ndarray, "n 2"], field: Field) -> Bool[np.ndarray, " n"]:
    """Which are within the field and its margins."""
    margin = field.margin * field.pixel
    size = np.array(field.shape[::-1]) * field.pixel
    return np.all((places >= -margin) & (places < size + margin), axis=1)


def _on_carbon(made: HrtemSpecimen, depth: float, field: Field, rng: np.random.Generator) -> HrtemSpecimen:
    """With amorphous carbon above, where the beam enters."""
    margin = field.margin * field.pixel
    size = np.array([*(np.array(field.shape[::-1]) * field.pixel + 2 * margin), depth])
    count = int(_CARBON * np.prod(size))
    if count > MOST_ATOMS:
        raise InputError("the support has too many atoms", "give a thinner one", "--carbon")
    found = np.zeros((0, 3))
    for _ in range(40):
        new = rng.uniform(0, size, (max(2 * (count - len(found)), 1), 3))
        every = np.concatenate([found, new])
        pairs = cKDTree(every).query_pairs(_BOND, output_type="ndarray")
        # Of two that are too near the later one goes.
        bad = np.zeros(len(every), bool)
        bad[pairs.max(axis=1)] = True
        found = every[~bad][:count]
        if len(found) == count:
            break
    places = found - [margin, margin, 0]
    lower = made.positions + [0, 0, depth]
    symbols = np.concatenate([np.full(len(places), "C"), made.symbols])
    b_factors = {"C": TYPICAL_B, **made.crystal.b_factors}
    return replace(
        made,
        positions=np.concatenate([places, lower]),
        symbols=symbols,
        crystal=replace(made.crystal, b_factors=b_factors),
        depth=made.depth + depth,
    )
