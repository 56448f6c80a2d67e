"""Samples of heights beside the same law summed over all states."""

import itertools

import numpy as np
import pytest

from atomfit.column_heights.sampling import _DIFFER, _law, sample_heights

NO_PAIRS = np.zeros((0, 2), int)


def law(n: int, states: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies alone, couplings, and heights of states, one of which a column has not."""
    rng = np.random.default_rng(seed)
    unary = rng.normal(0, 1.2, (n, states))
    unary[:, 0] = 0
    half = rng.normal(0, 0.8, (n, states, n, states))
    coupling = half + half.transpose(2, 3, 0, 1)
    coupling[:, 0], coupling[:, :, :, 0] = 0, 0
    coupling[np.arange(n), :, np.arange(n), :] = 0
    levels = np.tile(np.arange(states, dtype=float) + 2, (n, 1))
    levels[0, -1] = np.nan
    return unary, coupling.reshape(n * states, n * states), levels


def exact(
    unary: np.ndarray, coupling: np.ndarray, levels: np.ndarray, pairs: np.ndarray, strength: float
) -> np.ndarray:
    n, states = unary.shape
    found = np.zeros((n, states))
    # Neighbours as they are likely beforehand, from both sides.
    neighbours = strength * _law(_DIFFER / _DIFFER.sum())
    for chosen in itertools.product(range(states), repeat=n):
        at = np.arange(n), np.array(chosen)
        if np.isnan(levels[at]).any():
            continue
        flat = np.zeros((n, states))
        flat[at] = 1
        energy = unary[at].sum() - 0.5 * flat.ravel() @ coupling @ flat.ravel()
        heights = levels[at].astype(int)
        energy += sum(neighbours[abs(heights[a] - heights[b])] for a, b in pairs)
        found[at] += np.exp(energy)
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "states", "seed"), [(1, 3, 0), (3, 3, 1), (5, 3, 2), (4, 4, 3)])
def test_probabilities_are_those_of_all_states(n: int, states: int, seed: int) -> None:
    unary, coupling, levels = law(n, states, seed)
    found = sample_heights(unary, coupling, levels, NO_PAIRS, seed, sweeps=(30, 600))
    np.testing.assert_allclose(found.probabilities, exact(unary, coupling, levels, NO_PAIRS, 0), atol=0.02)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-9)
    assert np.all(found.probabilities[np.isnan(levels)] == 0)
    drawn = np.stack([np.mean(found.draws == state, axis=0) for state in range(states)], axis=1)
    np.testing.assert_allclose(drawn, found.probabilities, atol=0.06)


def test_neighbours_count_as_strongly_as_is_said() -> None:
    unary, coupling, levels = law(4, 3, 5)
    pairs = np.array([[0, 1], [1, 2], [2, 3]])
    without = exact(unary, coupling, levels, pairs, 0)
    none = sample_heights(unary, coupling, levels, pairs, 5, strength=0, sweeps=(30, 600))
    np.testing.assert_allclose(none.probabilities, without, atol=0.02)
    # The law of differences is told anew by samples, but three pairs hardly move it.
    strong = exact(unary, coupling, levels, pairs, 1)
    assert np.abs(strong - without).max() > 0.1
    found = sample_heights(unary, coupling, levels, pairs, 5, strength=1, sweeps=(30, 600))
    np.testing.assert_allclose(found.probabilities, strong, atol=0.06)


def test_many_pairs_tell_how_much_neighbours_differ() -> None:
    n = 400
    unary = np.zeros((n, 3))
    # Heights alternate: each differs by two from the next.
    unary[::2, 2] = unary[1::2, 0] = 20
    levels = np.tile([1.0, 2, 3], (n, 1))
    pairs = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    found = sample_heights(unary, np.zeros((3 * n, 3 * n)), levels, pairs, 0, sweeps=(10, 30))
    assert found.differ.argmax() == 2
    assert found.differ[2] > 0.7 > 10 * _DIFFER[2] * 0.6
    assert found.differ.sum() == pytest.approx(1)


def test_a_seed_says_all() -> None:
    unary, coupling, levels = law(5, 3, 7)
    pairs = np.array([[0, 1], [3, 4]])
    one, same, other = (
        sample_heights(unary, coupling, levels, pairs, seed, sweeps=(10, 20)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.probabilities, same.probabilities)
    assert np.abs(one.probabilities - other.probabilities).max() > 1e-6


@pytest.mark.parametrize(("heat", "stays"), [(1.0, True), (8.0, False)])
def test_cold_chains_stay_about_the_state(heat: float, stays: bool) -> None:
    # Each change alone is unlikely, all together are likely: as of an expansion that is taken too far.
    n = 6
    unary = np.tile([0.0, -25.0], (n, 1))
    coupling = np.zeros((n, 2, n, 2))
    coupling[:, 1, :, 1] = -30.0 * (1 - np.eye(n))
    levels = np.tile([4.0, 0.0], (n, 1))
    none = np.zeros((0, 2), int)
    found = sample_heights(unary, coupling.reshape(2 * n, 2 * n), levels, none, 0, heat=heat)
    assert (found.probabilities[:, 0].min() > 0.99) == stays
