"""Models followed in time: every atom keeps its number, and what was planted is found."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.simulation.followed import FollowedTruth, Planted, planted_models
from atomfit.simulation.particles import particle
from atomfit.statistics.followed_models import FollowedModels, follow_models
from atomfit.statistics.tracks import Tracker, place_together
from atomfit.structure.tracked import ABSENT


def base(seed: int = 0, n: int = 150) -> np.ndarray:
    sites = particle("sphere", "Pt", n, seed)
    return sites + np.random.default_rng(seed).normal(0, 0.06, sites.shape)


def followed(truth: FollowedTruth, move: bool = True) -> FollowedModels:
    return follow_models(truth.models.__getitem__, np.arange(float(len(truth.models))), move)


def owners(truth: FollowedTruth, found: FollowedModels) -> list[set[int]]:
    """Of each followed atom, which atoms of the particle it has been."""
    places = found.tracked.positions
    seen: list[set[int]] = [set() for _ in found.tracked.ids]
    for k, (model, origin) in enumerate(zip(truth.models, truth.origin, strict=True)):
        there = np.flatnonzero(found.tracked.there[k])
        apart = np.linalg.norm(places[k, there][:, None] - model.positions[None], axis=2)
        for index, j in zip(there, apart.argmin(axis=1), strict=True):
            seen[index].add(int(origin[j]))
    return seen


@pytest.fixture(scope="module")
def changed() -> tuple[FollowedTruth, FollowedModels]:
    planted = Planted(rise=0.4, lost=0.06, gained=0.04, missed=0.03, turned=False)
    truth = planted_models(base(), 12, 900, planted)
    return truth, followed(truth)


def test_an_atom_is_one_atom_over_gaps(changed: tuple[FollowedTruth, FollowedModels]) -> None:
    truth, found = changed
    assert len(found.tracked) == 150
    assert all(len(atoms) == 1 for atoms in owners(truth, found))
    gaps = found.tracked.state == found.tracked.states.index("missing")
    assert gaps.sum() > 20
    assert not np.any(gaps & found.tracked.there)


def test_lost_and_gained_atoms_are_told_from_missed_ones(
    changed: tuple[FollowedTruth, FollowedModels],
) -> None:
    truth, found = changed
    who = [next(iter(atoms)) for atoms in owners(truth, found)]
    gone = {int(k) for k in np.flatnonzero(~truth.there[-1])}
    came = {int(k) for k in np.flatnonzero(~truth.there[0])}
    likely = [event for event in found.tracked.events if event.probability > 0.5]
    assert {who[event.index] for event in likely if event.kind == "lost"} <= gone
    assert {who[event.index] for event in likely if event.kind == "gained"} <= came
    assert len([event for event in likely if event.kind == "lost"]) >= len(gone) - 3
    # Of those at whose ends no model is left to tell, too, they are expected.
    expected = sum(event.probability for event in found.tracked.events if event.kind == "lost")
    assert expected == pytest.approx(len(gone), abs=3)


def test_the_surface_rises(changed: tuple[FollowedTruth, FollowedModels]) -> None:
    trends = changed[1].trends["u_iso"]
    assert changed[1].inner
    assert trends.groups["surface"].z > 4
    assert trends.groups["surface"].slope * 11 == pytest.approx(0.4 * 0.075, rel=0.25)
    assert np.sum(trends.q < 0.05) > 15
    assert np.sum(changed[1].trends["relative_amplitude"].q < 0.05) <= 2


def test_models_that_are_turned_lie_on_each_other() -> None:
    truth = planted_models(base(1, 80), 3, 901, Planted())
    found = followed(truth)
    assert len(found.tracked) == 80
    assert found.tracked.there.all()
    first = truth.models[0]
    order = np.argsort(truth.origin[0])
    mine = found.tracked.positions[0]
    apart = np.linalg.norm(mine[:, None] - first.positions[order][None], axis=2).min(axis=1)
    assert apart.max() < 0.2
    for k in range(1, 3):
        rms = np.sqrt(np.mean((found.tracked.positions[k] - mine) ** 2))
        assert rms == pytest.approx(0.05 * 2**0.5, rel=0.15)
    assert all(one.how == "found" for one in found.models[1:])
    assert all(one.chance.probability < 1e-6 for one in found.models[1:])


@pytest.mark.slow
def test_a_bad_first_model_is_not_the_reference() -> None:
    truth = planted_models(base(1, 45), 3, 902, Planted(turned=False))
    rng = np.random.default_rng(0)
    false = replace(truth.models[0], positions=rng.uniform(-8, 8, truth.models[0].positions.shape))
    found = followed(replace(truth, models=(false, *truth.models[1:])))
    assert found.reference != 0
    assert min(one.common for one in found.models[1:]) > 0.95
    assert found.models[0].chance.probability > 0.01


def test_error_bars_turn_with_their_model() -> None:
    truth = planted_models(base(1, 80), 2, 903, Planted(turned=False))
    turn = Rotation.from_euler("z", 53, degrees=True).as_matrix()
    a, b = truth.models
    own = np.array([0.01, 0.05, 0.09])
    b = replace(b, positions=b.positions @ turn.T, esds=np.tile(own, (len(b), 1)))
    found = follow_models([a, b].__getitem__, np.arange(2.0))
    assert found.tracked.esds is not None
    turned = np.sqrt(np.diag(turn.T @ np.diag(own**2) @ turn))
    np.testing.assert_allclose(np.nanmedian(found.tracked.esds[1], axis=0), turned, atol=3e-3)


def test_all_models_lie_on_their_mean_in_the_frame_of_one() -> None:
    rng = np.random.default_rng(2)
    sites = base()
    places = np.stack([sites + 0.03 * rng.normal(size=sites.shape) for _ in range(5)])
    moved = places.copy()
    for k in range(1, 5):
        turn = Rotation.from_rotvec(rng.normal(0, 0.01, 3)).as_matrix()
        moved[k] = places[k] @ turn.T + rng.normal(0, 0.1, 3)
    moved[2] *= 1.01
    moved[3, 5] = np.nan
    found = place_together(moved, np.full(moved.shape, 0.03))
    np.testing.assert_allclose(found.positions[0], moved[0], atol=1e-9)
    np.testing.assert_allclose(found.positions[1], places[1], atol=0.03)
    assert found.sizes[2] / found.sizes[1] == pytest.approx(1.01, abs=1e-3)
    assert np.isnan(found.positions[3, 5]).all()
    still = place_together(moved, np.full(moved.shape, np.nan), frame=None)
    np.testing.assert_array_equal(still.positions, moved)


def test_one_that_moves_to_a_free_site_is_the_same() -> None:
    sites = np.array([[0.0, 0, 0], [2.8, 0, 0], [5.6, 0, 0], [0, 2.8, 0]])
    tracker = Tracker(2.8)
    assert tracker.follow(sites).tolist() == [0, 1, 2, 3]
    # One is at another site, which might be another one; one is missed, and another comes.
    assert tracker.follow(np.array([[0.1, 0, 0], [5.6, 2.8, 0], [0, 2.8, 0]])).tolist() == [0, 4, 3]
    assert tracker.follow(np.array([[0.0, 2.9, 0], [9.0, 9, 9], [2.8, 0.1, 0]])).tolist() == [3, 5, 1]
    numbers, moves = tracker.moved()
    assert numbers.tolist() == [0, 1, 2, 3, 2, 4]
    assert moves == [(2, 1)]


def test_numbers_that_a_model_lacks_are_empty() -> None:
    truth = planted_models(base(), 4, 904, Planted(turned=False))
    bare = replace(truth.models[1], numbers={}, esds=np.full(truth.models[1].esds.shape, np.nan))
    found = followed(replace(truth, models=(truth.models[0], bare, *truth.models[2:])))
    u = next(one for one in found.tracked.quantities if one.name == "u_iso")
    assert np.isnan(u.values[1]).all()
    assert np.isfinite(u.values[0]).all()
    cn = next(one for one in found.tracked.quantities if one.name == "cn")
    assert np.isfinite(cn.values).all()
    none = followed(replace(truth, models=tuple(replace(m, numbers={}) for m in truth.models)))
    assert none.trends == {}
    assert np.all(none.tracked.state != ABSENT)
