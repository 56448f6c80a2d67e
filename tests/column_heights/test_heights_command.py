"""`atomfit heights`: its files, the table that others rely on, and what it refuses."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.files.height_tables import CONDITIONS, HEIGHTS
from atomfit.io.manifest import heights_files, matching
from atomfit.results.heights import HeightsResult
from atomfit.simulation.hrtem import SimulatedHrtem
from atomfit.support.errors import InputError

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
CERIA = ["--crystal", "CeO2", "--zone", "1,1,0"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def image(specimen: SimulatedHrtem, tmp_path: Path) -> Path:
    np.save(tmp_path / "image.npy", specimen.frames[0])
    return tmp_path / "image.npy"


def test_the_command_writes_what_python_finds(image: Path, result: HeightsResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["heights", str(image), *CERIA, "--pixel-size", "0.2", "--network-only", "-o", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    files = {path.name for path in out.iterdir()}
    assert files == {
        *("heights.csv", "conditions.csv", "heights.svg", "report.html", "summary.json", "run.json")
    }
    assert matching(out, heights_files(False)) == files
    rows = rows_of(out / "heights.csv")
    assert len(rows) == len(result) > 10
    assert list(rows[0]) == [*(one.name for one in HEIGHTS), *(f"p_{k}" for k in range(11))]
    p = np.array([[float(row[f"p_{k}"]) for k in range(11)] for row in rows])
    np.testing.assert_allclose(p, result.probabilities, atol=1e-5)
    for row, chances in zip(rows, p, strict=True):
        low, high = int(row["height_low"]), int(row["height_high"])
        assert low <= int(row["height"]) <= high
        assert int(row["height"]) == chances.argmax()
        assert chances[low : high + 1].sum() >= 0.9 - 1e-4
        assert row["x_esd"] == row["start"] == ""
    places = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    np.testing.assert_allclose(places, result.positions, atol=1e-4)
    told = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert told["atoms"]["mean"] == pytest.approx(float(np.sum(p @ np.arange(11))), abs=0.01)
    variance = p @ np.arange(11) ** 2 - (p @ np.arange(11)) ** 2
    assert told["atoms"]["esd"] == pytest.approx(np.sqrt(variance.sum()), rel=0.01)
    assert any(note.startswith("gain: 1, the image has whole numbers") for note in told["image"]["notes"])
    assert any("network alone" in warning for warning in told["warnings"])
    assert rows_of(out / "conditions.csv")[0]["name"] == "defocus"
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, "not empty" in again.stderr) == (2, True)


def test_tables_are_documented() -> None:
    for column in (*HEIGHTS, *CONDITIONS):
        assert (
            f"| `{column.name}` | {column.unit} | {column.meaning.replace('`', '')} |"
            in DOCUMENTED.replace("`atomfit simulate --hrtem`", "atomfit simulate --hrtem")
        )


def test_a_model_is_written_beside_the_image(result: HeightsResult, tmp_path: Path) -> None:
    expected = 0.9 * result.counts + 10
    modelled = replace(result, by="likelihood", found=replace(result.found, expected=expected, misfit=1.1))
    out = modelled.write(tmp_path / "out", figures=True)
    with mrcfile.open(out / "model.mrc") as model, mrcfile.open(out / "residual.mrc") as left:
        np.testing.assert_allclose(model.data.squeeze() + left.data.squeeze(), result.counts, rtol=1e-5)
        assert float(model.voxel_size.x) == pytest.approx(0.2)
    drawn = {path.name for path in (out / "figures").iterdir()}
    assert drawn == {
        f"{name}.{kind}" for name in ("heights", "model", "histograms") for kind in ("png", "pdf")
    }


def refused(path: Path, *more: str, crystal: tuple[str, ...] = tuple(CERIA)) -> str:
    """The sentence of a refusal, after which nothing is there that was not before."""
    before = {one: one.stat().st_mtime_ns for one in path.parent.iterdir()}
    done = CliRunner().invoke(
        app, ["heights", str(path), *crystal, "-q", "-o", str(path.parent / "o"), *more]
    )
    lines = done.stderr.strip().splitlines()
    assert (done.exit_code, len(lines)) == (2, 1), done.output
    assert {one: one.stat().st_mtime_ns for one in path.parent.iterdir()} == before
    return lines[0]


NOISE = np.random.default_rng(0).poisson(40.0, (64, 64)).astype(np.float32)
PIXELS = ("--pixel-size", "0.2")


@pytest.mark.parametrize(
    ("values", "more", "words"),
    [
        (np.zeros((64, 64)), PIXELS, "all pixels are 0"),
        (np.zeros((0, 64)), PIXELS, "shows no columns"),
        (NOISE[:8, :8], PIXELS, "8 x 8 pixels shows no columns"),
        (np.full((64, 64), np.nan), PIXELS, "no pixel is a number"),
        (NOISE - 40, PIXELS, "these are no counts of electrons"),
        (NOISE, (), "does not say how large a pixel is"),
        (NOISE, ("--pixel-size", "0.8"), "columns cannot be read from pixels of 0.8 Å"),
        (NOISE, ("--pixel-size", "200"), "columns cannot be seen in pixels of 200 Å"),
        (NOISE, ("--pixel-size", "-1"), "--pixel-size: -1 is no pixel size"),
        (NOISE, (*PIXELS, "--gain", "0"), "--gain: 0 is no gain"),
        (NOISE, (*PIXELS, "--voltage", "200"), "--voltage: no network for 200 kV"),
        (NOISE, (*PIXELS, "--focal-spread", "0"), "--focal-spread: 0 is no focal spread"),
        (NOISE, (*PIXELS, "--c3", "9e9"), "--c3: 9e+09 is no aberration"),
        (NOISE, (*PIXELS, "--frame", "1"), "there is one image only"),
        (NOISE, (*PIXELS, "--weights", "no.npz"), "no.npz: there is no such file"),
        (NOISE, (*PIXELS, "--zone", "0,0,1"), "no network for CeO2 along [100]"),
        (NOISE, (*PIXELS, "--zone", "1,1"), "is no zone axis"),
        (NOISE, (*PIXELS, "--crystal", "CeO3"), "'CeO3' is neither CeO2, Pt, Au nor a file"),
        (NOISE, (*PIXELS, "--crystal", "Au"), "no network for Au along [110]"),
    ],
)
def test_what_cannot_be_used_is_refused(
    values: np.ndarray, more: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "image.npy", values)
    assert words in refused(tmp_path / "image.npy", *more)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no image\n")
    assert "a.txt" in refused(tmp_path / "a.txt", *PIXELS)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        tmp_path / "a.png"
    )
    assert "a picture in colours" in refused(tmp_path / "a.png", *PIXELS)
    np.save(tmp_path / "image.npy", NOISE)
    assert "--crystal" in refused(tmp_path / "image.npy", *PIXELS, crystal=("--zone", "1,1,0"))
    assert "--zone" in refused(tmp_path / "image.npy", *PIXELS, crystal=("--crystal", "CeO2"))


def test_noise_has_no_columns_and_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", NOISE)
    done = CliRunner().invoke(
        app,
        ["heights", str(tmp_path / "image.npy"), *CERIA, *PIXELS, "--strict", "-o", str(tmp_path / "out")],
    )
    assert done.exit_code == 3, done.output
    told = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert told["verdict"]["findings"][0]["code"] == "no-columns"
    assert any("too few columns for a lattice" in words for words in told["warnings"])
    assert rows_of(tmp_path / "out" / "heights.csv") == []


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
    ],
)
def test_a_run_that_ends_early_leaves_nothing(
    fault: BaseException, code: int, words: str, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr("atomfit.files.heights.write_columns", fail)
    out = image.parent / "out"
    more = ["--network-only", "-q", "-o", str(out)]
    done = CliRunner().invoke(app, ["heights", str(image), *CERIA, *PIXELS, *more])
    assert done.exit_code == code
    assert words in done.stderr
    assert [path.name for path in image.parent.iterdir()] == ["image.npy"]


def test_results_are_not_overwritten_unasked(result: HeightsResult, tmp_path: Path) -> None:
    result.write(tmp_path / "out")
    with pytest.raises(InputError, match="not empty"):
        result.write(tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    result.write(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"
