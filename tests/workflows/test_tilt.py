"""The command `atomfit tilt` on a small series of known truth: refined, told, written, refused."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gemmi
import mrcfile
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

import atomfit
from atomfit.cli import app
from atomfit.files.thresholds import thresholds
from atomfit.files.tilt import PROBE_COLUMNS, TILT_COLUMNS
from atomfit.io.image_stacks import write_images
from atomfit.io.models import read_model
from atomfit.io.mrc import write_map
from atomfit.io.views import read_views, write_views
from atomfit.optimisation.first_order import LBFGS, Adam
from atomfit.options.tilt import TiltOptions
from atomfit.projection.views import Views
from atomfit.rendering import Gaussians, render_reference
from atomfit.results.tilt import TiltResult
from atomfit.simulation.series import projected
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from atomfit.support.errors import InputError
from atomfit.workflows.tilt import tilt
from simulated_series import AMPLITUDE, PIXEL, SHAPE, Planted, U, planted
from test_bad_input import refused

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
FILES = {
    *("report.html", "rejected.csv", "particle.json"),
    *(
        "atoms.csv",
        "atoms.cif",
        "atoms_core.cif",
        "atoms.pdb",
        "atoms.xyz",
        "model_images.mrc",
        "residual_images.mrc",
    ),
    *("views_refined.csv", "views.svg", "probe.csv", "summary.json", "run.json"),
}


@pytest.fixture(scope="module")
def truth() -> Planted:
    return planted()


@pytest.fixture(scope="module")
def start(truth: Planted) -> np.ndarray:
    return truth.positions + np.random.default_rng(5).normal(0, 0.15, truth.positions.shape)


@pytest.fixture(scope="module")
def run(truth: Planted, start: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of the command, every fourth view held out."""
    home = tmp_path_factory.mktemp("tilt")
    arguments = [*truth.write(home, start), "--held-out", "4", "--out", str(home / "out")]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "43 atoms" in outcome.stdout
    assert f"report: {home / 'out' / 'report.html'}" in outcome.stdout.splitlines()
    assert "tilted from -70.0 to 70.0° about y of the specimen, which is v of the images" in outcome.stderr
    assert "warning" not in outcome.stderr
    return home / "out"


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_files_are_there_and_documented(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == FILES
    for name in FILES:
        assert f"`{name}`" in DOCUMENTED


def test_atoms_are_where_they_were_planted(run: Path, truth: Planted) -> None:
    table = rows(run / "atoms.csv")
    assert list(table[0]) == [column.name for column in TILT_COLUMNS]
    model = read_model(run, "refined")
    assert model.ids.tolist() == list(range(1, 44))
    off = np.linalg.norm(model.positions - truth.positions, axis=1)
    assert np.sqrt(np.mean(off**2)) < 0.01
    assert float(np.median(model.numbers["u_iso"])) == pytest.approx(U, rel=0.03)
    assert table[0]["u11"] == table[0]["u_iso_esd"] == ""
    assert {row["element"] for row in table} == {"Pt"}
    assert max(int(row["cn"]) for row in table) == 12


def test_structures_hold_the_same_atoms(run: Path) -> None:
    from ase.io import read

    positions = read_model(run, "refined").positions
    for name in ("atoms.cif", "atoms.pdb"):
        structure = gemmi.read_structure(str(run / name))
        found = np.array([site.atom.pos.tolist() for site in structure[0].all()])
        np.testing.assert_allclose(found, positions, atol=6e-4)
    np.testing.assert_allclose(read(run / "atoms.xyz").positions, positions, atol=1e-5)
    esds = read_model(run, "refined").esds
    for name in ("atoms.cif", "atoms_core.cif"):
        model = read_model(run / name, name)
        np.testing.assert_allclose(model.positions, positions, atol=0.06 * esds.max())
        np.testing.assert_allclose(model.esds, esds, rtol=0.06, atol=1e-5)


def test_model_and_residual_make_the_images(run: Path, truth: Planted) -> None:
    both = mrcfile.read(run / "model_images.mrc") + mrcfile.read(run / "residual_images.mrc")
    np.testing.assert_allclose(both, truth.images, atol=1e-5)
    with mrcfile.open(run / "model_images.mrc") as file:
        assert file.is_image_stack()
        assert float(file.voxel_size.x) == pytest.approx(PIXEL)


def test_views_are_told_and_can_be_read_again(run: Path, truth: Planted) -> None:
    found = read_views(run / "views_refined.csv", (1, 1)).views
    np.testing.assert_allclose(found.rotations, truth.views.rotations, atol=1e-6)
    np.testing.assert_allclose(found.centres, truth.views.centres, atol=1e-6)
    table = rows(run / "views_refined.csv")
    assert [k for k, row in enumerate(table) if row["held_out"] == "1"] == [2, 6, 10]
    assert min(float(row["correlation"]) for row in table) > 0.99
    gains = np.array([float(row["gain"]) for row in table])
    np.testing.assert_allclose(gains / gains.mean(), truth.gains / truth.gains.mean(), atol=0.02)
    for name in table[0]:
        assert f"`{name}`" in DOCUMENTED


def test_the_summary_tells_of_views_that_were_held_out(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["atoms"] == 43
    assert summary["views"]["held_out"] == [2, 6, 10]
    assert summary["fit"]["held_out"]["views"] == 3
    assert summary["fit"]["held_out"]["correlation_mean"] > 0.99
    assert summary["warnings"] == []
    record = json.loads((run / "run.json").read_text())
    # All atoms were drawn alike, and the images say so.
    assert record["options"]["displacements"] == "shared"
    assert record["thresholds"] == json.loads(json.dumps(thresholds()))
    assert len(record["input"]["images"]["sha256"]) == 64
    assert {"images", "views", "start"} <= record["input"].keys()
    assert set(record["options"]) >= {field.name for field in fields(TiltOptions)}


def test_the_picture_and_the_probe(run: Path) -> None:
    text = (run / "views.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    # Before the fit over three images, after it over three of the model; and three of what is left.
    assert len(re.findall("<image", text)) == 9
    assert len(re.findall("<circle", text)) == 6 * 43
    probe = rows(run / "probe.csv")
    assert list(probe[0]) == [column.name for column in PROBE_COLUMNS]
    assert [(row["depth"], float(row["weight"])) for row in probe] == [("", 1.0)]


@pytest.mark.slow
def test_drifts_are_found_and_surroundings_stay(tmp_path: Path) -> None:
    """Atoms on one side are given as surroundings, one of them twice."""
    truth = planted(views=16, shift=0.3, seed=3)
    side = truth.positions[:, 0] > 3
    found = tilt_of(
        truth, tmp_path, truth.positions[~side], truth.positions, refine=("backgrounds", "gains", "shifts")
    )
    assert len(found) == int(np.sum(~side))
    np.testing.assert_array_equal(found.start.positions[found.start.frozen], truth.positions[side])
    # Atoms that stay hold the gauge: shifts are the views' own, all of them.
    np.testing.assert_allclose(
        found.fit.atoms.positions[found.start.frozen], truth.positions[side], atol=1e-5
    )
    assert np.sqrt(np.mean((found.fit.views.shifts - truth.shifts) ** 2)) < 0.02
    moved = found.positions - truth.positions[~side]
    assert np.sqrt(np.mean(np.sum(moved**2, axis=1))) < 0.02
    np.testing.assert_allclose(
        found.views.centres, truth.views.centres + found.fit.views.shifts / PIXEL, atol=1e-6
    )


def tilt_of(
    truth: Planted, folder: Path, start: np.ndarray, around: np.ndarray | None = None, **options: Any
) -> TiltResult:
    truth.write(folder, start)
    if around is not None:
        (folder / "around").mkdir()
        truth.write(folder / "around", around)
        options["surroundings"] = folder / "around" / "start.csv"
    path = folder / "start.csv"
    return tilt(truth.images, truth.views, "Pt", pixel_size=PIXEL, start=path, anneal=False, **options)


def test_atoms_are_found_in_the_images_alone(truth: Planted, tmp_path: Path) -> None:
    """Through the command: no model, no map; each atom with its error bars, and none that is not there."""
    *arguments, _, _ = truth.write(tmp_path, truth.positions)
    outcome = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    assert "43 atoms" in outcome.stdout
    with open(tmp_path / "out" / "atoms.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    places, errors = (
        np.array([[float(row[f"{name}{end}"]) for name in "xyz"] for row in rows]) for end in ("", "_esd")
    )
    pairs = match(places, truth.positions, 0.5)
    assert (pairs.missing, pairs.false) == (0, 0)
    off = (places[pairs.found] - truth.positions[pairs.known]) / errors[pairs.found]
    assert 0.7 < np.sqrt(np.mean((off - off.mean(axis=0)) ** 2)) < 1.4
    assert all(float(row["score"]) > 5 and float(row["q_value"]) < 1e-3 for row in rows)
    assert all(row["amplitude_esd"] == "" for row in rows)
    particle = json.loads((tmp_path / "out" / "particle.json").read_text())
    assert particle["table_1"]["atoms"] == 43


def test_who_insists_on_images_without_a_maximum_gets_a_result_without_atoms(
    truth: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomfit.projection.reconstruction.places_of_atoms", lambda *_: np.zeros((0, 3)))
    given = truth.images, truth.views, "Pt"
    with pytest.raises(InputError, match=r"shows no atom.*insist \(--insist\)"):
        tilt(*given, pixel_size=PIXEL)
    result = tilt(*given, pixel_size=PIXEL, insist=True)
    assert (len(result), result.verdict.codes) == (0, ("no-atoms",))
    result.write(tmp_path / "out")
    assert len((tmp_path / "out" / "atoms.csv").read_text().splitlines()) == 1
    assert (tmp_path / "out" / "atoms.pdb").read_text() == "END\n"
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["start"]["correlation"] is None


@pytest.mark.slow
def test_a_lone_atom_that_was_tried_as_two_is_one() -> None:
    """Of 9 σ, brighter than the crests of noise beside it, which make the typical amplitude."""
    directions = Views.from_tilts(np.linspace(-70, 70, 12), "y", SHAPE)
    place = np.array([[1.0, -0.5, 0.7]])
    atom = Gaussians(place, U * np.eye(3)[None], np.full(1, 2.0))
    clean = np.stack(list(projected(atom, directions, np.zeros(3), SHAPE, PIXEL)))
    noise = np.sqrt(np.sum(clean**2)) / 7.5 * np.random.default_rng(2).normal(size=clean.shape)
    result = tilt((clean + noise).astype(np.float32), directions, "Pt", pixel_size=PIXEL, insist=True)
    assert result.start.ids.tolist() == [1]
    assert np.linalg.norm(result.positions - place) < 0.3
    assert result.verdict.level == "good"


def test_who_interrupts_the_selection_waits_for_no_other_fit(truth: Planted) -> None:
    """What there is by then is the result, and says so."""
    asked = []

    def interrupt(stage: str, iteration: int, value: float) -> None:
        asked.append(stage)
        if len(asked) == 3:
            raise KeyboardInterrupt

    result = tilt(truth.images, truth.views, "Pt", pixel_size=PIXEL, progress=interrupt)
    assert len(asked) == 3
    assert result.fit.reason == "interrupted"
    assert any("did not converge: interrupted" in warning for warning in result.warnings)


@pytest.mark.slow
def test_a_map_and_images_are_better_than_either(tmp_path: Path) -> None:
    """Of one particle, as noisy as each other: coupled, errors are those of both, and so are the bars."""
    case = planted(noise=0.4, seed=3)
    grid = Grid((64, 64, 64), np.full(3, 0.4), np.full(3, -12.6))
    matrices = np.tile(0.2 * np.eye(3), (43, 1, 1))
    clean = render_reference(Gaussians(case.positions, matrices, np.ones(43)), grid)
    noise = np.random.default_rng(4).normal(0, 0.25 * clean.max(), clean.shape)
    write_map(tmp_path / "map.mrc", DensityMap((clean + noise).astype(np.float32), grid))

    def refined(**options: Any) -> tuple[float, TiltResult]:
        result = tilt(case.images, case.views, "Pt", pixel_size=PIXEL, map=tmp_path / "map.mrc", **options)
        pairs = match(result.positions, case.positions, 1.0)
        assert (pairs.missing, pairs.false) == (0, 0)
        return pairs.rmsd, result

    of_map = match(atomfit.build(tmp_path / "map.mrc", "Pt").positions, case.positions, 1.0)
    of_images, alone = refined()
    of_both, both = refined(coupled=True)
    assert of_both < 0.9 * min(of_map.rmsd, of_images)
    assert np.median(both.position_errors) < np.median(alone.position_errors)
    expected = float(np.sqrt(np.mean(np.sum(both.position_errors**2, axis=1))))
    assert of_both == pytest.approx(expected, rel=0.25)


@pytest.mark.slow
def test_what_images_lack_is_judged_and_removed_on_request(truth: Planted, tmp_path: Path) -> None:
    """One atom too few and one too many: told with a model to start from, mended with --selection fit."""
    wrong = np.concatenate([truth.positions[1:], truth.positions[:1] + [[0.0, 0.0, 9.0]]])
    judged = tilt_of(truth, tmp_path, wrong)
    assert len(judged) == 43
    reasons = judged.selection.judgement.reasons
    assert [i for i, reason in enumerate(reasons) if reason] == [42]
    missed = match(judged.selection.discarded.positions, truth.positions[:1], 0.5)
    assert missed.missing == 0
    (tmp_path / "mended").mkdir()
    mended = tilt_of(truth, tmp_path / "mended", wrong, selection="fit")
    pairs = match(mended.positions, truth.positions, 0.5)
    assert (pairs.missing, pairs.false) == (0, 0)
    # Atoms of the model keep its numbers, and no other has that of the one that went.
    assert sorted(mended.start.ids)[:42] == list(range(1, 43))
    assert mended.start.ids.max() > 43
    known = mended.start.ids <= 42
    assert np.linalg.norm(mended.positions[known] - wrong[mended.start.ids[known] - 1], axis=1).max() < 0.5


@pytest.mark.slow
def test_atoms_of_denoised_images_are_judged_by_each_other(tmp_path: Path) -> None:
    clean, noisy = planted(noise=0.0), planted(noise=0.6, seed=0)
    left = np.stack([gaussian_filter(view, 2.0) for view in noisy.images - clean.images])
    some = replace(clean, images=(clean.images + left).astype(np.float32))
    start = some.positions + np.random.default_rng(1).normal(0, 0.1, some.positions.shape)
    result = tilt_of(some, tmp_path, start, selection="fit")
    assert result.uncertainty.excess > 1.3
    assert result.selection.judgement.decoys.source == "faint"
    found = match(result.positions, some.positions, 0.8)
    assert len(found.found) >= 41
    assert found.false <= 2


@pytest.mark.slow
def test_shapes_of_their_own_are_written(truth: Planted, tmp_path: Path) -> None:
    found = tilt_of(truth, tmp_path, truth.positions, displacements="anisotropic")
    found.write(tmp_path / "out")
    table = rows(tmp_path / "out" / "atoms.csv")
    assert np.median([float(row["u_min"]) for row in table]) == pytest.approx(U, rel=0.1)
    structure = gemmi.read_structure(str(tmp_path / "out" / "atoms.cif"))
    assert all(site.atom.aniso.nonzero() for site in structure[0].all())


@pytest.mark.slow
def test_a_probe_that_changes_with_depth_is_written(truth: Planted, tmp_path: Path) -> None:
    found = tilt_of(truth, tmp_path, truth.positions, probe="rigid")
    found.write(tmp_path / "out")
    probe = rows(tmp_path / "out" / "probe.csv")
    depths, weights = (np.array([float(row[name]) for row in probe]) for name in ("depth", "weight"))
    assert depths[0] == -depths[-1] < 0
    sums = [weights[depths == depth].sum() for depth in np.unique(depths)]
    np.testing.assert_allclose(sums, sums[0], rtol=0.01)
    # Behind a probe of free shape the width that all atoms share is a constant of the program.
    assert all(row["u_iso"] == "" for row in rows(tmp_path / "out" / "atoms.csv"))
    assert "u_iso" not in json.loads((tmp_path / "out" / "summary.json").read_text())["medians"]


@pytest.mark.slow
def test_a_fit_that_goes_astray_is_not_followed(truth: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Atoms that the search has found stand, and nothing is added to what its fit leaves."""
    from atomfit.workflows import tilt_selecting

    fits: list[Any] = []
    real = tilt_selecting.refine_start

    def astray(*arguments: Any) -> Any:
        fit = real(*arguments)
        fits.append(fit)
        return replace(fit, images=np.zeros_like(fit.images), atoms=fit.atoms.shifted(np.ones(3)))

    monkeypatch.setattr(tilt_selecting, "refine_start", astray)
    result = tilt(truth.images, truth.views, "Pt", pixel_size=PIXEL)
    pairs = match(result.positions, truth.positions, 0.3)
    assert len(fits) == 1
    assert len(pairs.found) == len(truth.positions) == len(result)
    assert not result.selection.rounds


def test_the_wrong_convention_is_named_before_the_fit(truth: Planted, tmp_path: Path) -> None:
    from atomfit.workflows.tilt_preparation import prepare_series
    from atomfit.workflows.tilt_starts import judged, start_from_file

    arguments = truth.write(tmp_path, truth.positions)
    options = TiltOptions(start=arguments[-1], inverse_views=True)
    ready = prepare_series(arguments[1], arguments[3], "Pt", options)
    with pytest.raises(InputError, match="leave out --inverse-views; if it is right, insist"):
        judged(start_from_file(arguments[-1], ready, options), ready, options)
    insisted = replace(options, insist=True)
    agreement, warnings, doubts = judged(start_from_file(arguments[-1], ready, insisted), ready, insisted)
    assert agreement.better is not None
    assert "--inverse-views" in warnings[0]
    assert doubts[0].problem in warnings[0]
    # The same of views that are an object.
    told = prepare_series(truth.images, truth.views, "Pt", replace(options, pixel_size=PIXEL))
    assert np.allclose(told.series.views.rotations, ready.series.views.rotations, atol=1e-9)
    for changes in ({"convention": "ZYZ"}, {"tilt_axis": "x"}):
        with pytest.raises(InputError, match="an object are no angles"):
            prepare_series(truth.images, truth.views, "Pt", TiltOptions(pixel_size=PIXEL, **changes))  # type: ignore[arg-type]
    right = replace(options, inverse_views=False)
    ready = prepare_series(arguments[1], arguments[3], "Pt", right)
    assert judged(start_from_file(arguments[-1], ready, right), ready, right)[1] == []


OPTIONS = [
    (["--pixel-size", "-1"], "-1 is no pixel size"),
    (["--mask-value", "zero"], "'zero' is no number"),
    (["--centre", "1,2"], "no point; give X,Y,Z"),
    (["--centre", "500,0,0"], "43 of 43 atoms are in no image"),
    (["--held-out", "1"], "views can be left out"),
    (["--held-out", "99"], "one of 99 views cannot be left out of 12"),
    (["--refine", "everything"], "no number of a view"),
    (["--gain", "2"], "only counts have a gain"),
    (["--likelihood", "poisson"], "below zero"),
    (["--voltage", "0"], "no voltage"),
    (["--convergence", "nan"], "no convergence angle"),
    (["--known-positions", "0"], "no deviation"),
    (["--fdr", "0"], "no false-discovery rate"),
    (["--coupled"], "there is no map"),
    (["--known-amplitudes", "0.1"], "--amplitudes atom"),
    (["--surroundings", "nowhere.csv"], "no such file"),
    (["--surroundings", "{home}/start.csv"], "all 43 atoms of the surroundings are those of the start"),
    (
        ["-e", "Fe", "--surroundings", "{home}/bare.csv"],
        "bare.csv: the file does not say whether atom 1 is Pt or Fe; name the element of each atom in it",
    ),
    (
        ["--surroundings", "{home}/film.csv"],
        "atom 1 is C, not Pt; give all elements of the file with --element",
    ),
    (["--convention", "foo"], "'foo' names no axes"),
    (["--convention", "ZYZ"], "matrices, which need no convention, and ZYZ was given; leave out"),
    (["--tilt-axis", "y"], "a table's views have axes of their own, and y was given"),
    (["--voltage", "200"], "with --probe direct the probe is part of the atom"),
    (["--defocus", "50"], "give --probe fixed, rigid or adaptive, or leave out --defocus"),
    (["--map", "map.mrc"], "both a model and a map"),
    (["-e", "Zz"], "unknown element"),
]


@pytest.mark.parametrize(("options", "expected"), OPTIONS)
def test_options_that_are_refused(
    options: list[str], expected: str, truth: Planted, tmp_path: Path
) -> None:
    arguments = truth.write(tmp_path, truth.positions)
    (tmp_path / "bare.csv").write_text("x,y,z\n0,0,9\n")
    (tmp_path / "film.csv").write_text("element,x,y,z\nC,0,0,9\n")
    before = sorted(tmp_path.iterdir())
    options = [one.format(home=tmp_path) for one in options]
    assert expected in refused([*arguments, "--out", str(tmp_path / "out"), *options])
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"known_positions": 0.1}, "no atoms whose positions are known"),
        ({"known_positions": 0.1, "coupled": True, "map": "map.mrc"}, "from one map, or by one number"),
    ],
)
def test_what_is_known_of_nothing_is_refused(options: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        TiltOptions(**options)


def test_files_that_do_not_belong_together(truth: Planted, tmp_path: Path) -> None:
    arguments = [*truth.write(tmp_path, truth.positions), "--out", str(tmp_path / "out")]
    write_views(tmp_path / "views.csv", truth.views[:5])
    assert "12 images and 5 views" in refused(arguments)
    write_views(tmp_path / "views.csv", truth.views)
    broken = truth.images.copy()
    broken[3, 4, 5] = np.nan
    (tmp_path / "images.mrc").unlink()
    write_images(tmp_path / "images.mrc", broken, PIXEL)
    assert "image 3 are no numbers; mend them, or mask" in refused(arguments)
    (tmp_path / "images.mrc").write_bytes((tmp_path / "images.mrc").read_bytes()[:5000])
    assert "promises" in refused(arguments)
    (tmp_path / "images.mrc").unlink()
    write_images(tmp_path / "images.mrc", np.ones_like(truth.images), PIXEL)
    assert "all pixels of image 0 are 1" in refused(arguments)
    (tmp_path / "images.mrc").unlink()
    write_images(tmp_path / "images.mrc", truth.images, PIXEL)
    (tmp_path / "start.csv").write_text("id,element,x,y,z\n7,Si,0,0,0\n")
    assert "atom 7 is Si, not Pt" in refused(arguments)
    assert not (tmp_path / "out").exists()


def test_python_refuses_as_the_command_does(truth: Planted) -> None:
    with pytest.raises(InputError, match="no views"):
        tilt(truth.images, None, "Pt", start="x")
    assert atomfit.tilt is tilt


def test_help_and_refusals_do_not_wait_for_jax() -> None:
    for arguments, code, heavy in (
        (["--help"], 0, "{'jax', 'numpy', 'scipy'}"),
        (["none.mrc", "--views", "v.csv", "-e", "Pt", "-o", "o", "--start", "s"], 2, "{'jax'}"),
    ):
        program = (
            "import sys; from typer.testing import CliRunner; from atomfit.cli import app;"
            f"r = CliRunner().invoke(app, ['tilt', *{arguments!r}]); assert r.exit_code == {code};"
            f"sys.exit(bool({heavy} & set(sys.modules)))"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.real
@pytest.mark.slow
def test_a_third_partys_series(real_data: Path, tmp_path: Path) -> None:
    """Every sixth view of a multislice simulation, from 0.2 Å off: 2 pm with the probe in the atoms."""
    folder = real_data / "tilt_pt389_25mrad"
    known = read_model(folder / "atoms_truth.xyz", "truth").positions
    start = known + np.random.default_rng(0).normal(0, 0.2 / 3**0.5, known.shape)
    np.savetxt(tmp_path / "start.csv", start, delimiter=",", header="x,y,z", comments="")
    with mrcfile.open(folder / "images.mrc") as file:
        images = file.data[::6].copy()
    views: Views = read_views(folder / "views.csv", images.shape[1:]).views[::6]
    found = tilt(images, views, "Pt", pixel_size=0.4, mask_value=0.0, start=tmp_path / "start.csv")
    assert np.sqrt(np.mean(np.sum((found.positions - known) ** 2, axis=1))) < 0.03
    assert found.warnings == ()


def test_what_is_known_wrongly_and_a_view_of_something_else_are_in_the_verdict(
    truth: Planted, start: np.ndarray, tmp_path: Path
) -> None:
    images = truth.images.copy()
    images[7] = np.random.default_rng(2).permutation(images[7].ravel()).reshape(SHAPE)
    replace(truth, images=images).write(tmp_path, start)
    result = tilt(
        tmp_path / "images.mrc",
        tmp_path / "views.csv",
        "Pt",
        start=tmp_path / "start.csv",
        known_positions=1e-3,
        anneal=False,
    )
    assert result.verdict.level == "bad"
    assert {"known", "views"} <= set(result.verdict.codes)
    assert "views 7 (" in " ".join(result.verdict.warnings)


@pytest.mark.parametrize("insist", [True, False])
def test_who_insists_on_a_series_insists_on_its_map(
    truth: Planted, tmp_path: Path, insist: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one whose atoms are dark: when it is checked, and when its atoms are found."""
    from atomfit.workflows.tilt_preparation import prepare_series
    from atomfit.workflows.tilt_starts import require_start

    asked: list[bool] = []

    def build(*given: Any, insist: bool = False, **more: Any) -> None:
        asked.append(insist)
        raise KeyboardInterrupt

    monkeypatch.setattr("atomfit.workflows.build.build", build)
    atoms = Gaussians(truth.positions + 8, np.tile(U * np.eye(3), (43, 1, 1)), np.ones(43))
    grid = Grid((40, 40, 40), np.full(3, 0.4), np.zeros(3))
    write_map(tmp_path / "map.mrc", DensityMap(-render_reference(atoms, grid).astype(np.float32), grid))
    options = TiltOptions(map=tmp_path / "map.mrc", pixel_size=PIXEL, insist=insist)
    ready = prepare_series(truth.images, truth.views, "Pt", options)
    if insist:
        require_start(ready, options)
    else:
        with pytest.raises(InputError, match=r"map\.mrc"):
            require_start(ready, options)
    with pytest.raises(KeyboardInterrupt):
        tilt(ready, None, "Pt", options)
    assert asked == [insist]


@pytest.mark.slow
def test_one_width_for_atoms_that_differ_is_told(truth: Planted) -> None:
    """Half of them are wider: own widths by default, and a warning to who asks for one."""
    wide = np.where(np.arange(43) % 2, 0.05, -0.05)[:, None, None] * np.eye(3) + U * np.eye(3)
    atoms = Gaussians(truth.positions, wide, np.full(43, AMPLITUDE))
    drawn = np.stack(list(projected(atoms, truth.views, np.zeros(3), SHAPE, PIXEL)))
    images = drawn + 0.02 * drawn.max() * np.random.default_rng(2).normal(size=drawn.shape)
    alike, own = (
        tilt(images.astype(np.float32), truth.views, "Pt", pixel_size=PIXEL, displacements=kind)
        for kind in ("shared", "auto")
    )
    assert any("share one width" in warning for warning in alike.warnings)
    assert own.options.displacements == "isotropic"
    assert not any("share one width" in warning for warning in own.warnings)
    pairs = match(own.positions, truth.positions, 0.3)
    known = np.trace(wide, axis1=1, axis2=2)[pairs.known] / 3
    z = (np.trace(own.matrices, axis1=1, axis2=2)[pairs.found] / 3 - known) / own.u_iso_errors[pairs.found]
    assert float(np.sqrt(np.mean(z**2))) == pytest.approx(1, abs=0.3)


def test_the_solver_is_the_one_that_was_asked_for(
    truth: Planted, start: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth.write(tmp_path, start)
    asked: list[tuple[object, object]] = []

    class Fitted(Exception):
        pass

    def fit(*_: object, solver: object, max_iterations: object, **__: object) -> None:
        asked.append((solver, max_iterations))
        raise Fitted

    monkeypatch.setattr("atomfit.workflows.tilt_refining.refine_against", fit)
    names = (tmp_path / "images.mrc", tmp_path / "views.csv")
    how = {"start": tmp_path / "start.csv"}
    for optimizer, most in (("newton", None), ("lbfgs", 7), ("adam", 7)):
        with pytest.raises(Fitted):
            tilt(*names, "Pt", **how, optimizer=optimizer, max_iterations=most)
    assert asked == [(None, None), (LBFGS(), 7), (Adam(), 7)]
