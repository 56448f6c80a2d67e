"""Draws of all heights together: how well all atoms are known."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.column_heights.found import DRAWS, Condition, Heights, independent_draws


def heights(probabilities: np.ndarray) -> Heights:
    n = len(probabilities)
    none = np.full(n, np.nan)
    return Heights(
        np.zeros((n, 2)),
        np.zeros((n, 2)),
        probabilities,
        none,
        none,
        np.ones(n, bool),
        (Condition("defocus", "nm", 4.0, 0.5),),
        1e3,
        1.0,
    )


def test_draws_follow_their_probabilities() -> None:
    p = np.array([[0.0, 0.7, 0.3], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8]])
    drawn = independent_draws(p, 20_000, 3)
    shares = np.stack([np.mean(drawn == level, axis=0) for level in range(3)], axis=1)
    np.testing.assert_allclose(shares, p, atol=0.012)
    np.testing.assert_array_equal(drawn, independent_draws(p, 20_000, 3))


def test_what_columns_have_in_common_is_in_the_total() -> None:
    n = 50
    found = heights(np.tile([0.0, 0.5, 0.5], (n, 1)))
    mean, alone = found.atoms
    assert (mean, alone) == (pytest.approx(75), pytest.approx(np.sqrt(n / 4)))
    # All of one atom, or all of two.
    together = replace(found, draws=np.repeat([[1], [2]], DRAWS // 2, axis=0).repeat(n, axis=1))
    assert together.atoms == (pytest.approx(75), pytest.approx(n / 2))
    same = replace(found, draws=independent_draws(found.probabilities))
    assert same.atoms[1] == pytest.approx(alone, rel=0.15)
