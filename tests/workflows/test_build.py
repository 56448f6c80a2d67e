"""The main job as a user runs it: in Python, from the command line, with every file opened."""

import csv
import inspect
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from typer.testing import CliRunner

import atomfit
from atomfit.cli import app
from atomfit.files.build import _viewable_map
from atomfit.files.thresholds import thresholds
from atomfit.io.models import read_model
from atomfit.io.mrc import read_map, write_map
from atomfit.io.tables import COLUMNS, REJECTED_COLUMNS
from atomfit.optimisation.ended import Ended
from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation, simulate
from atomfit.statistics import per_atom
from atomfit.structure.matching import match
from atomfit.workflows.build import build

FILES = {
    "report.html",
    "atoms.csv",
    "atoms.cif",
    "atoms_core.cif",
    "atoms.pdb",
    "atoms.xyz",
    "model.mrc",
    "residual.mrc",
    "labels.mrc",
    "binary.mrc",
    "rejected.csv",
    "particle.json",
    "depth.csv",
    "view.cxc",
    "summary.json",
    "run.json",
}


@pytest.fixture(scope="module")
def run(small: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of `atomfit build` on the small particle."""
    home = tmp_path_factory.mktemp("run")
    write_map(home / "particle.mrc", small.map)
    outcome = CliRunner().invoke(
        app, ["build", str(home / "particle.mrc"), "-e", "Pt", "--out", str(home / "out")]
    )
    assert outcome.exit_code == 0, outcome.output
    assert "55 atoms" in outcome.stdout
    assert "report.html" in outcome.stdout
    return home / "out"


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_files_are_there(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == FILES


def test_the_table_has_the_documented_columns(run: Path) -> None:
    table = rows(run / "atoms.csv")
    assert list(table[0]) == [column.name for column in COLUMNS]
    assert [int(row["id"]) for row in table] == list(range(1, 56))
    assert {row["element"] for row in table} == {"Pt"}
    documented = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f"| `{column.name}` |" in documented
    rejected = documented[documented.index("## `rejected.csv`") :]
    for column in REJECTED_COLUMNS:
        assert f"| `{column.name}` | {column.unit} | {column.meaning} |" in rejected
    assert (run / "rejected.csv").read_text().splitlines()[0] == ",".join(c.name for c in REJECTED_COLUMNS)
    flags = re.findall(r'\["(\w+)"\] if', inspect.getsource(per_atom))
    assert len(flags) >= 5
    for flag in flags:
        assert f"`{flag}`" in documented


def test_numbers_of_a_row_belong_together(run: Path) -> None:
    for row in rows(run / "atoms.csv"):
        u = np.array(
            [
                [float(row["u11"]), float(row["u12"]), float(row["u13"])],
                [float(row["u12"]), float(row["u22"]), float(row["u23"])],
                [float(row["u13"]), float(row["u23"]), float(row["u33"])],
            ]
        )
        values = np.linalg.eigvalsh(u)[::-1]
        np.testing.assert_allclose(
            [float(row[name]) for name in ("u_maj", "u_med", "u_min")], values, atol=3e-6
        )
        assert float(row["u_iso"]) == pytest.approx(np.trace(u) / 3, abs=2e-6)
        assert float(row["doi"]) == pytest.approx(values[2] / values[0], abs=1e-4)
        height = float(row["amplitude"]) / np.sqrt(np.linalg.det(2 * np.pi * u))
        assert float(row["peak_intensity"]) == pytest.approx(height, rel=1e-3)


def test_the_table_agrees_with_the_truth(run: Path, small: Simulation) -> None:
    table = rows(run / "atoms.csv")
    found = match(np.array([[float(row[k]) for k in "xyz"] for row in table]), small.positions)
    assert (found.missing, found.false) == (0, 0)
    at_detection = match(
        np.array([[float(row[f"com_{k}"]) for k in "xyz"] for row in table]), small.positions
    )
    assert found.rmsd < at_detection.rmsd
    truth = np.trace(small.matrices, axis1=1, axis2=2)[found.known] / 3
    joint = np.array([float(row["u_iso"]) for row in table])[found.found] - truth
    log = np.array([float(row["logfit_u_iso"]) for row in table])[found.found] - truth
    assert np.abs(joint).mean() < 0.7 * np.abs(log).mean()


def test_structures_and_maps_are_in_the_same_place(run: Path) -> None:
    gemmi = pytest.importorskip("gemmi")
    from ase.io import read

    table = np.array([[float(row[k]) for k in "xyz"] for row in rows(run / "atoms.csv")])
    cif = gemmi.read_structure(str(run / "atoms.cif"))
    np.testing.assert_allclose([c.atom.pos.tolist() for c in cif[0].all()], table, atol=1e-4)
    particle = read(run / "atoms.xyz")
    np.testing.assert_allclose(particle.get_positions(), table, atol=1e-4)
    assert not particle.pbc.any()
    assert {"score", "q_value", "flags"} <= set(particle.arrays)
    np.testing.assert_allclose(read(run / "atoms.pdb").get_positions(), table, atol=1e-3)
    # A core CIF has as many digits as two of a standard uncertainty need.
    np.testing.assert_allclose(read(run / "atoms_core.cif").get_positions(), table, atol=2e-3)
    esds = np.array([[float(row[f"{k}_esd"]) for k in "xyz"] for row in rows(run / "atoms.csv")])
    for name, digits in (("atoms.cif", 1e-5), ("atoms_core.cif", 0.051 * esds.max())):
        np.testing.assert_allclose(read_model(run / name, "a").esds, esds, atol=digits)
    model = read_map(run / "model.mrc").map
    inside = model.at(model.grid.nearest_voxels(table))
    assert inside.min() > 5 * np.median(model.values)


def test_map_is_model_plus_residual(run: Path, small: Simulation) -> None:
    with mrcfile.open(run / "model.mrc") as model, mrcfile.open(run / "residual.mrc") as residual:
        np.testing.assert_allclose(model.data + residual.data, small.map.values, atol=1e-5)
        assert residual.data.std() == pytest.approx(0.03, rel=0.1)
        assert mrcfile.validate(run / "model.mrc")


def test_form_factors_and_integrated_voxels_from_the_command_line(
    run: Path, small: Simulation, tmp_path: Path
) -> None:
    write_map(tmp_path / "particle.mrc", small.map)
    words = "-e Pt --scattering form-factor --u-mean 0.12 --voxels integrated --noise white"
    directory = tmp_path / "out"
    outcome = CliRunner().invoke(
        app, ["build", str(tmp_path / "particle.mrc"), *words.split(), "--out", str(directory)]
    )
    assert outcome.exit_code == 0, outcome.output
    options = json.loads((directory / "run.json").read_text())["options"]
    expected = {"scattering": "form-factor", "u_mean": 0.12, "voxels": "integrated"}
    assert expected.items() <= options.items()
    resolution = json.loads((directory / "summary.json").read_text())["fit"]["resolution"]
    assert 0 < resolution["esd"] < 0.1 * resolution["s"]
    ours, plain = ([float(row["u_iso"]) for row in rows(at / "atoms.csv")] for at in (directory, run))
    assert np.mean(ours) == pytest.approx(0.12, abs=1e-4)
    # What is wide in one model is wide in the other.
    assert np.corrcoef(ours, plain)[0, 1] > 0.98
    assert json.loads((run / "summary.json").read_text())["fit"]["resolution"] is None


def test_summary_and_run_record(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["atoms"] == 55
    assert summary["fit"]["reason"] == "converged"
    assert summary["fit"]["correlation"] > summary["baseline"]["correlation"]
    assert len(summary["detection"]["threshold_curve"]["threshold"]) >= 15
    assert summary["medians"]["cn"] > 5
    assert any("CELLA" in note for note in summary["map"]["notes"])
    record = json.loads((run / "run.json").read_text())
    assert record["versions"]["atomfit"] == atomfit.__version__
    assert record["options"]["element"] == "Pt"
    assert record["thresholds"] == json.loads(json.dumps(thresholds()))
    assert record["device"]["platform"] == "cpu"
    assert len(record["input"]["sha256"]) == 64
    assert list(record["seconds"]) == [
        "read and prepare",
        "detect",
        "joint fit",
        "selection",
        "baseline",
        "voxels",
        "statistics",
        "verdict",
        "write",
    ]


def test_viewer_script_opens_files_that_exist(run: Path) -> None:
    opened = [
        line.split('"')[1]
        for line in (run / "view.cxc").read_text().splitlines()
        if line.startswith("open")
    ]
    assert opened[1:] == ["model.mrc", "atoms.cif"]
    assert all((run / name).resolve().exists() for name in opened)
    assert "aniso" in (run / "view.cxc").read_text()


@pytest.mark.parametrize("name", ["x\nrunscript evil.py\n#.mrc", 'a"b.mrc', "a\\b.mrc", "\udcff.mrc"])
def test_a_map_that_a_script_cannot_name_is_written_for_viewers(
    name: str, small_result: BuildResult, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    source = replace(small_result.source, path=tmp_path / name)
    assert (
        _viewable_map(replace(small_result, source=source), tmp_path / "out", tmp_path / "out") == "map.mrc"
    )
    np.testing.assert_array_equal(
        read_map(tmp_path / "out" / "map.mrc").map.values, small_result.density.values
    )


def test_a_changed_map_is_written_for_viewers(small: Simulation, tmp_path: Path) -> None:
    dark = small.map.with_values(7 - 2 * small.map.values)
    result = build(dark, "Pt", invert=True, mask_diameter=float(small.map.grid.extent.min()))
    result.write(tmp_path / "out")
    assert (tmp_path / "out" / "map.mrc").exists()
    found = match(result.positions, small.positions)
    assert (found.missing, found.false) == (0, 0)


def test_python_call_takes_files_arrays_and_maps(small: Simulation, tmp_path: Path) -> None:
    np.save(tmp_path / "map.npy", small.map.values)
    options = atomfit.BuildOptions(voxel_size=0.358, fit="log")
    expected = build(small.map, "Pt", fit="log").positions
    for source in (small.map.values, tmp_path / "map.npy", str(tmp_path / "map.npy")):
        np.testing.assert_allclose(atomfit.build(source, "pt", options).positions, expected)


def test_the_baseline_alone(small: Simulation, tmp_path: Path) -> None:
    result = build(small.map, "Pt", fit="log")
    assert result.joint is None
    np.testing.assert_array_equal(result.positions, result.detection.positions)
    result.write(tmp_path / "out")
    table = rows(tmp_path / "out" / "atoms.csv")
    assert all(row["u_iso"] == row["logfit_u_iso"] for row in table)
    assert all(row["u_maj"] == row["logfit_u_maj"] for row in table)


def test_isotropic_atoms_claim_no_shape(small: Simulation, tmp_path: Path) -> None:
    build(small.map, "Pt", displacements="isotropic").write(tmp_path / "out")
    for row in rows(tmp_path / "out" / "atoms.csv"):
        assert float(row["u_iso"]) > 0
        assert {row[name] for name in ("u11", "u_maj", "u_min", "doi")} == {""}
    assert "ANISOU" not in (tmp_path / "out" / "atoms.pdb").read_text()


def test_no_atom_is_a_result(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((48, 48, 48)).astype(np.float32)
    np.save(tmp_path / "noise.npy", noise)
    outcome = CliRunner().invoke(
        app,
        [
            "build",
            str(tmp_path / "noise.npy"),
            "-e",
            "Pt",
            "--voxel-size",
            "0.36",
            "-o",
            str(tmp_path / "o"),
            "--insist",
        ],
    )
    assert outcome.exit_code == 0, outcome.output
    assert "no atom found" in outcome.stderr
    assert rows(tmp_path / "o" / "atoms.csv") == []
    assert json.loads((tmp_path / "o" / "summary.json").read_text())["atoms"] == 0


def test_one_atom(tmp_path: Path) -> None:
    case = simulate(size=1, noise=0.02, seed=3)
    result = build(case.map, "Pt")
    assert len(result) == 1
    assert np.linalg.norm(result.positions[0] - case.positions[0]) < 0.05
    result.write(tmp_path / "out")
    (row,) = rows(tmp_path / "out" / "atoms.csv")
    assert (row["cn"], row["nn_distance"]) == ("0", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"voxel_size": (0.3, 0.36, 0.42)},
        {"rotate": "20,40,60", "shift": (3.0, -2.0, 1.0)},
        {"doi": 0.5, "long_axis": "z"},
    ],
    ids=["unequal voxels", "rotated and off centre", "anisotropic"],
)
def test_particles_in_other_circumstances(changes: dict) -> None:
    case = simulate(shape="icosahedron", size=3, noise=0.03, **changes)
    result = build(case.map, "Pt")
    found = match(result.positions, case.positions)
    assert (found.missing, found.false) == (0, 0)
    assert found.rmsd < 0.03
    u = result.matrices[found.found]
    assert np.abs(u - case.matrices[found.known]).mean() < 0.02


@pytest.mark.parametrize("order", [(3, 2, 1), (2, 3, 1)])
def test_axis_order_and_origin_end_up_in_the_atoms(
    small: Simulation, small_result: BuildResult, order: tuple[int, int, int], tmp_path: Path
) -> None:
    path = tmp_path / "odd 'name' ø.map"
    stored = np.ascontiguousarray(small.map.values.transpose([3 - axis for axis in order[::-1]]))
    with mrcfile.new(path) as file:
        file.set_data(stored)
        header = file.header
        header.mapc, header.mapr, header.maps = order
        header.mx, header.my, header.mz = small.map.grid.shape[::-1]
        header.cella.x, header.cella.y, header.cella.z = small.map.grid.extent
        for name, axis in zip(("nxstart", "nystart", "nzstart"), order, strict=True):
            header[name] = -10 * axis
    expected = small_result.positions + 0.358 * np.array([-10, -20, -30])
    found = match(build(path, "Pt").positions, expected, 0.02)
    assert (found.missing, found.false) == (0, 0)


def test_integer_maps_work(small: Simulation, small_result: BuildResult, tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "int.mrc") as file:
        file.set_data(np.rint(100 * small.map.values).astype(np.int8))
        file.voxel_size = 0.358
    found = match(build(tmp_path / "int.mrc", "Pt").positions, small_result.positions, 0.05)
    assert (found.missing, found.false) == (0, 0)


def test_overwrite_replaces(run: Path, small: Simulation) -> None:
    result = build(small.map, "Pt", fit="log")
    (run.parent / "again").mkdir()
    (run.parent / "again" / "notes.txt").write_text("mine")
    result.write(run.parent / "again", overwrite=True)
    assert (run.parent / "again" / "notes.txt").read_text() == "mine"
    assert (run.parent / "again" / "atoms.csv").exists()


def test_check_describes_a_map(small: Simulation, tmp_path: Path) -> None:
    write_map(tmp_path / "map.mrc", small.map)
    outcome = CliRunner().invoke(app, ["check", str(tmp_path / "map.mrc")])
    assert outcome.exit_code == 0
    for words in ("CELLA", "ORIGIN", "atoms are bright", "can be used"):
        assert words in outcome.stdout


def test_simulate_writes_map_and_truth(tmp_path: Path) -> None:
    arguments = ["simulate", "--out", str(tmp_path / "sim"), "--shape", "octahedron", "--size", "4"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    truth = rows(tmp_path / "sim" / "truth.csv")
    assert len(truth) == 44
    assert set(truth[0]) <= {column.name for column in COLUMNS}
    density = read_map(tmp_path / "sim" / "map.mrc").map
    peaks = density.at(
        density.grid.nearest_voxels(np.array([[float(row[k]) for k in "xyz"] for row in truth]))
    )
    assert peaks.min() > 0.15


def test_help_does_not_wait_for_jax() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from atomfit.cli import app;"
        "r = CliRunner().invoke(app, ['build', '--help']); assert r.exit_code == 0;"
        "sys.exit(bool({'jax', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bad_input_does_not_wait_for_jax(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from atomfit.cli import app;"
        f"r = CliRunner().invoke(app, ['build', {str(tmp_path / 'none.mrc')!r}, '-e', 'Pt']);"
        "assert r.exit_code == 2; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_package_lists_its_names() -> None:
    assert set(atomfit.__all__) <= set(dir(atomfit))
    for name in atomfit.__all__:
        assert getattr(atomfit, name) is not None
    with pytest.raises(AttributeError):
        _ = atomfit.nothing


@pytest.mark.real
@pytest.mark.slow
def test_a_measured_map_gives_most_of_the_published_atoms(real_data: Path) -> None:
    folder = real_data / "ta_film" / "sub24"
    result = build(folder / "volume.mrc", "Ta")
    lines = (folder / "atoms_final.xyz").read_text().splitlines()[2:]
    published = np.array([line.split()[1:4] for line in lines], float)
    pairs = match(result.positions, published)
    # Atoms at the faces of this cut-out are seen in part only.
    assert pairs.precision > 0.9
    assert pairs.recall > 0.75
    assert pairs.rmsd < 0.4


def test_half_maps_from_the_command_line(small: Simulation, tmp_path: Path) -> None:
    """Their noise is the map's, so that what the model leaves is one in its unit."""
    difference = np.random.default_rng(0).normal(0, 0.03, small.map.values.shape).astype(np.float32)
    names = ["map.mrc", "half 1.mrc", "half 2.mrc"]
    for name, sign in zip(names, (0, 1, -1), strict=True):
        write_map(tmp_path / name, small.map.with_values(small.map.values + np.float32(sign) * difference))
    paths = [str(tmp_path / name) for name in names]
    outcome = CliRunner().invoke(
        app,
        ["build", paths[0], "-e", "Pt", "--half-maps", *paths[1:], "--out", str(tmp_path / "out")],
    )
    assert outcome.exit_code == 0, outcome.output
    assert "noise of the half-maps: white" in outcome.stderr
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["fit"]["chi_square_reduced"] == pytest.approx(1, abs=0.1)
    assert not summary["warnings"]
    assert json.loads((tmp_path / "out/run.json").read_text())["options"]["half_maps"] == paths[1:]
    other = str(tmp_path / "map.mrc")
    result = build(other, "Pt", half_maps=(paths[1], paths[0]), fit="log")
    assert any("not the mean of the half-maps" in warning for warning in result.warnings)


def test_a_noise_that_is_not_known_is_null(small: Simulation, tmp_path: Path) -> None:
    result = build(small.map, "Pt", noise="white", max_iterations=3)
    result.write(tmp_path / "out")
    assert json.loads((tmp_path / "out/summary.json").read_text())["fit"]["chi_square_reduced"] is None


@pytest.mark.slow
def test_an_interrupted_selection_keeps_the_first_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits in which atoms share a shape are none to write, or to go on from."""
    from atomfit.workflows import selecting

    case = simulate(size=55, noise=0.25, rotate="random", seed=0, box=72)
    whole = build(case.map, "Pt", prior="empirical", selection="paper")
    assert whole.joint is not None
    assert whole.joint.prior is not None
    real = selecting.joint_fit
    monkeypatch.setattr(
        selecting, "joint_fit", lambda *arguments: replace(real(*arguments), reason=Ended.INTERRUPTED)
    )
    # One atom less than there are, so that selection asks for it.
    found = whole.detection
    fewer = replace(found, positions=found.positions[1:], correlations=found.correlations[1:])
    monkeypatch.setattr("atomfit.workflows.build.detect", lambda *_, **__: fewer)
    result = build(case.map, "Pt", prior="empirical")
    assert result.joint is not None
    assert result.joint.reason == "interrupted"
    assert len(result) == len(fewer)


def test_a_part_is_held_out_if_that_is_asked(small: Simulation, tmp_path: Path) -> None:
    write_map(tmp_path / "map.mrc", small.map)
    arguments = [
        "build",
        str(tmp_path / "map.mrc"),
        "-e",
        "Pt",
        "--held-out",
        "5",
        "--out",
        str(tmp_path / "out"),
    ]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    held = json.loads((tmp_path / "out" / "summary.json").read_text())["fit"]["held_out"]
    assert held["kind"] == "voxels"
    assert held["blocks"] == pytest.approx(0.05 * held["around"], abs=1)
    assert held["ratio"] == pytest.approx(held["expected"], abs=4 * held["error"])
    assert json.loads((tmp_path / "out" / "run.json").read_text())["options"]["held_out"] == 5
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"{held['ratio']:.2f} \\u00b1 " in page or f"{held['ratio']:.2f} ± " in page
