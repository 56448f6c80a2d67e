"""What speaks against a tilt series and its start: each fault is named, right ones are let through."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomfit.cli import app
from atomfit.doubts.images import pixel_doubts, without_hot_pixels
from atomfit.doubts.starts import require_distances, start_doubts
from atomfit.doubts.views import view_doubts
from atomfit.options.tilt import TiltOptions
from atomfit.projection.misreadings import Agreement, Reading, agreement
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians
from atomfit.simulation import SeriesOptions, simulate, simulate_series
from atomfit.simulation.series import projected
from atomfit.structure.elements import element
from atomfit.support.errors import InputError
from atomfit.workflows.tilt_preparation import prepare_series
from simulated_series import PIXEL, SHAPE, Planted, planted
from test_bad_input import refused

PT = element("Pt")
Change = Callable[[np.ndarray], np.ndarray]


def lopsided() -> Planted:
    """A series of a particle that nothing but itself looks like: half of the atoms, to one side."""
    whole = planted(noise=0.05)
    kept = np.argsort(whole.positions @ [1.0, 0.7, 0.4])[:20]
    positions = whole.positions[kept] + [3.0, 1.5, 0.5]
    v, u = np.indices(SHAPE)
    rng = np.random.default_rng(1)
    images = 0.1 * rng.normal(size=whole.images.shape)
    for image, rotation, centre in zip(images, whole.views.rotations, whole.views.centres, strict=True):
        for x, y in (positions @ rotation.T)[:, :2] / PIXEL + centre:
            image += np.exp(-((u - x) ** 2 + (v - y) ** 2) * PIXEL**2 / 0.24)
    return replace(whole, images=images.astype(np.float32), positions=positions)


@pytest.fixture(scope="module")
def truth() -> Planted:
    return lopsided()


def series_of(truth: Planted, change: Change = lambda images: images) -> TiltSeries:
    images = np.ascontiguousarray(change(truth.images))
    return TiltSeries(images, np.ones(images.shape, bool), PIXEL, truth.views, np.zeros(3))


MISREAD: dict[str, tuple[Callable[[TiltSeries], TiltSeries], str]] = {
    "pixels in nm": (lambda s: replace(s, pixel=s.pixel / 10), "times as small (it may be in nm)"),
    "pixels in pm": (lambda s: replace(s, pixel=s.pixel * 10), "times as large"),
    "binned by two": (lambda s: replace(s, pixel=s.pixel / 2), "2 times as small"),
    "three times too large": (lambda s: replace(s, pixel=s.pixel * 3), "times as large"),
    "another centre": (lambda s: replace(s, centre=s.centre + [6.0, -5.0, 4.0]), "--centre"),
    "inverted": (lambda s: replace(s, images=-s.images), "inverted contrast"),
    "turned by 180 degrees": (
        lambda s: replace(
            s, images=np.ascontiguousarray(s.images[:, ::-1, ::-1]), views=moved(s.views, -1.0, -1.0)
        ),
        "rotated by 180",
    ),
    "mirrored": (
        lambda s: replace(
            s, images=np.ascontiguousarray(s.images[:, :, ::-1]), views=moved(s.views, -1.0, 0)
        ),
        "mirrored",
    ),
    "upside down": (
        lambda s: replace(s, images=np.ascontiguousarray(s.images[:, ::-1]), views=moved(s.views, 0, -1.0)),
        "upside down",
    ),
}


def moved(views: Views, u: float, v: float) -> Views:
    """The middle of images with an even number of pixels that were turned."""
    return Views(views.rotations, views.centres + [u, v])


@pytest.mark.parametrize("case", MISREAD)
def test_what_else_was_meant_is_named(case: str, truth: Planted) -> None:
    change, words = MISREAD[case]
    start = truth.positions + np.random.default_rng(2).normal(0, 0.15, truth.positions.shape)
    found, doubts, warnings = start_doubts(change(series_of(truth)), start, PT.neighbour_distance)
    (said,) = [*(f"{doubt.problem}: {doubt.remedy}" for doubt in doubts), *warnings]
    assert words in said
    assert found.better is not None
    assert found.better[1] > 0.6
    assert bool(doubts) == (found.correlation < 0.75 * found.better[1])


def test_images_that_were_read_twice_are_told(truth: Planted) -> None:
    images, counted = truth.images.copy(), np.ones(truth.images.shape, bool)
    assert not any("value for value" in one for one in pixel_doubts(images, counted, PIXEL, 2.77)[1])
    images[7] = images[2]
    assert any("images 2 and 7 are equal" in one for one in pixel_doubts(images, counted, PIXEL, 2.77)[1])


@pytest.mark.parametrize("inverse", [True, False])
def test_a_dense_particle_that_looks_alike_from_everywhere_is_turned_rightly(inverse: bool) -> None:
    """Correlations of 0.84 and 0.94: little apart, but half of what was left is gone."""
    rng, atoms = np.random.default_rng(1), np.zeros((0, 3))
    while len(atoms) < 30:
        place = 3.5 * rng.normal(size=(1, 3))
        if np.linalg.norm(place) < 6 and np.all(np.linalg.norm(place - atoms, axis=1) > 2.4):
            atoms = np.concatenate([atoms, place])
    views = Views.from_tilts(np.arange(-70, 71, 10.0), "y", (64, 64))
    shapes = Gaussians(atoms, np.tile(np.eye(3), (30, 1, 1)), np.ones(30))
    images = np.stack(list(projected(shapes, views, np.zeros(3), (64, 64), PIXEL)))
    images += 0.02 * images.max() * rng.normal(size=images.shape)
    read = Views(np.swapaxes(views.rotations, 1, 2), views.centres) if inverse else views
    series = TiltSeries(images.astype(np.float32), np.ones(images.shape, bool), PIXEL, read, np.zeros(3))
    start = atoms + rng.normal(0, 0.2, atoms.shape)
    _, doubts, warnings = start_doubts(series, start, PT.neighbour_distance)
    assert not doubts
    assert ["--inverse-views" in one for one in warnings] == [True] * inverse


def test_sizes_and_centres_are_measured(truth: Planted) -> None:
    series = series_of(truth)
    size = agreement(replace(series, pixel=0.23), truth.positions, PT.neighbour_distance).better
    assert size is not None
    assert float(size[0].split("--pixel-size ")[1].split(",")[0]) == pytest.approx(PIXEL, rel=0.05)
    centre = agreement(replace(series, centre=np.array([6.0, -5.0, 4.0])), truth.positions, 2.77).better
    assert centre is not None
    found = [float(x) for x in centre[0].split("--centre ")[1].split(",")]
    np.testing.assert_allclose(found, 0, atol=1.0)


@pytest.mark.parametrize("off", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("noise", [0.02, 1.5])
def test_a_right_start_is_let_through(off: float, noise: float) -> None:
    case = planted(noise=noise)
    start = case.positions + np.random.default_rng(3).normal(0, off / 3**0.5, case.positions.shape)
    found, doubts, warnings = start_doubts(series_of(case), start, PT.neighbour_distance)
    assert (doubts, warnings) == ([], []), found


def test_a_start_that_has_nothing_to_do_with_the_images_is_told(truth: Planted) -> None:
    start = np.random.default_rng(4).normal(0, 1, (20, 3)) * [2.0, 8.0, 2.0] - [4.0, 0.0, 0.0]
    _, doubts, warnings = start_doubts(series_of(truth), start, PT.neighbour_distance)
    assert doubts or warnings


def test_a_model_in_nm_is_refused(truth: Planted, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"coordinates in nm\?"):
        require_distances(truth.positions / 10, PT)
    require_distances(truth.positions, PT)
    require_distances(truth.positions[:1], PT)
    arguments = truth.write(tmp_path, truth.positions / 10)
    assert "coordinates in nm?" in refused([*arguments, "--quiet", "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pixel-size", "0.04"], "is it in nm?"),
        (["--pixel-size", "4"], "times as large"),
        (["--centre", "6,-5,4"], "--centre"),
    ],
)
def test_the_command_refuses_before_the_fit(
    options: list[str], words: str, truth: Planted, tmp_path: Path
) -> None:
    arguments = truth.write(tmp_path, truth.positions)
    sentence = refused([*arguments, "-q", "--out", str(tmp_path / "out"), *options])
    assert words in sentence
    assert "start.csv" in sentence


def test_views_that_tell_no_depth_are_refused() -> None:
    def views(*angles: float) -> np.ndarray:
        return Views.from_tilts(np.array(angles, float), "y", SHAPE).rotations

    assert "from one direction" in view_doubts(views(3, 3, 3, 183))[0][0].problem
    assert "span 6 degrees only" in view_doubts(views(*np.arange(-3.0, 4)))[0][0].problem
    assert "2 views" in view_doubts(views(-40, 40))[0][0].problem
    doubts, warnings = view_doubts(views(*np.arange(-15.0, 16, 3)))
    assert not doubts
    assert "span 30 degrees only" in warnings[0]
    assert view_doubts(views(*np.arange(-60.0, 61, 20))) == ([], [])
    # Depth is known so much worse, by the information itself.
    rotations = views(*np.arange(-15.0, 16, 3))
    information = sum(r[:2].T @ r[:2] for r in rotations) / len(rotations)
    worse = 1 / np.sqrt(np.linalg.eigvalsh(information)[0])
    assert f"{worse:.2g} times worse" in warnings[0]


FAULTS: dict[str, tuple[Change, str]] = {
    "-9999": (lambda x: np.where(np.indices(x.shape)[2] < 4, np.float32(-9999), x), "--mask-value -9999"),
    "the largest float": (
        lambda x: np.where(np.indices(x.shape)[1] < 3, np.float32(3.4028235e38), x),
        "3.40282e+38",
    ),
    "dark": (lambda x: -x, "bright"),
    "sections of a map": (lambda x: x * np.exp(-(np.linspace(-3, 3, len(x)) ** 2))[:, None, None], "map"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_of_images_are_refused_unless_a_user_insists(case: str) -> None:
    change, words = FAULTS[case]
    truth = planted(views=21)
    images = change(truth.images).astype(np.float32)
    with pytest.raises(InputError, match=r"insist \(--insist\)") as error:
        prepare_series(images, truth.views, "Pt", TiltOptions(pixel_size=PIXEL))
    assert words in str(error.value)
    insisted = prepare_series(images, truth.views, "Pt", TiltOptions(pixel_size=PIXEL, insist=True))
    assert any(words in warning for warning in insisted.warnings)


def test_views_along_the_last_axis_are_told() -> None:
    truth = planted(views=21)
    turned = np.ascontiguousarray(np.moveaxis(truth.images, 0, 2))
    with pytest.raises(InputError, match=r"numpy.moveaxis\(images, 2, 0\)"):
        prepare_series(turned, truth.views, "Pt", TiltOptions(pixel_size=PIXEL))
    # As many views as rows: then only the images can tell.
    series = Views.from_tilts(np.linspace(-60, 60, SHAPE[0]), "y", SHAPE)
    with pytest.raises(InputError, match=r"numpy.moveaxis\(images, 2, 0\)"):
        prepare_series(turned, series, "Pt", TiltOptions(pixel_size=PIXEL))


def test_hot_pixels_do_not_count() -> None:
    truth = planted()
    images = truth.images.copy()
    images[3, 5, 7] = images[3, 30, 2] = images[8, 20, 20] = 900.0
    ready = prepare_series(images, truth.views, "Pt", TiltOptions(pixel_size=PIXEL))
    assert np.argwhere(~ready.series.counted).tolist() == [[3, 5, 7], [3, 30, 2], [8, 20, 20]]
    (warning,) = ready.warnings
    assert warning.startswith("3 hot pixels, in 2 images")


def test_zeros_of_what_was_not_measured_are_told() -> None:
    truth = planted()
    images = truth.images.copy()
    images[:, :5] = 0
    (warning,) = prepare_series(images, truth.views, "Pt", TiltOptions(pixel_size=PIXEL)).warnings
    assert "--mask-value 0" in warning
    assert (
        prepare_series(images, truth.views, "Pt", TiltOptions(pixel_size=PIXEL, mask_value=0)).warnings
        == ()
    )


@pytest.mark.parametrize("counts", [None, 100.0, 10_000.0])
@pytest.mark.parametrize("size", [2, 4])
def test_right_series_are_let_through(counts: float | None, size: int) -> None:
    particle = simulate(shape="icosahedron", size=size, rotate="random", seed=size)
    options = SeriesOptions(tilts=11, tilt_range=120.0, noise=0.1, counts=counts)
    made = simulate_series(particle, options)
    counted = np.ones(made.images.shape, bool)
    assert without_hot_pixels(made.images, counted, options.pixel_size, 2.77)[1] == []
    assert pixel_doubts(made.images, counted, options.pixel_size, 2.77) == ([], [])


def test_a_map_is_no_series(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from atomfit.io.mrc import write_map

    case = simulate(shape="icosahedron", size=2, noise=0.02, box=48)
    write_map(tmp_path / "map.mrc", case.map)
    (tmp_path / "angles.tlt").write_text("\n".join(f"{x:.1f}" for x in np.linspace(-60, 60, 48)))
    arguments = ["tilt", str(tmp_path / "map.mrc"), "--views", str(tmp_path / "angles.tlt"), "-e", "Pt"]
    outcome = CliRunner().invoke(app, [*arguments, "--quiet", "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 2
    assert "sections of a map" in outcome.stderr


def test_the_remedy_depends_on_what_was_done() -> None:
    words = "the other tilt axis and the inverse rotations: --tilt-axis and --inverse-views"
    for reading, remedy in (
        (Reading(), "exchange the images' axes x and y in the views and give --inverse-views"),
        (
            Reading(inverse=True),
            "exchange the images' axes x and y in the views and leave out --inverse-views",
        ),
        (Reading(False, "y"), "give --tilt-axis x and give --inverse-views"),
        (Reading(True, "x"), "give --tilt-axis y and leave out --inverse-views"),
    ):
        misread = Agreement(0.3, (words, 0.9), reading=reading).misread
        assert misread is not None
        assert misread.remedy == remedy
    other = Agreement(0.3, ("images that are rotated by 180 degrees: turn them", 0.9)).misread
    assert other is not None
    assert other.remedy == "turn them"
