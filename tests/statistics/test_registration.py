"""Planted motions, found again."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.options.build import ParticleShape
from atomfit.simulation.changes import changed
from atomfit.simulation.particles import particle
from atomfit.statistics.orientations import evenly_spread
from atomfit.statistics.registration import register
from atomfit.statistics.rigid import Motion, fit_motion, superpose
from atomfit.support.errors import InputError


def real_particle(shape: ParticleShape, size: int, seed: int = 0, jitter: float = 0.06) -> np.ndarray:
    """A particle whose atoms are off their sites: its orientation is one of a kind."""
    sites = particle(shape, "Pt", size, seed)
    return sites + np.random.default_rng(seed + 1000).normal(0, jitter, sites.shape)


def equal(n: int, sigma: float) -> np.ndarray:
    return np.tile(sigma**2 * np.eye(3), (n, 1, 1))


def angle_between(one: Motion, other: Motion) -> float:
    """Degrees."""
    return float(np.degrees(Rotation.from_matrix(one.rotation @ other.rotation.T).magnitude()))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("shape", "size"),
    [("sphere", 309), ("sphere", 711), ("decahedron", 6), ("icosahedron", 4), ("octahedron", 6)],
)
def test_planted_motions_are_found(shape: ParticleShape, size: int, seed: int) -> None:
    case = changed(real_particle(shape, size, seed), seed)
    found = register(case.a, case.b, equal(len(case.a), 0.05), equal(len(case.b), 0.05))
    assert found.how == "found"
    assert angle_between(found.motion, case.motion) < 6 * np.degrees(found.deviations[:3]).max() < 2.0
    off = found.motion(case.b) - case.motion(case.b)
    assert np.linalg.norm(off, axis=1).max() < 0.08
    assert found.scale == pytest.approx(1.0, abs=0.15)
    # The right pairs, and no moved atoms among them.
    i, j = found.pairs
    assert np.mean(case.origin[j] == i) > 0.995
    assert len(i) >= 0.98 * np.sum(case.statuses == "common")


def test_a_changed_surface_moves_the_middle_and_not_the_answer() -> None:
    whole = real_particle("sphere", 309)
    case = changed(whole, 3, lost=0, moved=0)
    cap = case.a[case.origin] @ np.array([0.6, 0.8, 0.0]) > 5.0
    b = case.b[~cap]
    assert np.linalg.norm(case.b.mean(axis=0) - b.mean(axis=0)) > 0.8
    assert angle_between(register(case.a, b).motion, case.motion) < 0.5


def test_a_cluster_without_noise_is_turned_as_little_as_can_be() -> None:
    sites = particle("icosahedron", "Pt", 4)
    turn = Rotation.from_rotvec([0.0, 25.0, 10.0], degrees=True).as_matrix()
    found = register(sites, sites @ turn + 3.0)
    assert found.motion.angle == pytest.approx(np.hypot(25.0, 10.0), abs=1e-3)
    assert found.equals == 59


def test_an_atom_on_a_perfect_cluster_fixes_its_orientation() -> None:
    sites = particle("octahedron", "Pt", 6)
    corner = sites[np.argmax(sites[:, 2])]
    a = np.concatenate([sites, [corner + [1.4, 0.3, 2.4]]])
    turn = Rotation.from_rotvec([170.0, 20.0, 10.0], degrees=True)
    rng = np.random.default_rng(0)
    found = register(a, turn.inv().apply(a + rng.normal(0, 0.03, a.shape)))
    assert angle_between(found.motion, Motion(turn.as_matrix(), np.zeros(3))) < 0.5


def test_frames_that_agree_are_only_refined() -> None:
    case = changed(real_particle("sphere", 135), 5, rotate=False)
    found = register(case.a, case.b + [0.2, -0.3, 0.1])
    assert found.how == "agreed"
    np.testing.assert_allclose(found.motion.translation, [-0.2, 0.3, -0.1], atol=0.05)
    assert found.scale == pytest.approx(0.05 * 2**0.5, rel=0.15)


def test_frames_can_be_left_as_they_are() -> None:
    case = changed(real_particle("sphere", 55), 5)
    found = register(case.a, case.b, move=False)
    assert found.how == "given"
    np.testing.assert_array_equal(found.motion(case.b), case.b)


def test_uncertainty_of_the_motion_is_honest() -> None:
    """Errors of the six parameters in their standard uncertainties, with uneven error bars."""
    sites = real_particle("sphere", 100)
    rng = np.random.default_rng(1)
    z = []
    for seed in range(60):
        esds_a, esds_b = rng.uniform(0.02, 0.15, (2, 100, 3))
        turn = Rotation.random(rng=rng).as_matrix()
        a = sites + esds_a * rng.normal(size=sites.shape)
        b = sites @ turn + esds_b * rng.normal(size=sites.shape) + 5.0
        covariances = [esds[:, :, None] ** 2 * np.eye(3) for esds in (esds_a, esds_b)]
        fitted = fit_motion(a, b, *covariances)
        small = Rotation.from_matrix(fitted.motion.rotation @ turn.T).as_rotvec()
        back = (fitted.centre - fitted.motion.translation) @ fitted.motion.rotation
        shift = fitted.centre - ((back - 5.0) @ turn.T)
        error = np.concatenate([small, shift])
        whitener = np.linalg.cholesky(np.linalg.inv(fitted.covariance))
        z.append(error @ whitener)
        assert seed > 2 or np.linalg.norm(small) < 0.02
    # 360 numbers: their deviation is known to 4 %.
    assert np.std(z) == pytest.approx(1.0, abs=0.12)


def test_uncertainty_is_honest_beside_moved_atoms() -> None:
    """The same of the whole registration, which has to leave out what moved."""
    z = []
    for seed in range(40):
        case = changed(real_particle("sphere", 120, seed), seed, rotate=False)
        found = register(case.a, case.b, equal(len(case.a), 0.05), equal(len(case.b), 0.05))
        centre = found.fitted.centre
        small = Rotation.from_matrix(found.motion.rotation).as_rotvec()
        back = (centre - found.motion.translation) @ found.motion.rotation
        z.append(np.concatenate([small, centre - back]) / found.deviations)
    # 240 numbers: their deviation is known to 5 %.
    assert np.std(z) == pytest.approx(1.0, abs=0.15)


def test_equal_weights_give_the_least_squares_of_scipy(rng: np.random.Generator) -> None:
    a = rng.normal(size=(20, 3))
    b = Rotation.random(rng=rng).apply(a) + rng.normal(0, 0.1, a.shape)
    expected, _ = Rotation.align_vectors(a - a.mean(axis=0), b - b.mean(axis=0))
    for motion in (superpose(a, b), fit_motion(a, b, equal(20, 0.1), equal(20, 0.1)).motion):
        np.testing.assert_allclose(motion.rotation, expected.as_matrix(), atol=1e-7)
        assert np.linalg.det(motion.rotation) == pytest.approx(1.0)


def test_a_mirror_image_is_not_laid_on_its_original() -> None:
    a = real_particle("sphere", 100, jitter=0.5)
    found = register(a, a * [1, 1, -1])
    assert np.linalg.det(found.motion.rotation) == pytest.approx(1.0)
    assert found.scale > 0.2


def test_rotations_leave_no_holes() -> None:
    spread = evenly_spread(20_000).as_quat()
    asked = Rotation.random(500, rng=np.random.default_rng(0)).as_quat()
    nearest = 2 * np.degrees(np.arccos(np.clip(np.abs(asked @ spread.T).max(axis=1), 0, 1)))
    assert nearest.max() < 10.0
    assert np.median(nearest) < 6.0


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_atoms_are_refused(n: int) -> None:
    with pytest.raises(InputError, match="--no-register"):
        register(np.eye(3)[:n], np.eye(3)[:n])


def test_other_units_are_refused() -> None:
    a = real_particle("sphere", 60)
    with pytest.raises(InputError, match=r"0\.2\d+ Å apart in one model and 2\.\d+ Å"):
        register(a, a / 10)


def test_an_atom_far_away_does_no_harm() -> None:
    case = changed(real_particle("sphere", 100), 2)
    b = np.concatenate([case.b, [[1e5, 0.0, 0.0]]])
    assert angle_between(register(case.a, b).motion, case.motion) < 1.0


def test_atoms_on_a_line_or_in_a_plane(rng: np.random.Generator) -> None:
    for used in (1, 2):
        a = np.cumsum(rng.uniform(2.0, 3.5, (12, 3)), axis=0) * (np.arange(3) < used)
        turn = Rotation.random(rng=rng)
        found = register(a, turn.inv().apply(a) + 4.0)
        np.testing.assert_allclose(found.motion(turn.inv().apply(a) + 4.0), a, atol=1e-6)
        assert np.all(np.isfinite(found.deviations))
