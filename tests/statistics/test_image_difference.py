"""Differences of two images of planted columns, of which one is turned, brighter, and of other pixels."""

import numpy as np
import pytest
from scipy.stats import kstest

from atomfit.statistics.image_difference import ImageDifference, difference_of_images
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.structure.grid import DensityMap, Grid

_WIDTH = 0.6


def sites() -> np.ndarray:
    i, j = (x.ravel() for x in np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)))
    lattice = np.stack([2.7 * i + 0.7 * j, 2.5 * j], axis=1)
    return lattice[np.linalg.norm(lattice, axis=1) < 10]


def imaged(
    places: np.ndarray, heights: np.ndarray, edge: float, pixel: float, noise: float, seed: int
) -> DensityMap:
    n = round(edge / pixel)
    grid = Grid((n, n), np.full(2, pixel), np.full(2, -0.5 * pixel * (n - 1)))
    axis = grid.origin[0] + pixel * np.arange(n)
    x, y = (np.exp(-0.5 * ((axis[:, None] - places[:, k]) / _WIDTH) ** 2) for k in range(2))
    values = np.einsum("yn,xn,n->yx", y, x, heights)
    return DensityMap(values + noise * np.random.default_rng(seed).normal(size=values.shape), grid)


def case(noise: float, lost: int | None, pixel: float = 0.2) -> tuple[ImageDifference, np.ndarray]:
    places = sites()
    c, s = np.cos(2.1), np.sin(2.1)
    motion = PlaneMap(1.015 * np.array([[c, -s], [s, c]]), np.array([0.7, -0.4]))
    heights = np.random.default_rng(0).uniform(2, 6, len(places))
    then = heights.copy()
    if lost is not None:
        then[lost] = 0.0
    a = imaged(places, heights, 26.0, 0.2, noise, 1)
    b = imaged(motion.back(places), 1.7 * then, 26.0, pixel, 1.7 * noise, 2)
    found = difference_of_images(a, b.with_values(b.values + 3.0), motion, 1.7, _WIDTH)
    assert found is not None
    return found, places


@pytest.mark.parametrize("pixel", [0.2, 0.13, 0.26])
def test_images_of_the_same_differ_by_interpolation_only(pixel: float) -> None:
    found, _ = case(0.0, None, pixel)
    # Corners are not in both, as one image is turned.
    assert 0.75 < found.known.mean() < 0.97
    assert found.level == pytest.approx(3.0 / 1.7, abs=0.02)
    # The second image's columns are narrower by its magnification, and blurred if its pixels are finer.
    assert np.nanmax(np.abs(found.values)) < 0.35


def test_noise_is_that_of_the_difference() -> None:
    found, _ = case(0.3, None)
    scores = found.scores[found.known]
    # Columns that are in another place of their pixels differ a little besides.
    assert np.std(scores) == pytest.approx(1.0, abs=0.2)
    assert kstest(scores[::97], "norm").pvalue > 1e-3
    assert found.told()["part_beyond_four_deviations"] < 5e-3


def test_a_lost_column_stands_out() -> None:
    found, places = case(0.3, 20)
    rows, columns = np.unravel_index(int(np.nanargmin(found.scores)), found.scores.shape)
    at = found.grid.origin + found.grid.spacing * np.array([columns, rows])
    assert np.linalg.norm(at - places[20]) < 0.5
    assert np.nanmin(found.scores) < -12


def test_what_was_not_measured_is_not_known() -> None:
    found, _ = case(0.3, None)
    a = DensityMap(found.first, found.grid, np.ones(found.grid.shape, bool))
    assert a.counted is not None
    a.counted[:40] = False
    still = PlaneMap(np.eye(2), np.zeros(2))
    again = difference_of_images(a, DensityMap(found.first, found.grid), still, np.nan, _WIDTH)
    assert again is not None
    assert not again.known[:40].any()
    assert again.known[41:].all()
    assert np.nanmax(np.abs(again.values)) < 1e-6
    far = PlaneMap(np.eye(2), np.array([500.0, 0.0]))
    assert difference_of_images(a, a, far, 1.0, _WIDTH) is None
