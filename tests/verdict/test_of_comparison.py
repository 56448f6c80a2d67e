"""Whose fault it is that models differ by more than their error bars: planted moves and planted errors."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.io.comparisons import summary
from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Model, compare
from atomfit.support.errors import InputError
from atomfit.verdict.comparison_words import warnings
from atomfit.verdict.of_comparison import cause_of_excess, judge_comparison

SITES = particle("sphere", "Pt", 201, 0, 3.92)
ESD = 0.02


def model(name: str, positions: np.ndarray, esd: float = ESD, symbols: tuple[str, ...] = ("Pt",)) -> Model:
    """Atoms of the elements in turn."""
    n = len(positions)
    each = tuple(symbols[i % len(symbols)] for i in range(n))
    return Model(name, np.arange(1, n + 1), each, positions, np.full((n, 3), esd), numbers={})


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


@pytest.mark.parametrize(
    ("symbols", "level", "told"),
    [
        (
            ("Au",),
            "bad",
            "201 of 201 common atoms are of another element in b than in a (201 from Au to Pt)",
        ),
        (("Pt", "Au", "Pt", "Pt"), "doubtful", "50 of 201 common atoms are of another element"),
        # Told, but within what elements are told apart by.
        (
            ("Pt",) * 19 + ("Au",),
            "good",
            "common atoms of another element in B than in A: 10 from Au to Pt",
        ),
        (("X",), "good", None),
    ],
)
def test_elements_that_differ_are_named(symbols: tuple[str, ...], level: str, told: str | None) -> None:
    c = compare(model("a", noisy(0), symbols=symbols), model("b", noisy(1)))
    assert judge_comparison(c).level == level
    assert (told is None and warnings(c) == []) or (told is not None and told in warnings(c)[0])
    counted = {(row["a"], row["b"]): row["common"] for row in summary(c, 1.76, 0.05, False)["elements"]}
    assert sum(counted.values()) == (0 if told is None else 201)


@pytest.mark.parametrize(
    ("factor", "move", "level", "cause"),
    [
        (1.1, True, "bad", "a wrong voxel or pixel size?"),
        (1 / 1.1, True, "bad", "a wrong voxel or pixel size?"),
        (1.04, True, "doubtful", "a wrong voxel or pixel size, or another phase?"),
        (4.08 / 3.92, True, "bad", "another particle, of Au and not Pt, or another phase?"),
        (0.5, False, "bad", "the voxel size before or after binning by 2?"),
        (10.0, False, "bad", "nm taken for Å?"),
    ],
)
def test_models_of_two_sizes_are_named(factor: float, move: bool, level: str, cause: str) -> None:
    kind = ("Au",) if "Au" in cause else ("Pt",)
    c = compare(model("a", noisy(0)), model("b", factor * noisy(1), symbols=kind), move=move)
    verdict = judge_comparison(c)
    (told,) = (finding for finding in verdict.findings if finding.code == "size")
    assert verdict.level == level
    assert float(told.problem.split()[4]) == pytest.approx(factor, rel=1e-3)
    assert told.remedy.startswith(cause)
    assert "(then 201 atoms would be common)" in told.remedy
    # Then atoms have not moved.
    assert ("atoms-differ" in verdict.codes) == (level == "doubtful" or "Au" in cause)


@pytest.mark.parametrize("factor", [2.0, 10.0])
def test_a_refusal_names_the_unit(factor: float) -> None:
    cause = {2.0: "the voxel size before or after binning by 2", 10.0: "nm taken for Å"}[factor]
    with pytest.raises(InputError, match=f"{factor:.3g} times as far \\({cause}\\?\\)") as refused:
        compare(model("a", SITES), model("b", factor * SITES))
    assert refused.value.goes_on == ("--no-register",)


def test_lone_atoms_cannot_show_that_they_are_one() -> None:
    """But they say nothing against it either: 0.5 and 0.02 Å apart."""
    for apart, codes in ((0.5, ("chance",)), (0.02, ())):
        b = model("b", np.array([[apart, 0, 0]]), np.nan)
        verdict = judge_comparison(compare(model("a", np.zeros((1, 3)), np.nan), b, move=False))
        assert (verdict.level, verdict.codes) == ("doubtful" if codes else "good", codes)


def test_atoms_that_were_shaken_until_nothing_is_left_agree_by_chance() -> None:
    site = particle("sphere", "Pt", 55, 0, 3.92)
    points = site + np.random.default_rng(3).normal(0, 1.2, site.shape)
    verdict = judge_comparison(compare(model("a", site), model("b", points), move=False))
    assert (verdict.level, verdict.codes[0]) == ("bad", "chance")
    by_chance = verdict.measures["common_by_chance"]
    assert verdict.measures["common_of_smaller"] == pytest.approx(by_chance, abs=0.25)
    assert (
        f"{by_chance:.0%} would be if the models were laid on each other at random" in verdict.warnings[0]
    )
    assert "error-bars" not in verdict.codes
