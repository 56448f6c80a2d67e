"""The quick map: against the sum written out, and on a planted particle."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from atomfit.projection.reconstruction import (
    back_projected,
    grid_about,
    half_extent,
    places_of_atoms,
    reconstruct,
)
from atomfit.projection.views import TiltSeries
from atomfit.structure.grid import Grid
from atomfit.structure.matching import match
from simulated_series import PIXEL, planted


def series(views: int = 12, noise: float = 0.02, seed: int = 0) -> tuple[TiltSeries, np.ndarray]:
    case = planted(views, noise, seed=seed)
    counted = np.ones(case.images.shape, bool)
    return TiltSeries(case.images, counted, PIXEL, case.views, np.array([0.0, 0.0, 0.0])), case.positions


def test_back_projection_is_the_sum_over_views() -> None:
    found, _ = series()
    grid = Grid((5, 6, 7), np.array([0.5, 0.6, 0.7]), np.array([-1.0, -2.0, -1.5]))
    smeared = back_projected(found, found.images, grid)
    places = grid.positions_of(np.stack(np.indices(grid.shape), axis=-1))
    expected = np.zeros(grid.shape)
    for image, rotation, centre in zip(
        found.images, found.views.rotations, found.views.centres, strict=True
    ):
        u, v = np.moveaxis(places @ rotation[:2].T / PIXEL + centre, -1, 0)
        expected += map_coordinates(image, [v, u], order=1, mode="constant")
    np.testing.assert_allclose(smeared, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_bright_places_are_atoms(noise: float) -> None:
    found, truth = series(noise=noise)
    pairs = match(places_of_atoms(found, 2.77), truth, 1.0)
    assert pairs.missing <= 2
    assert pairs.false <= 2
    assert pairs.rmsd < 0.4


def test_what_was_not_measured_does_not_matter() -> None:
    found, truth = series()
    counted = found.counted.copy()
    counted[:, :2] = counted[:, -2:] = False
    images = np.where(counted, found.images, 1e3).astype(np.float32)
    masked = TiltSeries(images, counted, PIXEL, found.views, found.centre)
    assert match(places_of_atoms(masked, 2.77), truth, 1.0).f1 > 0.97


def test_a_map_reaches_as_far_as_most_views_show() -> None:
    found, _ = series()
    half = half_extent(found)
    rows, columns = found.shape
    # Along the tilt axis every view shows the same; across it images that are tilted show more.
    assert half[1] == pytest.approx(0.5 * PIXEL * rows)
    assert half[0] >= 0.5 * PIXEL * columns - 1e-6
    grid = grid_about(found.centre, half, 0.5)
    np.testing.assert_allclose(grid.centre, found.centre, atol=0.3)
    assert reconstruct(found, 0.45, 0.1).grid.spacing[0] == pytest.approx(PIXEL)
