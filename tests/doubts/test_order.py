"""Whether images are in the order of their views."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.doubts.order import order_doubts
from atomfit.projection.views import TiltSeries
from simulated_series import PIXEL, particle, planted

DISTANCE = 2.77


def series_in(order: np.ndarray, noise: float = 0.3) -> tuple[TiltSeries, np.ndarray]:
    """The images of a particle in another order than their views, and its atoms."""
    made = planted(views=14, noise=noise)
    images = made.images[order]
    whole = TiltSeries(images, np.ones(images.shape, bool), PIXEL, made.views, np.zeros(3))
    return whole, made.positions


@pytest.mark.parametrize("noise", [0.02, 0.3, 3.0])
def test_images_in_order_are_told_nothing(noise: float) -> None:
    series, atoms = series_in(np.arange(14), noise)
    assert order_doubts(series, atoms, DISTANCE) == []
    # Nor are those of a start that has nothing to do with them.
    elsewhere = np.random.default_rng(0).normal(0, 4, atoms.shape)
    assert order_doubts(series, elsewhere, DISTANCE) == []


def test_two_exchanged_images_are_named() -> None:
    order = np.arange(14)
    order[[3, 8]] = 8, 3
    series, atoms = series_in(order)
    rough = atoms + np.random.default_rng(1).normal(0, 0.2, atoms.shape)
    (doubt,) = order_doubts(series, rough, DISTANCE)
    assert "2 of 14 images" in doubt.problem
    assert "image 3 with view 8, 8 with view 3" in doubt.problem


@pytest.mark.parametrize("order", [np.arange(14)[::-1], np.random.default_rng(2).permutation(14)])
def test_another_order_of_all_images(order: np.ndarray) -> None:
    series, atoms = series_in(order)
    (doubt,) = order_doubts(series, atoms, DISTANCE)
    assert "same order" in doubt.remedy
    assert int(doubt.problem.split()[0]) > 10


def test_alike_views_of_a_symmetric_particle_are_not_exchanged() -> None:
    """An image may well agree best with the view from the other side: not clearly better."""
    made = planted(views=14, noise=0.3)
    sites = np.concatenate([particle(), -particle()])
    images = made.images + made.images[:, ::-1, ::-1]
    series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, made.views, np.zeros(3))
    assert order_doubts(series, sites, DISTANCE) == []


def test_pixels_that_were_not_measured_say_nothing() -> None:
    order = np.arange(14)
    order[[3, 8]] = 8, 3
    series, atoms = series_in(order)
    counted = series.counted.copy()
    counted[:, :8], counted[5] = False, False
    part = replace(series, images=np.where(counted, series.images, 1e6), counted=counted)
    (doubt,) = order_doubts(part, atoms, DISTANCE)
    assert "image 3 with view 8, 8 with view 3" in doubt.problem
