"""Pixels count by how much they err, which is measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomfit.noise.brightness import weights_by_brightness
from atomfit.projection.views import TiltSeries
from atomfit.tilt_series.refinement import refine_against
from simulated_series import PIXEL, planted


def pixels(*terms: float, count: int = 60_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brightness, what is left there, and its true variance: a polynomial of the brightness."""
    rng = np.random.default_rng(seed)
    m = rng.gamma(0.7, 1.0, count)
    variances = np.polynomial.polynomial.polyval(m, terms)
    return m, np.sqrt(variances) * rng.normal(size=count), variances


@pytest.mark.parametrize("terms", [(0.3,), (0.1, 0.4), (0.0, 0.5), (0.2, 0.0, 0.3), (0.05, 0.1, 0.4)])
def test_half_of_the_variance_is_that_of_the_brightness(terms: tuple[float, ...]) -> None:
    m, left, variances = pixels(*terms)
    expected = 1 / (variances.mean() + variances)
    found = weights_by_brightness(m, left)
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=0.1)
    assert found.mean() == pytest.approx(1.0)


@given(unit=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_the_unit_does_not_matter(unit: float, seed: int) -> None:
    m, left, _ = pixels(0.1, 0.4, count=3000, seed=seed)
    np.testing.assert_allclose(
        weights_by_brightness(unit * m, unit * left), weights_by_brightness(m, left), rtol=1e-6
    )


@pytest.mark.parametrize("m", [np.zeros(500), np.ones(500), np.arange(20.0), np.zeros(0)])
def test_where_nothing_can_be_measured_pixels_are_alike(m: np.ndarray) -> None:
    left = np.random.default_rng(0).normal(size=len(m))
    np.testing.assert_array_equal(weights_by_brightness(m, left), 1.0)


def test_images_that_the_model_describes_exactly() -> None:
    np.testing.assert_array_equal(weights_by_brightness(np.arange(900.0), np.zeros(900)), 1.0)


@pytest.mark.slow
def test_atoms_are_nearer_to_the_truth_where_bright_pixels_err_more() -> None:
    some = planted(views=16, noise=0.0)
    rng = np.random.default_rng(5)
    images = some.images + (0.02 + some.images) * 0.3 * rng.normal(size=some.images.shape)
    series = TiltSeries(
        images.astype(np.float32), np.ones(images.shape, bool), PIXEL, some.views, np.zeros(3)
    )
    start = some.positions + rng.normal(0, 0.1, some.positions.shape)
    numbers = np.full(len(start), 78)
    alike, weighted = (
        refine_against(
            series, start, numbers, 2.775, free_views=("backgrounds", "gains"), by_brightness=way
        )
        for way in (False, True)
    )
    off = [np.sqrt(np.mean((fit.positions - some.positions) ** 2)) for fit in (alike, weighted)]
    assert off[1] < 0.9 * off[0]
    # Bright pixels are told to be known less.
    precisions = weighted.precisions[weighted.images > np.quantile(weighted.images, 0.9)]
    assert np.median(precisions) < 0.5 * np.median(weighted.precisions)
