"""How far samples scatter, beside what the curvature at a fit says."""

import numpy as np
import pytest

from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import measure_uncertainty
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians
from atomfit.simulation.series import projected
from atomfit.tilt_series.refinement import refine_against
from atomfit.tilt_series.sampled import sampled_excess

PIXEL, SHAPE, CENTRE, U = 0.4, (28, 28), np.zeros(3), 0.35
PLACES = np.random.default_rng(4).uniform(-0.2, 0.2, (8, 3)) + 2.6 * (
    np.indices((2, 2, 2)).reshape(3, 8).T - 0.5
)
DIRECTIONS = Views.from_tilts(np.arange(12) * 15.0, "y", SHAPE)
CLEAN = np.stack(
    list(
        projected(
            Gaussians(PLACES, np.tile(U * np.eye(3), (8, 1, 1)), np.ones(8)),
            DIRECTIONS,
            CENTRE,
            SHAPE,
            PIXEL,
        )
    )
)


def series(noise: float, seed: int) -> TiltSeries:
    images = CLEAN + noise * CLEAN.max() * np.random.default_rng(seed).normal(size=CLEAN.shape)
    return TiltSeries(images.astype(np.float32), np.ones(images.shape, bool), PIXEL, DIRECTIONS, CENTRE)


def fitted(noise: float, seed: int = 0) -> tuple[TiltSeries, TiltFit, np.ndarray]:
    """Images, their fit, and the covariances of the whole Gauss-Newton matrix."""
    seen = series(noise, seed)
    fit = refine_against(seen, PLACES, np.full(8, 78), 2.77, anneal=False, free_views=())
    return seen, fit, measure_uncertainty(FittedSeries.of(seen, fit), own_amplitudes=False).covariances


@pytest.fixture(scope="module")
def bright() -> tuple[TiltSeries, TiltFit, np.ndarray]:
    return fitted(0.05)


def test_of_bright_atoms_the_curvature_says_all_and_of_faint_ones_too_little(
    bright: tuple[TiltSeries, TiltFit, np.ndarray],
) -> None:
    seen, fit, covariances = bright
    np.testing.assert_allclose(
        sampled_excess(seen, fit, covariances, None, of_views=()).positions, 1.0, atol=0.08
    )
    # The same atoms in noise sixteen times as loud: 0.3 Å each way.
    faint = sampled_excess(seen, fit, 16**2 * covariances, None, white=16.0**2, of_views=())
    assert np.all(faint.positions > 1.15)


def test_without_a_place_there_is_no_factor(bright: tuple[TiltSeries, TiltFit, np.ndarray]) -> None:
    """Where images do not tell a place, its neighbours' are used."""
    seen, fit, covariances = bright
    covariances = np.where(np.arange(8)[:, None, None] == 2, np.nan, covariances)
    np.testing.assert_allclose(
        sampled_excess(seen, fit, covariances, None, of_views=()).positions, 1.0, atol=0.1
    )


def test_of_atoms_that_are_frozen_nothing_is_sampled(
    bright: tuple[TiltSeries, TiltFit, np.ndarray],
) -> None:
    """Covariances that are four times too small are found out, but where atoms keep their places."""
    seen, fit, covariances = bright
    free = sampled_excess(seen, fit, covariances / 4, None, of_views=())
    assert np.all(free.positions > 2.5)
    frozen = sampled_excess(seen, fit, covariances / 4, None, of_views=(), frozen=np.ones(8, bool))
    np.testing.assert_array_equal(frozen.positions, 1.0)
    # A frozen atom pushes none: what is left is the scatter of the first beside places that are known.
    lone = sampled_excess(seen, fit, covariances / 4, None, of_views=(), frozen=np.arange(8) > 0)
    assert np.all(lone.positions > 2.0)


@pytest.mark.slow
def test_errors_of_faint_atoms_are_what_samples_say() -> None:
    """Errors in units of their bars, over forty series: too small without samples, right with them."""
    plain, sampled = [], []
    for seed in range(40):
        seen, fit, covariances = fitted(0.8, seed)
        off = fit.positions - PLACES
        errors = np.einsum("na,nab,nb->n", off, np.linalg.inv(covariances), off) / 3
        plain.append(np.minimum(errors, 6))
        sampled.append(
            plain[-1] / sampled_excess(seen, fit, covariances, None, of_views=(), seed=seed).positions
        )
    assert np.mean(plain) > 1.1
    assert np.mean(sampled) == pytest.approx(1.0, abs=0.12)
