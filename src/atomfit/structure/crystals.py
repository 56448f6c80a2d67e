"""A crystal's name or CIF file and a zone axis in, the columns that a beam along it meets out.

A crystal is a cell and its sites. Seen along a zone axis [u v w] it repeats: in the plane by a lattice of
two vectors, along the beam by a length, and its atoms stand in columns, each of one place in the plane and
atoms at given heights within a repeat. All three are found by trying the crystal's own translations, the
centring of its cell among them, so that a conventional cell does for any axis.
"""

from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from atomfit.structure.elements import symbol_in
from atomfit.support.errors import InputError
from atomfit.support.units import b_from_u

#: Displacement factor of an element where a file has none (Å²).
TYPICAL_B = 0.5
#: Sites are one, columns are one, that are nearer than this (Å).
_TOGETHER = 0.05
#: The longest zone axis: its greatest index.
_MOST_INDEX = 5
_FACES = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
_TETRAHEDRAL = np.array([[i, j, k] for i in (0.25, 0.75) for j in (0.25, 0.75) for k in (0.25, 0.75)])


@dataclass(frozen=True, eq=False)
class Crystal:
    """A cell and the sites in it.

    **Fields:**

    - `name`: of the crystal.
    - `cell`: its three vectors, as rows (Å).
    - `sites`: in parts of these.
    - `symbols`: elements of the sites.
    - `b_factors`: of each element, B = 8π² U (Å²).
    """

    name: str
    cell: Float[np.ndarray, "3 3"]
    sites: Float[np.ndarray, "n 3"]
    symbols: np.ndarray
    b_factors: dict[str, float]

    @property
    def heaviest(self) -> str:
        """The element of the highest atomic number."""
        from ase.data import atomic_numbers

        return max(set(self.symbols.tolist()), key=lambda one: int(atomic_numbers[one]))

    def centring(self) -> Float[np.ndarray, "k 3"]:
        """Translations that map the crystal onto itself, in parts of the cell, within it."""
        first = self.sites[self.symbols == self.symbols[0]]
        shifts = (first - first[0]) % 1
        return np.array([shift for shift in shifts if self._maps(shift)])

    def _maps(self, shift: Float[np.ndarray, " 3"]) -> bool:
        for symbol in set(self.symbols.tolist()):
            sites = self.sites[self.symbols == symbol]
            apart = sites[:, None] + shift - sites[None]
            apart = (apart - np.rint(apart)) @ self.cell
            if np.any(np.linalg.norm(apart, axis=2).min(axis=1) > _TOGETHER):
                return False
        return True


def _cubic(name: str, edge: float, sites: dict[str, np.ndarray], b_factors: dict[str, float]) -> Crystal:
    symbols = np.concatenate([[symbol] * len(places) for symbol, places in sites.items()])
    return Crystal(name, edge * np.eye(3), np.concatenate(list(sites.values())), symbols, b_factors)


#: Crystals that are known by name; lattice constants and displacement factors at room temperature.
KNOWN = {
    "CeO2": lambda: _cubic("CeO2", 5.411, {"Ce": _FACES, "O": _TETRAHEDRAL}, {"Ce": 0.26, "O": 0.47}),
    "Pt": lambda: _cubic("Pt", 3.924, {"Pt": _FACES}, {"Pt": 0.37}),
    "Au": lambda: _cubic("Au", 4.078, {"Au": _FACES}, {"Au": 0.62}),
}


def crystal(name: str | Path) -> Crystal:
    """A crystal that is known by name, or that a CIF file has.

    **Arguments:**

    - `name`: one of `KNOWN`, or a path.

    **Raises:** `InputError` if there is none, or the file has none that can be used.
    """
    known = {key.lower(): make for key, make in KNOWN.items()}
    if str(name).lower() in known:
        return known[str(name).lower()]()
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"{str(name)!r} is neither {', '.join(KNOWN)} nor a file",
            "give the path of a CIF file",
            "--crystal",
        )
    return _from_cif(path)


def _from_cif(path: Path) -> Crystal:
    import gemmi

    try:
        read = gemmi.read_small_structure(str(path))
        sites = list(read.get_all_unit_cell_sites())
    except (OSError, RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as a CIF file ({' '.join(str(error).split())[:120]})",
            "give the CIF file of a crystal",
            "--crystal",
        ) from None
    if not sites or not read.cell.is_crystal():
        raise InputError(f"{path} has no atoms in a cell", "give the CIF file of a crystal", "--crystal")
    partial = next((site for site in sites if abs(site.occ - 1) > 1e-3), None)
    if partial is not None:
        raise InputError(
            f"{path} has a site of occupancy {partial.occ:g} ({partial.label})",
            "give a crystal whose sites have one element each, with occupancy 1",
            "--crystal",
        )
    symbols = np.array([symbol_in(site.element.name) or "X" for site in sites])
    displacements: dict[str, list[float]] = {}
    for symbol, site in zip(symbols.tolist(), sites, strict=True):
        displacements.setdefault(symbol, []).append(float(site.u_iso))
    b_factors = {
        symbol: b_from_u(float(np.mean(u))) if min(u) > 0 else TYPICAL_B
        for symbol, u in displacements.items()
    }
    vectors = np.array(read.cell.orth.mat.tolist(), np.float64).T
    places = np.array([[site.fract.x, site.fract.y, site.fract.z] for site in sites])
    return Crystal(path.stem, vectors, places, symbols, b_factors)


@dataclass(frozen=True, eq=False)
class ZoneColumns:
    """A crystal along a zone axis: x and y in the plane, z along the beam.

    **Fields:**

    - `lattice`: two translations (Å), as rows; the first is the shortest in the plane, and along x.
    - `repeat`: along the beam (Å).
    - `places`: of the columns of one cell (Å).
    - `symbols`: of each column's heaviest element.
    - `of`: of each atom of a repeat, its column.
    - `atom_symbols`: its element.
    - `heights`: where in a repeat it is along the beam (Å).
    """

    lattice: Float[np.ndarray, "2 3"]
    repeat: float
    places: Float[np.ndarray, "c 2"]
    symbols: np.ndarray
    of: Int[np.ndarray, " n"]
    atom_symbols: np.ndarray
    heights: Float[np.ndarray, " n"]


def zone_columns(of: Crystal, zone: tuple[int, int, int]) -> ZoneColumns:
    """The columns of a crystal along a zone axis.

    **Arguments:**

    - `of`: the crystal.
    - `zone`: direction of the beam, in the cell's vectors.

    **Raises:** `InputError` if the axis has indices that are too high.
    """
    axis = np.array(zone) // max(gcd(*zone), 1)
    if np.abs(axis).max() > _MOST_INDEX:
        raise InputError(
            f"the zone axis {list(zone)} is too high", f"give indices up to {_MOST_INDEX}", "--zone"
        )
    basis, turn = _translations(of, axis)
    parts = of.sites @ of.cell @ turn.T @ np.linalg.inv(basis)
    sites = ((parts + 1e-4) % 1 - 1e-4) @ basis
    # Once each, whatever the cell's centring.
    apart = (parts[:, None] - parts[None] - np.rint(parts[:, None] - parts[None])) @ basis
    same = np.linalg.norm(apart, axis=2) < _TOGETHER
    first = same.argmax(axis=1) == np.arange(len(parts))
    return _in_columns(basis, sites[first], of.symbols[first])


def _translations(
    of: Crystal, axis: Int[np.ndarray, " 3"]
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 3"]]:
    """A basis of the crystal's translations whose last is along the beam, and what turns to that frame."""
    most = int(np.abs(axis).max()) + 1
    steps = np.arange(-most, most + 1)
    whole = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    moves = (whole + of.centring()).reshape(-1, 3) @ of.cell
    beam = axis @ of.cell
    beam = beam / np.linalg.norm(beam)
    along = moves @ beam
    flat = moves - np.outer(along, beam)
    length = np.linalg.norm(flat, axis=1)
    upright = length < 1e-3
    repeat = along[upright & (along > 1e-3)].min()
    # The shortest first, and of those the one that moves least along the beam.
    order = np.lexsort((np.round(along, 3), np.round(np.abs(along), 3), np.round(length, 3)))
    order = order[~upright[order]]
    x = flat[order[0]] / length[order[0]]
    turn = np.stack([x, np.cross(beam, x), beam])
    seen = moves[order] @ turn.T
    other = seen[np.argmax(np.abs(seen[:, 1]) > 1e-3)]
    other = other if other[1] > 0 else -other
    return np.stack([seen[0], other, [0.0, 0.0, repeat]]), turn


def _in_columns(
    basis: Float[np.ndarray, "3 3"], sites: Float[np.ndarray, "n 3"], symbols: np.ndarray
) -> ZoneColumns:
    from ase.data import atomic_numbers

    flat = basis[:2, :2]
    parts = sites[:, :2] @ np.linalg.inv(flat)
    apart = parts[:, None] - parts[None]
    whole = np.rint(apart)
    near = np.linalg.norm((apart - whole) @ flat, axis=2) < _TOGETHER
    leader = near.argmax(axis=1)
    leaders, of = np.unique(leader, return_inverse=True)
    # Atoms of one column may be cells apart, and have heights of another cell.
    moved = whole[np.arange(len(sites)), leader]
    heights = (sites[:, 2] - moved @ basis[:2, 2] + 1e-4) % basis[2, 2] - 1e-4
    numbers = np.array([int(atomic_numbers[one]) for one in symbols])
    heaviest = [symbols[of == c][numbers[of == c].argmax()] for c in range(len(leaders))]
    return ZoneColumns(
        basis[:2], float(basis[2, 2]), sites[leaders, :2], np.array(heaviest), of, symbols, heights
    )
