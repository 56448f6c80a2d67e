"""Differences of strain between two images: planted ones, in frames that are turned, or turned over."""

import numpy as np
import pytest

from atomfit.statistics.column_crystals import LocalCrystal, crystal_differences, summed
from atomfit.statistics.plane_maps import MIRROR, PlaneMap


def turned(angle: float, over: bool) -> np.ndarray:
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[c, -s], [s, c]]) @ (MIRROR if over else np.eye(2))


def of_tensors(tensors: np.ndarray, rotations: np.ndarray, esd: float) -> LocalCrystal:
    none = np.full((len(tensors), 2), np.nan)
    values = np.column_stack([tensors[:, 0, 0], tensors[:, 1, 1], tensors[:, 0, 1], rotations, none])
    return LocalCrystal(values, np.full(values.shape, esd))


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("angle", [0.0, 37.0, -149.0])
def test_the_second_tensor_is_turned_into_the_frame_of_the_first(angle: float, over: bool) -> None:
    rng = np.random.default_rng(3)
    first = rng.normal(0, 0.01, (20, 2, 2))
    first = first + np.swapaxes(first, 1, 2)
    rotations, turn = rng.normal(0, 1, 20), turned(angle, over)
    # The same strain as the second image has it, of a particle that is strained by 1 % more along A's x.
    more = np.diag([0.01, 0.0])
    second = turn.T @ (first + more) @ turn
    motion = PlaneMap(1.013 * turn, np.array([5.0, -3.0]))
    both = np.arange(20), np.arange(20)
    a, b = of_tensors(first, rotations, 1e-3), of_tensors(second, (-1) ** over * rotations, 1e-3)
    found, esds = crystal_differences(a, b, both, motion)
    np.testing.assert_allclose(found[:, :4], np.tile([0.01, 0, 0, 0], (20, 1)), atol=1e-12)
    assert np.isnan(found[:, 4:]).all()
    assert np.all(esds[:, :3] > 1e-3)


def test_errors_of_turned_tensors_are_those_of_noise() -> None:
    rng = np.random.default_rng(4)
    turn, errors = turned(25.0, False), np.array([1e-3, 3e-3, 2e-3])
    n = 20_000
    components = rng.normal(0, errors, (n, 3))
    tensors = np.stack([components[:, [0, 2]], components[:, [2, 1]]], axis=1)
    noisy = of_tensors(tensors, np.zeros(n), 1e-9)
    noisy.esds[:, :3] = errors
    still = of_tensors(np.zeros((n, 2, 2)), np.zeros(n), 1e-9)
    both = np.arange(n), np.arange(n)
    found, esds = crystal_differences(still, noisy, both, PlaneMap(turn, np.zeros(2)))
    np.testing.assert_allclose(found[:, :3].std(axis=0), esds[0, :3], rtol=0.03)


def test_sums_tell_a_strained_part() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(0, 1e-3, 400)
    assert summed(values, np.full(400, 1e-3), 0.05).significant <= 2
    values[:40] += 0.01
    found = summed(values, np.full(400, 1e-3), 0.05)
    assert 40 <= found.significant <= 46
    assert found.mean == pytest.approx(1e-3, abs=3 * found.mean_esd)
    assert found.pairs == 400
    assert summed(np.full(3, np.nan), np.full(3, 0.1), 0.05).pairs == 0
