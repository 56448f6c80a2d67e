"""Figures for print: which there are, how large, and that they show the numbers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from typer.testing import CliRunner

import atomfit
from atomfit.cli import app
from atomfit.figures import panels, quantities, require_matplotlib
from atomfit.figures.balls import ALONG_X, ALONG_Z, draw_ellipsoids
from atomfit.figures.particle import by_number
from atomfit.figures.style import ONE_COLUMN, TWO_COLUMNS, styled
from atomfit.files.build import summary
from atomfit.files.columns import particle, table
from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation
from atomfit.simulation.changes import changed
from atomfit.simulation.particles import particle as sites_of
from atomfit.support.errors import InputError
from atomfit.workflows.build import build

BUILT = ("coordination", "depth", "distances", "fit", "histograms", "particle", "planes", "threshold")
COMPARED = ("displacements", "models", "surroundings")


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def both(*figures: str) -> set[str]:
    return {f"{name}.{kind}" for name in figures for kind in ("pdf", "png")}


@pytest.fixture(scope="module")
def written(small_result: BuildResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_result.write(tmp_path_factory.mktemp("figures") / "out", figures=True)


@pytest.fixture(scope="module")
def found(small_result: BuildResult) -> dict[str, Any]:
    whole = particle(small_result, table(small_result))
    return summary(small_result, small_result.model) | {"particle": whole}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, and their files are empty."""
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **options: Path(path).touch())


@pytest.fixture
def axes() -> Any:
    return Figure().add_subplot()


def test_figures_have_the_widths_of_columns_at_300_dpi(written: Path) -> None:
    assert names(written / "figures") == both(*BUILT)
    for name in BUILT:
        height, width, _ = imread(written / "figures" / f"{name}.png").shape
        wanted = ONE_COLUMN if name == "threshold" else TWO_COLUMNS
        assert width == pytest.approx(wanted / 25.4 * 300, abs=1)
        assert height / 300 * 25.4 < 247  # of a page
        assert (written / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_figures_are_not_white(written: Path) -> None:
    for name in BUILT:
        picture = imread(written / "figures" / f"{name}.png")[..., :3]
        assert 0.005 < np.mean(picture.min(axis=2) < 0.9) < 0.9


def test_results_have_no_figures_unless_asked(small_result: BuildResult, tmp_path: Path) -> None:
    small_result.write(tmp_path / "out")
    assert "figures" not in names(tmp_path / "out")


def test_both_optima_are_on_one_axis(axes: Any, found: dict[str, Any]) -> None:
    detection = found["detection"]
    panels.threshold(detection)[0](axes)
    marks = [line.get_xydata()[0] for line in axes.lines if len(line.get_xydata()) == 1]
    paper, model = detection["threshold"], detection["model_threshold"]
    np.testing.assert_allclose(marks[0], [paper["threshold"], paper["correlation"]])
    np.testing.assert_allclose(marks[1], [model["threshold"], model["f1"]])
    curve = detection["model_curve"]
    assert max(curve["f1"]) <= model["f1"] + 1e-9
    assert curve["threshold"][0] < min(paper["threshold"], model["threshold"])
    assert not panels.threshold({"threshold": None})


def test_the_line_against_depth_is_the_fitted_one(axes: Any) -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0, 9, 200)
    columns = {"radial_depth": depth, "strain_radial": 0.01 * np.minimum(depth, 4) + 0.02}
    fit = {"delta": 4.0, "delta_esd": 0.1, "slope": 0.01, "constant": 0.06}
    panels.against_depth(quantities.STRAIN, columns, {"strain_radial": fit})[0](axes)
    atoms, means, line = (one.get_xydata() for one in axes.lines[:3])
    np.testing.assert_allclose(atoms[:, 1], 100 * columns["strain_radial"])
    assert len(means) == 196
    np.testing.assert_allclose(np.interp(means[:, 0], *line.T), means[:, 1], atol=0.15)
    assert "4.00 ± 0.10" in axes.get_title("right")
    vague = panels.against_depth(quantities.STRAIN, columns, {"strain_radial": fit | {"delta_esd": 5.0}})
    axes.clear()
    vague[0](axes)
    assert axes.get_title("right") == "δ not determined"


def test_what_is_not_known_has_no_panel(found: dict[str, Any]) -> None:
    unknown = {"x": np.zeros(30), "radial_depth": np.arange(30.0), "doi": np.full(30, np.nan)}
    assert not panels.histogram(quantities.DOI, unknown)
    assert not panels.histogram(quantities.STRAIN, unknown)
    assert not panels.against_depth(quantities.DOI, unknown, {})
    assert not panels.by_coordination(quantities.DOI, [])
    assert not panels.counted(np.zeros(1), np.zeros(0), "", "")
    assert not panels.residuals(None)


def test_atoms_are_drawn_from_back_to_front(axes: Any) -> None:
    positions = np.array([[0.0, 0, 5], [1, 2, -5], [3, 3, 0]])
    colours = np.eye(3)
    axes_of = np.array([np.diag([1.0, 2.0, 3.0])] * 3)
    draw_ellipsoids(axes, ALONG_Z, positions, colours, axes_of)
    (balls,) = axes.collections
    first = balls.get_offsets()[::5]
    np.testing.assert_allclose(first, positions[[1, 2, 0], :2])
    # Seen along z, the longer of the two axes in view is y.
    np.testing.assert_allclose(np.asarray(balls.get_widths())[0], 4.0)
    np.testing.assert_allclose(np.asarray(balls.get_heights())[0], 2.0)
    assert np.asarray(balls.get_angles())[0] % 180 == pytest.approx(90)
    assert (ALONG_X.name, ALONG_Z.name) == ("along x", "along z")


def test_numbers_that_are_not_known_are_grey() -> None:
    shapes = np.tile(np.eye(3), (5, 1, 1))
    found = by_number(quantities.U_ISO, np.array([0.1, 0.2, np.nan, 0.3, 0.4]), shapes)
    assert np.ptp(found.colours[2]) < 0.05
    assert np.all(np.ptp(np.delete(found.colours, 2, axis=0), axis=1) > 0.05)
    signed = by_number(quantities.STRAIN, np.array([-1.0, 0, 0, 0, 3]), shapes, around_zero=True)
    assert signed.scale is not None
    assert signed.scale.norm.vmin == -signed.scale.norm.vmax


@pytest.mark.usefixtures("quick")
def test_figures_without_some_of_the_numbers(small: Simulation, tmp_path: Path) -> None:
    result = build(small.map, "Pt", fit="log")
    out = result.write(tmp_path / "out", figures=True)
    assert both("particle", "planes", "threshold", "fit") <= names(out / "figures")


@pytest.mark.usefixtures("quick")
def test_a_result_without_atoms_has_few_figures(rng: np.random.Generator, tmp_path: Path) -> None:
    result = build(rng.normal(0, 1, (24, 24, 24)).astype(np.float32), "Pt", voxel_size=0.4)
    assert len(result) == 0
    out = result.write(tmp_path / "out", figures=True)
    assert names(out / "figures") == both("planes")


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    case = changed(sites_of("sphere", "Pt", 79), 1, noise=0.03)
    second = changed(case.b, 2, noise=0.03)
    paths = []
    for name, positions in (("one", case.a), ("two", case.b), ("three", second.b)):
        lines = [",".join(f"{v:.5f}" for v in r) + ",0.03,0.03,0.03,0.2,0.01" for r in positions]
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["x,y,z,x_esd,y_esd,z_esd,u_iso,u_iso_esd", *lines]))
        paths.append(str(path))
    return paths


def test_compared_models_have_figures(models: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = CliRunner().invoke(app, ["compare", *models[:2], "--figures", "-q", "-o", str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert names(out / "figures") == both(*COMPARED)


@pytest.mark.usefixtures("quick")
def test_a_series_has_figures_of_each_two(models: list[str], tmp_path: Path) -> None:
    result = atomfit.compare(models)
    out = result.write(tmp_path / "out", figures=True)
    pairs = ("one_two", "one_three", "two_three")
    each = [f"{name}_{pair}" for name in COMPARED for pair in pairs]
    assert names(out / "figures") == both(*each, "course")


@pytest.mark.usefixtures("quick")
def test_models_without_error_bars_have_fewer(models: list[str], tmp_path: Path) -> None:
    for k, path in enumerate(models[:2]):
        lines = Path(path).read_text().splitlines()
        (tmp_path / f"bare{k}.csv").write_text("\n".join(",".join(x.split(",")[:3]) for x in lines))
    result = atomfit.compare([tmp_path / "bare0.csv", tmp_path / "bare1.csv"])
    assert names(result.write(tmp_path / "out", figures=True) / "figures") == both(*COMPARED)


def test_without_matplotlib_nothing_is_begun(
    models: list[str], small_result: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomfit.figures.find_spec", lambda name: None)
    monkeypatch.setattr("atomfit.workflows.compare.compare", pytest.fail)
    monkeypatch.setattr("atomfit.workflows.preparation.prepare", pytest.fail)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for arguments in (["compare", *models[:2]], ["build", "map.mrc", "--element", "Pt"]):
        outcome = CliRunner().invoke(app, [*arguments, "--figures"])
        assert outcome.exit_code == 2
        assert outcome.stderr.strip() == (
            "atomfit: --figures: figures are drawn with matplotlib, which is not installed; "
            "pip install 'atomfit[figures]'."
        )
    with pytest.raises(InputError, match="atomfit\\[figures\\]"):
        small_result.write(tmp_path / "out", figures=True)
    with pytest.raises(InputError):
        require_matplotlib()
    assert sorted(tmp_path.iterdir()) == before


def test_matplotlib_is_not_imported_unless_asked(models: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from atomfit.cli import app;"
        "r = CliRunner().invoke(app, ['build', '--help']); assert '--figures' in r.output;"
        f"r = CliRunner().invoke(app, ['compare', *{models[:2]!r}, '-o', {str(tmp_path / 'out')!r}]);"
        "assert r.exit_code == 0, r.output;"
        "sys.exit('matplotlib' in sys.modules or 'jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_style_is_gone_afterwards() -> None:
    before = dict(mpl.rcParams)
    with styled():
        assert mpl.rcParams["font.size"] == 7
    assert dict(mpl.rcParams) == before
