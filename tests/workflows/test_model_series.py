"""The command `atomfit series`, from files to files."""

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from typer.testing import CliRunner

import atomfit
from atomfit.cli import app
from atomfit.io.followed import trend_columns
from atomfit.io.tables import COLUMNS
from atomfit.io.tracked import EVENT_COLUMNS
from atomfit.report.followed import notes_of
from atomfit.simulation.followed import FollowedTruth, Planted, planted_models
from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Model
from atomfit.statistics.own_findings import OwnFinding
from atomfit.support.errors import InputError

FILES = Path(__file__).parents[2] / "docs" / "files.md"
NAMES = [
    *("events.csv", "run.json", "series.csv", "series.html", "series.json", "trajectory.xyz", "trends.csv"),
]


def write_model(path: Path, model: Model) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "element", *"xyz", "x_esd", "y_esd", "z_esd", *model.numbers])
        for i in range(len(model)):
            numbers = (values[i] for values in model.numbers.values())
            writer.writerow([model.ids[i], model.symbols[i], *model.positions[i], *model.esds[i], *numbers])


@pytest.fixture(scope="module")
def truth() -> FollowedTruth:
    sites = particle("sphere", "Pt", 120, 3)
    sites = sites + np.random.default_rng(3).normal(0, 0.05, sites.shape)
    return planted_models(sites, 8, 905, Planted(rise=0.5, lost=0.05, missed=0.02, turned=False))


@pytest.fixture
def files(truth: FollowedTruth, tmp_path: Path) -> list[str]:
    for k, model in enumerate(truth.models):
        write_model(tmp_path / f"t{k}.csv", model)
    return [str(tmp_path / f"t{k}.csv") for k in range(len(truth.models))]


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def run(*words: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, ["series", *words])
    return outcome.exit_code, outcome.output


def test_a_series_of_models(files: list[str], truth: FollowedTruth, tmp_path: Path) -> None:
    out, times = tmp_path / "out", tmp_path / "times.txt"
    times.write_text("# minutes\n0\n1, 2\n\n4 8\n16\n32\n64\n")
    code, told = run(*files, "-o", str(out), "--times", str(times), "-q")
    assert code == 0, told
    assert "u_iso:" in told
    assert sorted(path.name for path in out.iterdir()) == NAMES
    report = json.loads((out / "series.json").read_text())
    assert report["verdict"]["level"] == "good"
    assert report["times"] == [0, 1, 2, 4, 8, 16, 32, 64]
    assert report["inputs"][2]["sha256"] == hashlib.sha256(Path(files[2]).read_bytes()).hexdigest()
    assert report["options"] == {"element": None, "fdr": 0.05, "register": True, "times": report["times"]}
    assert report["models"] == 8
    assert abs(report["events"]["lost"]["expected"] - np.sum(~truth.there[-1])) < 2.5
    assert json.loads((out / "run.json").read_text())["files"] == NAMES

    table = rows(out / "series.csv")
    frames = [sum(row["frame"] == str(k + 1) and row["x"] != "" for row in table) for k in range(8)]
    assert frames == [len(model) for model in truth.models]
    assert {row["status"] for row in table} <= {"present", "missing", "doubtful"}
    trends = rows(out / "trends.csv")
    assert list(trends[0]) == [one.name for one in trend_columns(("u_iso", "relative_amplitude"))]
    assert len(trends) == report["atoms"]["seen"]
    assert len({row["id"] for row in trends}) == len(trends)
    happened = rows(out / "events.csv")
    assert len(happened) >= 3
    assert list(happened[0]) == [one.name for one in EVENT_COLUMNS]
    trajectory = ase.io.read(out / "trajectory.xyz", index=":")
    assert [len(frame) for frame in trajectory] == frames
    assert trajectory[3].info["Time"] == 4
    assert {"id", "status", "u_iso", "u_iso_esd", "cn"} <= set(trajectory[0].arrays)


def test_planted_rise_is_in_all_files(files: list[str], tmp_path: Path) -> None:
    found = atomfit.series(files)
    surface = found.followed.trends["u_iso"].groups["surface"]
    assert surface.z > 4
    out = found.write(tmp_path / "out")
    told = json.loads((out / "series.json").read_text())["trends"]["u_iso"]
    assert told["groups"]["surface"]["z"] == pytest.approx(surface.z)
    assert told["common"]["p"] > 1e-3
    changing = [row for row in rows(out / "trends.csv") if "u_iso" in row["changes"].split(";")]
    assert len(changing) == told["changing"] > 10
    assert sum(row["place"] == "surface" for row in changing) > 0.8 * len(changing)
    assert "rises by" in (out / "series.html").read_text()


def test_a_model_of_another_particle_is_told(files: list[str], tmp_path: Path) -> None:
    other = np.random.default_rng(1).uniform(-8, 8, (100, 3))
    sites = Model("other", np.arange(1, 101), ("Pt",) * 100, other, np.full((100, 3), 0.05), {})
    write_model(tmp_path / "other.csv", sites)
    inputs = [*files[:3], str(tmp_path / "other.csv")]
    code, told = run(*inputs, "--no-register", "-o", str(tmp_path / "out"), "-q", "--strict")
    assert code == 3
    assert "chance" in told
    report = json.loads((tmp_path / "out" / "series.json").read_text())
    assert "other" in report["warnings"][0]


def test_models_without_u_have_no_trends_but_drifts(files: list[str], tmp_path: Path) -> None:
    for k, path in enumerate(files[:3]):
        table = rows(Path(path))
        lines = [f"{len(table)}", "", *(f"Pt {row['x']} {row['y']} {row['z']}" for row in table)]
        (tmp_path / f"m{k}.xyz").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    code, told = run(*(str(tmp_path / f"m{k}.xyz") for k in range(3)), "-o", str(out), "-q")
    assert code == 0, told
    report = json.loads((out / "series.json").read_text())
    assert report["trends"] == {}
    assert report["drifts"]["tested"] > 80
    assert any("no number but positions" in warning for warning in report["warnings"])


WRONG: dict[str, tuple[Callable[[list[str], Path], list[str]], str]] = {
    "one": (lambda files, path: files[:1], "one model is no series"),
    "too few times": (lambda files, path: [*files, "--times", "0,1"], "there are 2 times, and 8 inputs"),
    "times that fall": (lambda files, path: [*files[:3], "--times", "0,2,1"], "times do not rise"),
    "times that stand": (lambda files, path: [*files[:3], "--times", "0,2,2"], "times do not rise"),
    "times in words": (lambda files, path: [*files[:2], "--times", "0,soon"], "soon"),
    "no file of times": (lambda files, path: [*files[:2], "--times", "t.txt"], "no such file"),
    "missing": (lambda files, path: [*files[:2], str(path / "none.csv")], "no such file"),
    "an element of models": (lambda files, path: [*files[:2], "-e", "Pt"], "no map is among"),
    "a rate": (lambda files, path: [*files[:2], "--fdr", "2"], "rate"),
    "a map without an element": (lambda files, path: [*files[:2], str(path / "map.mrc")], "add --element"),
    "an image": (lambda files, path: [*files[:2], str(path / "flat.npy")], "two dimensions"),
    "no model": (lambda files, path: [*files[:2], str(path / "notes.txt")], "are no models"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_refused_in_a_sentence(name: str, files: list[str], tmp_path: Path) -> None:
    (tmp_path / "map.mrc").write_bytes(bytes(2000))
    (tmp_path / "notes.txt").write_text("none")
    np.save(tmp_path / "flat.npy", np.zeros((8, 8)))
    make, words = WRONG[name]
    code, told = run(*make(files, tmp_path), "-o", str(tmp_path / "out"))
    assert code == 2, told
    assert words in " ".join(told.split())
    assert not (tmp_path / "out").exists()


def test_python_refuses_the_same(files: list[str]) -> None:
    with pytest.raises(InputError, match="there is no input"):
        atomfit.series([])
    with pytest.raises(InputError, match="times do not rise"):
        atomfit.series(files[:2], times=[1.0, 0.0])


def test_columns_are_documented() -> None:
    text = FILES.read_text(encoding="utf-8")
    for column in (*EVENT_COLUMNS, *trend_columns(("u_iso",))):
        assert f"`{column.name}`" in text, column.name


def test_maps_are_built_once_and_their_atoms_kept(
    files: list[str], truth: FollowedTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What building itself gives, and going on with it, is told by tests of `build` and of checkpoints."""
    built: list[str] = []

    def model_of_map(
        path: Path, name: str, element: str | list[str] | None
    ) -> tuple[Model, dict[str, np.ndarray]]:
        built.append(path.name)
        model = truth.models[int(path.stem[1:])]
        known = {"id": model.ids, "element": np.array(model.symbols, object), **model.numbers}
        places = {axis: model.positions[:, k] for k, axis in enumerate("xyz")}
        empty = {one.name: np.full(len(model), np.nan) for one in COLUMNS if one.format != "s"}
        words = {one.name: np.full(len(model), "", object) for one in COLUMNS if one.format == "s"}
        own = (OwnFinding("doubtful", "its noise is odd"),) if name == "m2" else ()
        return replace(model, name=name, own_findings=own), {**words, **empty, **known, **places}

    monkeypatch.setattr("atomfit.workflows.model_series.model_of_map", model_of_map)
    maps = [tmp_path / f"m{k}.mrc" for k in range(4)]
    for path in maps:
        path.write_bytes(path.name.encode())
    out = tmp_path / "out"
    code, told = run(*map(str, maps), files[4], "-e", "Pt", "-o", str(out), "-q")
    assert code == 0, told
    assert sorted(built) == ["m0.mrc", "m1.mrc", "m2.mrc", "m3.mrc"]
    assert {f"m{k}_atoms.csv" for k in range(4)} <= {path.name for path in out.iterdir()}
    assert len(rows(out / "m2_atoms.csv")) == len(truth.models[2])
    report = json.loads((out / "series.json").read_text())
    assert report["models"] == 5
    assert report["atoms"]["in_each_model"] == [len(model) for model in truth.models[:5]]
    assert report["options"]["element"] == ["Pt"]
    problems = {one["code"]: one["problem"] for one in report["verdict"]["findings"]}
    assert problems["input"] == "m2 by itself is doubtful: its noise is odd"


def test_two_models_say_what_they_cannot(files: list[str]) -> None:
    found = atomfit.series(files[:2])
    assert any("two models do not show" in note for note in notes_of(found.followed))
    assert found.verdict.level == "good"
    assert np.isnan(found.followed.trends["u_iso"].groups["surface"].p)
