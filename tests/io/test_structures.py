"""Structure files, read back by the programs that people open them with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.io.structures import Structure, write_mmcif, write_pdb, write_xyz
from atomfit.units import HALF_PROBABILITY_SCALE, b_from_u

gemmi = pytest.importorskip("gemmi")


def some_atoms(n: int, seed: int = 0) -> Structure:
    rng = np.random.default_rng(seed)
    root = 0.2 * rng.normal(size=(n, 3, 3))
    matrices = root @ np.swapaxes(root, 1, 2) + 0.05 * np.eye(3)
    u_iso = np.trace(matrices, axis1=1, axis2=2) / 3
    if n > 2:
        matrices[1] = np.nan  # isotropic
        matrices[2], u_iso[2] = np.nan, np.nan  # unknown
    return Structure(
        ["Pt"] * n, rng.uniform(-50, 50, (n, 3)), matrices, u_iso, {"cn": np.arange(n), "doi": u_iso}
    )


def as_arrays(structure: object) -> tuple[np.ndarray, ...]:
    atoms = [cra.atom for cra in structure[0].all()]  # type: ignore[index]
    positions = np.array([atom.pos.tolist() for atom in atoms])
    u = np.array([atom.aniso.elements_pdb() for atom in atoms])
    return (
        positions,
        u,
        np.array([atom.b_iso for atom in atoms]),
        np.array([atom.element.name for atom in atoms]),
    )


def expected_u(structure: Structure) -> np.ndarray:
    m = np.nan_to_num(structure.matrices)
    return np.stack([m[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))], axis=1)


def test_mmcif_with_gemmi(tmp_path: Path) -> None:
    structure = some_atoms(25)
    write_mmcif(tmp_path / "atoms.cif", structure)
    positions, u, b, names = as_arrays(gemmi.read_structure(str(tmp_path / "atoms.cif")))
    np.testing.assert_allclose(positions, structure.positions, atol=1e-5)
    np.testing.assert_allclose(u, expected_u(structure), atol=1e-6)
    np.testing.assert_allclose(b[:2], b_from_u(structure.u_iso[:2]), atol=1e-3)
    assert set(names) == {"Pt"}


def test_standard_uncertainties_in_mmcif(tmp_path: Path) -> None:
    from gemmi import cif

    structure, rng = some_atoms(5), np.random.default_rng(1)
    esds = rng.uniform(0.01, 0.1, (5, 10))
    esds[3] = np.nan
    known = replace(structure, position_esds=esds[:, :3], matrix_esds=esds[:, 3:9], u_iso_esds=esds[:, 9])
    write_mmcif(tmp_path / "atoms.cif", known)
    block = cif.read(str(tmp_path / "atoms.cif")).sole_block()
    names = ["Cartn_x_esd", "Cartn_y_esd", "Cartn_z_esd", "B_iso_or_equiv_esd"]
    rows = [list(row) for row in block.find("_atom_site.", names)]
    assert rows[3] == ["?"] * 4
    np.testing.assert_allclose(np.array(rows[0], float)[:3], esds[0, :3], atol=1e-5)
    assert float(rows[0][3]) == pytest.approx(b_from_u(esds[0, 9]), abs=1e-3)
    elements = ["id", *(f"U[{i}][{j}]_esd" for i, j in ((1, 1), (2, 2), (3, 3), (1, 2), (1, 3), (2, 3)))]
    first = list(block.find("_atom_site_anisotrop.", elements)[0])
    np.testing.assert_allclose(np.array(first[1:], float), esds[0, 3:9], atol=1e-6)


def test_pdb_with_gemmi_and_ase(tmp_path: Path) -> None:
    from ase.io import read

    structure = some_atoms(25)
    assert write_pdb(tmp_path / "atoms.pdb", structure)
    positions, u, _, names = as_arrays(gemmi.read_structure(str(tmp_path / "atoms.pdb")))
    np.testing.assert_allclose(positions, structure.positions, atol=6e-4)
    np.testing.assert_allclose(u, expected_u(structure), atol=6e-5)
    assert set(names) == {"Pt"}
    again = read(tmp_path / "atoms.pdb")
    np.testing.assert_allclose(again.get_positions(), structure.positions, atol=6e-4)
    assert set(again.get_chemical_symbols()) == {"Pt"}


def test_anisou_columns_are_those_of_the_format(tmp_path: Path) -> None:
    u = np.array([[0.11, 0.01, 0.02], [0.01, 0.22, 0.03], [0.02, 0.03, 0.33]])
    structure = Structure(["Pt"], np.zeros((1, 3)), u[None], np.array([0.22]), {})
    write_pdb(tmp_path / "atoms.pdb", structure)
    lines = [line for line in (tmp_path / "atoms.pdb").read_text().splitlines() if line[:6] == "ANISOU"]
    fields = [int(lines[0][28 + 7 * k : 35 + 7 * k]) for k in range(6)]
    assert fields == [1100, 2200, 3300, 100, 200, 300]


def test_pdb_refuses_coordinates_beyond_its_columns(tmp_path: Path) -> None:
    structure = some_atoms(3)
    structure.positions[0] = 20_000.0
    assert not write_pdb(tmp_path / "atoms.pdb", structure)
    assert not (tmp_path / "atoms.pdb").exists()


def test_xyz_with_ase_draws_the_ellipsoids(tmp_path: Path) -> None:
    from ase.io import read

    structure = some_atoms(25)
    write_xyz(tmp_path / "atoms.xyz", structure)
    header = (tmp_path / "atoms.xyz").read_text().splitlines()[1]
    assert "aspherical_shape:R:3" in header
    assert "orientation:R:4" in header
    again = read(tmp_path / "atoms.xyz")
    np.testing.assert_allclose(again.get_positions(), structure.positions, atol=1e-6)
    np.testing.assert_array_equal(again.arrays["cn"], structure.columns["cn"])
    # An ellipsoid with the given axes, turned by the quaternion (x, y, z, w), is the matrix.
    turn = Rotation.from_quat(again.arrays["orientation"]).as_matrix()
    radii = again.arrays["aspherical_shape"] / HALF_PROBABILITY_SCALE
    u = (turn * radii[:, None, :] ** 2) @ np.swapaxes(turn, 1, 2)
    known = structure.anisotropic
    np.testing.assert_allclose(u[known], structure.matrices[known], atol=1e-5)
    np.testing.assert_allclose(radii[1] ** 2, structure.u_iso[1], rtol=1e-5)
    assert not radii[2].any()


def test_no_atoms_make_readable_files(tmp_path: Path) -> None:
    from ase.io import read

    none = Structure([], np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros(0), {})
    write_mmcif(tmp_path / "atoms.cif", none)
    gemmi.cif.read(str(tmp_path / "atoms.cif"))
    assert write_pdb(tmp_path / "atoms.pdb", none)
    write_xyz(tmp_path / "atoms.xyz", none)
    assert len(read(tmp_path / "atoms.xyz")) == 0


def test_more_than_99999_atoms(tmp_path: Path) -> None:
    n = 100_123
    structure = some_atoms(n)
    write_mmcif(tmp_path / "atoms.cif", structure)
    write_pdb(tmp_path / "atoms.pdb", structure)
    write_xyz(tmp_path / "atoms.xyz", structure)
    for name, tolerance in (("atoms.cif", 1e-5), ("atoms.pdb", 6e-4)):
        read = gemmi.read_structure(str(tmp_path / name))
        positions = np.array([cra.atom.pos.tolist() for cra in read[0].all()])
        np.testing.assert_allclose(positions, structure.positions, atol=tolerance)
        labels = {(c.name, str(r.seqid)) for c in read[0] for r in c}
        assert len(labels) == n
    lines = (tmp_path / "atoms.xyz").read_text().splitlines()
    assert len(lines) == n + 2
