"""What was known beforehand is held against the images: right deviations pass, narrow ones do not."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.projection.expectations import Expectation, of_atoms, of_rotations
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.views import TiltSeries
from atomfit.rendering import Gaussians
from atomfit.simulation.series import projected
from atomfit.structure.scattering import GaussianMixture
from simulated_series import AMPLITUDE, PIXEL, SHAPE, Planted, U, planted

NOISE = 0.02 * AMPLITUDE / (2 * np.pi * U)


def fitted_at(truth: Planted, positions: np.ndarray, amplitudes: np.ndarray) -> FittedSeries:
    """As if a fit had ended at these atoms."""
    counted = np.ones(truth.images.shape, bool)
    series = TiltSeries(truth.images, counted, PIXEL, truth.views, np.zeros(3))
    drawn = projected(
        Gaussians(positions, np.tile(U * np.eye(3), (len(positions), 1, 1)), amplitudes),
        truth.views,
        np.zeros(3),
        SHAPE,
        PIXEL,
    )
    left = truth.images - 0.03 - np.stack([g * x for g, x in zip(truth.gains, drawn, strict=True)])
    precisions = np.full(left.shape, NOISE**-2, np.float32)
    spot = GaussianMixture(np.ones(1), np.array([U]))
    return FittedSeries(
        series, left.astype(np.float32), precisions, truth.gains, positions, amplitudes, spot
    )


def expected(fitted: FittedSeries, truth: Planted, start: np.ndarray, sigma: float) -> Expectation:
    n = len(start)
    [found] = of_atoms(fitted, 1.0, fitted.positions - start, np.full((n, 3), sigma), np.full(n, 78), None)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_positions_that_are_held_where_they_are_not(seed: int) -> None:
    truth = planted(seed=seed)
    rng = np.random.default_rng(seed + 10)
    amplitudes = np.full(43, AMPLITUDE)
    for sigma in (1e-5, 1e-3):
        # So narrow a restraint leaves atoms at their start.
        right = truth.positions + rng.normal(0, sigma, (43, 3))
        found = expected(fitted_at(truth, right, amplitudes), truth, right, sigma)
        assert not found.contradicted
        assert 0.7 < found.ratio < 1.4
        wrong = truth.positions + rng.normal(0, 0.1, (43, 3))
        found = expected(fitted_at(truth, wrong, amplitudes), truth, wrong, sigma)
        assert found.contradicted
        assert found.against > 0.5
    # A wide one leaves them where the images have them.
    start = truth.positions + rng.normal(0, 0.1, (43, 3))
    at_truth = fitted_at(truth, truth.positions, amplitudes)
    assert not expected(at_truth, truth, start, 0.1).contradicted
    assert expected(at_truth, truth, start, 0.05).contradicted


def test_amplitudes_that_are_held_alike() -> None:
    truth = planted()
    alike = fitted_at(truth, truth.positions, np.full(43, AMPLITUDE))
    numbers, still = np.full(43, 78), np.zeros((43, 3))
    [found] = of_atoms(alike, 1.0, still, None, numbers, 1e-4)
    assert found.kind == "amplitudes"
    assert not found.contradicted
    brighter = np.where(np.arange(43) == 5, 1.1, 1.0)
    # The images of an atom that is a tenth brighter, held to be like the others.
    more = fitted_at(truth, truth.positions, AMPLITUDE * (2 - brighter))
    of_one = replace(more, amplitudes=np.full(43, AMPLITUDE))
    [found] = of_atoms(of_one, 1.0, still, None, numbers, 1e-4)
    assert found.contradicted
    assert found.against == pytest.approx(1 / 43)


def test_nothing_known_is_nothing_contradicted_and_rotations_count_in_their_deviations() -> None:
    truth = planted()
    at = fitted_at(truth, truth.positions, np.full(43, AMPLITUDE))
    assert not of_atoms(at, 1.0, np.zeros((43, 3)), None, np.full(43, 78), None)
    unknown = np.full((43, 3), np.inf)
    [found] = of_atoms(at, 1.0, np.zeros((43, 3)), unknown, np.full(43, 78), None)
    assert not found.contradicted
    assert not of_rotations(np.zeros((5, 3)), None)
    turns = np.random.default_rng(1).normal(0, 0.5, (24, 3))
    assert not of_rotations(turns, 0.5)[0].contradicted
    assert of_rotations(turns, 0.1)[0].contradicted
