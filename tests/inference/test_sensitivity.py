"""Derivatives of the minimum: against finite differences, linear algebra, and the error bars."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.pose import pose
from atomfit.fitting.problem import JointProblem
from atomfit.gaussians.bounded import BoundedAtoms
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.uncertainty import uncertainty
from atomfit.inference.problem import Objective
from atomfit.inference.sensitivity import refined, stationary
from atomfit.noise.sources import measure_noise
from atomfit.rendering import Gaussians, render_reference
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element

PT = element("Pt")
NOISE = 0.03
MEAN_ATOM = MeanAtom(1.0, 0.2, 0.0, 0.2 * np.eye(3), 13)
#: What central differences in float32 lose to rounding and to a step of finite size.
TOLERANCE = 5e-3


class Springs(eqx.Module):
    """Distances from the first atom, each drawn towards one length."""

    length: jax.Array
    strength: jax.Array

    def __call__(self, model: BoundedAtoms) -> jax.Array:
        positions = jnp.asarray(model.atoms.positions)
        distances = jnp.linalg.norm(positions[1:13] - positions[0], axis=1)
        return 0.5 * self.strength * jnp.sum((distances - self.length) ** 2)


class Stiffness(eqx.Module):
    """Widths, each drawn towards one logarithm."""

    strength: jax.Array

    def __call__(self, model: BoundedAtoms) -> jax.Array:
        widths = jnp.asarray(model.atoms.displacements.log_widths)[:13]  # type: ignore[attr-defined]
        return 0.5 * self.strength * jnp.sum((widths - np.log(0.5)) ** 2)


@pytest.fixture(scope="module")
def case() -> Simulation:
    return simulate(shape="icosahedron", size=2, noise=NOISE, rotate="random", jitter=0.1, seed=5)


@pytest.fixture(scope="module")
def problem(case: Simulation) -> JointProblem:
    springs = Springs(jnp.float32(2.6), jnp.float32(10.0))
    return pose(case.map, case.positions, MEAN_ATOM, PT, terms=(springs, Stiffness(jnp.float32(20.0))))


def coordinate(posterior: Objective) -> jax.Array:
    """x of an atom, from where it started (Å)."""
    free = refined(posterior, posterior.parametrisation.zeros())
    return posterior.parametrisation(free)[0].moves[3, 0]  # type: ignore[attr-defined]


def displacement(posterior: Objective) -> jax.Array:
    """U_iso of an atom (Å²)."""
    free = refined(posterior, posterior.parametrisation.zeros())
    return jnp.trace(posterior.parametrisation(free)[0].atoms.matrices()[2]) / 3


def check(
    answer: Callable[[Objective], jax.Array],
    posterior: Objective,
    leaf: Callable[[Objective], jax.Array],
    direction: np.ndarray,
    step: float,
) -> None:
    """The derivative of an answer along a direction of one leaf, by central differences."""

    def along(t: float) -> float:
        moved = np.asarray(leaf(posterior) + t * direction, np.float32)
        return float(answer(eqx.tree_at(leaf, posterior, jnp.asarray(moved))))

    expected = (along(step) - along(-step)) / (2 * step)
    found = float(np.vdot(np.asarray(leaf(eqx.filter_grad(answer)(posterior)), np.float64), direction))
    # Hundreds of times what rounding does to the answer.
    assert abs(expected) * step > 3e-5
    assert found == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [coordinate, displacement])
def test_by_the_map(problem: JointProblem, answer: Callable, rng: np.random.Generator) -> None:
    posterior = jax.tree.map(jnp.asarray, problem.objective)
    slope = np.asarray(eqx.filter_grad(answer)(posterior).observations[0].data)
    # Voxels at random hardly move an atom; these are random and still have a signal.
    direction = slope * rng.uniform(0, 2, slope.shape) / np.linalg.norm(slope)
    check(answer, posterior, lambda p: p.observations[0].data, direction, 0.03)


@pytest.mark.slow
def test_by_the_weights(problem: JointProblem, rng: np.random.Generator) -> None:
    weights = np.asarray(problem.observation.counted, np.float32)  # type: ignore[attr-defined]
    posterior = eqx.tree_at(lambda p: p.observations[0].counted, problem.objective, weights)
    posterior = jax.tree.map(jnp.asarray, posterior)
    half = np.arange(weights.shape[2]) > weights.shape[2] // 2
    direction = weights * half * rng.uniform(0.5, 1, weights.shape)
    check(coordinate, posterior, lambda p: p.observations[0].counted, direction, 0.1)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_by_the_terms(problem: JointProblem) -> None:
    posterior = jax.tree.map(jnp.asarray, problem.objective)
    check(coordinate, posterior, lambda p: p.priors[1].term.length, np.ones(()), 0.05)


@pytest.mark.slow
def test_by_the_terms_of_widths(problem: JointProblem) -> None:
    posterior = jax.tree.map(jnp.asarray, problem.objective)
    check(displacement, posterior, lambda p: p.priors[2].term.strength, np.ones(()), 1.0)


@pytest.mark.slow
def test_by_the_strength_of_a_restraint(problem: JointProblem) -> None:
    posterior = jax.tree.map(jnp.asarray, problem.objective)
    check(coordinate, posterior, lambda p: p.priors[1].term.strength, np.ones(()), 0.3)


@pytest.mark.slow
def test_forwards_as_backwards(problem: JointProblem, rng: np.random.Generator) -> None:
    posterior = jax.tree.map(jnp.asarray, problem.objective)
    tangent = rng.normal(size=posterior.observations[0].data.shape).astype(np.float32)

    def along(t: jax.Array) -> jax.Array:
        return coordinate(
            eqx.tree_at(
                lambda p: p.observations[0].data, posterior, posterior.observations[0].data + t * tangent
            )
        )

    forward = jax.jvp(along, (jnp.zeros(()),), (jnp.ones(()),))[1]
    assert float(forward) == pytest.approx(float(jax.grad(along)(jnp.zeros(()))), rel=1e-3)


@pytest.mark.slow
def test_by_the_weights_of_spatial_frequencies(rng: np.random.Generator) -> None:
    case = simulate(
        shape="icosahedron", size=2, noise=NOISE, noise_correlation=0.6, jitter=0.1, seed=5, box=72
    )
    noise = measure_noise(case.map, case.positions, 0.2)
    assert noise is not None
    assert not noise.white
    posterior = pose(case.map, case.positions, MEAN_ATOM, PT, noise=noise).objective
    posterior = jax.tree.map(jnp.asarray, posterior)
    weights = np.asarray(posterior.observations[0].noise.weights)  # type: ignore[attr-defined]
    direction = weights * rng.uniform(0, 1, weights.shape) * (np.arange(weights.shape[2]) < 6)
    check(coordinate, posterior, lambda p: p.observations[0].noise.weights, direction, 0.2)  # type: ignore[attr-defined]


def test_linear_least_squares_against_the_pseudoinverse(case: Simulation) -> None:
    """Places and widths frozen, amplitudes and background are linear in the map."""
    problem = pose(case.map, case.positions, MEAN_ATOM, PT, frozen=("positions", "displacements"))
    posterior, model = problem.objective, problem.model(problem.parametrisation.zeros())

    def amplitude(values: jax.Array) -> jax.Array:
        moved = eqx.tree_at(lambda p: p.observations[0].data, posterior, values)
        free = refined(moved, problem.parametrisation.zeros())
        return problem.parametrisation(free)[0].amplitudes[4]

    found = jax.grad(amplitude)(jnp.asarray(posterior.observations[0].data))
    grid, region = problem.region.grid, problem.region
    columns = [np.ones(region.voxels)]
    for x in np.asarray(model.atoms.positions, np.float64)[:13]:
        one = Gaussians(x[None] + grid.origin, MEAN_ATOM.matrix[None], np.ones(1))
        columns.append(np.asarray(render_reference(one, grid), np.float64)[region.mask])
    expected = np.zeros(grid.shape)
    expected[region.mask] = np.linalg.pinv(np.stack(columns, axis=1))[1 + 4]
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_what_is_no_minimum_has_no_derivative(problem: JointProblem) -> None:
    """An atom two widths from its place: some way the objective curves down, and H⁻¹ is not found."""
    parametrisation = problem.parametrisation
    away = parametrisation.flat(parametrisation.zeros()).at[0].add(5.0)

    def coordinate(values: jax.Array) -> jax.Array:
        moved = eqx.tree_at(lambda p: p.observations[0].data, problem.objective, values)
        free = stationary(moved, parametrisation.unflat(away))
        return parametrisation(free)[0].positions[0, 0]

    slope = jax.grad(coordinate)(jnp.asarray(problem.observation.data))
    assert np.all(np.isnan(slope[problem.region.mask]))


@pytest.mark.slow
def test_noise_through_the_derivative_is_the_error_bar(problem: JointProblem) -> None:
    """σ |dx/dmap| is the standard uncertainty that the Fisher information gives."""
    posterior = eqx.tree_at(
        lambda p: [prior.term.strength for prior in p.priors[1:]], problem.objective, [jnp.zeros(())] * 2
    )
    posterior = jax.tree.map(jnp.asarray, posterior)
    slope = np.asarray(eqx.filter_grad(coordinate)(posterior).observations[0].data)
    atoms = problem.model(refined(posterior, problem.parametrisation.zeros())).atoms[:13]
    u = np.asarray(atoms.matrices(), np.float64)
    fitted = FittedAtoms(
        np.asarray(atoms.positions, np.float64),
        np.asarray(atoms.amplitudes, np.float64),
        np.trace(u, axis1=1, axis2=2) / 3,
        u,
    )
    known = uncertainty(fitted, NOISE, float(np.prod(problem.region.grid.spacing)))
    assert NOISE * np.linalg.norm(slope) == pytest.approx(known.deviations[3, 0], rel=0.05)
