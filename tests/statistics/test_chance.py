"""What chance gives: of models that have nothing to do with each other, and of those that have."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.simulation.particles import particle
from atomfit.statistics.chance import _most_pairs, by_chance
from atomfit.statistics.registration import register
from atomfit.structure.matching import match


def points(n: int, radius: float, apart: float, seed: int) -> np.ndarray:
    """Places in a ball that keep apart, and are otherwise anywhere (Å)."""
    rng, found = np.random.default_rng(seed), np.zeros((0, 3))
    while len(found) < n:
        place = rng.uniform(-radius, radius, 3)
        near = np.linalg.norm(found - place, axis=1) < apart
        if np.linalg.norm(place) < radius and not near.any():
            found = np.vstack([found, place])
    return found


@pytest.mark.parametrize(("n", "apart"), [(13, 0.0), (13, 2.0), (55, 1.5)])
def test_what_is_laid_on_a_particle_as_well_as_it_can_be_is_not_more_than_chance(
    n: int, apart: float
) -> None:
    a = particle("sphere", "Pt", n, 0, 3.92)
    b = points(int(0.8 * n), np.abs(a).max() + 1, apart, 1)
    found = register(a, b)
    chance = by_chance(a, found.motion(b), found.how, 1.76)
    assert chance.log_probability == 0
    # Of a ball the size of this one; no atom's surroundings are forgotten.
    assert 0.15 < chance.common < 0.75


@pytest.mark.parametrize(("n", "noise", "kept"), [(13, 0.3, 1.0), (13, 0.05, 0.5), (30, 0.1, 0.4)])
def test_models_of_one_particle_are_more_than_chance(n: int, noise: float, kept: float) -> None:
    rng = np.random.default_rng(2)
    a = particle("sphere", "Pt", n, 0, 3.92)
    b = (a + rng.normal(0, noise, a.shape))[rng.permutation(n)[: max(int(kept * n), 6)]]
    b = b @ Rotation.random(rng=rng).as_matrix()
    found = register(a, b)
    assert found.how == "found"
    assert by_chance(a, found.motion(b), found.how, 1.76).probability < 1e-3


def test_as_many_pairs_as_a_slow_assignment_finds() -> None:
    for seed in range(4):
        a, b = points(40, 6, 1.5, seed), points(30, 6, 1.5, seed + 9)
        assert _most_pairs(a, b, 1.76) == len(match(a, b, 1.76).found)


def test_lone_atoms_are_near_each_other_by_chance_as_far_as_that_goes() -> None:
    one = np.zeros((1, 3))
    near, far = (by_chance(one, one + [x, 0, 0], "given", 1.76) for x in (0.01, 0.5))
    assert near.log_probability < far.log_probability <= 0
