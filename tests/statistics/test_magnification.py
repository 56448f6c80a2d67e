"""Sizes of models against planted ones, and what noise makes of them: limits of the verdict rest on it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Model, compare
from atomfit.verdict.limits import LIMITS

SITES = particle("sphere", "Pt", 201, 0, 3.92)


def model(positions: np.ndarray) -> Model:
    n = len(positions)
    return Model("m", np.arange(n), ("Pt",) * n, positions, np.full((n, 3), np.nan), numbers={})


@pytest.mark.parametrize(("noise", "largest"), [(0.1, 0.004), (0.2, 0.008), (0.3, 0.012)])
def test_noise_of_one_model_changes_no_size(noise: float, largest: float) -> None:
    off = []
    for seed in range(6):
        noisy = SITES + np.random.default_rng(seed).normal(0, noise, SITES.shape)
        found = compare(model(SITES), model(noisy)).magnification
        off.append((found.ratio - 1) / found.esd)
        assert abs(found.ratio - 1) < largest < LIMITS.sizes_doubtful
    assert np.sqrt(np.mean(np.square(off))) == pytest.approx(1, abs=0.8)


@pytest.mark.parametrize("factor", [0.8, 1.02, 1.6])
def test_a_planted_size_is_found(factor: float) -> None:
    """With atoms lost: from a strain to where models are refused. Exchanged models have the inverse."""
    rng = np.random.default_rng(1)
    kept = rng.random(len(SITES)) < 0.9
    a, b = (SITES + rng.normal(0, 0.05, SITES.shape) for _ in range(2))
    b = factor * b[kept]
    for one, other, expected in ((a, b, factor), (b, a, 1 / factor)):
        found = compare(model(one), model(other), move=factor == 1.02).magnification
        assert found.ratio == pytest.approx(expected, abs=4 * found.esd)
        assert found.common == kept.sum()


def test_a_planted_size_is_found_in_any_frame() -> None:
    sites = SITES[np.argsort(np.linalg.norm(SITES, axis=1))[:42]]
    b = 1.15 * sites @ Rotation.random(rng=np.random.default_rng(0)).as_matrix() + 30
    found = compare(model(sites), model(b)).magnification
    assert (found.ratio, found.common) == (pytest.approx(1.15), 42)
