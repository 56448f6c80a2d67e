"""Gauss-Newton: its matrix against a dense one, its steps against hard starts."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from atomfit.detection.detect import detect
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.fitting.pose import pose
from atomfit.gaussians.bounded import BoundedAtoms
from atomfit.gaussians.neighbours import neighbour_table
from atomfit.gaussians.overlaps import derivatives_of_gaussian, multi_indices, natural_blocks
from atomfit.inference.problem import Objective
from atomfit.optimisation.first_order import LBFGS, Adam
from atomfit.optimisation.newton import GaussNewton, conjugate_gradients
from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.optimisation.posterior import AbstractPosterior, Evaluation
from atomfit.optimisation.solvers import AbstractSolver, Minimum, minimise
from atomfit.simulation import simulate
from atomfit.structure.elements import element
from atomfit.structure.matching import match
from atomfit.support.errors import InputError

PT = element("Pt")


def gaussian(natural: np.ndarray, r: np.ndarray) -> np.ndarray:
    """One atom of given natural parameters, at points r."""
    d = r.shape[-1]
    u = np.diag(natural[d : 2 * d])
    u[np.triu_indices(d, 1)] = natural[2 * d : -1]
    u = u + np.triu(u, 1).T
    q = r - natural[:d]
    form = np.einsum("...i,ij,...j", q, np.linalg.inv(u), q)
    return natural[-1] * np.exp(-0.5 * form) / np.sqrt(np.linalg.det(2 * np.pi * u))


def slopes(natural: np.ndarray, r: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Its derivatives by central differences, one row a parameter."""
    shifts = step * np.eye(len(natural))
    return np.array(
        [(gaussian(natural + s, r) - gaussian(natural - s, r)).ravel() / (2 * step) for s in shifts]
    )


@pytest.mark.parametrize("d", [2, 3])
def test_blocks_against_a_sum_over_voxels(d: int, rng: np.random.Generator) -> None:
    edge = np.arange(-5, 5.01, 0.25)
    r = np.stack(np.meshgrid(*[edge] * d, indexing="ij"), axis=-1)
    atoms = []
    for _ in range(2):
        root = 0.5 * np.eye(d) + 0.1 * rng.normal(size=(d, d))
        u = root @ root.T
        x = rng.uniform(-0.7, 0.7, d)
        atoms.append(np.concatenate([x, np.diag(u), u[np.triu_indices(d, 1)], [rng.uniform(1, 2)]]))
    expected = slopes(atoms[0], r) @ slopes(atoms[1], r).T * 0.25**d
    a, b = (jnp.asarray(x, jnp.float32) for x in atoms)
    variances = np.diag((atoms[0] + atoms[1])[d : 2 * d])
    variances[np.triu_indices(d, 1)] = (atoms[0] + atoms[1])[2 * d : -1]
    variances = variances + np.triu(variances, 1).T
    derivatives = derivatives_of_gaussian((a - b)[:d], jnp.asarray(variances, jnp.float32))
    assert derivatives.shape == (len(multi_indices(d)),)
    blocks = natural_blocks(derivatives, a[-1], b[-1], d)
    np.testing.assert_allclose(blocks, expected, atol=2e-4 * np.abs(expected).max())


def test_matrix_against_a_dense_one() -> None:
    """Columns of the closed form against those by differentiation, for atoms whose voxels all count."""
    case = simulate(shape="icosahedron", size=2, noise=0.02, u_core=0.2, u_surface=0.2, rotate="random")
    detection = detect(case.map, PT)
    problem = pose(case.map, detection.positions, detection.mean_atom, PT, region_widths=5.0)
    parameters = problem.parametrisation
    rng = np.random.default_rng(0)
    flat = parameters.flat(parameters.zeros())
    flat = flat + 0.3 * rng.normal(size=flat.shape).astype(np.float32)
    columns = np.concatenate([np.arange(13 * 10), [len(flat) - 1]])
    basis = np.eye(len(flat), dtype=np.float32)[columns]

    @eqx.filter_jit
    def both(objective: Objective, free: Free) -> tuple[jax.Array, jax.Array]:
        products = objective.curvature(free)[0], objective.information(free)
        return tuple(jax.lax.map(product, jnp.asarray(basis)) for product in products)

    closed, dense = (np.asarray(x)[:, columns] for x in both(problem.objective, parameters.unflat(flat)))
    np.testing.assert_allclose(closed, closed.T, atol=1e-5)
    np.testing.assert_allclose(closed, dense, atol=0.01 * dense.max())


@pytest.mark.parametrize("width", [0.2, pytest.param(0.55, marks=pytest.mark.slow)])
def test_starts_far_away_and_overlap(width: float) -> None:
    """0.4 Å off, and atoms as wide as 0.74 Å at 2.77 Å from each other."""
    case = simulate(
        shape="icosahedron", size=3, noise=0.02, u_core=width, u_surface=width, rotate="random", jitter=0.02
    )
    mean_atom = detect(case.map, PT).mean_atom
    step = np.random.default_rng(1).normal(size=case.positions.shape)
    start = case.positions + 0.4 * step / np.linalg.norm(step, axis=1, keepdims=True)
    result = fit_jointly(case.map, start, mean_atom, PT)
    assert result.reason == "converged"
    assert len(result.history) < 30
    assert np.linalg.norm(result.fitted.positions - case.positions, axis=1).max() < 0.06
    assert not result.at_bound.any()


def test_a_restraint_in_ten_lines() -> None:
    """Springs between neighbours: a term is a function of the model, and needs no derivatives."""

    class Springs(eqx.Module):
        pairs: np.ndarray
        length: float
        strength: float

        def __call__(self, model: BoundedAtoms) -> jax.Array:
            a, b = (jnp.asarray(model.atoms.positions)[self.pairs[:, k]] for k in (0, 1))
            return 0.5 * self.strength * jnp.sum((jnp.linalg.norm(a - b, axis=1) - self.length) ** 2)

    case = simulate(size=43, noise=0.03, rotate="random")
    detection = detect(case.map, PT)
    pairs = np.array(sorted(cKDTree(detection.positions).query_pairs(3.3)))
    length = float(np.linalg.norm(np.diff(detection.positions[pairs], axis=1), axis=2).mean())

    def spread(strength: float) -> float:
        springs = Springs(pairs, length, strength)
        result = fit_jointly(case.map, detection.positions, detection.mean_atom, PT, terms=(springs,))
        assert result.reason == "converged"
        return float(np.linalg.norm(np.diff(result.fitted.positions[pairs], axis=1), axis=2).std())

    loose, stiff = spread(1e-6), spread(300.0)
    assert stiff < 0.5 * loose


def test_neighbours_against_all_pairs(rng: np.random.Generator) -> None:
    positions = rng.uniform(0, 12, (60, 3))
    table = neighbour_table(positions, 0.2, 64)
    cutoff = 4.5 * np.sqrt(0.4)
    for i, row in enumerate(table[:60]):
        assert row[0] == i
        near = np.flatnonzero(np.linalg.norm(positions - positions[i], axis=1) < cutoff)
        assert set(row) == set(near)
    np.testing.assert_array_equal(table[60:], np.tile(np.arange(60, 64)[:, None], table.shape[1]))


def test_crowded_neighbours_list_each_other(rng: np.random.Generator) -> None:
    """100 atoms at one place, and others about: more than are listed."""
    positions = np.concatenate([0.3 * rng.normal(size=(100, 3)), rng.uniform(-3, 3, (60, 3))])
    table = neighbour_table(positions, 0.2, 160)
    listed = np.zeros((160, 160), bool)
    listed[np.arange(160)[:, None], table] = True
    np.testing.assert_array_equal(listed, listed.T)
    assert np.median(listed.sum(axis=1)) > 8
    assert table.shape[1] <= 64
    # What stands in for missing ones stands behind them.
    gaps = table == np.arange(160)[:, None]
    assert np.all(np.diff(gaps[:, 1:].astype(int), axis=1) >= 0)


def test_conjugate_gradients_against_a_dense_solution(rng: np.random.Generator) -> None:
    root = rng.normal(size=(40, 40))
    matrix = (root @ root.T + 10 * np.eye(40)).astype(np.float32)
    right = rng.normal(size=40).astype(np.float32)
    found, left = conjugate_gradients(lambda v: matrix @ v, jnp.asarray(right), jnp.diag(matrix), 1e-5, 200)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-3, atol=1e-4)
    assert float(left) <= 1e-5
    nothing, left = conjugate_gradients(lambda v: matrix @ v, jnp.zeros(40), jnp.diag(matrix), 1e-5, 200)
    np.testing.assert_array_equal(nothing, 0)
    assert float(left) == 0


@pytest.mark.parametrize("why", ["few products", "negative curvature"])
def test_conjugate_gradients_say_what_they_leave(why: str, rng: np.random.Generator) -> None:
    root = rng.normal(size=(40, 40))
    matrix = (root @ root.T + np.eye(40)).astype(np.float32)
    if why == "negative curvature":
        matrix -= 20 * np.eye(40, dtype=np.float32)
    right = rng.normal(size=40).astype(np.float32)
    products = 5 if why == "few products" else 200
    found, left = conjugate_gradients(
        lambda v: matrix @ v, jnp.asarray(right), jnp.ones(40), 1e-5, products
    )
    assert float(left) > 1e-3
    assert float(left) == pytest.approx(
        np.linalg.norm(right - matrix @ np.asarray(found)) / np.linalg.norm(right), rel=1e-2
    )


def test_steps_that_are_cut_short_do_not_end_a_fit() -> None:
    """Broad atoms, found with a background that is far too high: all want to go far at first."""
    case = simulate(size=309, u_core=0.49, u_surface=0.49, noise=0.02, rotate="random", seed=1)
    found = detect(case.map, element("Pt"))
    solver = GaussNewton(reach=0.3)
    fit = fit_jointly(case.map, found.positions, found.mean_atom, element("Pt"), solver=solver)
    assert fit.reason == "converged"
    assert match(fit.fitted.positions, case.positions).rmsd < 0.01
    assert fit.noise == pytest.approx(0.02, rel=0.02)


class Constant(eqx.Module):
    """A term that says nothing."""

    value: np.ndarray

    def __call__(self, model: BoundedAtoms) -> jax.Array:
        return 0 * jnp.sum(jnp.asarray(model.atoms.positions)) + self.value


def test_a_constant_in_a_term_changes_nothing() -> None:
    """The data's own cost is about 10; a term of 3000 would have hidden all that is left to gain."""
    case = simulate(size=43, noise=0.03, rotate="random")
    found = detect(case.map, PT)

    def fitted(constant: float) -> JointFit:
        term = Constant(np.asarray(constant, np.float32))
        return fit_jointly(case.map, found.positions, found.mean_atom, PT, terms=(term,))

    without = fitted(0.0)
    for constant in (-3e3, 3e3):
        fit = fitted(constant)
        assert fit.reason == "converged"
        np.testing.assert_allclose(fit.positions, without.positions, atol=2e-3)
        assert fit.noise == pytest.approx(without.noise, rel=1e-2)
    with pytest.raises(InputError, match="no number where the fit begins"):
        fitted(np.nan)


class Numbers(AbstractParametrisation):
    """Free numbers that are what they are, those of one atom."""

    start: list[int]
    steps: dict[str, np.ndarray]

    @property
    def rows(self) -> tuple[str, ...]:
        return ("x",)

    @property
    def columns(self) -> tuple[int, int]:
        return 1, 2

    def __call__(self, free: Free) -> Free:
        return free


class Bowl(AbstractPosterior):
    """½ (x - 1)² + 1, which a factor multiplies beyond a limit of x, and a constant; begins at zero."""

    beyond: float
    limit: float = 0.5
    constant: float = 0.0
    parametrisation: Numbers = Numbers([0], {"x": np.ones((1, 2))})

    def __call__(self, free: Free) -> jax.Array:
        x = jnp.asarray(free["x"])
        there = jnp.where(jnp.max(x) > self.limit, self.beyond, 1.0)
        return (jnp.sum(0.5 * (x - 1) ** 2) + 1) * there + self.constant

    def evaluate(self, free: Free) -> Evaluation:
        return Evaluation(self(free), self.parametrisation.flat(jax.grad(self)(free)))

    def misfit(self, free: Free, value: jax.Array | float) -> jax.Array | float:
        return value - self.constant

    def curvature(self, free: Free) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
        return lambda vector: vector, jnp.ones(2)


def minimum(bowl: Bowl, solver: AbstractSolver) -> Minimum[Free]:
    start = bowl.parametrisation.zeros()
    return minimise(bowl, start, solver, tolerance=1e-4, max_iterations=200, misfit=bowl.misfit)


SOLVERS = pytest.mark.parametrize(
    "solver", [GaussNewton(), LBFGS(), Adam(0.3)], ids=lambda s: type(s).__name__
)


@SOLVERS
@pytest.mark.parametrize("constant", [-1e4, 0.0, 1e4])
def test_convergence_is_judged_by_what_the_data_cost(solver: AbstractSolver, constant: float) -> None:
    found = minimum(Bowl(1.0, constant=constant), solver)
    assert found.reason == "converged"
    np.testing.assert_allclose(found.params["x"], 1.0, atol=0.1)


@SOLVERS
def test_what_is_no_number_beyond_a_limit_ends_the_fit_at_its_best(solver: AbstractSolver) -> None:
    found = minimum(Bowl(np.nan), solver)
    assert found.reason == "diverged"
    assert 0 < np.max(found.params["x"]) <= 0.5
    assert found.value == pytest.approx(float(Bowl(np.nan)(found.params)))
    assert found.value == np.nanmin(found.history)


@SOLVERS
def test_no_number_at_all_ends_the_fit_where_it_began(solver: AbstractSolver) -> None:
    found = minimum(Bowl(np.nan, limit=-1.0), solver)
    assert found.reason == "diverged"
    np.testing.assert_array_equal(found.params["x"], 0)
