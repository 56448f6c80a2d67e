"""What other atoms say of an atom, and the noise that a fit leaves: planted truth and exact algebra."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting import hyperparameters
from atomfit.fitting.hyperparameters import estimate_prior
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.fitting.prior import DisplacementPrior, MapAlone
from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.gaussians.scatterers import OneGaussian
from atomfit.gaussians.uncertainty import covariances_of_lone_atoms
from atomfit.options.build import Prior
from atomfit.simulation import Simulation, simulate
from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements
from atomfit.structure.elements import element

MEAN = np.array([0.25, 0.24, 0.30, 0.0, 0.01, 0.0])


def planted(rng: np.random.Generator, n: int, spreads: tuple[float, float], slope: float) -> MapAlone:
    """Displacements of n atoms about a mean, with errors of known covariance."""
    prior = DisplacementPrior(MEAN, slope * (np.arange(6) < 3), 9.0, *spreads, n)
    covariance = np.linalg.inv(prior.precision())
    true = prior.means(coordination(n)) + rng.multivariate_normal(np.zeros(6), covariance, n)
    roots = 0.02 * (np.eye(6) + 0.3 * rng.normal(size=(n, 6, 6)))
    errors = np.einsum("nab,nb->na", roots, rng.normal(size=(n, 6)))
    fitted = np.tile(0.26 * (np.arange(6) < 3), (n, 1))
    return MapAlone(true + errors, np.linalg.inv(roots @ np.swapaxes(roots, 1, 2)), fitted)


def white(which: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """What white noise does to lone atoms, relative to their displacements, is the same for all."""
    s = elements.shape[1]
    return np.mean(elements[:, : min(s, 3)], axis=1)[:, None, None] ** 2 * np.eye(s)


def coordination(n: int) -> np.ndarray:
    return 6.0 + np.arange(n) % 7


def test_elements_and_matrices_are_inverse(rng: np.random.Generator) -> None:
    for d in (1, 2, 3):
        elements = rng.normal(size=(4, d * (d + 1) // 2))
        matrices = matrices_of_elements(elements)
        np.testing.assert_array_equal(matrices, np.swapaxes(matrices, 1, 2))
        np.testing.assert_array_equal(elements_of_matrices(matrices), elements)
    assert matrices_of_elements(np.arange(6.0))[0, 2] == 4


@pytest.mark.parametrize(("spreads", "slope"), [((0.03, 0.05), 0.0), ((0.05, 0.03), -0.01)])
def test_hyperparameters_are_recovered(
    spreads: tuple[float, float], slope: float, rng: np.random.Generator
) -> None:
    alone = planted(rng, 800, spreads, slope)
    found = estimate_prior(alone, coordination(800), np.ones(800, bool), white)
    assert found is not None
    np.testing.assert_allclose(found.mean, MEAN, atol=0.006)
    np.testing.assert_allclose((found.spread_isotropic, found.spread_anisotropic), spreads, rtol=0.12)
    np.testing.assert_allclose(found.slope[:3], slope, atol=0.002)
    assert bool(found.slope.any()) == bool(slope)


def test_a_spread_that_is_only_noise_is_small(rng: np.random.Generator) -> None:
    alone = planted(rng, 400, (1e-4, 1e-4), 0.0)
    found = estimate_prior(alone, coordination(400), np.ones(400, bool), white)
    assert found is not None
    # Errors are about 0.02 Å².
    assert found.spread_isotropic < 0.01
    assert found.spread_anisotropic < 0.01


def test_a_search_that_was_not_finished_is_told(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alone = planted(rng, 100, (0.03, 0.05), 0.0)
    assert estimate_prior(alone, coordination(100), np.ones(100, bool), white) is not None
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]

    def in_haste(*arguments: Any, options: dict[str, float], **others: Any) -> Any:
        return minimize(*arguments, options=options | {"maxfev": 5}, **others)

    monkeypatch.setattr(hyperparameters, "minimize", in_haste)
    estimate_prior(alone, coordination(100), np.ones(100, bool), white)
    assert "not settled" in caplog.text


def test_few_atoms_say_nothing(rng: np.random.Generator) -> None:
    alone = planted(rng, 10, (0.1, 0.1), 0.0)
    assert estimate_prior(alone, coordination(10), np.ones(10, bool), white) is None


def test_widths_that_no_frequency_tells_are_no_fault(rng: np.random.Generator) -> None:
    """As of a map without slow frequencies: a lone atom as wide as some are is not told from nothing."""
    alone = planted(rng, 50, (0.03, 0.03), 0.0)

    def blind(which: np.ndarray, elements: np.ndarray) -> np.ndarray:
        return np.linalg.inv(np.zeros((len(which), 6, 6)))

    assert estimate_prior(alone, coordination(50), np.ones(50, bool), blind) is None


def test_what_a_prior_put_in_is_taken_out_again(rng: np.random.Generator) -> None:
    """For Gaussians, posterior and prior give back the likelihood exactly."""
    alone = planted(rng, 50, (0.03, 0.03), 0.0)
    prior = DisplacementPrior(MEAN, np.zeros(6), 9.0, 0.02, 0.03, 50)
    covariances = np.linalg.inv(alone.information + prior.precision())
    pulled = np.einsum("nab,nb->na", alone.information, alone.displacements) + MEAN @ prior.precision()
    means = np.einsum("nab,nb->na", covariances, pulled)
    again = MapAlone.of(means, covariances, prior, coordination(50))
    np.testing.assert_allclose(again.displacements, alone.displacements, atol=1e-9)
    np.testing.assert_allclose(again.information, alone.information, rtol=1e-6, atol=1e-3)


def refined(case: Simulation, prior: Prior) -> JointFit:
    """From the true positions and a mean atom that is not far off."""
    mean = MeanAtom(height=1.0, u=0.24, background=0.0, matrix=0.24 * np.eye(3), count=135)
    return fit_jointly(case.map, case.positions, mean, element("Pt"), prior=prior)


def root_mean_square(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def test_noisy_displacements_come_nearer_to_the_truth() -> None:
    case = simulate(size=135, noise=0.15, rotate="random", box=80)
    alone, drawn = refined(case, "none"), refined(case, "auto")
    assert alone.prior is None
    assert drawn.prior is not None
    of_matrices = [root_mean_square(fit.fitted.matrices - case.matrices) for fit in (alone, drawn)]
    of_positions = [root_mean_square(fit.fitted.positions - case.positions) for fit in (alone, drawn)]
    assert of_matrices[1] < 0.6 * of_matrices[0]
    assert of_positions[1] < 1.02 * of_positions[0]
    esd = [np.median(fit.uncertainty.deviations[:, 3]) for fit in (alone, drawn)]
    assert esd[1] < esd[0]
    # The sample of 135 atoms is drawn towards its own mean, not away from it.
    assert abs(np.mean(drawn.fitted.u_iso) - np.mean(np.trace(case.matrices, axis1=1, axis2=2) / 3)) < 0.02


def test_a_clear_map_needs_no_prior() -> None:
    case = simulate(size=135, noise=0.03, rotate="random", box=80)
    assert refined(case, "auto").prior is None


def test_a_few_stray_atoms_in_a_clear_map_need_no_prior() -> None:
    case = simulate(size=135, noise=0.03, rotate="random", box=80)
    strays = case.positions.copy()
    # As far as they may move, and farther.
    strays[:3, 0] += 0.7
    fit = refined(replace(case, positions=strays), "auto")
    assert fit.at_bound.sum() >= 2
    assert fit.prior is None


def test_a_wide_spread_is_found_beneath_coloured_noise(rng: np.random.Generator) -> None:
    """Errors grow with U less 0.16 Å², which is what sharpening leaves of an atom."""
    n, s = 400, 0.16
    true = s + 0.02 * np.exp(rng.normal(0, 1.0, (n, 1)))

    def errors(u: np.ndarray) -> np.ndarray:
        return np.maximum(0.2 * (u - s), 0.002)

    found = true + errors(true) * rng.normal(size=(n, 1))
    alone = MapAlone(found, 1 / errors(found)[:, :, None] ** 2, found)

    def spread(of_lone: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
        prior = estimate_prior(alone, coordination(n), np.ones(n, bool), of_lone)
        assert prior is not None
        return prior.spread_isotropic

    assert spread(lambda which, u: errors(u)[:, :, None] ** 2) == pytest.approx(true.std(), rel=0.15)
    assert spread(white) < 0.8 * true.std()


def test_noise_of_lone_atoms_grows_with_what_sharpening_leaves() -> None:
    u, s = np.array([0.2, 0.4])[:, None, None] * np.eye(3), 0.16

    def sharpened(apart: np.ndarray, variances: np.ndarray) -> np.ndarray:
        return np.asarray(derivatives_of_gaussian(apart, variances - 2 * s * np.eye(3)))

    in_white = covariances_of_lone_atoms(u, OneGaussian())
    np.testing.assert_allclose(in_white[1], 2**2 * in_white[0], rtol=1e-6, atol=1e-9)
    coloured = covariances_of_lone_atoms(u, OneGaussian(), overlap=sharpened)
    # Errors of U less s grow as its 7/4th power over the amplitude, which grows as U to the 3/4.
    expected = (6**1.75 / 2**0.75) ** 2 * coloured[0]
    np.testing.assert_allclose(coloured[1], expected, rtol=1e-6, atol=1e-9)
    round_ones = covariances_of_lone_atoms(u, OneGaussian(), isotropic=True)
    assert round_ones.shape == (2, 1, 1)
    assert round_ones[0, 0, 0] < in_white[0, 0, 0]


def test_mean_is_not_that_of_what_noise_has_narrowed() -> None:
    """Atoms whose errors are 15 % of U: weights by their own uncertainties would say 4 % too little."""
    n, u = 2000, 0.25
    found = u * np.exp(np.random.default_rng(3).normal(-0.5 * 0.15**2, 0.15, n))[:, None]
    information = 1 / (0.15 * found)[:, :, None] ** 2
    weights = information[:, 0, 0]
    assert np.average(found[:, 0], weights=weights) < 0.97 * u
    prior = estimate_prior(MapAlone(found, information, found), coordination(n), np.ones(n, bool), white)
    assert prior is not None
    assert prior.mean[0] == pytest.approx(u, rel=0.01)
