"""Models read back, and everything that is no model refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atomfit.io.models import read_model
from atomfit.io.structures import Structure, write_mmcif, write_pdb, write_xyz
from atomfit.support.errors import InputError

TABLE = "id,element,x,y,z,x_esd,y_esd,z_esd,u_iso,u_iso_esd,flags\n"
ROWS = "1,Pt,1,2,3,.1,.2,.3,.2,.01,\n7,Fe,4,5,6,,,,.3,,at_bound\n"


def test_tables_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "atoms.csv").write_text(TABLE + ROWS)
    for path in (tmp_path, tmp_path / "atoms.csv"):
        model = read_model(path, "one")
        assert model.name == "one"
        assert model.ids.tolist() == [1, 7]
        assert model.symbols == ("Pt", "Fe")
        np.testing.assert_array_equal(model.positions, [[1, 2, 3], [4, 5, 6]])
        np.testing.assert_array_equal(model.esds, [[0.1, 0.2, 0.3], [np.nan] * 3])
        np.testing.assert_array_equal(model.numbers["u_iso"], [0.2, 0.3])
        assert "flags" not in model.numbers
        covariances = model.covariances()
        assert covariances is not None
        # An atom without error bars has the others' in a registration.
        np.testing.assert_allclose(covariances[1], np.diag([0.01, 0.04, 0.09]))


def test_a_table_needs_no_more_than_positions(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("\ufeffx, y ,z,note\n1,2,3,a\n\n4,5,6,b\n", encoding="utf-8")
    model = read_model(tmp_path / "plain.csv", "plain")
    assert model.ids.tolist() == [1, 2]
    assert model.symbols == ("X", "X")
    assert model.covariances() is None


def test_structures_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    positions = rng.uniform(-20, 20, (30, 3))
    structure = Structure(
        ["Pt", "Fe"] * 15, positions, np.full((30, 3, 3), np.nan), np.full(30, 0.2), {"cn": np.arange(30)}
    )
    write_mmcif(tmp_path / "atoms.cif", structure)
    write_pdb(tmp_path / "atoms.pdb", structure)
    write_xyz(tmp_path / "atoms.xyz", structure)
    lines = [f"{s} {x} {y} {z}" for s, (x, y, z) in zip(structure.symbols, positions, strict=True)]
    (tmp_path / "plain.xyz").write_text("\n".join(["30", "", *lines]) + "\n")
    (tmp_path / "turned.xyz").write_text(
        '2\nLattice="1 0 0" Properties=id:I:1:pos:R:3:species:S:1 x=1\n1 0 1 2 Pt\n2 3 4 5 Fe\n'
    )
    for name in ("atoms.cif", "atoms.pdb", "atoms.xyz", "plain.xyz"):
        model = read_model(tmp_path / name, name)
        np.testing.assert_allclose(model.positions, positions, atol=6e-4)
        assert model.symbols == tuple(structure.symbols)
        assert model.covariances() is None
    turned = read_model(tmp_path / "turned.xyz", "turned")
    assert turned.symbols == ("Pt", "Fe")
    np.testing.assert_array_equal(turned.positions, [[0, 1, 2], [3, 4, 5]])


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("a.csv", lambda path: None, "no such file"),
    "empty directory": ("a", lambda path: path.mkdir(), "no atoms.csv"),
    "another kind": ("a.txt", _text("x"), "'.txt'"),
    "empty": ("a.csv", _text(""), "the table is empty"),
    "no z": ("a.csv", _text("x,y\n1,2\n"), "no column 'z'"),
    "no rows": ("a.csv", _text(TABLE), "no atoms"),
    "short row": ("a.csv", _text("x,y,z\n1,2,3\n1,2\n"), "row 3 has 2 fields"),
    "word": ("a.csv", _text("x,y,z\n1,2,3\n1,two,3\n"), "row 3, column 'y': 'two'"),
    "empty position": ("a.csv", _text("x,y,z\n1,,3\n"), "row 2, column 'y'"),
    "nan": ("a.csv", _text("id,x,y,z\n9,1,nan,3\n"), "atom 9: y is nan"),
    "infinity": ("a.csv", _text("x,y,z\n1,2,inf\n"), "z is inf"),
    "negative esd": ("a.csv", _text("x,y,z,x_esd\n1,2,3,-1\n"), "column 'x_esd': -1 is negative"),
    "esd of words": ("a.csv", _text("x,y,z,x_esd\n1,2,3,big\n"), "column 'x_esd': 'big'"),
    "same id": ("a.csv", _text("id,x,y,z\n1,1,2,3\n1,4,5,6\n"), "1 is the id of row 2 too"),
    "id of letters": ("a.csv", _text("id,x,y,z\nA,1,2,3\n"), "'A' is no whole number"),
    "same column": ("a.csv", _text("x,y,z,x\n1,2,3,4\n"), "two columns are named 'x'"),
    "binary table": ("a.csv", lambda path: path.write_bytes(b"\xff\xff\x00x"), "not a text file"),
    "nul": ("a.csv", lambda path: path.write_bytes(b"x,y,z\n\x001,2,3\n"), "not a text file"),
    "xyz of words": ("a.xyz", _text("hello\n"), "number of atoms"),
    "empty xyz": ("a.xyz", _text(""), "number of atoms"),
    "short xyz": ("a.xyz", _text("3\n\nPt 1 2 3\n"), "promises 3 atoms and 1 lines"),
    "xyz line": ("a.xyz", _text("1\n\nPt 1 2\n"), "line 3"),
    "cif of words": ("a.cif", _text("hello\n"), "cannot be read"),
    "cif without atoms": ("a.cif", _text("data_x\n_cell.length_a 1\n"), "no atoms"),
    "pdb of words": ("a.pdb", _text("hello\n"), "no atoms"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_models_are_refused(case: str, tmp_path: Path) -> None:
    name, make, expected = BAD[case]
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError) as refused:
        read_model(path, "a")
    sentence = str(refused.value)
    assert expected in sentence
    assert str(path) in sentence
    assert "\n" not in sentence
