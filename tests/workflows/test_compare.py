"""The command `atomfit compare`, from files to files."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import atomfit
from atomfit.cli import app
from atomfit.io.comparisons import COMPARE_COLUMNS
from atomfit.io.mrc import write_map
from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation
from atomfit.simulation.changes import Change, changed
from atomfit.simulation.particles import particle
from atomfit.support.errors import Doubt, InputError, settle
from atomfit.workflows.compare import names_of

FILES = Path(__file__).parents[2] / "docs" / "files.md"


def write_model(path: Path, positions: np.ndarray, sigma: float = 0.05) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "element", *"xyz", "x_esd", "y_esd", "z_esd", "u_iso", "u_iso_esd"])
        for i, r in enumerate(positions):
            writer.writerow([i + 1, "Pt", *r.tolist(), sigma, sigma, sigma, 0.2, 0.01])


@pytest.fixture(scope="module")
def case() -> Change:
    sites = particle("sphere", "Pt", 150)
    return changed(sites + np.random.default_rng(0).normal(0, 0.06, sites.shape), 1)


@pytest.fixture
def files(case: Change, tmp_path: Path) -> list[str]:
    write_model(tmp_path / "before.csv", case.a)
    write_model(tmp_path / "after.csv", case.b)
    return [str(tmp_path / "before.csv"), str(tmp_path / "after.csv")]


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_two_models(files: list[str], case: Change, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = CliRunner().invoke(app, ["compare", *files, "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    names = ["a.xyz", "b.xyz", "compare.csv", "compare.html", "compare.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    table = rows(out / "compare.csv")
    assert list(table[0]) == [column.name for column in COMPARE_COLUMNS]
    found = {int(row["id_a"]): row for row in table if row["id_a"]}
    assert sum(found[i + 1]["status"] != case.statuses[i] for i in range(150)) <= 1
    for j, i in enumerate(case.origin):
        row = found[i + 1]
        assert row["status"] == "lost" or int(row["id_b"]) == j + 1
    displaced = next(row for row in table if row["status"] == "displaced")
    d = [float(displaced[f"{k}_b"]) - float(displaced[f"{k}_a"]) for k in "xyz"]
    np.testing.assert_allclose(d, [float(displaced[f"d{k}"]) for k in "xyz"], atol=2e-5)
    assert np.linalg.norm(d) == pytest.approx(float(displaced["distance"]), abs=2e-5)
    assert displaced["moved"] == "1"
    assert float(displaced["u_iso_z"]) == 0.0
    lost = next(row for row in table if row["status"] == "lost")
    assert all(
        lost[name] == "" for name in ("id_b", "x_b", "dx", "distance", "p_value", "moved", "u_iso_z")
    )

    report = json.loads((out / "compare.json").read_text())
    assert report["inputs"] == files
    counts, percentages = report["counts"], report["percentages"]
    assert counts["common"] + counts["displaced"] + counts["lost"] == 150
    assert percentages["common_of_a"] == pytest.approx(100 * counts["common"] / 150)
    assert percentages["common_of_b"] == pytest.approx(100 * counts["common"] / len(case.b))
    rotation = np.array(report["registration"]["rotation"])
    np.testing.assert_allclose(rotation, case.motion.rotation, atol=0.01)
    assert report["significance"]["error_bars_too_small_by"] == pytest.approx(1.0, abs=0.2)
    assert report["z"]["u_iso"]["deviation"] == 0.0
    assert report["warnings"] == []
    before = Path(files[0])
    assert report["run"]["files"][0]["sha256"] == hashlib.sha256(before.read_bytes()).hexdigest()
    assert report["run"]["options"]["distance"] == 1.76

    from ase.io import read

    b = read(out / "b.xyz")
    assert len(b) == len(case.b)
    np.testing.assert_allclose(b.get_positions(), case.motion(case.b), atol=0.1)
    assert set(b.arrays["status"]) == {"common", "displaced"}
    assert b.arrays["id"].tolist() == list(range(1, len(case.b) + 1))


def test_frames_are_left_as_they_are_if_asked(files: list[str], tmp_path: Path) -> None:
    arguments = ["compare", files[0], files[0], "--no-register", "-o", str(tmp_path / "out"), "--quiet"]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0
    report = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert report["registration"]["how"] == "given"
    assert report["counts"]["common"] == 150
    assert report["b"]["name"] == "before_no2"


def test_a_series_follows_its_atoms(files: list[str], case: Change, tmp_path: Path) -> None:
    write_model(tmp_path / "last.csv", case.b[5:] + 0.03)
    out = tmp_path / "out"
    arguments = ["compare", *files, str(tmp_path / "last.csv"), "-o", str(out), "--calibrate"]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    names = {"after.xyz", "before.xyz", "last.xyz", "compare.html", "compare.json", "series.csv"}
    pairs = ("before_after", "before_last", "after_last")
    each = {f"compare_{pair}.{kind}" for pair in pairs for kind in ("csv", "html")}
    assert {path.name for path in out.iterdir()} == names | each
    report = json.loads((out / "compare.json").read_text())
    assert [(c["a"]["name"], c["b"]["name"]) for c in report["comparisons"]] == [
        ("before", "after"),
        ("before", "last"),
        ("after", "last"),
    ]
    tracks = rows(out / "series.csv")
    assert list(tracks[0]) == ["track", "models", "before", "after", "last"]
    for track in tracks:
        if track["after"] and int(track["after"]) > 5:
            assert int(track["last"]) == int(track["after"]) - 5
    assert sum(track["models"] == "3" for track in tracks) >= len(case.b) - 6


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--distance", "0"], "--distance: 0 is no distance"),
        (["--distance", "nan"], "--distance"),
        (["--fdr", "1"], "--fdr: 1 is no rate"),
        (["map.mrc"], "add --element"),
        (["none.csv"], "no such file"),
        (["pair.csv"], "before.csv and pair.csv: fewer than three atoms"),
        (["apart.csv"], "50 Å in the other"),
        (["pair.csv", "-e", "Pt"], "--element: no map is among these models"),
    ],
)
def test_refusals(
    options: list[str], expected: str, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "map.mrc").write_bytes(bytes(2000))
    (tmp_path / "pair.csv").write_text("x,y,z\n0,0,0\n2.7,0,0\n")
    (tmp_path / "apart.csv").write_text("x,y,z\n0,0,0\n50,0,0\n")
    before = sorted(tmp_path.iterdir())
    outcome = CliRunner().invoke(app, ["compare", "before.csv", "after.csv", *options])
    assert outcome.exit_code == 2
    sentence = outcome.stderr.strip().splitlines()[-1]
    assert sentence.startswith("atomfit: ")
    assert expected in sentence
    assert "; " in sentence
    assert sorted(tmp_path.iterdir()) == before


def test_one_model_is_refused(files: list[str]) -> None:
    outcome = CliRunner().invoke(app, ["compare", files[0], "-o", "nowhere"])
    assert outcome.exit_code == 2
    assert "give two or more" in outcome.stderr


def test_an_output_that_holds_something_is_kept(files: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert CliRunner().invoke(app, ["compare", *files, "-o", str(out)]).exit_code == 2
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert CliRunner().invoke(app, ["compare", *files, "-o", str(out), "--overwrite"]).exit_code == 0
    assert (out / "notes.txt").read_text() == "mine"


def test_tables_are_compared_without_jax(files: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from atomfit.cli import app;"
        f"r = CliRunner().invoke(app, ['compare', *{files!r}, '-o', {str(tmp_path / 'out')!r}]);"
        "assert r.exit_code == 0, r.output; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_maps_are_built_first(
    small: Simulation, small_result: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomfit.workflows.build.build", lambda path, element: small_result)
    write_map(tmp_path / "map.mrc", small.map)
    write_model(tmp_path / "truth.csv", small.positions)
    result = atomfit.compare([tmp_path / "truth.csv", tmp_path / "map.mrc"], element="Pt")
    (found,) = result.comparisons
    assert (found.count("common"), found.count("lost"), found.count("gained")) == (55, 0, 0)
    result.write(tmp_path / "out")
    assert len(rows(tmp_path / "out" / "map_atoms.csv")) == 55

    # Who would insist on a map does so where it is built.
    def doubting(path: Path, element: str) -> None:
        settle([Doubt("odd", "look")], insist=False)

    monkeypatch.setattr("atomfit.workflows.build.build", doubting)
    with pytest.raises(
        InputError, match=r"odd; look; if it is right, build it \(atomfit build --insist\), and"
    ):
        atomfit.compare([tmp_path / "truth.csv", tmp_path / "map.mrc"], element="Pt")
    # But not before a model beside it that cannot be read.
    monkeypatch.setattr("atomfit.workflows.build.build", None)
    with pytest.raises(InputError, match=r"nowhere\.csv: there is no such file"):
        atomfit.compare([tmp_path / "map.mrc", tmp_path / "nowhere.csv"], element="Pt")


def test_names_are_those_of_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "first.half_atomfit").mkdir()
    paths = ["first.half_atomfit", "first.half_atomfit/atoms.csv", "b/x.mrc.gz", "c/x.cif", "x.csv"]
    assert names_of([tmp_path / path for path in paths]) == (
        "first.half_atomfit",
        "first.half_atomfit_no2",
        "x",
        "x_no2",
        "x_no3",
    )


def test_files_are_documented() -> None:
    text = FILES.read_text(encoding="utf-8")
    section = text[text.index("# What `atomfit compare` writes") :]
    for column in COMPARE_COLUMNS:
        assert f"| `{column.name}` | {column.unit} | {column.meaning} |" in section
