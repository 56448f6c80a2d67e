"""Columns with starts and heights, their places, and conditions in; the counts that are expected out.

Every site of the crystal is a column of places for atoms, as many along the beam as the thickest column
may have and a few more. Which of them are there is a matrix of occupancies, column by place: a column has
a start and a height, and parts of an atom where these are no whole numbers. All else (which slice an atom
is in, what element it is) is made once, on the host. A mistilt leans columns over, about the middle of
the slab.

Focus is counted from the lower end of all places.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from atomfit.column_heights.conditions import Conditions
from atomfit.column_heights.sites import Sites
from atomfit.structure.crystals import ZoneColumns
from atomfit.waves import (
    Beam,
    Field,
    SlicedAtoms,
    Slices,
    clear_of,
    exit_wave,
    slice_atoms,
    slice_thickness,
)
from atomfit.waves.microscope import OVERSAMPLING, intensity_grid
from atomfit.waves.optics import focuses_needed
from atomfit.waves.slices import Leaf

#: Places beyond those of the thickest column: how far below another one a column can begin.
MORE = 2
#: The largest focal spread that nodes are made for (Å).
_SPREAD = 55.0
#: Tables are filled up to multiples of these.
_ATOMS, _WIDE, _COLUMNS = 1024, 64, 64


class ColumnModel(eqx.Module):
    """What an image of given columns is.

    **Fields:**

    - `field`: pixels and margins.
    - `of`, `unit`: of each atom that there can be, its column and its place there.
    - `depths`: of each, along the beam from the middle of the slab (Å).
    - `slices`: which is in which slice.
    - `columns`: there are, with those that fill tables up.
    - `units`: places that each column has.
    - `focuses`: of the coherent sum.
    - `voltage`: kV.
    """

    field: Field
    of: Int[np.ndarray, " a"]
    unit: Int[np.ndarray, " a"]
    depths: Float[np.ndarray, " a"]
    slices: Slices
    columns: int = eqx.field(static=True)
    units: int = eqx.field(static=True)
    focuses: int = eqx.field(static=True)
    voltage: float = eqx.field(static=True)

    def wave(
        self,
        places: Float[Leaf, "n 2"],
        occupancies: Float[Leaf, "n units"],
        conditions: Conditions,
    ) -> Complex[Array, "rows columns"]:
        """Transform of the exit wave.

        **Arguments:**

        - `places`: x, y of columns, in the middle of the slab (Å).
        - `occupancies`: of the places of their atoms.
        - `conditions`: of the imaging.
        """
        lean = 1e-3 * conditions.pair("mistilt")
        positions = jnp.asarray(places)[self.of] + jnp.asarray(self.depths)[:, None] * lean
        atoms = SlicedAtoms(
            positions,
            jnp.asarray(occupancies)[self.of, self.unit],
            conditions.b_factors(self.slices.elements),
            conditions["absorption"],
            self.slices,
        )
        return exit_wave(atoms, self.field, Beam(self.voltage))

    def image(
        self,
        wave: Complex[Array, "rows columns"],
        conditions: Conditions,
        oversampling: float = OVERSAMPLING,
    ) -> Float[Array, "pixel_rows pixel_columns"]:
        """Electrons that are expected, margins included.

        **Arguments:**

        - `wave`: from `wave`.
        - `conditions`: of the imaging.
        - `oversampling`: of intensities.
        """
        microscope = conditions.microscope(self.focuses, oversampling)
        seen = microscope.image(wave, self.field, Beam(self.voltage))
        flat = conditions.dose * conditions["scale"] * self.field.pixel**2
        # What is everywhere the same takes from the contrast, not from the dose.
        part = conditions["background"]
        return seen * (1 - part) + flat * part

    def below(self, lowest: float) -> float:
        """How far the plane that focus is counted from is below a specimen's lower surface (Å).

        **Arguments:**

        - `lowest`: places that there are atoms in, from the first.
        """
        return (self.units - lowest) * self.spacing

    @property
    def spacing(self) -> float:
        """Of places along the beam (Å)."""
        return self.slices.count * float(self.slices.thickness) / (self.units + 1)


def column_model(
    sites: Sites, zone: ZoneColumns, heaviest: str, field: Field, voltage: float, most: int
) -> ColumnModel:
    """The model of sites of a crystal.

    **Arguments:**

    - `sites`, `zone`, `heaviest`: what is imaged.
    - `field`, `voltage`: pixels, and kV.
    - `most`: atoms of the thickest column.
    """
    per_repeat = max(np.bincount(zone.of[zone.atom_symbols == heaviest]).max(), 1)
    units = most + MORE
    repeats = -(-units // int(per_repeat))
    of, unit, z, symbols = [], [], [], []
    for kind in range(len(zone.places)):
        atoms = np.flatnonzero(zone.of == kind)
        at = np.flatnonzero(sites.kinds == kind)
        main = np.sort(zone.heights[atoms][zone.atom_symbols[atoms] == zone.symbols[kind]])
        shift = sites.levels[at] - zone.heights[atoms].min() + 1e-3
        for atom in atoms:
            # Others of a column go with the atom of its own element that is before them.
            rank = max(int(np.searchsorted(main, zone.heights[atom] + 1e-3)) - 1, 0)
            for repeat in range(repeats):
                here = rank + len(main) * repeat
                if here < units:
                    of.append(at)
                    unit.append(np.full(len(at), here))
                    z.append(zone.heights[atom] + shift + repeat * zone.repeat)
                    symbols.append(np.full(len(at), zone.atom_symbols[atom]))
    heights = np.concatenate(z)
    thick = slice_thickness(zone.repeat)
    heights = heights + clear_of(heights, thick)
    count = round(np.ceil(heights.max() / thick))
    # Tables are filled up, with atoms of a column that has none: similar images share compiled code.
    more = -len(heights) % _ATOMS
    whole = np.concatenate(symbols)
    wide = [
        np.bincount(np.floor(heights[whole == one] / thick).astype(int)).max()
        for one in set(whole.tolist())
    ]
    slices = slice_atoms(heights, whole, thick, count, int(-(-max(wide) // _WIDE) * _WIDE))
    grid = intensity_grid(field, OVERSAMPLING)
    return ColumnModel(
        field,
        np.pad(np.concatenate(of), (0, more), constant_values=len(sites)),
        np.pad(np.concatenate(unit), (0, more)),
        np.pad((heights - 0.5 * count * thick).astype(np.float32), (0, more)),
        slices,
        len(sites) + 1 + -(len(sites) + 1) % _COLUMNS,
        units,
        focuses_needed(_SPREAD, grid, Beam(voltage).wavelength),
        voltage,
    )


def occupancies(
    starts: Float[np.ndarray, " n"], heights: Float[np.ndarray, " n"], units: int
) -> Float[np.ndarray, "n units"]:
    """Which places have an atom; parts of one where numbers are not whole.

    **Arguments:**

    - `starts`: places above the first atom.
    - `heights`: atoms.
    - `units`: places.
    """
    low = np.clip(np.asarray(starts, np.float64), 0, np.maximum(units - np.asarray(heights), 0))[:, None]
    first = np.arange(units)
    high = low + np.asarray(heights, np.float64)[:, None]
    inside = np.minimum(first + 1, high) - np.maximum(first, low)
    return np.clip(inside, 0, 1).astype(np.float32)
