"""Views that have drifted by pixels are laid on what their atoms look like."""

from dataclasses import replace

import numpy as np

from atomfit.projection.agreement import spots
from atomfit.projection.drift import drifts
from atomfit.projection.views import TiltSeries, Views
from atomfit.tilt_series.stages import Run
from simulated_series import PIXEL, planted

DISTANCE = 2.77


def drawn(series: TiltSeries, atoms: np.ndarray) -> np.ndarray:
    width = 0.23 * DISTANCE / series.pixel
    views = zip(series.views.rotations, series.views.centres, strict=True)
    return np.stack([spots(atoms, r, c, series, width) for r, c in views])


def test_drifts_of_pixels_are_found_and_others_are_left() -> None:
    made = planted(noise=0.1)
    moves = np.zeros((12, 2))
    moves[[2, 5, 9]] = (5, -7), (-4, 0), (0, 3)
    images = np.stack(
        [np.roll(each, (int(v), int(u)), (0, 1)) for each, (u, v) in zip(made.images, moves, strict=True)]
    )
    series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, made.views, np.zeros(3))
    found = drifts(drawn(series, made.positions), series)
    np.testing.assert_array_equal(found, moves)
    # Pixels that were not measured neither help nor harm, and an image of none has no drift.
    counted = series.counted.copy()
    counted[:, :, :6], counted[5] = False, False
    moves[5] = 0
    part = replace(series, images=np.where(counted, images, 1e5), counted=counted)
    np.testing.assert_array_equal(drifts(drawn(series, made.positions), part), moves)
    # Nor do a few of many atoms say where all of them are.
    assert not drifts(drawn(series, made.positions[:8]), series).any()


def test_a_crystal_without_edges_is_not_moved_by_a_lattice_vector() -> None:
    axis = np.arange(-12, 13)
    grid = np.stack(np.meshgrid(axis, axis, [0.0]), axis=-1).reshape(-1, 3) * 2.8
    views = Views.from_tilts(np.array([0.0, 10.0, -10.0]), "y", (44, 44))
    series = TiltSeries(np.ones((3, 44, 44)), np.ones((3, 44, 44), bool), PIXEL, views, np.zeros(3))
    clean = drawn(series, grid)
    rng = np.random.default_rng(0)
    for _ in range(5):
        images = clean + clean.std() * rng.normal(size=clean.shape)
        assert not drifts(clean, replace(series, images=images)).any()


def test_a_fit_begins_where_images_have_drifted_to() -> None:
    made = planted(noise=0.1)
    images = made.images.copy()
    images[4] = np.roll(images[4], (5, -7), (0, 1))
    series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, made.views, np.zeros(3))
    begin, numbers = made.positions, np.full(43, 78)
    run = Run(
        series,
        np.zeros(12, bool),
        begin,
        begin,
        numbers,
        DISTANCE,
        None,
        None,
        True,
        (None, None, None),
        print,
    )
    expected = np.zeros((12, 2))
    expected[4] = -7, 5
    np.testing.assert_allclose(run.first(False, drifting=True).views.shifts / PIXEL, expected, atol=1e-5)
    assert not run.first(False).views.shifts.any()
