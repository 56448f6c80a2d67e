from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.inference.problem import Objective
from atomfit.noise.likelihood import StudentLoss
from atomfit.optimisation.ended import Ended
from atomfit.optimisation.first_order import LBFGS, Adam
from atomfit.optimisation.solvers import AbstractSolver
from atomfit.projection.images import Camera, draw_view
from atomfit.projection.images import series_of as images_of
from atomfit.projection.model import Drawn, EachView, TiltModel
from atomfit.projection.probe import make_probe
from atomfit.projection.views import TiltSeries, Views
from atomfit.simulation.particles import particle
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.support.errors import InputError
from atomfit.tilt_series.objective import objective_of, observed
from atomfit.tilt_series.parameters import parametrise
from atomfit.tilt_series.refinement import refine_against

PIXEL = 0.4
SHAPE = (44, 44)
draw_one = eqx.filter_jit(draw_view)


def series_of(
    positions: np.ndarray,
    views: int = 10,
    shifts: np.ndarray | None = None,
    noise: float = 0.0,
    seed: int = 0,
    gains: np.ndarray | None = None,
) -> TiltSeries:
    """Images of platinum atoms."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(-70, 70, views)
    geometry = Views.from_tilts(angles, "y", SHAPE)
    probe = jax.tree.map(jnp.asarray, make_probe("direct", 10.0))
    drawn = Drawn(
        jnp.asarray(positions, jnp.float32),
        jnp.full(len(positions), 0.25),
        jnp.full(len(positions), 7.0),
        probe,
    )
    camera = Camera.for_widths(PIXEL, SHAPE, 0.25, np.zeros(1), cutoff=6.0)
    images = []
    for k in range(views):
        shift = np.zeros(2) if shifts is None else shifts[k]
        each = (np.zeros(3), shift, 1.0 if gains is None else gains[k], 0.5)
        view = EachView(*(jnp.asarray(x, jnp.float32) for x in each))
        images.append(draw_one(drawn, view, geometry.rotations[k], geometry.centres[k], camera))
    stack = np.asarray(images, np.float64)
    stack = stack + noise * stack.max() * rng.normal(size=stack.shape)
    return TiltSeries(stack.astype(np.float32), np.ones(stack.shape, bool), PIXEL, geometry, np.zeros(3))


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    positions = particle("sphere", "Pt", 55)
    tilted = Rotation.from_rotvec([0.3, 0.5, 0.2]).apply(positions - positions.mean(axis=0))
    return np.asarray(tilted)


def rmsd(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum((a - b) ** 2, axis=1))))


def posterior_of(series: TiltSeries, positions: np.ndarray) -> Objective:
    n, v = len(positions), len(series)
    atoms = Atoms(
        positions.astype(np.float32),
        IsotropicDisplacements(np.full((n, 1), np.log(0.5), np.float32)),
        np.full(n, 1.0, np.float32),
        np.full(n, 78),
    )
    zeros = [np.zeros((v, *tail), np.float32) for tail in ((3,), (2,), ())]
    model = TiltModel(
        atoms, make_probe("rigid", 10.0), EachView(zeros[0], zeros[1], zeros[2] + 1, zeros[2])
    )
    names = frozenset(
        {"positions", "strengths", "log_widths", "probe", "shifts", "gains", "backgrounds", "turns"}
    )
    parameters = parametrise(model, names, frozenset({"positions", "strengths"}), np.zeros(n, int), PIXEL)
    count = len(parameters.flat(parameters.zeros()))
    camera = Camera.for_widths(PIXEL, SHAPE, 0.3, np.asarray(model.probe.variances))
    counted = series.counted.astype(np.float32)
    seen = observed(series.images, counted, series.views, camera, model)
    precisions = np.random.default_rng(0).uniform(0, 1, count).astype(np.float32)
    return objective_of(parameters, seen, np.zeros(count, np.float32), precisions)


def test_gradient_and_gauss_newton_products_are_those_of_finite_differences(truth: np.ndarray) -> None:
    posterior = posterior_of(series_of(truth[:6], views=3), truth[:6] + 0.1)
    parameters = posterior.parametrisation
    rng = np.random.default_rng(1)
    at = jnp.asarray(rng.normal(size=len(parameters.flat(parameters.zeros()))) * 0.5, jnp.float32)
    along = jnp.asarray(rng.normal(size=len(at)), jnp.float32)
    evaluate = eqx.filter_jit(lambda posterior, vector: posterior.evaluate(parameters.unflat(vector)))
    found = evaluate(posterior, at)
    up, down = (evaluate(posterior, at + step * along) for step in (0.02, -0.02))
    slope = float(up.value - down.value) / 0.04
    assert float(jnp.vdot(found.gradient, along)) == pytest.approx(slope, rel=0.01)
    # Where nothing is left, the Gauss-Newton matrix is that of second derivatives.
    draw = eqx.filter_jit(images_of)
    seen = posterior.observations[0]
    model = parameters.model(parameters.unflat(at))  # type: ignore[attr-defined]
    drawn = draw(model, seen.rotations, seen.centres, seen.camera)  # type: ignore[attr-defined]
    met = eqx.tree_at(lambda p: p.observations[0].data, posterior, drawn)
    up, down = (evaluate(met, at + step * along) for step in (0.02, -0.02))
    product = eqx.filter_jit(lambda posterior, at, x: posterior.curvature(parameters.unflat(at))[0](x))
    wanted = (up.gradient - down.gradient) / 0.04
    difference = np.abs(product(met, at, along) - wanted).max()
    assert difference < 0.02 * float(jnp.abs(wanted).max())


@pytest.mark.slow
def test_atoms_are_found_again_from_far_off(truth: np.ndarray) -> None:
    series = series_of(truth)
    start = truth + np.random.default_rng(0).normal(size=truth.shape) * 0.35
    fit = refine_against(series, start, np.full(len(truth), 78), 2.77)
    assert rmsd(fit.atoms.positions, truth) < 0.002
    np.testing.assert_allclose(np.exp(2 * fit.atoms.displacements.log_widths), 0.25, atol=1e-3)
    np.testing.assert_allclose(fit.atoms.amplitudes, 7.0, rtol=2e-3)
    np.testing.assert_allclose(fit.views.backgrounds, 0.5, atol=0.01)
    assert fit.correlations.min() > 0.9999
    assert fit.r_factors.max() < 0.01


@pytest.mark.slow
def test_drift_and_gains_are_told_from_atoms(truth: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    shifts, gains = rng.normal(size=(10, 2)) * 0.4, rng.uniform(0.8, 1.2, 10)
    # One that no gradient finds back from.
    shifts[3] = 3.0, -2.5
    series = series_of(truth, shifts=shifts, gains=gains)
    start = truth + rng.normal(size=truth.shape) * 0.1
    fit = refine_against(
        series, start, np.full(len(truth), 78), 2.77, free_views=("shifts", "gains", "backgrounds")
    )
    # Drift that a shift of all atoms would make cannot be told from one.
    found = fit.atoms.positions - fit.atoms.positions.mean(axis=0)
    assert rmsd(found, truth - truth.mean(axis=0)) < 0.003
    np.testing.assert_allclose(fit.views.gains, gains / gains.mean(), rtol=2e-3)
    across = series.views.rotations[:, :2].reshape(-1, 3)
    np.testing.assert_allclose(across.T @ fit.views.shifts.ravel(), 0, atol=1e-3)


@pytest.mark.slow
def test_views_that_are_held_out_are_predicted(truth: np.ndarray) -> None:
    series = series_of(truth, noise=0.05)
    held = np.arange(10) % 5 == 2
    spoilt = series.images.copy()
    spoilt[held] += 100
    start = truth + 0.05
    numbers = np.full(len(truth), 78)
    fit = refine_against(series, start, numbers, 2.77, held_out=held, anneal=False)
    other = TiltSeries(spoilt, series.counted, PIXEL, series.views, series.centre)
    same = refine_against(other, start, numbers, 2.77, held_out=held, anneal=False)
    # The unit is that of all images, so the two fits differ by rounding errors.
    np.testing.assert_allclose(fit.atoms.positions, same.atoms.positions, atol=1e-3)
    assert fit.correlations[held].min() > 0.9


def test_pixels_that_do_not_count_may_hold_anything(truth: np.ndarray) -> None:
    series = series_of(truth)
    counted = np.ones(series.images.shape, bool)
    counted[:, :, :12] = False
    images = np.where(counted, series.images, np.nan).astype(np.float32)
    masked = TiltSeries(images, counted, PIXEL, series.views, np.zeros(3))
    fit = refine_against(masked, truth + 0.05, np.full(len(truth), 78), 2.77, anneal=False)
    assert rmsd(fit.atoms.positions, truth) < 0.002


def test_frozen_atoms_stay(truth: np.ndarray) -> None:
    start = truth + np.random.default_rng(0).normal(size=truth.shape) * 0.1
    frozen = np.arange(len(truth)) % 3 == 0
    start[frozen] = truth[frozen]
    fit = refine_against(
        series_of(truth), start, np.full(len(truth), 78), 2.77, frozen=frozen, anneal=False
    )
    np.testing.assert_allclose(fit.atoms.positions[frozen], truth[frozen], atol=1e-5)
    assert rmsd(fit.atoms.positions, truth) < 0.002


@pytest.mark.slow
def test_orientations_are_found_up_to_a_common_one(truth: np.ndarray) -> None:
    series = series_of(truth)
    rng = np.random.default_rng(7)
    turns = Rotation.from_rotvec(rng.normal(size=(10, 3)) * 0.02).as_matrix()
    wrong = Views(turns @ series.views.rotations, series.views.centres)
    given = TiltSeries(series.images, series.counted, PIXEL, wrong, np.zeros(3))
    numbers = np.full(len(truth), 78)
    fit = refine_against(
        given, truth + 0.02, numbers, 2.77, anneal=False, free_views=("turns", "backgrounds")
    )
    in_specimen = np.einsum("vkm,vk->vm", wrong.rotations, fit.views.turns)
    np.testing.assert_allclose(in_specimen.mean(axis=0), 0, atol=1e-3)
    frames = Rotation.from_rotvec(fit.views.turns).as_matrix() @ wrong.rotations
    off = Rotation.from_matrix(np.swapaxes(series.views.rotations, 1, 2) @ frames)
    # All that is left is one rotation, which the atoms have made as well.
    apart = (off.mean().inv() * off).magnitude()
    assert np.degrees(apart).max() < 0.1
    _, residual = Rotation.align_vectors(
        fit.atoms.positions - fit.atoms.positions.mean(axis=0), truth - truth.mean(axis=0)
    )
    assert residual / np.sqrt(len(truth)) < 0.005


@pytest.mark.slow
def test_other_things_in_the_images_do_not_move_atoms(truth: np.ndarray) -> None:
    series = series_of(truth, noise=0.01)
    spoilt = series.images.copy()
    rng = np.random.default_rng(9)
    spoilt[rng.random(spoilt.shape) < 0.01] += 3 * spoilt.max()
    given = TiltSeries(spoilt, series.counted, PIXEL, series.views, np.zeros(3))
    numbers = np.full(len(truth), 78)
    plain, robust = (
        refine_against(given, truth + 0.02, numbers, 2.77, anneal=False, likelihood=loss)
        for loss in (None, StudentLoss())
    )
    assert rmsd(robust.atoms.positions, truth) < 0.2 * rmsd(plain.atoms.positions, truth)


def test_what_is_known_of_moves_holds_atoms_back(truth: np.ndarray) -> None:
    series = series_of(truth, noise=0.3)
    start = truth + np.random.default_rng(0).normal(size=truth.shape) * 0.02
    numbers = np.full(len(truth), 78)
    free, held = (
        refine_against(series, start, numbers, 2.77, anneal=False, known_positions=sigma)
        for sigma in (None, 0.02)
    )
    assert rmsd(held.atoms.positions, start) < 0.6 * rmsd(free.atoms.positions, start)
    assert rmsd(held.atoms.positions, truth) < rmsd(free.atoms.positions, truth)


@pytest.mark.parametrize("solver", [LBFGS(), Adam()], ids=["lbfgs", "adam"])
def test_every_solver_ends_at_the_same_atoms(truth: np.ndarray, solver: AbstractSolver) -> None:
    few = truth[:12]
    series, numbers = series_of(few, views=8, noise=0.02), np.full(12, 78)
    start = few + np.random.default_rng(3).normal(0, 0.1, few.shape)
    usual, other = (
        refine_against(series, start, numbers, 2.77, anneal=False, solver=each) for each in (None, solver)
    )
    errors = rmsd(usual.positions, few)
    assert 0.001 < errors < 0.02
    # What is left to gain is far less than noise makes of the atoms.
    assert rmsd(other.positions, usual.positions) < 0.1 * errors
    np.testing.assert_allclose(other.atoms.amplitudes, usual.atoms.amplitudes, rtol=1e-3)
    assert other.reason == Ended.CONVERGED
    cut = refine_against(series, start, numbers, 2.77, anneal=False, solver=solver, max_iterations=1)
    assert cut.reason == Ended.ITERATION_LIMIT
    assert len(cut.history) == solver.chunk < len(other.history)


def test_what_is_no_series_is_refused() -> None:
    views = Views.from_tilts(np.array([0.0, 10.0]), "y", (4, 4))
    images = np.zeros((3, 4, 4), np.float32)
    with pytest.raises(InputError, match="3 images and 2 views"):
        TiltSeries(images, np.ones(images.shape, bool), 0.4, views, np.zeros(3))
    with pytest.raises(InputError, match="view 1 is no rotation"):
        Views(np.stack([np.eye(3), np.diag([1.0, 1, -1])]), np.zeros((2, 2)))
    spoilt = np.zeros((2, 4, 4), np.float32)
    spoilt[1, 2, 2] = np.nan
    with pytest.raises(InputError, match="image 1"):
        TiltSeries(spoilt, np.ones(spoilt.shape, bool), 0.4, views, np.zeros(3))


def test_a_term_is_minus_the_logarithm_of_a_probability(truth: np.ndarray) -> None:
    """Normal deviations from where atoms are expected are what `known_positions` says of them."""
    series, numbers = series_of(truth, noise=0.3, seed=5), np.full(len(truth), 78)
    expected = truth + np.random.default_rng(6).normal(0, 0.05, truth.shape)

    def springs(atoms: Atoms) -> jax.Array:
        return 0.5 * jnp.sum((jnp.asarray(atoms.positions) - expected) ** 2) / 0.05**2

    known = refine_against(series, expected, numbers, 2.77, known_positions=0.05, anneal=False)
    term = refine_against(series, expected, numbers, 2.77, terms=(springs,), anneal=False)
    free = refine_against(series, expected, numbers, 2.77, anneal=False)
    away = np.abs(free.positions - known.positions).max()
    assert np.abs(term.positions - known.positions).max() < 0.1 * away
    errors = [np.sqrt(np.mean((fit.positions - truth) ** 2)) for fit in (term, free)]
    assert errors[0] < 0.9 * errors[1]


def test_a_term_is_of_atoms_as_a_user_has_them(truth: np.ndarray) -> None:
    """In the images' frame and units, whatever those of the fit."""
    moved = truth + [10.0, -5.0, 3.0]
    series, numbers = series_of(truth, noise=0.05, seed=5), np.full(len(truth), 78)
    series = replace(series, centre=np.array([10.0, -5.0, 3.0]))
    seen = []

    def look(atoms: Atoms) -> jax.Array:
        jax.debug.callback(lambda x, a: seen.append((x, a)), atoms.positions, atoms.amplitudes)
        return 0.0 * jnp.sum(jnp.asarray(atoms.positions))

    fit = refine_against(series, moved, numbers, 2.77, terms=(look,), anneal=False)
    jax.effects_barrier()
    positions, amplitudes = seen[-1]
    np.testing.assert_allclose(positions, fit.positions, atol=0.05)
    np.testing.assert_allclose(amplitudes, fit.atoms.amplitudes, rtol=0.1)
