"""The point that views turn about is found by a model to start from, and only where nobody has named it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomfit.options.tilt import TiltOptions
from atomfit.results.series import PreparedSeries
from atomfit.simulation import SeriesOptions, Simulation, simulate, simulate_series
from atomfit.simulation.files import write_simulation
from atomfit.workflows.tilt_centre import centred, points_of_box, points_of_result
from atomfit.workflows.tilt_preparation import prepare_series
from atomfit.workflows.tilt_starts import require_start

SERIES = SeriesOptions(tilts=9, tilt_range=120.0, noise=0.1)


@pytest.fixture(scope="module")
def particle() -> Simulation:
    """Off the middle of its box, so that the box's middle and the model's are apart."""
    return simulate(shape="icosahedron", size=3, rotate="random", shift=(2.0, -1.5, 1.0), seed=3)


@pytest.fixture(scope="module")
def folder(particle: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("centre") / "trial"
    return write_simulation(particle, made, series=simulate_series(particle, SERIES))


def ready(folder: Path, views: str = "angles.tlt", **options: object) -> PreparedSeries:
    return prepare_series(folder / "images.mrc", folder / views, "Pt", TiltOptions(**options))  # type: ignore[arg-type]


def test_the_boxs_middle_is_found(folder: Path, particle: Simulation) -> None:
    found = centred(ready(folder), particle.positions, points_of_box(particle.map.grid))
    np.testing.assert_allclose(found.series.centre, particle.map.grid.centre)
    assert "turn about the middle of the map's box" in found.notes[-1]


def test_a_model_about_its_own_middle_and_one_about_the_origin(folder: Path, particle: Simulation) -> None:
    moved = particle.positions - particle.map.grid.centre
    found = centred(ready(folder), moved, points_of_box(particle.map.grid))
    np.testing.assert_allclose(found.series.centre, 0)
    # Images of a particle whose own middle is the point that it was turned about.
    about_itself = replace(particle, positions=particle.positions - (2.0, -1.5, 1.0))
    images = simulate_series(about_itself, replace(SERIES, image_size=72)).images
    series = ready(folder)
    series = replace(series, series=replace(series.series, images=images))
    found = centred(series, particle.positions, points_of_box(particle.map.grid))
    np.testing.assert_allclose(found.series.centre, particle.positions.mean(axis=0))


def test_a_named_point_stays(folder: Path, particle: Simulation) -> None:
    for named in (ready(folder, centre=(1.0, 2.0, 3.0)), ready(folder, "views.csv")):
        assert centred(named, particle.positions, []) is named
    np.testing.assert_allclose(
        ready(folder, "views.csv").series.centre, particle.map.grid.centre, atol=1e-5
    )
    # A user knows better than a file.
    np.testing.assert_allclose(ready(folder, "views.csv", centre=(1.0, 2.0, 3.0)).series.centre, [1, 2, 3])


def test_what_results_say(tmp_path: Path, particle: Simulation) -> None:
    grid = particle.map.grid
    box = {"shape_zyx": list(grid.shape), "voxel_size": list(grid.spacing), "origin": [1.0, 2.0, 3.0]}
    summary = tmp_path / "summary.json"
    summary.write_text(json.dumps({"map": box}))
    points = dict(points_of_result(tmp_path))
    np.testing.assert_allclose(points["the middle of the map's box"], grid.centre + [1, 2, 3])
    assert points_of_result(tmp_path / "atoms.cif")
    assert points_of_result(tmp_path / "other.cif") == []
    summary.write_text(json.dumps({"views": {"centre": [4.0, 5.0, 6.0]}}))
    np.testing.assert_allclose(points_of_result(tmp_path)[0][1], [4, 5, 6])
    for text in ("{", "[]", '{"map": {}}', '{"views": {"centre": "x"}}', '{"map": null}'):
        summary.write_text(text)
        assert points_of_result(tmp_path) == []


def test_the_start_of_a_command_needs_no_centre(folder: Path, particle: Simulation) -> None:
    """In its map's frame a particle is in no image, if the views are taken to turn about the origin."""
    options = TiltOptions(start=folder / "truth.csv")
    require_start(ready(folder), options)
