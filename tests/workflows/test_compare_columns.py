"""The command `atomfit compare` with two images, from files to files."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import ConvexHull, cKDTree
from typer.testing import CliRunner

import atomfit
from atomfit.cli import app
from atomfit.io.column_comparisons import COLUMN_COMPARE_COLUMNS
from atomfit.io.image_columns import read_image_columns
from atomfit.io.mrc import write_image
from atomfit.results.compare import ImageComparison
from atomfit.simulation.changed_columns import ChangedColumns, ColumnChanges, changed_columns
from atomfit.simulation.movies import MovieOptions, simulate_movie
from atomfit.statistics.column_changes import compare_columns
from atomfit.statistics.column_totals import Totals
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError
from planted_columns import write_columns_result

FILES = Path(__file__).parents[2] / "docs" / "files.md"


@pytest.fixture(scope="module")
def case() -> ChangedColumns:
    planted = changed_columns(
        150, 150, 1e5, ColumnChanges(lost=0.05, gained=0.05, recounted=0.1, moved=0.2)
    )
    facets = np.zeros(len(planted.a), int)
    facets[ConvexHull(planted.a.positions).vertices] = 1
    return replace(planted, a=replace(planted.a, facets=facets))


@pytest.fixture(scope="module")
def results(case: ChangedColumns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("results")
    write_columns_result(place / "fresh", case.a)
    write_columns_result(place / "used", case.b)
    write_columns_result(place / "bare", case.b, bare=True)
    return place


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_read_is_what_was_written(case: ChangedColumns, results: Path) -> None:
    found = read_image_columns(results / "fresh", "a")
    for name in ("ids", "positions", "cross_sections", "cross_section_esds", "scores", "widths", "facets"):
        np.testing.assert_allclose(getattr(found, name), getattr(case.a, name), rtol=1e-12)
    np.testing.assert_allclose(found.covariances, case.a.covariances, atol=1e-15)
    assert found.probabilities is not None
    assert case.a.probabilities is not None
    np.testing.assert_allclose(found.probabilities, case.a.probabilities, atol=6e-6)
    assert found.corners is not None
    assert case.a.corners is not None
    np.testing.assert_allclose(found.corners, case.a.corners, atol=0.06)
    assert found.indices == ((1, 1),)


def test_two_results(case: ChangedColumns, results: Path, tmp_path: Path) -> None:
    out, inputs = tmp_path / "out", [str(results / "fresh"), str(results / "used")]
    outcome = CliRunner().invoke(app, ["compare", *inputs, "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    names = ["a.xyz", "b.xyz", "compare.csv", "compare.html", "compare.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    table = rows(out / "compare.csv")
    assert list(table[0]) == [column.name for column in COLUMN_COMPARE_COLUMNS]
    partner = {int(i): j for j, i in enumerate(case.origin.tolist(), 1) if i >= 0}
    pairs = [row for row in table if row["id_a"] and row["id_b"]]
    assert all(int(row["id_b"]) == partner[int(row["id_a"]) - 1] for row in pairs)
    # As planted, but for a few: at this dose an atom more is many standard uncertainties.
    lost = {row["id_a"] for row in table if row["status"] == "lost"}
    assert lost <= {str(i + 1) for i in range(len(case.a)) if i not in partner}
    assert len(lost) >= 0.95 * (len(case.a) - len(partner))
    for row in pairs:
        i = int(row["id_a"]) - 1
        if row["status"] == "changed" and float(row["probability"]) > 0.9:
            gained = case.atoms_b[int(row["id_b"]) - 1] - case.atoms_a[i]
            assert int(row["atoms_gained"]) == gained
    told = json.loads((out / "compare.json").read_text())
    assert told["counts"]["lost"] == len(lost)
    assert told["verdict"]["level"] == "good"
    assert sum(told["counts"].values()) == len(table)
    registration = told["registration"]
    np.testing.assert_allclose(registration["matrix"], case.motion.matrix, atol=5e-4)
    assert [one["facet"] for one in told["facets"]] == [1]


def test_totals_are_those_planted_within_their_errors(case: ChangedColumns, results: Path) -> None:
    found = atomfit.compare([results / "fresh", results / "used"])
    assert isinstance(found, ImageComparison)
    totals = Totals(found.comparison)
    stay = case.origin[case.origin >= 0]
    gone = np.setdiff1d(np.arange(len(case.a)), stay)
    steps = case.atoms_b[case.origin >= 0] - case.atoms_a[stay]
    expected = {
        True: case.atoms_a[gone].sum() - steps[steps < 0].sum(),
        False: case.atoms_b[case.origin < 0].sum() + steps[steps > 0].sum(),
    }
    for lost, atoms in expected.items():
        total = totals.atoms(lost)
        assert 0 < total.esd < 6
        assert total.value == pytest.approx(float(atoms), abs=4 * total.esd + 1)
    assert totals.columns(True).value == pytest.approx(len(gone), abs=1.0)
    at_facet = totals.facets == 1
    assert at_facet.sum() >= 6
    rest = totals.atoms(True, at_facet).value + totals.atoms(True, ~at_facet).value
    assert rest == pytest.approx(totals.atoms(True).value)


def test_tables_alone_are_compared_and_what_is_not_known_is_told(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    found = atomfit.compare(["fresh/columns.csv", "bare/columns.csv"])
    assert isinstance(found, ImageComparison)
    assert found.comparison.a.name == "fresh"
    assert found.comparison.atoms is None
    told = json.loads((found.write(tmp_path / "out") / "compare.json").read_text())
    assert any("extent of image bare is not known" in warning for warning in told["warnings"])
    assert any("not both have probabilities of counts" in warning for warning in told["warnings"])
    assert told["totals"]["atoms_lost"] == {"value": None, "esd": None}
    assert told["totals"]["columns_lost"]["value"] > 3
    # No image of these tables is known.
    assert "run.json" in told["image_difference"]["not_known"]
    assert not (tmp_path / "out" / "difference.mrc").exists()


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["fresh", "model.csv"], "in two dimensions, and model.csv is a model in three"),
        (["fresh", "used", "bare"], "3 images cannot be compared at once"),
        (["fresh", "empty.csv"], "the table has no columns"),
        (["fresh", "pixels.csv"], "give x and y in Å"),
        (["fresh", "nanometres.csv"], "nm taken for Å"),
        (["fresh", "wrong.csv"], "column 2: x is inf"),
        (["fresh", "broken"], "summary.json beside it cannot be read"),
        (["fresh", "used", "-e", "Pt"], "--element: no image is among these tables"),
        (["model.csv", "model.csv", "--mirror"], "--mirror: models are never turned over"),
        (["fresh", "image.npy"], "pixel"),
        (["nowhere.csv", "fresh"], "nowhere.csv: there is no such file"),
        (["fresh", "nothing.csv"], "nothing.csv: the table is empty"),
        (["fresh", "noy.csv"], "noy.csv: columns are given as x"),
        (["fresh", "words.csv"], "row 2, column 'cross_section'"),
        (["fresh", "twice.csv"], "another column lies where column 1 does"),
    ],
)
def test_refusals(
    inputs: list[str],
    expected: str,
    case: ChangedColumns,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fresh", "used", "bare"):
        (tmp_path / name).symlink_to(results / name)
    (tmp_path / "model.csv").write_text("x,y,z\n0,0,0\n2.7,0,0\n0,2.7,0\n0,0,2.7\n")
    (tmp_path / "empty.csv").write_text("id,x,y\n")
    (tmp_path / "pixels.csv").write_text("x_px,y_px\n1,2\n3,4\n")
    places = "".join(f"{x},{y}\n" for x, y in 0.1 * case.b.positions)
    (tmp_path / "nanometres.csv").write_text(f"x,y\n{places}")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "noy.csv").write_text("id,x\n1,2\n")
    (tmp_path / "words.csv").write_text("x,y,cross_section\n1,2,much\n4,2,1\n")
    (tmp_path / "twice.csv").write_text("x,y\n1,2\n4,2\n1,2\n")
    (tmp_path / "wrong.csv").write_text("x,y\n1,2\ninf,2\n")
    broken = write_columns_result(tmp_path / "broken", case.b)
    (broken / "summary.json").write_text("{")
    np.save("image.npy", np.random.default_rng(0).random((64, 64)))
    before = sorted(tmp_path.iterdir())
    outcome = CliRunner().invoke(app, ["compare", *inputs])
    assert outcome.exit_code == 2, outcome.output
    sentence = outcome.stderr.strip().splitlines()[-1]
    assert sentence.startswith("atomfit: ")
    assert expected in sentence
    assert "; " in sentence
    assert sorted(tmp_path.iterdir()) == before


def test_images_are_counted_with_a_library(tmp_path: Path) -> None:
    options = MovieOptions(frames=2, size=112, pixel=0.2, columns=30, dose=2e4)
    truth = simulate_movie(tmp_path / "movie.npy", 3, options)
    grid = Grid((112, 112), np.full(2, 0.2), np.zeros(2))
    paths = [tmp_path / f"{name}.mrc" for name in ("fresh", "used")]
    for path, frame in zip(paths, np.load(tmp_path / "movie.npy"), strict=True):
        write_image(path, frame, grid)
    # It calls n + 1 atoms n: such counts can only have come from it.
    values = "\n".join(f"{value:.9f}" for value in truth.library[1:])
    (tmp_path / "library.csv").write_text(f"cross_section\n{values}\n")
    found = atomfit.compare(
        paths, element="Pt", library=tmp_path / "library.csv", library_error=0.001, move=False
    )
    assert isinstance(found, ImageComparison)
    for image in (found.comparison.a, found.comparison.b):
        assert image.probabilities is not None
        distance, which = cKDTree(truth.positions[0]).query(image.positions)
        assert distance.max() < 0.5
        counts = truth.counts[0][which]
        assert np.mean((image.probabilities.argmax(axis=1) + 2 == counts)[counts > 1]) > 0.9
    with pytest.raises(InputError, match="no image is among these"):
        atomfit.compare([tmp_path / "movie.npy"] * 2, library=tmp_path / "library.csv")


def test_the_documentation_tells_of_every_column() -> None:
    text = FILES.read_text(encoding="utf-8")
    section = text[text.index("## Two images") :]
    for column in COLUMN_COMPARE_COLUMNS:
        assert f"| `{column.name}` | {column.unit} | {column.meaning} |" in section


def test_files_say_what_python_says(case: ChangedColumns, results: Path) -> None:
    found = atomfit.compare([results / "fresh", results / "used"])
    assert isinstance(found, ImageComparison)
    direct = compare_columns(case.a, case.b, distance=1.76)
    assert found.comparison.statuses == direct.statuses


def test_tables_are_compared_without_jax(results: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from atomfit.cli import app;"
        f"r = CliRunner().invoke(app, ['compare', {str(results / 'fresh')!r}, {str(results / 'used')!r}, "
        f"'--out', {str(tmp_path / 'out')!r}]);"
        "assert r.exit_code == 0, r.output; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
