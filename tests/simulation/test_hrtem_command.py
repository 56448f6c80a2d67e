"""`atomfit simulate --hrtem`: its files, and what it refuses."""

import csv
import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.simulation import simulate_hrtem
from atomfit.simulation.hrtem_files import TRUTH_HEIGHTS

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")


def test_the_command_writes_what_python_makes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--zone", "1,1,0", "--defocus", "-4.5", "--a1", "1,-2", "--thickness", "2,5", "--seed", "3"]
    words += [
        "--image-size",
        "64",
        "--dose",
        "500",
        "--frames",
        "2",
        "--missing",
        "0.2",
        "--background",
        "2",
    ]
    words += [
        "--background",
        "2",
        "--crystal",
        "Pt",
        "--voltage",
        "200",
        "--convergence",
        "0.2",
        "--outline",
        "stepped",
    ]
    done = CliRunner().invoke(app, ["simulate", "--hrtem", *words, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {"image.mrc", "truth_columns.csv", "simulation.json"}
    found = simulate_hrtem(
        zone="110",
        defocus=-4.5,
        a1=(1, -2),
        thickness=(2, 5),
        seed=3,
        image_size=64,
        dose=500,
        frames=2,
        missing=0.2,
        background=2,
        crystal="Pt",
        voltage=200,
        convergence=0.2,
        outline="stepped",
    )
    with mrcfile.open(out / "image.mrc") as file:
        np.testing.assert_array_equal(file.data, found.frames)
        assert file.is_image_stack()
        assert float(file.voxel_size.x) == pytest.approx(0.2)
    with open(out / "truth_columns.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [int(row["height"]) for row in rows] == found.columns.heights.tolist()
    np.testing.assert_allclose([float(row["x"]) for row in rows], found.columns.positions[:, 0], atol=1e-6)
    assert {row["element"] for row in rows} == {"Pt"}
    record = json.loads((out / "simulation.json").read_text(encoding="utf-8"))
    assert record["options"]["crystal"] == "Pt"
    assert record["image"]["wavelength"] == pytest.approx(0.02508, rel=1e-3)
    assert record["image"]["repeat"] == pytest.approx(3.924 / 2**0.5)


def test_columns_of_the_table_are_documented() -> None:
    for column in TRUTH_HEIGHTS:
        assert f"| `{column.name}` | {column.unit} | {column.meaning} |" in DOCUMENTED


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--c3", "1"], "--c3: this is of an HRTEM image, and none is simulated; add --hrtem"),
        (["--dose", "100"], "--dose: this is of an image, and none is simulated; add --image or --hrtem"),
        (["--crystal", "CeO2"], "--crystal: this is of an image, and none is simulated; add --image or"),
        (
            ["--defocus", "7"],
            "--defocus: this is of a tilt series, and none is simulated; add --tilts N",
        ),
        (["--hrtem", "--tilts", "9"], "--tilts: an image of columns has no tilts; leave out --hrtem"),
        (["--hrtem", "--image"], "--hrtem: an image is one or the other"),
        (["--hrtem", "--wedge", "30"], "--wedge: this is not of an HRTEM image"),
        (["--hrtem", "--row-jitter", "1"], "--row-jitter: this is not of an HRTEM image"),
        (["--image", "--mtf", "0.5"], "--mtf: this is not of an image, and nothing else is simulated"),
        (["--image", "--crystal", "CeO2"], "--crystal: 'CeO2' is no thickness"),
        (["--hrtem", "--crystal", "80"], "--crystal: '80' is neither CeO2, Pt, Au nor a file"),
        (["--hrtem", "--defocus", "far"], "--defocus: 'far' is no defocus; give nm"),
        (["--hrtem", "--thickness", "3"], "--thickness: 3 is no thickness; give two whole numbers"),
        (["--hrtem", "--outline", "round"], "--outline: 'round' is none of its values; give flat"),
        (["--hrtem", "--pixel-size", "5"], "--pixel-size: 5 is no pixel size"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], told: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["simulate", "-o", str(tmp_path / "out"), *words])
    assert done.exit_code == 2
    assert told in " ".join(done.output.split()), done.output
    assert not (tmp_path / "out").exists()


def test_options_of_each_kind_are_still_theirs(tmp_path: Path) -> None:
    """Of a tilt series and of an image, those that HRTEM images have by the same name."""
    runner = CliRunner()
    small = ["--shape", "octahedron", "--size", "2", "--seed", "1"]
    series = [
        "--tilts",
        "3",
        "--probe",
        "rigid",
        "--defocus",
        "12",
        "--convergence",
        "20",
        "--voltage",
        "200",
    ]
    assert runner.invoke(app, ["simulate", "-o", str(tmp_path / "a"), *small, *series]).exit_code == 0
    told = json.dumps(json.loads((tmp_path / "a" / "simulation.json").read_text(encoding="utf-8")))
    assert '"defocus": 12' in told
    assert '"convergence": 20' in told
    image = ["--image", "-e", "Si", "--crystal", "40", "--image-size", "200"]
    assert runner.invoke(app, ["simulate", "-o", str(tmp_path / "b"), *image]).exit_code == 0
    record = json.loads((tmp_path / "b" / "simulation.json").read_text(encoding="utf-8"))
    assert record["options"]["crystal"] == 40
