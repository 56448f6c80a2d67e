"""Structure files, read back by the programs that people open them with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from atomfit.io.core_cif import box, with_esd, write_core_cif
from atomfit.io.models import read_model
from atomfit.io.structures import Structure, write_mmcif, write_pdb, write_xyz
from atomfit.support.units import HALF_PROBABILITY_SCALE, b_from_u

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
    none = Structure([], np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros(0), {})
    for write in (write_mmcif, write_core_cif):
        write(tmp_path / "atoms.cif", none)
        gemmi.cif.read(str(tmp_path / "atoms.cif"))
    assert write_pdb(tmp_path / "atoms.pdb", none)
    write_xyz(tmp_path / "atoms.xyz", none)
    assert len(read(tmp_path / "atoms.xyz")) == 0


@pytest.mark.slow
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


def with_errors(structure: Structure, esds: np.ndarray) -> Structure:
    return replace(structure, position_esds=esds[:, :3], matrix_esds=esds[:, 3:9], u_iso_esds=esds[:, 9])


def test_core_cif_with_ase_and_gemmi(tmp_path: Path) -> None:
    path = tmp_path / "atoms_core.cif"
    structure, rng = some_atoms(25), np.random.default_rng(1)
    esds = rng.uniform(0.001, 0.1, (25, 10))
    esds[3], esds[4, 0] = np.nan, np.inf
    structure.positions[:] = rng.uniform(3, 60, (25, 3))
    write_core_cif(path, with_errors(structure, esds))
    again = read(path)
    # Larger than the particle on all sides, and beginning at the origin.
    assert np.all(again.cell.lengths() > structure.positions.max(axis=0) + 3)
    np.testing.assert_allclose(again.get_positions(), structure.positions, atol=5e-3)
    small = gemmi.read_small_structure(str(path))
    assert small.spacegroup.hm == "P 1"
    known = structure.anisotropic
    u = np.array([site.aniso.elements_pdb() for site in small.sites])
    np.testing.assert_allclose(u[known], expected_u(structure)[known], atol=5e-3)
    model = read_model(path, "a")
    # Two digits of a standard uncertainty are known to a twentieth.
    np.testing.assert_allclose(model.esds[:3], esds[:3, :3], rtol=0.051)
    assert np.all(np.isnan(model.esds[3]))
    assert np.isnan(model.esds[4, 0])
    np.testing.assert_allclose(model.positions[3], structure.positions[3], atol=1e-6)
    np.testing.assert_allclose(model.numbers["u_iso_esd"][:2], esds[:2, 9], rtol=0.051)
    assert np.isnan(model.numbers["u_iso"][2])


def test_boxes_hold_all_atoms_and_say_where_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "atoms_core.cif"
    for shift in ([0, 0, 0], [30, 100, -7], [-500, 5000, 0.5]):
        structure = some_atoms(8)
        structure.positions[:] = np.random.default_rng(3).uniform(0, 20, (8, 3)) + shift
        corner, edges = box(structure.positions)
        inside = (structure.positions - corner) / edges
        assert inside.min() >= 0
        assert inside.max() < 1
        # No atom is near to another's image.
        assert np.all(edges - np.ptp(structure.positions, axis=0) >= 10)
        write_core_cif(path, structure)
        np.testing.assert_allclose(read_model(path, "a").positions, structure.positions, atol=1e-4)


@pytest.mark.parametrize(
    ("value", "esd", "expected"),
    [
        (1.23456, 0.0123, "1.235(12)"),
        (-0.5, 0.00999, "-0.5000(100)"),
        (12.0, 30.0, "12(30)"),
        (1.5, np.nan, "1.5000"),
        (1.5, np.inf, "1.5000"),
        (1.5, 0.0, "1.5000"),
        (np.nan, 0.1, "?"),
        (np.inf, 0.1, "?"),
    ],
)
def test_numbers_with_standard_uncertainties(value: float, esd: float, expected: str) -> None:
    assert with_esd(value, esd, 4) == expected


def test_no_program_takes_a_particle_for_periodic(tmp_path: Path) -> None:
    structure = some_atoms(5)
    write_pdb(tmp_path / "atoms.pdb", structure)
    write_xyz(tmp_path / "atoms.xyz", structure)
    for name in ("atoms.pdb", "atoms.xyz"):
        again = read(tmp_path / name)
        assert not again.pbc.any()
        assert not again.cell.any()
    assert "CRYST1" not in (tmp_path / "atoms.pdb").read_text()


def test_what_is_not_known_is_no_number_in_any_file(tmp_path: Path) -> None:
    """Infinite ones neither, and B is not gemmi's 20 where nobody knows it."""
    structure = some_atoms(4)
    esds = np.full((4, 10), np.inf)
    columns = {
        "score": np.array([1.0, np.inf, np.nan, 2.0]),
        "q_value": np.full(4, np.nan),
        "flags": np.array(["", "at_bound; log-fit: too few voxels", "narrower", ""], dtype=object),
    }
    structure = replace(with_errors(structure, esds), columns=columns)
    write_mmcif(tmp_path / "atoms.cif", structure)
    write_core_cif(tmp_path / "core.cif", structure)
    write_pdb(tmp_path / "atoms.pdb", structure)
    write_xyz(tmp_path / "atoms.xyz", structure)
    for path in tmp_path.iterdir():
        assert "inf" not in path.read_text().lower()
    assert "nan" not in (tmp_path / "atoms.cif").read_text() + (tmp_path / "core.cif").read_text()
    assert gemmi.read_pdb(str(tmp_path / "atoms.pdb"))[0][0][2][0].b_iso == 0
    again = read(tmp_path / "atoms.xyz").arrays
    np.testing.assert_array_equal(again["score"], [1.0, np.nan, np.nan, 2.0])
    assert "q_value" not in again
    assert again["flags"].tolist() == ["-", "at_bound;_log-fit:_too_few_voxels", "narrower", "-"]


FINITE = st.floats(-900, 900, width=32)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(
            arrays(np.float64, (n, 3), elements=FINITE),
            arrays(np.float64, (n, 10), elements=st.floats(1e-4, 1e3) | st.just(np.nan) | st.just(np.inf)),
            st.lists(st.sampled_from(["Pt", "Fe", "H", "Og"]), min_size=n, max_size=n),
        )
    )
)
def test_structures_survive_their_files(
    tmp_path_factory: pytest.TempPathFactory, some: tuple[np.ndarray, np.ndarray, list[str]]
) -> None:
    positions, esds, symbols = some
    folder, n = tmp_path_factory.mktemp("files"), len(symbols)
    structure = with_errors(
        Structure(symbols, positions, np.tile(0.1 * np.eye(3), (n, 1, 1)), np.full(n, 0.1), {}), esds
    )
    writers = {
        "a.cif": (write_mmcif, 1e-5),
        "core.cif": (write_core_cif, None),
        "a.pdb": (write_pdb, 6e-4),
        "a.xyz": (write_xyz, 1e-7),
    }
    for name, (write, tolerance) in writers.items():
        write(folder / name, structure)
        model = read_model(folder / name, "a")
        assert model.symbols == tuple(symbols)
        known = np.isfinite(esds[:, :3]) if name == "core.cif" else np.zeros((n, 3), bool)
        # Digits below a twentieth of a standard uncertainty are not written.
        allowed = np.where(known, 0.051 * np.nan_to_num(esds[:, :3]), tolerance or 2e-5)
        assert np.all(np.abs(model.positions - positions) <= allowed)
        if name.endswith(".cif"):
            np.testing.assert_array_equal(np.isnan(model.esds), ~np.isfinite(esds[:, :3]))
