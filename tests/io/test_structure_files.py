"""Structures as other programs write them: CIF of all kinds, PDB and XYZ with their faults."""

import contextlib
import logging
from pathlib import Path

import gemmi
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.io.models import read_model
from atomfit.statistics.comparison import Model
from atomfit.support.errors import InputError

PLACES = np.array([[1.0, 2.0, 3.0], [4.5, 5.25, 6.125], [7.0, 1.5, 2.5]])
CELL = "".join(
    f"_cell_length_{k} 20.0(1)\n_cell_angle_{a} 90\n"
    for k, a in zip("abc", ("alpha", "beta", "gamma"), strict=True)
)
FRACT = "".join(f"_atom_site_fract_{axis}\n" for axis in "xyz")
CARTN = "".join(f"_atom_site.Cartn_{axis}\n" for axis in "xyz")


def cif(body: str) -> str:
    return "data_some\n" + body


def read(folder: Path, name: str, text: str) -> Model:
    (folder / name).write_text(text, encoding="utf-8")
    return read_model(folder / name, "a")


def test_cif_of_ase_with_and_without_a_cell(tmp_path: Path) -> None:
    atoms = Atoms(["Pt", "Fe", "Pt"], PLACES)
    write(tmp_path / "cartesian.cif", atoms)
    atoms.set_cell([20, 21, 22, 80, 95, 105])
    # The cell as CIF has it: a along x, b in the plane of x and y.
    write(tmp_path / "fractional.cif", atoms)
    for name in ("cartesian.cif", "fractional.cif"):
        model = read_model(tmp_path / name, "a")
        np.testing.assert_allclose(model.positions, PLACES, atol=1e-4)
        assert model.symbols == ("Pt", "Fe", "Pt")


def test_core_cif_with_labels_and_uncertainties(tmp_path: Path) -> None:
    body = f"{CELL}loop_\n_Atom_Site_Label\n{FRACT}_atom_site_U_iso_or_equiv\n"
    model = read(
        tmp_path,
        "a.cif",
        cif(body + "Pt1 .5(2) 0.25 0.1 0.012(3)\n'Fe2 a' 0 -0.125(10) 1e-1(2) .\nX1 0.5 0 0 ?\n"),
    )
    assert model.symbols == ("Pt", "Fe", "X")
    np.testing.assert_allclose(model.positions, [[10, 5, 2], [0, -2.5, 2], [10, 0, 0]], atol=1e-12)
    expected = [[4, np.nan, np.nan], [np.nan, 0.2, 4], [np.nan] * 3]
    np.testing.assert_allclose(np.nan_to_num(model.esds), np.nan_to_num(expected), atol=1e-12)
    np.testing.assert_allclose(model.numbers["u_iso"], [0.012, np.nan, np.nan])
    np.testing.assert_allclose(model.numbers["u_iso_esd"], [0.003, np.nan, np.nan])


@pytest.mark.parametrize(
    "group", ["_symmetry_space_group_name_H-M 'F m -3 m'\n", "_space_group_IT_number 225\n"]
)
def test_symmetry_makes_the_whole_cell(group: str, tmp_path: Path) -> None:
    text = cif(f"{CELL.replace('20.0(1)', '3.92')}{group}loop_\n_atom_site_label\n{FRACT}Pt1 0 0 0\n")
    np.testing.assert_allclose(
        sorted(read(tmp_path, "a.cif", text).positions.tolist()),
        sorted(bulk("Pt", cubic=True, a=3.92).positions.tolist()),
        atol=1e-9,
    )


def test_listed_operations_in_a_cell_that_is_not_right_angled(tmp_path: Path) -> None:
    """Against gemmi's own expansion."""
    cell = (
        "_cell_length_a 2.66\n_cell_length_b 2.66\n_cell_length_c 4.95\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 120\n"
    )
    ops = "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-x,-y,-z\n"
    text = cif(f"{cell}{ops}loop_\n_atom_site_label\n{FRACT}Zn1 0.3333 0.6667 0.25\nZn2 0.5 0 0.5\n")
    found = read(tmp_path, "a.cif", text).positions
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
    wanted = [
        small.cell.orthogonalize(site.fract.wrap_to_unit()).tolist()
        for site in small.get_all_unit_cell_sites()
    ]
    np.testing.assert_allclose(sorted(found.tolist()), sorted(wanted), atol=1e-3)


def test_mmcif_with_few_columns_and_other_models(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = cif(f"loop_\n{CARTN}_atom_site.type_symbol\n_atom_site.pdbx_PDB_model_num\n")
    with caplog.at_level(logging.WARNING):
        model = read(
            tmp_path,
            "a.cif",
            text + "1 2 3 PT 1\n4 5 6 Fe 1\n7 8 9 Fe 2\n" + "data_b\n_atom_site.Cartn_x 1\n",
        )
    np.testing.assert_array_equal(model.positions, [[1, 2, 3], [4, 5, 6]])
    assert model.symbols == ("Pt", "Fe")
    assert "2 models" in caplog.text
    assert "2 blocks" in caplog.text
    one = read(tmp_path, "b.cif", cif("_atom_site.Cartn_x 1\n_atom_site.Cartn_y 2\n_atom_site.Cartn_z 3\n"))
    assert one.symbols == ("X",)


def test_a_translation_of_the_cell_is_kept(tmp_path: Path) -> None:
    shift = "".join(f"_atom_sites_Cartn_tran_vector_{k} {-k}\n" for k in (1, 2, 3))
    text = cif(f"{CELL}{shift}loop_\n_atom_site_type_symbol\n{FRACT}Pt 0.5 0.5 0.5\n")
    np.testing.assert_allclose(read(tmp_path, "a.cif", text).positions, [[9, 8, 7]])


PDB = "HETATM    1 {name:<4} UNK A   1    {x:>8}{y:>8}{z:>8}  1.00  0.00          {element:>2}\n"
BAD: dict[str, tuple[str, str, str]] = {
    "no cell": ("a.cif", cif(f"loop_\n_atom_site_label\n{FRACT}Pt 0 0 0\n"), "no cell"),
    "no z": ("a.cif", cif(f"{CELL}loop_\n_atom_site_fract_x\n_atom_site_fract_y\n0 0\n"), "incomplete"),
    "nothing": ("a.cif", cif(CELL), "_atom_site_fract_x"),
    "unknown group": (
        "a.cif",
        cif(f"{CELL}_space_group_name_H-M_alt 'Q 7'\nloop_\n_atom_site_label\n{FRACT}Pt 0 0 0\n"),
        "'Q 7' is not known",
    ),
    "a word": (
        "a.cif",
        cif(f"{CELL}loop_\n_atom_site_label\n{FRACT}Pt 0 one 0\n"),
        "'one' is not a number",
    ),
    "a comma": ("a.cif", cif(f"{CELL}loop_\n_atom_site_label\n{FRACT}Pt 0 0,5 0\n"), "comma"),
    "a question mark": (
        "a.cif",
        cif(f"{CELL}loop_\n_atom_site_label\n{FRACT}Pt 0 ? 0\n"),
        "fract_y is not known",
    ),
    "no element": (
        "a.cif",
        cif(f"{CELL}loop_\n_atom_site_label\n{FRACT}Foo 0 0 0\n"),
        "'Foo' is no element",
    ),
    "angles": (
        "a.cif",
        cif(f"{CELL.replace(' 90', ' 150')}loop_\n_atom_site_label\n{FRACT}Pt 0 0 0\n"),
        "angles",
    ),
    "loop": ("a.cif", cif("loop_\n_a\n_b\n1 2 3\n"), "line 2: Wrong number"),
    "pdb stars": (
        "a.pdb",
        PDB.format(name=" PT ", x="*" * 8, y=1, z=1, element="PT"),
        "line 1: x: '********'",
    ),
    "pdb element": ("a.pdb", PDB.format(name="QQQ", x=1, y=1, z=1, element=""), "atom 1"),
    "too many lines": ("a.xyz", "1\n\nPt 1 2 3\nPt 4 5 6\n", "line 4 follows"),
    "a text": ("a.xyz", "1\n\nNobody 1 2 3\n", "line 3: 'Nobody' is no element"),
    "xyz of commas": ("a.xyz", "1\n\nPt 1,5 2 3\n", "comma"),
    "csv of commas": ("a.csv", "x;y;z\n1,5;2;3\n", "comma"),
    "csv element": ("a.csv", "x,y,z,element\n1,2,3,Pt\n1,2,3,Foo\n", "row 3, column 'element': 'Foo'"),
    "long id": ("a.csv", "id,x,y,z\n99999999999999999999,1,2,3\n", "too many digits"),
    "infinite esd": ("a.csv", "x,y,z,x_esd\n1,2,3,inf\n", "inf is infinite"),
    "esd beyond squares": ("a.csv", "x,y,z,x_esd\n1,2,3,1e200\n", "uncertainty of x is 1e+200"),
    "denormal esd": ("a.csv", "x,y,z,x_esd\n1,2,3,1e-310\n", "uncertainty of x is 1e-310"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    name, text, expected = BAD[case]
    with pytest.raises(InputError) as refused:
        read(tmp_path, name, text)
    assert expected in str(refused.value)
    assert str(tmp_path / name) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("label", ["PT", "pt", "Pt1", "Pt2+", "78", "platinum", "Pt(IV)", "78.0"])
def test_elements_by_whatever_name(label: str, tmp_path: Path) -> None:
    two = "Fe" if not label[0].isdigit() else "26"
    assert read(tmp_path, "a.xyz", f"2\n\n{label} 1 2 3\n{two} 4 5 6\n").symbols == ("Pt", "Fe")
    assert read(tmp_path, "a.csv", f"element,x,y,z\n{label},1,2,3\n{two},4,5,6\n").symbols == ("Pt", "Fe")
    text = cif(f"loop_\n_atom_site.type_symbol\n{CARTN}{label} 1 2 3\n{two} 4 5 6\n")
    assert read(tmp_path, "a.cif", text).symbols == ("Pt", "Fe")


@pytest.mark.parametrize("name", ["PT  ", "Pt1 ", " pt1", "78  "])
def test_elements_of_pdb_files_without_their_columns(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, "a.pdb", PDB.format(name=name, x=1, y=2, z=3, element="")).symbols == ("Pt",)


def test_types_of_simulations_and_nothing_are_no_elements(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path, "a.xyz", "3\n\n1 1 2 3\n2 4 5 6\n1 7 8 9\n").symbols == ("X", "X", "X")
    assert "numbers from 1 to 2" in caplog.text
    assert read(tmp_path, "a.csv", "element,x,y,z\n,1,2,3\nD,4,5,6\n").symbols == ("X", "H")
    ovito = "2\nProperties=id:I:1:type:I:1:pos:R:3\n1 1 1 2 3\n2 2 4 5 6\n"
    assert read(tmp_path, "b.xyz", ovito).symbols == ("X", "X")
    nameless = read(tmp_path, "c.xyz", "1\nProperties=id:I:1:pos:R:3\n1 1 2 3\n")
    assert nameless.symbols == ("X",)
    np.testing.assert_array_equal(nameless.positions, [[1, 2, 3]])


def test_frames_after_the_first_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path, "a.xyz", "1\n\nPt 1 2 3\n1\n\nPt 4 5 6\n")) == 1
    assert "several frames" in caplog.text


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a.cif", "a.pdb", "a.xyz", "a.csv"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, name: str
) -> None:
    heads = {
        "a.cif": cif(f"loop_\n_atom_site.type_symbol\n{CARTN}").encode(),
        "a.pdb": b"HETATM    1  PT1 UNK A   1    ",
        "a.xyz": b"1\n\nPt ",
        "a.csv": b"x,y,z\n1,2,",
    }
    path = tmp_path_factory.mktemp("junk") / name
    path.write_bytes(heads[name] + junk)
    with contextlib.suppress(InputError):
        assert np.all(np.isfinite(read_model(path, "a").positions))
