"""Whose fault it is that models differ by more than their error bars: planted moves and planted errors."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.io.comparisons import summary
from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Model, compare
from atomfit.verdict.of_comparison import cause_of_excess, judge_comparison

SITES = particle("sphere", "Pt", 201, 0, 3.92)
ESD = 0.02


def model(name: str, positions: np.ndarray, esd: float = ESD) -> Model:
    n = len(positions)
    return Model(name, np.arange(1, n + 1), ("Pt",) * n, positions, np.full((n, 3), esd), numbers={})


def noisy(seed: int, deviation: float = ESD) -> np.ndarray:
    return SITES + np.random.default_rng(seed).normal(0, deviation, SITES.shape)


@pytest.mark.parametrize("seed", range(4))
def test_right_error_bars_and_unmoved_atoms_are_good(seed: int) -> None:
    c = compare(model("a", noisy(2 * seed)), model("b", noisy(2 * seed + 1)))
    assert cause_of_excess(c) is None
    assert judge_comparison(c).level == "good"


@pytest.mark.parametrize("seed", range(3))
def test_expansion_is_no_fault_of_error_bars(seed: int) -> None:
    c = compare(model("a", noisy(2 * seed)), model("b", 1.02 * noisy(2 * seed + 1)))
    assert cause_of_excess(c) == "atoms moved together"
    verdict = judge_comparison(c)
    assert verdict.codes == ("atoms-differ",)
    assert "--calibrate would hide it" in verdict.warnings[0]
    assert verdict.measures["coherence"] > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_many_atoms_that_moved_are_no_fault_of_error_bars(seed: int) -> None:
    moved = noisy(2 * seed + 1)
    which = np.random.default_rng(seed).random(len(moved)) < 0.6
    moved[which] += np.random.default_rng(seed + 50).normal(0, 0.3, (which.sum(), 3))
    c = compare(model("a", noisy(2 * seed)), model("b", moved))
    assert cause_of_excess(c) == "some atoms moved"


@pytest.mark.parametrize("seed", range(3))
def test_what_one_factor_explains_may_be_either(seed: int) -> None:
    c = compare(model("a", noisy(2 * seed), ESD / 3), model("b", noisy(2 * seed + 1), ESD / 3))
    assert cause_of_excess(c) == "either"
    wide = compare(model("a", noisy(2 * seed), 3 * ESD), model("b", noisy(2 * seed + 1), 3 * ESD))
    assert cause_of_excess(wide) == "too large"


def test_nothing_is_counted_where_nothing_was_tested() -> None:
    c = compare(model("a", SITES, np.nan), model("b", noisy(0), np.nan))
    significance = summary(c, 1.76, 0.05, False)["significance"]
    assert (significance["tested"], significance["moved"], significance["moved_common"]) == (0, None, None)


def test_two_particles_are_not_one() -> None:
    other = particle("sphere", "Pt", 60, 0, 3.92)
    c = compare(model("a", SITES), model("b", other + 8.0), move=False)
    assert judge_comparison(c).level == "bad"
    assert judge_comparison(c).codes[0] == "few-common"


def test_a_few_atoms_lie_on_any_crystal() -> None:
    rng = np.random.default_rng(7)
    few = SITES[:5] + rng.normal(0, ESD, (5, 3))
    verdict = judge_comparison(compare(model("a", noisy(0)), model("b", few)))
    assert (verdict.level, verdict.codes) == ("doubtful", ("few-common",))
    assert "only 5 of 201 atoms of the larger model" in verdict.warnings[0]
    # Turned by what is no symmetry, so that the frame has to be found: a piece has many.
    turned = few @ Rotation.from_euler("xyz", [20, 31, 47], degrees=True).as_matrix()
    verdict = judge_comparison(compare(model("a", noisy(0)), model("b", turned)))
    assert set(verdict.codes) >= {"few-common", "frame"}
    assert verdict.level == "doubtful"
    assert verdict.measures["equal_orientations"] > 0
