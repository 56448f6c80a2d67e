"""Half-maps that lie apart are told from those that are noisy."""

import numpy as np
import pytest
from scipy.ndimage import shift

from atomfit.doubts.halves import half_map_doubts
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element

PT = element("Pt")


@pytest.fixture(scope="module")
def case() -> Simulation:
    return simulate(size=60, noise=0.0, rotate="random", seed=3)


def noisy(case: Simulation, noise: float, seed: int) -> np.ndarray:
    return case.map.values + noise * np.random.default_rng(seed).standard_normal(case.map.grid.shape)


@pytest.mark.parametrize("noise", [0.02, 0.4])
def test_halves_of_one_frame_are_not_doubted(case: Simulation, noise: float) -> None:
    first, second = (noisy(case, noise, seed).astype(np.float32) for seed in (1, 2))
    halves = case.map.with_values(first), case.map.with_values(second)
    assert half_map_doubts(case.map.with_values(0.5 * (first + second)), halves, PT) == []


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_a_half_that_was_moved_is_named(case: Simulation, noise: float) -> None:
    """By half an Å along x: its atoms still lie over those of the map."""
    first, second = (noisy(case, noise, seed) for seed in (1, 2))
    moved = shift(second, (0, 0, 0.5 / case.map.grid.spacing[0]), order=3)
    halves = (case.map.with_values(x.astype(np.float32)) for x in (first, moved))
    mean = case.map.with_values((0.5 * (first + moved)).astype(np.float32))
    (doubt,) = half_map_doubts(mean, tuple(halves), PT)  # type: ignore[arg-type]
    told = doubt.problem.split()
    assert float(told[told.index("lie") + 1]) == pytest.approx(0.5, abs=0.06)
