"""Views that agree on atoms are told from noise, however few or faint the atoms are."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.doubts.noise import disagreeing_views
from atomfit.projection.existence import existence_in_images
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians
from atomfit.simulation.series import projected

PIXEL, SIZE, DISTANCE = 0.35, 44, 2.35
RNG = np.random.default_rng(3)
PLACES = np.array([[x, y, z] for x in (-3, 0, 3) for y in (-3, 0, 3) for z in (-3, 0, 3)]) + RNG.normal(
    0, 0.3, (27, 3)
)


def seen(atoms: int, each: float, background: np.ndarray, views: int = 20, seed: int = 0) -> TiltSeries:
    """Counts of the first atoms, so many each, on a background."""
    directions = Views.from_tilts(np.arange(views) * 180.0 / views, "y", (SIZE, SIZE))
    drawn = np.zeros((views, SIZE, SIZE))
    if atoms:
        shapes = np.tile(0.35 * np.eye(3), (atoms, 1, 1))
        some = Gaussians(PLACES[:atoms], shapes, np.full(atoms, each * PIXEL**2))
        drawn = np.stack(list(projected(some, directions, np.zeros(3), (SIZE, SIZE), PIXEL)))
    images = np.random.default_rng(seed).poisson(drawn + background).astype(np.float32)
    return TiltSeries(images, np.ones(images.shape, bool), PIXEL, directions, np.zeros(3))


def ball() -> np.ndarray:
    axis = np.linspace(-1, 1, SIZE)
    return 1 + 6 * np.sqrt(np.maximum(0.5 - axis[:, None] ** 2 - axis**2, 0))


@pytest.mark.parametrize(("atoms", "each"), [(1, 25.0), (27, 12.0)], ids=["one", "many faint"])
def test_atoms_exist(atoms: int, each: float) -> None:
    assert not disagreeing_views(existence_in_images(seen(atoms, each, np.ones(1)), DISTANCE))


def bright_pixels() -> np.ndarray:
    """Of a camera: every hundredth or so, on the axis of the views, too."""
    return np.where(np.random.default_rng(9).random((SIZE, SIZE)) > 0.99, 9.0, 1.0)


@pytest.mark.parametrize(
    ("background", "views"),
    [(np.full(1, 0.4), 20), (ball(), 20), (np.full(1, 0.4), 8), (bright_pixels(), 20)],
    ids=["sparse counts", "a ball", "few views", "a pattern of the camera"],
)
def test_noise_has_none(background: np.ndarray, views: int) -> None:
    (doubt,) = disagreeing_views(existence_in_images(seen(0, 0.0, background, views), DISTANCE))
    assert "may show noise" in doubt.problem


def test_few_images_of_atoms_are_not_judged() -> None:
    """Moved images of a crystal agree as well."""
    assert existence_in_images(seen(27, 200.0, np.ones(1), views=5), DISTANCE) is None


def test_what_was_not_measured_may_be_any_value() -> None:
    whole = seen(27, 12.0, np.ones(1))
    images, counted = whole.images.copy(), whole.counted.copy()
    images[:, :4], counted[:, :4] = np.nan, False
    masked = replace(whole, images=images, counted=counted)
    assert not disagreeing_views(existence_in_images(masked, DISTANCE))


def test_nothing_to_judge() -> None:
    series = seen(0, 0.0, np.zeros(1))
    assert existence_in_images(series, DISTANCE) is None
    assert disagreeing_views(None) == []
