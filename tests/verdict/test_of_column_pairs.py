"""Verdicts on pairs of images whose error bars, parts, widths or counts are planted to be wrong."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.simulation.changed_columns import ColumnChanges, changed_columns
from atomfit.statistics.column_changes import compare_columns
from atomfit.statistics.image_columns_seen import ImageColumns
from atomfit.statistics.slips import find_slip
from atomfit.verdict.of_column_comparison import judge_column_comparison


def codes(a: ImageColumns, b: ImageColumns) -> list[str]:
    return [finding.code for finding in judge_column_comparison(compare_columns(a, b)).findings]


@pytest.mark.parametrize("changes", [ColumnChanges(), ColumnChanges(0.05, 0.05, 0.1, 0.2)])
def test_right_error_bars_are_good(changes: ColumnChanges) -> None:
    for seed in (170, 171):
        case = changed_columns(seed, 150, 1e4, changes)
        assert codes(case.a, case.b) == []


def test_error_bars_that_are_too_small_of_some_columns_are_told() -> None:
    case = changed_columns(172, 200, 1e4)
    some = np.random.default_rng(0).random(len(case.a)) < 0.3
    of_b = some[case.origin]
    a = replace(case.a, covariances=case.a.covariances / np.where(some, 9.0, 1.0)[:, None, None])
    b = replace(case.b, covariances=case.b.covariances / np.where(of_b, 9.0, 1.0)[:, None, None])
    assert "uneven-errors" in codes(a, b)


def test_half_a_particle_that_slipped_is_told() -> None:
    case = changed_columns(173, 200, 1e4)
    place = case.motion(case.b.positions)
    beyond = place[:, 1] > np.median(place[:, 1])
    shift = np.linalg.solve(case.motion.matrix, np.array([0.3, 0.0]))
    assert "slip" in codes(case.a, replace(case.b, positions=case.b.positions + beyond[:, None] * shift))


def test_a_step_is_measured_beside_a_shear() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-20, 20, (300, 2))
    step = np.array([0.15, -0.05])
    away = 0.03 * rng.normal(size=x.shape) + 0.004 * x[:, ::-1]
    found = find_slip(x, away + np.where(x[:, :1] > 4, step, 0.0), np.full(300, 0.03**2))
    assert found is not None
    assert found.by_chance < 1e-6
    assert abs(found.normal[0]) > 0.99
    np.testing.assert_allclose(found.shift, step, atol=5 * found.esd)
    by_noise = [find_slip(x, 0.03 * rng.normal(size=x.shape), np.full(300, 0.03**2)) for _ in range(40)]
    # Bonferroni's bound: at most so many.
    assert sum(one is not None and one.by_chance < 0.05 for one in by_noise) <= 4


def test_images_of_other_widths_are_told() -> None:
    case = changed_columns(174, 150, 1e4)
    assert "widths" in codes(case.a, replace(case.b, widths=2.9 * case.b.widths))


def test_counts_that_contradict_brightness_are_told() -> None:
    case = changed_columns(175, 150, 1e5)
    assert case.b.probabilities is not None
    off = np.roll(case.b.probabilities, 1, axis=1)
    assert "counts" in codes(case.a, replace(case.b, probabilities=off))
