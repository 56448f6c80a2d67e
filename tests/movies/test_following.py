"""Tracks, counts, events and averages of columns in time, against planted truth and slow references."""

from itertools import product

import numpy as np
import pytest

from atomfit.statistics.column_events import expected_changes, find_events
from atomfit.statistics.column_tracks import follow_columns
from atomfit.statistics.count_history import LikelyLaws, MeasuredHistory, Rates, follow_counts
from atomfit.statistics.count_law import Library
from atomfit.statistics.movie_counts import count_movie
from atomfit.statistics.running_average import choose_window

LAW = 0.02 * np.arange(1, 31) ** 0.95


def wandering(seed, t, n, wander, memory):
    rng = np.random.default_rng(seed)
    keep, found = np.exp(-1 / memory), np.zeros((t, n, 2))
    found[0] = rng.normal(0, wander, (n, 2))
    for k in range(1, t):
        found[k] = keep * found[k - 1] + rng.normal(0, wander * (1 - keep**2) ** 0.5, (n, 2))
    return found


def seen(seed, truth, esd):
    rng = np.random.default_rng(seed)
    esds = esd * np.exp(rng.normal(0, 0.3, truth.shape[:2]))
    measured = truth + esds[..., None] * rng.normal(size=truth.shape)
    information = (esds**-2.0)[..., None, None] * np.eye(2)
    return information, np.einsum("tnij,tnj->tni", information, measured)


@pytest.mark.parametrize("memory", [2.0, 10.0, 60.0])
def test_columns_that_wander_are_followed_with_their_own_error_bars(memory):
    truth = wandering(0, 120, 60, 0.05, memory)
    tracks = follow_columns(*seen(1, truth, 0.05))
    deviates = (tracks.offsets - truth) / tracks.esds
    assert 0.93 < deviates.std() < 1.07
    assert tracks.walk.wander == pytest.approx(0.05, rel=0.15)
    assert tracks.walk.memory == pytest.approx(memory, rel=0.3)
    alone = np.sqrt(np.mean((tracks.offsets - truth) ** 2))
    assert alone < 0.042  # one frame alone errs by 0.053


def test_columns_that_stay_do_so_and_error_bars_that_are_too_small_are_found():
    truth = np.zeros((40, 80, 2))
    information, pull = seen(2, truth, 0.05)
    tracks = follow_columns(4 * information, 4 * pull)
    assert tracks.walk.step == 0
    assert tracks.walk.factor == pytest.approx(2.0, rel=0.05)
    assert 0.9 < (tracks.offsets / tracks.esds).std() < 1.1


def test_a_restless_column_has_a_step_of_its_own():
    truth = wandering(3, 80, 60, 0.02, 5.0)
    truth[:, 7] = wandering(4, 80, 1, 0.2, 5.0)[:, 0]
    tracks = follow_columns(*seen(5, truth, 0.03))
    assert np.argmax(tracks.steps) == 7
    assert tracks.steps[7] > 3 * np.median(tracks.steps)


def test_frames_that_tell_nothing_are_bridged():
    truth = wandering(6, 60, 40, 0.05, 20.0)
    information, pull = seen(7, truth, 0.03)
    information[20:25], pull[20:25] = 0.0, 0.0
    tracks = follow_columns(information, pull)
    assert not tracks.seen[20:25].any()
    assert np.isfinite(tracks.offsets).all()
    assert np.all(tracks.esds[22] > tracks.esds[10])
    assert 0.8 < ((tracks.offsets - truth)[20:25] / tracks.esds[20:25]).std() < 1.2


def slow_counts(values, variances, means, matrix):
    """Probabilities of counts by summing over all histories."""
    t, states = len(values), len(means)
    parts = np.zeros((t, states))
    for path in product(range(states), repeat=t):
        p = 1 / states
        for k, state in enumerate(path):
            p *= np.exp(-0.5 * (values[k] - means[state]) ** 2 / variances[k]) / variances[k] ** 0.5
            if k:
                p *= matrix[path[k - 1], state]
        for k, state in enumerate(path):
            parts[k, state] += p
    return parts / parts.sum(axis=1, keepdims=True)


def test_counts_in_time_are_those_of_all_histories_added_up():
    rng = np.random.default_rng(8)
    means = np.array([1.0, 2.0, 3.0])
    values, variances = rng.normal(2, 0.8, (4, 3)), np.full((4, 3), 0.3)
    laws = LikelyLaws(means[None], np.array([1e-6]))
    found = follow_counts(MeasuredHistory(values, variances, values), laws)
    matrix = found.rates.matrix(found.probabilities.shape[2])
    assert found.probabilities.shape[2] == 4
    for i in range(3):
        # Part of the frames is odd there: a hundredth of a probability.
        slow = slow_counts(values[:, i], variances[:, i], np.r_[0.0, means], matrix)
        np.testing.assert_allclose(found.probabilities[:, i], slow, atol=0.02)


def test_rates_make_a_matrix_of_probabilities():
    matrix = Rates(0.1, 0.05, 0.01).matrix(6)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    assert matrix[2, 3] > matrix[3, 2] > matrix[0, 4] > 0


def planted(seed, t, n, rate, dose):
    rng = np.random.default_rng(seed)
    counts = [np.clip(np.rint(rng.normal(7, 3, n)), 1, 15).astype(int)]
    for _ in range(1, t):
        chance = rng.random(n)
        step = np.where(chance < rate, 1, np.where(chance < 2 * rate, -1, 0))
        counts.append(np.maximum(counts[-1] + step, 0))
    counts = np.array(counts)
    size = np.where(counts > 0, LAW[np.maximum(counts, 1) - 1], 0.0)
    values = size + rng.normal(size=size.shape) * np.sqrt((size + 0.04) / dose)
    expected = np.broadcast_to(values.mean(axis=0), values.shape).copy()
    places = rng.uniform(0, 60, (n, 2))
    return counts, values, (np.maximum(expected, 0) + 0.04) / dose, expected, places


@pytest.mark.parametrize("library", [Library(LAW, 0.005), None])
def test_counts_events_and_totals_of_a_planted_movie(library):
    counts, values, variances, expected, places = planted(9, 60, 80, 0.002, 3e3)
    steady = np.ones(80, bool)
    found = count_movie(values, variances, expected, (library, ""), places, steady)
    assert found.uncounted == ""
    exact = found.history.most_likely == counts
    sure = np.take_along_axis(found.history.probabilities, found.history.most_likely[..., None], 2).mean()
    assert exact.mean() > 0.95
    assert abs(exact.mean() - sure) < 0.04
    changes = np.argwhere(np.diff(counts, axis=0) != 0)
    events = [one for one in find_events(found.history, places, 0.05) if one.called]
    right = sum(
        any(one.column == i and abs(one.frame - 1 - k) <= 3 for k, i in changes.tolist()) for one in events
    )
    assert len(events) >= 0.7 * len(changes)
    assert right >= 0.9 * len(events)
    net, esd = expected_changes(found.history)["net"]
    assert abs(net - (counts[-1] - counts[0]).sum()) < 4 * max(esd, 0.5)


def test_a_static_movie_has_no_events():
    for seed in range(10, 13):
        _, values, variances, expected, places = planted(seed, 20, 60, 0.0, 1e3)
        found = count_movie(values, variances, expected, (Library(LAW), ""), places, np.ones(60, bool))
        assert not any(one.called for one in find_events(found.history, places, 0.05))


def test_a_hop_is_a_loss_and_a_gain_beside_each_other():
    rng = np.random.default_rng(13)
    counts = np.full((60, 36), 5)
    counts[30:, 14], counts[30:, 15] = 4, 6
    size = LAW[counts - 1]
    values = size + rng.normal(size=size.shape) * 0.006
    places = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2) * 2.5
    variances = np.full(values.shape, 0.006**2)
    found = count_movie(values, variances, size, (Library(LAW, 0.005), ""), places, np.ones(36, bool))
    (event,) = [one for one in find_events(found.history, places) if one.called]
    assert (event.kind, event.column, event.partner, event.frame) == ("hop", 14, 15, 30)


def test_columns_that_are_not_counted_come_and_go():
    rng = np.random.default_rng(14)
    there = np.ones((40, 20), bool)
    there[:15, 3], there[25:, 8] = False, False
    size = rng.uniform(0.05, 0.3, 20) * there
    values = size + rng.normal(size=size.shape) * 0.01
    variances = np.full(values.shape, 1e-4)
    found = count_movie(
        values, variances, size, (None, "two elements"), rng.uniform(0, 30, (20, 2)), ~there[0]
    )
    assert found.counts is None
    assert found.uncounted == "two elements"
    assert np.mean((found.history.present > 0.5) == there) > 0.99


def test_a_window_is_as_wide_as_the_specimen_is_steady():
    rng = np.random.default_rng(15)
    still = rng.normal(0, 1, (60, 30))
    drifting = np.cumsum(rng.normal(0, 0.5, (60, 30)), axis=0) + still
    ones = np.ones((60, 30))
    assert choose_window([still], [ones]).frames == 60
    assert choose_window([drifting], [ones]).frames <= 9
    assert choose_window([still[:2]], [ones[:2]]).frames == 2
