"""Trends of many atoms: planted ones are found, and nothing is where nothing was planted."""

import numpy as np
import pytest
from scipy.stats import kstest, linregress, norm

from atomfit.statistics.lines import line_of
from atomfit.statistics.moderated import moderated
from atomfit.statistics.presence import presence
from atomfit.statistics.trends import find_drifts, find_trends, reference_atoms

N = 300
INNER = np.arange(N) >= N // 2


def numbers(
    seed: int, times: int = 10, factor: float = 1.0, unlike: float = 0.0, rise: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, values and error bars; all of a model share an offset as large as ten errors."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 100, times))
    esds = np.broadcast_to(0.01 * np.exp(rng.normal(0, 0.5, N)), (times, N)).copy()
    true = factor * esds * np.exp(unlike * rng.normal(size=N))
    values = rng.uniform(0.1, 0.2, N) + rng.normal(0, 0.1, (times, 1)) + true * rng.normal(size=(times, N))
    values[:, ~INNER] += rise * ((t - t.mean()) / np.ptp(t))[:, None]
    return t, values, esds


def test_a_line_is_that_of_linear_regression() -> None:
    rng = np.random.default_rng(0)
    t, y = np.arange(9.0) ** 1.5, rng.normal(size=9)
    line, known = line_of(t, y), linregress(t, y)
    assert (line.slope, line.esd, line.p) == pytest.approx((known.slope, known.stderr, known.pvalue))
    assert line.middle == pytest.approx(known.intercept + known.slope * t.mean())
    assert abs(line.z) == pytest.approx(norm.isf(known.pvalue / 2))
    # Two points are a line without a scatter.
    assert line_of(t[:2], y[:2]).slope == pytest.approx((y[1] - y[0]) / (t[1] - t[0]))
    assert np.isnan(line_of(t[:2], y[:2]).p)


def test_without_offsets_and_with_right_error_bars_a_trend_is_that_of_weighted_regression() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(8.0)
    esds = rng.uniform(0.5, 2, (8, 400))
    y = esds * rng.normal(size=(8, 400))
    y -= np.sum(y / esds**2, axis=1, keepdims=True) / np.sum(1 / esds**2, axis=1, keepdims=True)
    found = find_trends(t, y, esds, np.ones(400, bool), {})
    slopes = np.array([np.polyfit(t, y[:, i], 1, w=1 / esds[:, i])[0] for i in range(400)])
    assert np.corrcoef(found.slopes, slopes)[0, 1] > 0.99
    assert np.max(np.abs(found.offsets)) < 0.05


@pytest.mark.parametrize(
    ("times", "factor", "unlike"),
    [
        (3, 1.0, 0.0),
        (5, 1.0, 0.0),
        (10, 1.0, 0.0),
        (10, 5.0, 0.0),
        (10, 0.2, 0.0),
        (10, 1.0, 0.7),
        (25, 2.0, 0.3),
    ],
)
def test_where_nothing_changes_p_values_are_uniform(times: int, factor: float, unlike: float) -> None:
    """Whatever all atoms of a model share, and by whatever their error bars are wrong."""
    p, groups = [], []
    for seed in range(700, 712):
        found = find_trends(*numbers(seed, times, factor, unlike), INNER, {"surface": ~INNER})
        p.append(found.p)
        groups.append(found.groups["surface"].p)
        assert found.scatter == pytest.approx(factor, rel=0.35)
    values = np.concatenate(p)
    assert 0.03 < np.mean(values < 0.05) < 0.07
    assert np.mean(values < 0.001) < 0.004
    assert kstest(groups, "uniform").pvalue > 1e-3


def test_two_models_have_one_factor() -> None:
    p = np.concatenate([find_trends(*numbers(s, 2, 3.0), INNER, {}).p for s in range(720, 730)])
    assert 0.03 < np.mean(p < 0.05) < 0.07
    assert np.isnan(find_trends(*numbers(7, 2), INNER, {"surface": ~INNER}).groups["surface"].p)


def test_a_model_with_worse_errors_than_it_says_counts_for_less() -> None:
    p, plain = [], []
    for seed in range(740, 750):
        t, y, esds = numbers(seed)
        rng = np.random.default_rng(seed)
        y[-1] += 4 * esds[-1] * rng.normal(size=N)
        found = find_trends(t, y, esds, INNER, {})
        p.append(found.p)
        plain.append(found.factors)
    assert np.argmax(np.mean(plain, axis=0)) == 9
    assert np.mean(plain, axis=0)[9] > 2
    assert 0.03 < np.mean(np.concatenate(p) < 0.05) < 0.07


def test_a_planted_rise_is_found_beside_what_all_share() -> None:
    t, y, esds = numbers(1000, rise=0.03)
    y += 0.01 * t[:, None]
    found = find_trends(t, y, esds, INNER, {"surface": ~INNER})
    surface = found.groups["surface"]
    assert surface.slope * np.ptp(t) == pytest.approx(0.03, abs=4 * surface.esd * np.ptp(t))
    assert surface.z > 5
    assert np.sum(found.q[~INNER] < 0.05) > 20
    assert np.sum(found.q[INNER] < 0.05) <= 5
    # The common trend stands by itself.
    assert found.common.slope == pytest.approx(0.01, abs=4 * found.common.esd)


def test_values_that_are_not_known_are_left_out() -> None:
    t, y, esds = numbers(1001, rise=0.05)
    y[np.random.default_rng(0).random(y.shape) < 0.2] = np.nan
    y[2:, 0] = np.nan
    y[:, 1] = np.nan
    esds[:, 3] = np.nan
    found = find_trends(t, y, esds, INNER, {"surface": ~INNER, "none": np.zeros(N, bool)})
    assert np.isnan(found.p[:2]).all()
    assert np.isfinite(found.p[2:]).all()
    assert set(found.groups) == {"surface"}
    assert found.groups["surface"].z > 4
    bare = find_trends(t, y, None, INNER, {"surface": ~INNER})
    assert bare.groups["surface"].z > 4


def test_variances_are_shrunk_as_far_as_they_are_alike() -> None:
    rng = np.random.default_rng(3)
    d = np.full(4000, 4.0)
    alike = moderated(2.0 * rng.chisquare(4, 4000) / 4, d)
    assert alike.prior == pytest.approx(2.0, rel=0.05)
    assert np.std(alike.variances) < 0.2
    # Scaled inverse chi-square of 6 degrees of freedom about 2.
    own = 2.0 * 6 / rng.chisquare(6, 4000)
    unlike = moderated(own * rng.chisquare(4, 4000) / 4, d)
    assert unlike.prior == pytest.approx(2.0, rel=0.1)
    assert 4 < unlike.prior_freedom < 7.5
    assert np.isnan(moderated(np.full(3, np.nan), np.zeros(3)).variances).all()


def test_drifts_of_positions() -> None:
    p, rng = [], np.random.default_rng(5)
    t = np.arange(8.0)
    for _ in range(8):
        places = rng.uniform(0, 30, (N, 3)) + 0.2 * rng.normal(size=(8, N, 3))
        p.append(find_drifts(t, places, np.full(places.shape, 0.05)).p)
    assert 0.035 < np.mean(np.concatenate(p) < 0.05) < 0.065
    places[:, 7, 1] += 0.3 * t
    found = find_drifts(t, places, np.full(places.shape, 0.05))
    assert np.flatnonzero(found.q < 0.01).tolist() == [7]
    assert found.velocities[7, 1] == pytest.approx(0.3, abs=0.1)
    assert found.scatter == pytest.approx(4.0, rel=0.1)


def test_atoms_inside_are_the_standard_if_they_are_many() -> None:
    cn = np.array([12.0] * 25 + [7.0] * 30)
    often = np.ones(55, bool)
    assert reference_atoms(cn, often).tolist() == [True] * 25 + [False] * 30
    assert reference_atoms(cn[10:], often[10:]).all()


def test_who_was_missed_and_who_is_gone() -> None:
    rng = np.random.default_rng(0)
    found = rng.random((30, 200)) > 0.05
    found[12:, 0], found[:20, 1] = False, False
    found[11, 0] = found[20, 1] = True
    found[14, 2:4] = False
    known = presence(found)
    assert known.rates.missed == pytest.approx(0.05, abs=0.01)
    assert known.rates.lost < 0.002
    assert known.probability[13, 0] < 0.1
    assert known.probability[18, 1] < 0.1
    assert np.all(known.probability[14, 2:4] > 0.95)
    # Of two models nothing tells the one from the other.
    two = np.ones((2, 50), bool)
    two[1, 0] = False
    assert 0.2 < presence(two).probability[1, 0] < 0.6
    assert presence(np.zeros((3, 0), bool)).probability.shape == (3, 0)


def test_probabilities_of_absence_are_right() -> None:
    """Of atoms that were not found, some being gone and others missed."""
    rng = np.random.default_rng(4)
    there = np.ones((12, 4000), bool)
    for k in range(1, 12):
        there[k] = there[k - 1] & (rng.random(4000) > 0.02)
    found = there & (rng.random(there.shape) > 0.2)
    seen = found.any(axis=0)
    p, missing = presence(found[:, seen]).probability, ~found[:, seen]
    for low, high in ((0.02, 0.3), (0.3, 0.7), (0.7, 0.98)):
        within = missing & (p > low) & (p < high)
        assert within.sum() > 300
        assert np.mean(there[:, seen][within]) == pytest.approx(p[within].mean(), abs=0.05)
