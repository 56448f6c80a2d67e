"""Two models of one particle, against planted changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import false_discovery_control, kstest
from test_registration import real_particle

from atomfit.options.build import ParticleShape
from atomfit.simulation.changes import Change, changed
from atomfit.statistics.comparison import Comparison, Model, compare
from atomfit.statistics.series import follow
from atomfit.statistics.significance import agreement, chi_square_scale, p_values, q_values


def model(
    positions: np.ndarray, esd: float | np.ndarray = 0.05, name: str = "a", **numbers: np.ndarray
) -> Model:
    n = len(positions)
    return Model(
        name, np.arange(1, n + 1), ("Pt",) * n, positions, np.broadcast_to(esd, (n, 3)).copy(), numbers
    )


def wrong(case: Change, found: Comparison) -> int:
    """Atoms with a status that is not theirs, or a partner that is not."""
    partner = np.full(len(case.a), -1)
    partner[case.origin] = np.arange(len(case.b))
    count = found.count("gained")
    for i, j, status in zip(found.first, found.second, found.statuses, strict=True):
        count += i >= 0 and (status != case.statuses[i] or j != partner[i])
    return count


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("shape", "size"), [("sphere", 309), ("sphere", 711), ("decahedron", 6), ("icosahedron", 5)]
)
def test_planted_changes_are_found(shape: ParticleShape, size: int, seed: int) -> None:
    case = changed(real_particle(shape, size, seed), seed)
    found = compare(model(case.a), model(case.b))
    assert wrong(case, found) <= 0.01 * len(case.a)
    # Every displaced atom has moved significantly, and of the others next to none.
    statuses = np.array(found.statuses)
    assert found.moved[statuses == "displaced"].all()
    assert np.mean(found.moved[statuses == "common"]) <= 0.02
    assert np.isnan(found.p[(statuses == "lost") | (statuses == "gained")]).all()


def test_models_without_error_bars_are_compared_by_distance() -> None:
    case = changed(real_particle("sphere", 200), 2)
    found = compare(model(case.a, np.nan), model(case.b))
    assert wrong(case, found) <= 2
    assert np.isnan(found.p).all()
    assert not found.moved.any()
    assert np.isnan(found.scale.value)


def test_two_copies_of_one_model_have_no_differences() -> None:
    a = model(real_particle("sphere", 80))
    found = compare(a, a, calibrate=True)
    assert found.count("common") == 80
    assert found.distances.max() < 1e-12
    assert not found.moved.any()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_motion_of_both_changes_nothing(seed: int) -> None:
    case = changed(real_particle("sphere", 60), seed, rotate=False)
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(rng=rng).as_matrix(), rng.uniform(-50, 50, 3)
    one = compare(model(case.a), model(case.b))
    other = compare(model(case.a @ turn.T + shift), model(case.b @ turn.T + shift))
    assert one.statuses == other.statuses
    np.testing.assert_array_equal(one.second, other.second)
    for name in ("distances", "squares", "p", "q", "esds"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_what_one_lost_the_other_gained(seed: int) -> None:
    case = changed(real_particle("sphere", 60), seed, rotate=False)
    one, other = (compare(model(x), model(y)) for x, y in ((case.a, case.b), (case.b, case.a)))
    pairs = {(i, j, s) for i, j, s in zip(one.first, one.second, one.statuses, strict=True)}
    swap = {"lost": "gained", "gained": "lost"}
    back = {
        (i, j, swap.get(s, s)) for j, i, s in zip(other.first, other.second, other.statuses, strict=True)
    }
    assert pairs == back
    np.testing.assert_allclose(
        np.sort(one.squares[np.isfinite(one.squares)]),
        np.sort(other.squares[np.isfinite(other.squares)]),
        rtol=1e-2,  # the motion's part is taken at the second model's atoms
    )


def test_p_values_of_unmoved_atoms_are_uniform() -> None:
    """Uneven error bars, a turned frame, some atoms moved, few in all: the registration takes a part."""
    p, sites = [], real_particle("sphere", 40)
    rng = np.random.default_rng(7)
    for seed in range(40):
        esds = rng.uniform(0.02, 0.12, (40, 3))
        case = changed(sites, seed, noise=esds, lost=0.1, moved=0.05, rotate=False)
        turn = Rotation.from_rotvec(rng.normal(0, 0.02, 3)).as_matrix()
        # Noise is along A's axes; B's table would have it along its own, nearly the same.
        found = compare(model(case.a, esds), model(case.b @ turn + 0.1, esds[case.origin]))
        common = (np.array(found.statuses) == "common") & (case.statuses == "common")[found.first]
        p.append(found.p[common])
    together = np.concatenate(p)
    assert len(together) > 1300
    assert kstest(together, "uniform").pvalue > 0.01
    assert np.mean(together < 0.05) == pytest.approx(0.05, abs=0.018)


def test_covariances_turn_with_their_model() -> None:
    """One model is uncertain along its own x only, in a frame turned by 90 degrees."""
    rng = np.random.default_rng(3)
    sites = real_particle("sphere", 200)
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    esd = np.array([0.2, 0.02, 0.02])
    b = (sites + 5.0) @ turn + esd * rng.normal(size=sites.shape)
    a = sites + 0.02 * rng.normal(size=sites.shape)
    found = compare(model(a, 0.02), model(b, esd))
    assert kstest(found.p, "uniform").pvalue > 0.01
    assert found.scale.value == pytest.approx(1.0, abs=4 * found.scale.esd)


def test_error_bars_that_are_too_small_are_told_and_calibrated() -> None:
    case = changed(real_particle("sphere", 400), 1, lost=0, moved=0, rotate=False)
    found = compare(model(case.a, 0.025), model(case.b, 0.025), calibrate=True)
    assert found.scale.value == pytest.approx(2.0, abs=4 * found.scale.esd)
    assert kstest(found.p_calibrated, "uniform").pvalue > 0.01
    assert not found.moved.any()
    assert compare(model(case.a, 0.025), model(case.b, 0.025)).moved.mean() > 0.2


def test_small_moves_are_found_at_the_rate_asked_for() -> None:
    case = changed(real_particle("sphere", 500), 4, noise=0.04, lost=0, moved=0.1, moves=(0.3, 0.5))
    found = compare(model(case.a, 0.04), model(case.b, 0.04), fdr=0.05)
    assert found.count("common") == 500
    really = case.statuses[found.first] == "displaced"
    assert found.moved[really].mean() > 0.95
    assert np.mean(~really[found.moved]) < 0.12


def test_differences_of_other_numbers_are_in_their_uncertainties() -> None:
    rng = np.random.default_rng(0)
    sites = real_particle("sphere", 300)
    esd = rng.uniform(0.01, 0.02, 300)
    u = [0.2 + esd * rng.normal(size=300) for _ in range(2)]
    models = [model(sites, 0.05, u_iso=x, u_iso_esd=esd, u11=x, u11_esd=esd, cn=x) for x in u]
    found = compare(*models)
    assert set(found.z) == {"u_iso"}
    np.testing.assert_allclose(found.z["u_iso"], (u[1] - u[0]) / (esd * 2**0.5))
    told = found.agreements["u_iso"]
    assert told.count == 300
    assert told.mean == pytest.approx(0.0, abs=0.25)
    assert (told.deviation, told.robust_deviation) == pytest.approx((1.0, 1.0), abs=0.2)


def test_atoms_are_followed_through_a_series() -> None:
    sites = real_particle("sphere", 60)
    models = [model(sites), model(sites[5:]), model(np.concatenate([sites[5:30], sites[31:], sites[:1]]))]
    steps = [compare(models[0], models[1], move=False), compare(models[1], models[2], move=False)]
    tracks = follow(steps)
    assert len(tracks) == 61
    assert tracks[0].tolist() == [0, -1, -1]
    assert tracks[10].tolist() == [10, 5, 5]
    assert tracks[30].tolist() == [30, 25, -1]
    assert tracks[59].tolist() == [59, 54, 53]
    assert tracks[60].tolist() == [-1, -1, 54]


@settings(deadline=None, max_examples=30)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_q_values_are_those_of_scipy(p: list[float]) -> None:
    values = np.array(p)
    np.testing.assert_allclose(q_values(values), false_discovery_control(values), atol=1e-12)
    gap = np.concatenate([[np.nan], values])
    assert np.isnan(q_values(gap)[0])
    np.testing.assert_allclose(q_values(gap)[1:], q_values(values))


def test_scale_knows_its_own_uncertainty() -> None:
    rng = np.random.default_rng(2)
    found = [chi_square_scale(9 * rng.chisquare(3, 400)) for _ in range(300)]
    assert np.mean([s.value for s in found]) == pytest.approx(3.0, rel=0.01)
    assert np.std([s.value for s in found]) == pytest.approx(np.mean([s.esd for s in found]), rel=0.15)
    assert p_values(np.array([9 * 7.814727903]), 3.0)[0] == pytest.approx(0.05)
    assert agreement(np.full(3, np.nan)).count == 0
