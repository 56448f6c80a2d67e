"""DOI without the bias of noise: planted matrices with noise of known covariance, and slow likelihoods."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float
from scipy.linalg import logm
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from atomfit.files.columns import table
from atomfit.fitting.prior import MapAlone
from atomfit.results.build import BuildResult
from atomfit.statistics.displacements import principal_displacements
from atomfit.statistics.isotropy import found_round, isotropies
from atomfit.statistics.isotropy_likelihood import likelihoods
from atomfit.statistics.matrix_logarithms import basis, logarithms
from atomfit.statistics.mixing import Mixing
from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements

N = 600
#: Standard deviations of the logarithm's diagonal: of peaks eight and twelve times the noise of a voxel.
NOISY, CLEAR = 0.1, 0.06
CORE, SURFACE = 12.0, 8.0
POPULATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "0.3 to 1": lambda surface, rng: rng.uniform(0.3, 1, len(surface)),
    "1": lambda surface, rng: np.full(len(surface), 1.0),
    "0.6": lambda surface, rng: np.full(len(surface), 0.6),
    "core 1, surface 0.6": lambda surface, rng: np.where(surface, 0.6, 1.0),
}


def exponential(logs: Float[np.ndarray, "*n 6"]) -> Float[np.ndarray, "*n 6"]:
    values, axes = np.linalg.eigh(np.asarray(matrices_of_elements(logs)))
    return np.asarray(
        elements_of_matrices(np.einsum("...ij,...j,...kj->...ik", axes, np.exp(values), axes))
    )


def planted(
    population: str, noise: float, seed: int = 0, n: int = N
) -> tuple[np.ndarray, np.ndarray, MapAlone]:
    """True DOI, coordination and matrices with noise, which is the same in the logarithms of all."""
    rng = np.random.default_rng(seed)
    coordination = rng.permutation(np.where(np.arange(n) < n // 2, CORE, SURFACE))
    doi = POPULATIONS[population](coordination == SURFACE, rng)
    middle = np.where(rng.random(n) < 0.5, doi, 1.0)
    values = np.log(0.25 * np.column_stack([np.ones(n), middle, doi]))
    axes = Rotation.random(n, rng=rng).as_matrix()
    truth = np.einsum("nik,nk,njk->nij", axes, values, axes)
    scale = noise * np.array([1, 1, 1, 0.5**0.5, 0.5**0.5, 0.5**0.5])
    logs = np.asarray(elements_of_matrices(truth)) + scale * rng.normal(size=(n, 6))
    steps = 1e-5 * np.eye(6)
    slopes = (exponential(logs[:, None] + steps) - exponential(logs[:, None] - steps)) / 2e-5
    spread = slopes * scale[:, None]
    u = exponential(logs)
    return doi, coordination, MapAlone(u, np.linalg.inv(np.swapaxes(spread, 1, 2) @ spread), u)


def plain(alone: MapAlone) -> Float[np.ndarray, " n"]:
    matrices = np.asarray(matrices_of_elements(alone.displacements))
    return principal_displacements(matrices).degree_of_isotropy


def shrunk(alone: MapAlone) -> Float[np.ndarray, " n"]:
    """The anisotropic part of each matrix by itself, drawn to zero as James and Stein do."""
    turn = np.zeros((5, 6))
    turn[:2, :3] = np.eye(3)[1:] - 1 / 3
    turn[2:, 3:] = np.eye(3)
    a, c = alone.displacements @ turn.T, turn @ alone.covariances @ turn.T
    strength = np.einsum("ni,nij,nj->n", a, np.linalg.inv(c), a)
    part = np.sqrt(np.maximum(1 - 5 / strength, 0))[:, None, None]
    matrices = np.asarray(matrices_of_elements(alone.displacements))
    sphere = np.trace(matrices, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    return principal_displacements(sphere + part * (matrices - sphere)).degree_of_isotropy


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


@pytest.mark.parametrize("noise", [NOISY, CLEAR])
@pytest.mark.parametrize("population", POPULATIONS)
def test_planted_isotropy(population: str, noise: float) -> None:
    truth, coordination, alone = planted(population, noise)
    found = isotropies(alone, coordination)
    error = found.means - truth
    assert abs(error.mean()) < 0.02
    assert rms(error) < 0.9 * min(rms(plain(alone) - truth), rms(shrunk(alone) - truth))
    assert np.mean(found.means > 0.999) < 0.05
    # Of alike atoms all is known but what the distribution is, which errs less than it may.
    within = (0.85, 1.25) if population == "0.3 to 1" else (0.2, 1.0)
    assert within[0] < rms(error / found.deviations) < within[1]
    assert rms(found.deviations) < 0.15
    assert found.distribution.sum() == pytest.approx(1)
    assert found.distribution @ found.values == pytest.approx(truth.mean(), abs=0.02)


def test_rivals_are_biased() -> None:
    """What is compared with is what it is meant to be: round atoms look flat, or heap at one."""
    _, _, alone = planted("1", NOISY)
    assert plain(alone).mean() < 0.8
    assert np.mean(shrunk(alone) == 1) > 0.5


def test_the_distribution_is_as_wide_as_the_true_one() -> None:
    """Estimates are narrower than the truth where noise is large, and the distribution is not."""
    truth, coordination, alone = planted("0.3 to 1", 0.3, n=1000)
    found = isotropies(alone, coordination)
    width = np.sqrt(found.distribution @ (found.values - found.distribution @ found.values) ** 2)
    assert found.means.std() < 0.8 * truth.std()
    assert width == pytest.approx(truth.std(), rel=0.25)


def test_coordination_tells_core_and_surface_apart() -> None:
    truth, coordination, alone = planted("core 1, surface 0.6", 0.2)
    apart = rms(isotropies(alone, coordination).means - truth)
    together = rms(isotropies(alone, np.full(N, CORE)).means - truth)
    assert apart < 0.7 * together


def test_logarithms_against_scipy() -> None:
    _, _, alone = planted("0.3 to 1", CLEAR, n=20)
    a, w, known = logarithms(alone.displacements, alone.information, alone.fitted)
    assert known.all()
    logs = np.array([logm(u) for u in np.asarray(matrices_of_elements(alone.displacements))])
    np.testing.assert_allclose(a, np.einsum("nij,kij->nk", logs, basis()[1:]), atol=1e-10)
    # The planted noise is as large in all directions.
    np.testing.assert_allclose(w, np.tile(np.eye(5) / CLEAR**2, (20, 1, 1)), atol=1e-3 / CLEAR**2)


def test_a_logarithm_is_linear_about_what_was_fitted() -> None:
    _, _, alone = planted("0.3 to 1", 1e-3, n=20)
    elsewhere = exponential(1e-3 * np.random.default_rng(1).normal(size=(20, 6)))
    near = np.asarray(matrices_of_elements(elsewhere)) @ np.asarray(matrices_of_elements(alone.fitted))
    fitted = np.asarray(elements_of_matrices((near + np.swapaxes(near, 1, 2)) / 2))
    direct = logarithms(alone.displacements, alone.information, alone.fitted)[0]
    step = logarithms(alone.displacements, alone.information, fitted)[0]
    away = logarithms(fitted, alone.information, fitted)[0]
    assert rms(away - direct) > 5e-4
    np.testing.assert_allclose(step, direct, atol=2e-5)


@pytest.mark.parametrize("size", [0.0, 0.2, 0.8])
def test_likelihoods_against_random_orientations(size: float) -> None:
    rng = np.random.default_rng(3)
    a = size * np.array([0.5, -0.3, 0.6, 0.2, 0.4])
    root = 6 * np.eye(5) + rng.normal(size=(5, 5))
    w, nodes = root @ root.T, np.linspace(0, 1.5, 7)
    each = [likelihoods(a[None], w[None], nodes, seed, 2048)[0] for seed in range(8)]
    ours = np.mean([one / one.sum() for one in each], axis=0)
    axes = Rotation.random(100_000, rng=rng).as_matrix()
    slow = np.empty_like(ours)
    for k in range(7):
        b = rng.uniform(k / 5, (k + 1) / 5, len(axes)) if k < 5 else np.full(len(axes), k - 5.0)
        values = np.stack([np.zeros_like(b), 1 - b, np.ones_like(b)], axis=1)
        directions = np.einsum("nik,nk,njk,mij->nm", axes, values, axes, basis()[1:], optimize=True)
        for i, r in enumerate(nodes):
            left = a - r * directions
            slow[i, k] = np.mean(np.exp(-0.5 * np.einsum("nk,kl,nl->n", left, w, left, optimize=True)))
    np.testing.assert_allclose(ours, slow / slow.sum(), atol=0.03 * (slow / slow.sum()).max())


def test_mixing_counts_what_is_certain() -> None:
    """Atoms that are each of one value for sure: shares of all atoms, or of each coordination."""
    counts = np.array([300, 100])
    which = np.repeat([0, 1], counts)
    likelihoods_of = np.eye(2)[which]
    vague = np.full(2, 0.5)
    mixed = Mixing(likelihoods_of, np.tile([6.0, 12.0], 200), vague)
    np.testing.assert_allclose(mixed.at(np.array([6.0])).mean(axis=(0, 1)), counts / 400, atol=0.04)
    apart = Mixing(likelihoods_of, 6.0 + 6.0 * which, vague).chosen()
    assert np.isfinite(apart.width)
    shares = apart.at(np.array([6.0, 12.0])).mean(axis=1)
    assert shares[0, 0] > 0.97
    assert shares[1, 1] > 0.97


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rotations_change_nothing_but_draws(seed: int) -> None:
    _, coordination, alone = planted("0.3 to 1", NOISY, n=300)
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()

    def turned(elements: np.ndarray) -> np.ndarray:
        return np.asarray(elements_of_matrices(turn @ np.asarray(matrices_of_elements(elements)) @ turn.T))

    of_elements = turned(np.eye(6)).T
    back = np.linalg.inv(of_elements)
    u = turned(alone.displacements)
    other = isotropies(MapAlone(u, back.T @ alone.information @ back, u), coordination)
    found = isotropies(alone, coordination)
    assert rms(other.means - found.means) < 0.25 * rms(found.deviations)
    assert abs(np.mean(other.means - found.means)) < 0.005
    np.testing.assert_allclose(rms(other.deviations), rms(found.deviations), rtol=0.1)


def test_a_seed_gives_the_same_numbers() -> None:
    _, coordination, alone = planted("0.3 to 1", NOISY, n=200)
    first, same, other = (isotropies(alone, coordination, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.means, same.means)
    np.testing.assert_array_equal(first.deviations, same.deviations)
    assert 0 < rms(other.means - first.means) < 0.3 * rms(first.deviations)


def test_what_is_not_known_is_empty_and_changes_no_other() -> None:
    _, coordination, alone = planted("0.3 to 1", NOISY, n=101)
    displacements, information, fitted = (
        alone.displacements.copy(),
        alone.information.copy(),
        alone.fitted.copy(),
    )
    information[0] = np.nan
    displacements[1] = np.nan
    fitted[2, 0] = -0.1
    displacements[3] = 20 * fitted[3] * np.array([1, -1, 1, 1, 1, 1])
    found = isotropies(MapAlone(displacements, information, fitted), coordination)
    assert np.isnan(found.means[:4]).all()
    assert np.isnan(found.deviations[:4]).all()
    rest = MapAlone(displacements[4:], information[4:], fitted[4:])
    np.testing.assert_array_equal(found.means[4:], isotropies(rest, coordination[4:]).means)


def test_atoms_that_are_not_learned_from_are_told_of() -> None:
    truth, coordination, alone = planted("1", NOISY, n=200)
    # Half of the atoms are flat, as at a bound of a fit.
    bad = np.arange(200) >= 100
    u = np.where(bad[:, None], exponential(np.array([0.0, 0.0, -2.0, 0, 0, 0]) - 1.4), alone.displacements)
    spoilt = replace(alone, displacements=u, fitted=u)
    found = isotropies(spoilt, coordination, ~bad)
    assert abs(np.mean(found.means[~bad] - truth[~bad])) < 0.07
    assert np.isfinite(found.means).all()
    learned = isotropies(spoilt, coordination)
    assert learned.distribution @ learned.values < found.distribution @ found.values - 0.2
    assert np.isnan(isotropies(alone, coordination, np.zeros(200, bool)).means).all()


@pytest.mark.parametrize("n", [0, 1])
def test_no_atom_and_one(n: int) -> None:
    _, coordination, alone = planted("0.6", CLEAR, n=2)
    few = MapAlone(alone.displacements[:n], alone.information[:n], alone.fitted[:n])
    found = isotropies(few, coordination[:n])
    assert found.means.shape == (n,)
    assert np.all((found.means > 0.3) & (found.means < 0.9))
    assert np.all(found.deviations > 0.02)


@pytest.mark.parametrize("s", [1, 3])
def test_other_shapes_have_no_isotropy_without_bias(s: int) -> None:
    u = np.full((5, s), 0.2)
    found = isotropies(MapAlone(u, np.tile(np.eye(s), (5, 1, 1)), u), np.full(5, 12.0))
    assert np.isnan(found.means).all()
    assert np.isnan(found.deviations).all()


def test_an_atom_without_information_is_like_the_others() -> None:
    truth, _, alone = planted("0.3 to 1", CLEAR)
    information = alone.information.copy()
    information[0] *= 1e-20
    found = isotropies(replace(alone, information=information), np.full(N, CORE))
    assert found.means[0] == pytest.approx(truth.mean(), abs=0.03)
    assert found.deviations[0] == pytest.approx(truth.std(), abs=0.03)


def test_a_blur_of_all_atoms_is_taken_off_first() -> None:
    _, coordination, alone = planted("0.3 to 1", CLEAR, n=100)
    blur = np.diag([0.3, 0.1, 0.1])
    wide = alone.displacements + np.array([0.3, 0.1, 0.1, 0, 0, 0])
    without = MapAlone(wide, alone.information, wide).without(blur)
    np.testing.assert_allclose(
        isotropies(without, coordination).means, isotropies(alone, coordination).means, atol=1e-6
    )


@pytest.mark.parametrize("d", [2, 3])
def test_round_atoms_are_found_as_often_as_chance_has_it(d: int, rng: np.random.Generator) -> None:
    n, count = 4000, d * (d + 1) // 2
    sphere = np.where(np.arange(count) < d, 0.2, 0.0)
    root = 0.01 * (np.eye(count) + 0.3 * rng.normal(size=(count, count)))
    u = sphere + rng.normal(size=(n, count)) @ root.T
    information = np.tile(np.linalg.inv(root @ root.T), (n, 1, 1))
    found = found_round(MapAlone(u, information, u))
    expected = chi2.cdf(count - 1, count - 1)
    assert found.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))
    long = u + np.where(np.arange(count) == 0, 0.2, 0.0)
    assert not found_round(MapAlone(long, information, long)).any()
    assert not found_round(MapAlone(u, np.full_like(information, np.nan), u)).any()


def test_isotropic_atoms_have_no_anisotropy_to_find() -> None:
    u = np.full((5, 1), 0.2)
    assert not found_round(MapAlone(u, np.ones((5, 1, 1)), u)).any()


def test_columns_of_a_result(small_result: BuildResult) -> None:
    """Atoms at a bound tell others nothing, and flags are of each atom by itself."""
    joint, columns = small_result.joint, table(small_result)
    assert joint is not None
    found = isotropies(joint.alone, columns["cn"].astype(float), ~joint.at_bound)
    np.testing.assert_array_equal(columns["doi_debiased"], found.means)
    np.testing.assert_array_equal(columns["doi_debiased_esd"], found.deviations)
    assert np.isfinite(found.means).all()
    assert columns["doi_debiased"].mean() > columns["doi"].mean()
    flagged = ["no_anisotropy_found" in flags for flags in columns["flags"]]
    np.testing.assert_array_equal(flagged, found_round(joint.alone))
    assert 0 < np.mean(flagged) < 1
