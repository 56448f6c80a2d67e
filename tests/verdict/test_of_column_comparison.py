"""What is said of two images compared, where something is wrong with them."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.simulation.changed_columns import changed_columns
from atomfit.statistics.column_changes import compare_columns
from atomfit.verdict.of_column_comparison import judge_column_comparison, warnings_of_columns


def test_images_of_one_particle_are_good() -> None:
    case = changed_columns(170, 150, 1e4)
    found = compare_columns(case.a, case.b)
    assert judge_column_comparison(found).level == "good"
    assert warnings_of_columns(found) == []


def test_magnifications_that_are_unusual_are_told() -> None:
    """Seven per cent are beyond three standard deviations of what is usual; fourteen are not found."""
    case = changed_columns(171, 150, 1e4)
    found = compare_columns(case.a, replace(case.a, positions=1.075 * case.a.positions))
    verdict = judge_column_comparison(found)
    assert "distortion" in verdict.codes
    assert found.registration.motion.magnification == pytest.approx(1 / 1.075, abs=1e-3)
    far = compare_columns(case.a, replace(case.a, positions=1.14 * case.a.positions))
    assert judge_column_comparison(far).level != "good"


def test_a_scan_that_is_distorted_from_place_to_place_is_told() -> None:
    case = changed_columns(172, 200, 1e5)
    x, y = case.b.positions.T
    waves = 0.15 * np.stack([np.sin(y / 5), np.cos(x / 6)], axis=1)
    found = compare_columns(case.a, replace(case.b, positions=case.b.positions + waves))
    told = {finding.code: finding.problem for finding in judge_column_comparison(found).findings}
    assert "neighbours share" in told["columns-differ"]


def test_another_focus_is_told() -> None:
    case = changed_columns(173, 200, 1e5)
    rng = np.random.default_rng(0)
    sizes = case.b.cross_sections * np.exp(rng.normal(0, 0.1, len(case.b)))
    found = compare_columns(case.a, replace(case.b, cross_sections=sizes))
    assert "cross-sections" in judge_column_comparison(found).codes


def test_two_particles_are_not_one() -> None:
    one, other = changed_columns(174, 150, 1e4), changed_columns(175, 40, 1e4)
    rng = np.random.default_rng(0)
    apart = replace(other.a, positions=rng.uniform(-20, 20, (len(other.a), 2)))
    assert judge_column_comparison(compare_columns(one.a, apart)).level != "good"


@pytest.mark.parametrize("seed", [30, 200])
def test_places_at_random_are_bad(seed: int) -> None:
    case = changed_columns(176, 200, 1e4)
    rng = np.random.default_rng(seed)
    one, other = (replace(case.a, positions=rng.uniform(0, 40, (len(case.a), 2))) for _ in range(2))
    assert judge_column_comparison(compare_columns(one, other)).level == "bad"


def test_another_element_is_told() -> None:
    case = changed_columns(178, 150, 1e4)
    found = compare_columns(case.a, replace(case.b, symbols=("Au",) * len(case.b)))
    verdict = judge_column_comparison(found)
    assert verdict.level == "bad"
    assert "elements" in verdict.codes


@pytest.mark.parametrize("what", ["covariances", "cross_section_esds"])
def test_what_was_not_tested_is_told(what: str) -> None:
    """Tables without standard uncertainties say nothing of changes, and are not good."""
    case = changed_columns(177, 150, 1e4)
    unknown = replace(case.b, **{what: np.full(getattr(case.b, what).shape, np.nan)})
    found = compare_columns(case.a, unknown)
    verdict = judge_column_comparison(found)
    assert verdict.level == "doubtful"
    assert "not-tested" in verdict.codes
    if what == "covariances":
        assert not np.isfinite(found.probability[found.pairs]).any()
