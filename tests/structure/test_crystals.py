"""Columns of crystals along zone axes, against the crystals themselves."""

from pathlib import Path

import numpy as np
import pytest

from atomfit.structure.crystals import Crystal, ZoneColumns, crystal, zone_columns
from atomfit.support.errors import InputError

RUTILE = """data_rutile
_cell_length_a 4.594
_cell_length_b 4.594
_cell_length_c 2.959
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 42/m n m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Ti1 Ti 0 0 0 1.0 0.005
O1 O 0.305 0.305 0 OCCUPANCY .
"""
SLANTED = Crystal(
    "triclinic",
    np.array([[3.1, 0, 0], [0.8, 4.2, 0], [-0.5, 1.1, 3.7]]),
    np.array([[0.1, 0.2, 0.3], [0.6, 0.4, 0.9]]),
    np.array(["Fe", "O"]),
    {"Fe": 0.4, "O": 0.6},
)


def file(tmp_path: Path, occupancy: str = "1.0") -> Path:
    path = tmp_path / "rutile.cif"
    path.write_text(RUTILE.replace("OCCUPANCY", occupancy), encoding="utf-8")
    return path


def distances(places: np.ndarray, symbols: np.ndarray, centre: np.ndarray, symbol: str) -> np.ndarray:
    d = np.linalg.norm(places[symbols == symbol] - centre, axis=1)
    return np.sort(d[d < 7])


def of_crystal(of: Crystal) -> tuple[np.ndarray, np.ndarray]:
    """All atoms around the cell."""
    steps = np.arange(-4, 5)
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = (cells + of.sites).reshape(-1, 3) @ of.cell
    return sites, np.tile(of.symbols, len(cells))


def of_columns(zone: ZoneColumns) -> tuple[np.ndarray, np.ndarray]:
    """All atoms around the origin, column after column."""
    steps = np.arange(-9, 10)
    i, j, k = (x.ravel() for x in np.meshgrid(steps, steps, steps, indexing="ij"))
    found, symbols = [], []
    for n, height in enumerate(zone.heights):
        base = np.array([*zone.places[zone.of[n]], height])
        found.append(base + np.outer(i, zone.lattice[0]) + np.outer(j, zone.lattice[1]))
        found[-1][:, 2] = found[-1][:, 2] % zone.repeat + k * zone.repeat
        symbols.append(np.full(len(i), zone.atom_symbols[n]))
    return np.concatenate(found), np.concatenate(symbols)


@pytest.mark.parametrize("axis", [(1, 1, 0), (1, 0, 0), (1, 1, 1), (2, 1, 1), (0, 1, -1), (2, 2, 0)])
@pytest.mark.parametrize("name", ["CeO2", "Pt", "rutile", "slanted"])
def test_columns_are_the_crystal(name: str, axis: tuple[int, int, int], tmp_path: Path) -> None:
    """Around an atom of each element, all others are as far as they are in the crystal."""
    of = {"rutile": lambda: crystal(file(tmp_path)), "slanted": lambda: SLANTED}.get(
        name, lambda: crystal(name)
    )()
    zone = zone_columns(of, axis)
    atoms, symbols = of_crystal(of)
    columns, elements = of_columns(zone)
    for k, centre in enumerate(zone.atom_symbols):
        middle = np.array([*zone.places[zone.of[k]], zone.heights[k]])
        origins = of.sites[of.symbols == centre] @ of.cell
        for symbol in set(of.symbols.tolist()):
            found = distances(columns, elements, middle, symbol)
            # Of one of the crystal's sites, which may differ in a crystal of low symmetry.
            wanted = [distances(atoms, symbols, origin, symbol) for origin in origins]
            assert any(len(w) == len(found) and np.allclose(w, found, atol=2e-3) for w in wanted)
    # The beam is along the zone axis: its shortest translation.
    length = np.linalg.norm(np.array(axis) / np.gcd.reduce(axis) @ of.cell)
    assert np.isclose(length / zone.repeat, round(length / zone.repeat))


@pytest.mark.parametrize(
    ("name", "axis", "repeat", "columns", "area"),
    [
        ("CeO2", (1, 1, 0), 5.411 / 2**0.5, ["Ce", "O", "O"], 5.411**2 / 2**1.5),
        ("CeO2", (1, 0, 0), 5.411, ["Ce", "O"], 5.411**2 / 4),
        ("CeO2", (1, 1, 1), 5.411 * 3**0.5, ["Ce"], 5.411**2 / 48**0.5),
        ("Pt", (1, 1, 0), 3.924 / 2**0.5, ["Pt"], 3.924**2 / 2**1.5),
        ("Au", (1, 0, 0), 4.078, ["Au"], 4.078**2 / 4),
    ],
)
def test_known_projections(
    name: str, axis: tuple[int, int, int], repeat: float, columns: list[str], area: float
) -> None:
    zone = zone_columns(crystal(name), axis)
    assert zone.repeat == pytest.approx(repeat)
    assert sorted(zone.symbols.tolist()) == columns
    assert np.linalg.det(zone.lattice[:, :2]) == pytest.approx(area)


def test_a_file_has_what_it_says(tmp_path: Path) -> None:
    found = crystal(file(tmp_path))
    assert sorted(found.symbols.tolist()) == ["O"] * 4 + ["Ti"] * 2
    assert found.heaviest == "Ti"
    assert found.b_factors["Ti"] == pytest.approx(8 * np.pi**2 * 0.005)
    assert found.b_factors["O"] == 0.5
    ti, o = (found.sites[found.symbols == one] @ found.cell for one in ("Ti", "O"))
    nearest = np.linalg.norm(ti[:1] - o, axis=1).min()
    assert nearest == pytest.approx(0.305 * 2**0.5 * 4.594, abs=1e-3)


def test_what_is_no_crystal_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.cif"
    empty.write_text("data_nothing\n", encoding="utf-8")
    rubbish = tmp_path / "rubbish.cif"
    rubbish.write_bytes(b"\xff\x00 loop_ _a\n")
    for name, told in (
        ("Unobtainium", "neither CeO2, Pt, Au nor a file"),
        (empty, "no atoms in a cell"),
        (rubbish, "cannot be read|no atoms in a cell"),
        (file(tmp_path, "0.5"), "occupancy 0.5"),
    ):
        with pytest.raises(InputError, match=told):
            crystal(name)
    with pytest.raises(InputError, match="too high"):
        zone_columns(crystal("Pt"), (7, 1, 0))
