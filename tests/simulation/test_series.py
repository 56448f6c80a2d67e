"""Simulated tilt series: the same particle as the map, and what was planted is in the images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomfit.io.image_stacks import read_images
from atomfit.io.tilts import read_tilts
from atomfit.io.views import read_views
from atomfit.projection.views import Views
from atomfit.rendering import Gaussians, render_reference
from atomfit.simulation import SeriesOptions, Simulation, simulate, simulate_series
from atomfit.simulation.files import write_simulation
from atomfit.simulation.series import projected
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError

PLAIN = SeriesOptions(tilts=3, tilt_range=80.0, pixel_size=0.358, noise=0.0, background=0.0)


@pytest.fixture(scope="module")
def particle() -> Simulation:
    """Odd numbers of voxels: the middle of the box is a voxel's, as the middle of an image is a pixel's."""
    return simulate(shape="icosahedron", size=2, rotate="random", noise=0.0, doi=0.7, box=61, seed=2)


@pytest.mark.parametrize("scattering", ["gaussian", "form-factor"])
def test_an_untilted_image_is_the_maps_sum_along_the_beam(scattering: str) -> None:
    whole = simulate(shape="icosahedron", size=2, noise=0.0, u_surface=0.16, box=61, scattering=scattering)
    image = simulate_series(whole, replace(PLAIN, image_size=61)).images[1]
    summed = whole.map.values.sum(axis=0) * whole.map.grid.spacing[2]
    assert whole.map.values.max() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(image, summed, atol=2e-3 * summed.max())


def test_any_view_is_what_the_slow_reference_draws(particle: Simulation, rng: np.random.Generator) -> None:
    """Every atom into every pixel, turned and blurred by hand."""
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    views = Views(rotation[None], np.array([[21.3, 18.6]]))
    centre = particle.map.grid.centre
    image = next(projected(particle.scatterers(), views, centre, (40, 44), 0.4))
    seen = (particle.positions - centre) @ rotation.T
    matrices = (rotation @ particle.matrices @ rotation.T)[:, :2, :2]
    grid = Grid((40, 44), np.full(2, 0.4), -0.4 * views.centres[0])
    expected = render_reference(Gaussians(seen[:, :2], matrices, particle.amplitudes), grid)
    np.testing.assert_allclose(image, expected, atol=1e-5 * expected.max())


def test_drifts_turns_and_gains_are_in_the_true_views(particle: Simulation) -> None:
    options = replace(PLAIN, drift=0.3, turn_error=2.0, gain_spread=0.1)
    series = simulate_series(particle, options)
    drawn = projected(
        particle.scatterers(), series.views, series.centre, series.images.shape[1:], options.pixel_size
    )
    for image, gain, expected in zip(series.images, series.gains, drawn, strict=True):
        np.testing.assert_allclose(image, gain * expected, atol=1e-5 * expected.max())
    assert np.ptp(series.gains) > 0
    off = series.views.rotations @ np.swapaxes(series.nominal.rotations, 1, 2)
    angles = np.degrees(np.arccos((np.trace(off, axis1=1, axis2=2) - 1) / 2))
    np.testing.assert_allclose(angles, np.linalg.norm(series.turns, axis=1), rtol=1e-6)
    assert angles.min() > 0
    moved = (series.views.centres - series.nominal.centres) * options.pixel_size
    np.testing.assert_allclose(moved, series.shifts)


def test_counts_are_those_of_the_atoms_and_poisson(particle: Simulation) -> None:
    options = SeriesOptions(tilts=40, counts=4000.0, background=0.0, pixel_size=0.5)
    series = simulate_series(particle, options)
    total = float(series.images.sum(dtype=np.float64))
    expected = 4000.0 * len(particle.positions)
    assert abs(total - expected) < 4 * np.sqrt(expected)
    np.testing.assert_array_equal(series.images, np.round(series.images))
    mean = (
        4000.0
        / 40
        * 0.25
        / float(particle.amplitudes[0])
        * np.stack(
            list(
                projected(particle.scatterers(), series.views, series.centre, series.images.shape[1:], 0.5)
            )
        )
    )
    bright = mean > 2
    assert np.mean((series.images - mean)[bright] ** 2 / mean[bright]) == pytest.approx(1, abs=0.05)


def test_a_probe_spreads_with_depth() -> None:
    """One atom at the centre in focus, and the same defocused; the integral stays."""
    one = simulate(size=1, noise=0.0, u_core=0.01, u_surface=0.01, jitter=0.0)
    peaks = {}
    for kind, defocus in (("direct", 0.0), ("rigid", 0.0), ("rigid", 40.0), ("fixed", 0.0)):
        options = replace(PLAIN, probe=kind, defocus=defocus, pixel_size=0.05, image_size=180)
        image = simulate_series(one, options).images[1]
        peaks[kind, defocus] = image.max()
        assert image.sum() * 0.05**2 == pytest.approx(float(one.amplitudes[0]), rel=0.02)
    assert peaks["direct", 0.0] > 1.5 * peaks["rigid", 0.0] > 2 * peaks["rigid", 40.0]
    assert peaks["fixed", 0.0] == pytest.approx(peaks["rigid", 0.0], rel=0.01)


def test_files_are_read_back_as_a_series(particle: Simulation, tmp_path: Path) -> None:
    options = replace(PLAIN, noise=0.1, drift=0.2)
    series = simulate_series(particle, options)
    write_simulation(particle, tmp_path / "trial", series=series)
    stack = read_images(tmp_path / "trial/images.mrc")
    np.testing.assert_array_equal(stack.images, series.images)
    assert stack.pixel == pytest.approx(0.358)
    for name, views in (("views", series.nominal), ("truth_views", series.views)):
        found = read_views(tmp_path / f"trial/{name}.csv", series.images.shape[1:])
        np.testing.assert_allclose(found.views.rotations, views.rotations, atol=1e-9)
        np.testing.assert_allclose(found.views.centres, views.centres, atol=1e-5)
        np.testing.assert_allclose(found.centre, particle.map.grid.centre, atol=1e-5)
    np.testing.assert_allclose(read_tilts(tmp_path / "trial/angles.tlt").angles, [-40, 0, 40])


def test_all_around_ends_before_the_first_views_mirror_image() -> None:
    np.testing.assert_allclose(SeriesOptions(tilts=4, tilt_range=180.0).angles, [-90, -45, 0, 45])
    np.testing.assert_allclose(SeriesOptions(tilts=3, tilt_range=120.0).angles, [-60, 0, 60])


@pytest.mark.parametrize(
    "wrong", [{"tilts": 1}, {"tilt_range": 0.0}, {"counts": np.nan}, {"probe": "rigid", "voltage": 0.0}]
)
def test_what_makes_no_series_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(PLAIN, **wrong)


def test_a_particle_must_fit_into_the_images(particle: Simulation) -> None:
    with pytest.raises(InputError, match="does not fit"):
        simulate_series(particle, replace(PLAIN, image_size=12))


def test_a_point_that_changes_from_row_to_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_text(
        "phi,theta,psi,centre_x,centre_y,centre_z\n0,0,0,1,2,3\n0,10,0,1,2,4\n"
    )
    with pytest.raises(InputError, match="do not give one point"):
        read_views(tmp_path / "views.csv", (8, 8), convention="ZYZ")
