"""Energies of heights where all else is integrated out, beside an integral that is done in full."""

import itertools

import numpy as np
import pytest

from atomfit.column_heights.expansion import Stamps
from atomfit.column_heights.pairwise import Measured, Nuisances, Pairwise, cut, pairwise, poisson

SHAPE, SIZE, STATES, OWN, FEW, IMAGES = (24, 26), 7, 2, 2, 1, 2


class Toy:
    """Stamps of three heavy and two light columns that overlap, and derivatives of the image."""

    def __init__(self, seed: int, mean: float) -> None:
        rng = np.random.default_rng(seed)
        self.heavy = self._stamps(rng, [[2, 2], [5, 6], [8, 3]], STATES + OWN, 0.01 * mean)
        self.light = self._stamps(rng, [[4, 4], [7, 9]], FEW, 0.01 * mean)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / 5.0
        self.images = 0.002 * mean * np.stack([np.sin(x + k) * np.cos(y - k) for k in range(IMAGES)])
        self.images = self.images.astype(np.float32)
        inside = np.zeros(SHAPE)
        inside[1:-2, 1:-2] = 1
        expected = mean * (1 + 0.3 * rng.random(SHAPE))
        self.measured = Measured(rng.poisson(expected) * inside, expected, inside / np.sqrt(expected))
        count = 3 * OWN + 2 * FEW + IMAGES
        half = rng.normal(size=(count, count))
        self.nuisances = Nuisances(half @ half.T / count + 2 * np.eye(count), rng.normal(size=count))

    @staticmethod
    def _stamps(rng: np.random.Generator, corners: list[list[int]], kinds: int, strength: float) -> Stamps:
        values = strength * rng.normal(size=(len(corners), kinds, SIZE, SIZE)).astype(np.float32)
        return Stamps(np.arange(len(corners)), np.array(corners), values)

    @staticmethod
    def images_of(of: Stamps) -> np.ndarray:
        """Whole images of stamps: [column, kind, row, column]."""
        found = np.zeros((*of.values.shape[:2], *SHAPE))
        for one, values, (r, c) in zip(found, of.values, of.corners, strict=True):
            one[:, r : r + SIZE, c : c + SIZE] = values
        return found

    def energies(self) -> Pairwise:
        return pairwise(self.heavy, self.light, self.images, self.measured, STATES, self.nuisances)

    def design(self) -> tuple[np.ndarray, np.ndarray]:
        """Changes to other heights, and derivatives, in standard deviations: [.., pixels]."""
        weights, heavy = self.measured.weights, self.images_of(self.heavy)
        changes = (heavy[:, :STATES] * weights).reshape(3, STATES, -1)
        parts = [heavy[:, STATES:].reshape(-1, *SHAPE), self.images_of(self.light).reshape(-1, *SHAPE)]
        slopes = np.concatenate([*parts, self.images]) * weights
        return changes, slopes.reshape(len(slopes), -1)


def alone(toy: Toy) -> np.ndarray:
    """What a change of one column does by Poisson's law, beyond the quadratic law's."""
    changes, _ = toy.design()
    residual = toy.measured.residual.ravel()
    quadratic = changes @ residual - 0.5 * np.sum(changes**2, axis=2)
    return poisson(toy.heavy, toy.measured, STATES) - quadratic


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_probabilities_are_those_of_the_whole_integral(seed: int) -> None:
    toy = Toy(seed, 400.0)
    energies, (changes, slopes) = toy.energies(), toy.design()
    precision = toy.nuisances.precision
    middle = np.linalg.solve(precision, toy.nuisances.towards)
    # The image's law with nuisances integrated out: a Gaussian of all pixels.
    covariance = np.eye(slopes.shape[1]) + slopes.T @ np.linalg.solve(precision, slopes)
    inverse, more = np.linalg.inv(covariance), alone(toy)
    found, wanted = [], []
    for chosen in itertools.product(range(STATES + 1), repeat=3):
        left = toy.measured.residual.ravel() - middle @ slopes
        beyond = 0.0
        indicator = np.zeros((3, STATES + 1))
        for column, state in enumerate(chosen):
            indicator[column, state] = 1
            if state:
                left = left - changes[column, state - 1]
                beyond += more[column, state - 1]
        wanted.append(-0.5 * left @ inverse @ left + beyond)
        flat = indicator.ravel()
        found.append((energies.unary * indicator).sum() - 0.5 * flat @ energies.coupling @ flat)
    wanted, found = np.array(wanted) - wanted[0], np.array(found) - found[0]
    assert np.ptp(wanted) > 1
    np.testing.assert_allclose(found, wanted, atol=2e-3 * np.ptp(wanted))


def test_nuisances_are_what_least_squares_says() -> None:
    toy = Toy(5, 400.0)
    energies, (changes, slopes) = toy.energies(), toy.design()
    chosen = np.zeros((3, STATES + 1))
    chosen[0, 2] = chosen[1, 0] = chosen[2, 1] = 1
    left = toy.measured.residual.ravel() - changes[0, 1] - changes[2, 0]
    matrix = slopes @ slopes.T + toy.nuisances.precision
    wanted = np.linalg.solve(matrix, slopes @ left + toy.nuisances.towards)
    np.testing.assert_allclose(energies.nuisances(chosen), wanted, atol=1e-4)
    same = np.tile([2, 0, 1], (4, 1))
    np.testing.assert_allclose(energies.variances(same), np.diag(np.linalg.inv(matrix)), rtol=1e-4)


def test_what_heights_leave_open_is_in_variances() -> None:
    energies = Toy(5, 400.0).energies()
    draws = np.random.default_rng(0).integers(0, STATES + 1, (50, 3))
    draws[:, 2] = draws[:, 0]
    means = []
    for chosen in draws:
        indicator = np.zeros((3, STATES + 1))
        indicator[np.arange(3), chosen] = 1
        means.append(energies.nuisances(indicator))
    known = energies.variances(draws[:1])
    wanted = np.var(means, axis=0)
    assert np.all(wanted > 0)
    np.testing.assert_allclose(energies.variances(draws), known + wanted, rtol=1e-6)


def test_a_change_alone_is_as_likely_as_poisson_says() -> None:
    toy = Toy(3, 6.0)
    changes = 12 * toy.heavy.values
    heavy = Stamps(toy.heavy.columns, toy.heavy.corners, changes)
    found = poisson(heavy, toy.measured, STATES)
    n, mean = toy.measured.counts, toy.measured.mean
    inside = toy.measured.weights > 0
    for c, images in enumerate(toy.images_of(heavy)[:, :STATES]):
        for k, change in enumerate(images):
            assert np.abs(change / mean).max() < 0.95
            both = [np.sum((n * np.log(x) - x)[inside]) for x in (mean + change, mean)]
            assert found[c, k] == pytest.approx(both[0] - both[1], rel=1e-4)
    # Twice the variance tells half as much.
    doubled = Measured(n, mean, toy.measured.weights / np.sqrt(2))
    np.testing.assert_allclose(poisson(heavy, doubled, STATES), found / 2, rtol=1e-5)


def test_stamps_reach_beyond_the_image() -> None:
    image = np.arange(SHAPE[0] * SHAPE[1], dtype=float).reshape(SHAPE)
    of = Stamps(np.arange(2), np.array([[-3, 2], [20, 22]]), np.zeros((2, 1, SIZE, SIZE), np.float32))
    found = cut(image, of)
    assert not found[0, :3].any()
    np.testing.assert_array_equal(found[0, 3:], image[:4, 2:9])
    np.testing.assert_array_equal(found[1, :4, :4], image[20:, 22:])
    assert not found[1, 4:].any()
    assert not found[1, :, 4:].any()


def test_crystals_of_one_element_have_no_light_columns() -> None:
    toy = Toy(3, 400.0)
    few = len(toy.light.columns) * FEW
    none = Stamps(np.zeros(0, int), np.zeros((0, 2), int), np.zeros((0, FEW, SIZE, SIZE), np.float32))
    there = np.r_[: 3 * OWN, 3 * OWN + few : 3 * OWN + few + IMAGES]
    nuisances = Nuisances(toy.nuisances.precision[np.ix_(there, there)], toy.nuisances.towards[there])
    without = pairwise(toy.heavy, none, toy.images, toy.measured, STATES, nuisances)
    # Light columns that surely are as they are change nothing either.
    sure = toy.nuisances.precision.copy()
    light = slice(3 * OWN, 3 * OWN + few)
    sure[light], sure[:, light] = 0, 0
    sure[light, light] = 1e12 * np.eye(few)
    fixed = pairwise(
        toy.heavy, toy.light, toy.images, toy.measured, STATES, Nuisances(sure, toy.nuisances.towards)
    )
    np.testing.assert_allclose(without.unary, fixed.unary, atol=1e-5)
    np.testing.assert_allclose(without.coupling, fixed.coupling, atol=1e-5)
