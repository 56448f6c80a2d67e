"""Maps to columns: places, heights, sets and temperatures, of planted ones."""

import numpy as np
import pytest
from scipy.special import logit

from atomfit.networks import Calibration, columns_seen, credible_sets, fitted_calibration

PIXEL, SIGMA = 0.2, 2.0


def planted(places: np.ndarray, heights: np.ndarray, tops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps that have columns at places (row and column, in pixels)."""
    y, x = np.mgrid[:60, :70]
    marks = np.full((60, 70), 1e-4)
    levels = np.zeros((60, 70, 6))
    for (row, column), height, top in zip(places, heights, tops, strict=True):
        apart = (y - row) ** 2 + (x - column) ** 2
        marks = np.maximum(marks, top * np.exp(-0.5 * apart / SIGMA**2))
        levels[apart < 9, height] = 4.0
    return logit(marks).astype(np.float32), levels.astype(np.float32)


PLACES = np.array([[10.3, 12.0], [10.4, 25.7], [30.0, 40.45], [47.8, 9.1], [0.0, 50.0], [59.0, 69.0]])
HEIGHTS = np.array([3, 1, 5, 0, 2, 4])


def test_planted_columns_are_found_where_they_are() -> None:
    tops = np.array([0.99, 0.6, 0.9, 0.8, 0.7, 0.95])
    found = columns_seen(*planted(PLACES, HEIGHTS, tops), PIXEL)
    order = np.lexsort(PLACES.T[::-1])
    assert len(found) == len(PLACES)
    again = np.lexsort(found.positions[:, ::-1].T[::-1])
    np.testing.assert_allclose(found.positions[again], PIXEL * PLACES[order, ::-1], atol=1e-3)
    np.testing.assert_array_equal(found.heights[again], HEIGHTS[order])
    np.testing.assert_allclose(found.presence[again], tops[order], atol=0.06)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_what_is_not_likely_or_too_near_is_no_column() -> None:
    places = np.array([[20.0, 20.0], [20.0, 24.0], [40.0, 40.0]])
    found = columns_seen(*planted(places, np.array([1, 2, 3]), np.array([0.9, 0.8, 0.3])), PIXEL)
    np.testing.assert_allclose(found.positions, [[4.0, 4.0]], atol=1e-3)
    assert found.heights.tolist() == [1]


def test_nothing_is_found_in_nothing() -> None:
    found = columns_seen(np.full((9, 9), -5.0, np.float32), np.zeros((9, 9, 4), np.float32), PIXEL)
    assert len(found) == 0
    assert found.positions.shape == (0, 2)
    assert found.probabilities.shape == (0, 4)


def test_a_temperature_flattens_probabilities() -> None:
    maps = planted(PLACES[:1], HEIGHTS[:1], np.array([0.9]))
    sharp, flat = (columns_seen(*maps, PIXEL, t).probabilities[0, 3] for t in (1.0, 2.0))
    assert sharp == pytest.approx(np.exp(4) / (np.exp(4) + 5), rel=1e-5)
    assert flat == pytest.approx(np.exp(2) / (np.exp(2) + 5), rel=1e-5)


def overconfident(
    seed: int, count: int, at_1000: float, power: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that are larger than they should be, and heights that come with the right probabilities."""
    rng = np.random.default_rng(seed)
    right = rng.normal(0, 1.5, (count, 7))
    doses = 10.0 ** rng.uniform(2, 4, count)
    heights = np.argmax(right + rng.gumbel(size=right.shape), axis=1)
    return right * (at_1000 * (doses / 1e3) ** power)[:, None], heights, doses


@pytest.mark.parametrize(("at_1000", "power"), [(1.0, 0.0), (2.5, -0.3), (0.6, 0.2)])
def test_probabilities_are_right_after_scaling(at_1000: float, power: float) -> None:
    found = fitted_calibration(*overconfident(0, 20_000, at_1000, power))
    assert found.at_1000 == pytest.approx(at_1000, rel=0.05)
    assert found.power == pytest.approx(power, abs=0.03)
    logits, heights, doses = overconfident(1, 20_000, at_1000, power)
    scaled = logits / np.array([found.temperature(dose) for dose in doses])[:, None]
    p = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    held, right = p.max(axis=1), p.argmax(axis=1) == heights
    for low in np.arange(0.2, 1.0, 0.1):
        of = (held >= low) & (held < low + 0.1)
        # Four standard deviations of what chance makes of so many.
        allowed = 4 * 0.5 / np.sqrt(max(of.sum(), 1))
        assert abs(held[of].mean() - right[of].mean()) < allowed if of.any() else True
    sets = credible_sets(p, 0.9)
    assert sets[np.arange(len(p)), heights].mean() == pytest.approx(p[sets].sum() / len(p), abs=0.01)


def test_one_dose_has_no_power() -> None:
    logits, heights, _ = overconfident(2, 5_000, 2.0, 0.0)
    found = fitted_calibration(logits, heights, np.full(5_000, 300.0))
    assert found.power == 0
    assert found.at_1000 == pytest.approx(2.0, rel=0.1)
    assert Calibration(2.0, -0.5).temperature(10.0) == pytest.approx(20.0)


def test_sets_are_the_smallest_that_hold_enough() -> None:
    p = np.array([[0.5, 0.3, 0.15, 0.05], [0.02, 0.95, 0.02, 0.01], [0.25, 0.25, 0.25, 0.25]])
    found = credible_sets(p, 0.9)
    assert found.tolist() == [[True, True, True, False], [False, True, False, False], [True] * 4]
