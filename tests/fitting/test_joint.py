"""The joint fit against planted truth, against the baseline, and within its bounds."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import paramax
import pytest

from atomfit.detection.detect import Detection, detect
from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.gaussians.bounded import BoundedAtoms, Bounds, steps_of
from atomfit.gaussians.scatterers import OneGaussian
from atomfit.inference.noise import WhiteNoise
from atomfit.inference.parameters import on_host
from atomfit.inference.problem import Problem
from atomfit.observation.background import AbstractBackground, LinearBackground
from atomfit.observation.map import MapObservation
from atomfit.optimisation.first_order import LBFGS, Adam, Optax
from atomfit.optimisation.solvers import AbstractSolver, minimise
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation import Simulation, simulate
from atomfit.structure.atoms import AnisotropicDisplacements, Atoms
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from atomfit.structure.region import region_mask

PT = element("Pt")


@pytest.fixture(scope="module")
def detection(small: Simulation) -> Detection:
    return detect(small.map, PT)


def fit(density: DensityMap, detection: Detection, **options: object) -> JointFit:
    return fit_jointly(density, detection.positions, detection.mean_atom, PT, **options)  # type: ignore[arg-type]


def test_without_noise_the_truth_is_recovered_exactly() -> None:
    case = simulate(shape="icosahedron", size=3, rotate="random", noise=0.0, doi=0.6, seed=4)
    result = fit(case.map, detect(case.map, PT))
    found = match(np.asarray(result.atoms.positions), case.positions)
    assert (found.missing, found.false) == (0, 0)
    assert found.rmsd < 1e-4
    u, amplitudes = np.asarray(result.atoms.matrices()), np.asarray(result.atoms.amplitudes)
    np.testing.assert_allclose(u[found.found], case.matrices[found.known], atol=2e-4)
    np.testing.assert_allclose(amplitudes[found.found], case.amplitudes[found.known], rtol=1e-3)
    assert result.reason == "converged"
    assert not result.at_bound.any()


def test_overlapping_atoms_are_disentangled() -> None:
    """Width 0.7 Å at 2.77 Å: centres of mass are 15 pm off, and log-fits biased by the neighbours."""
    case = simulate(shape="octahedron", size=4, u_core=0.49, u_surface=0.49, noise=0.0, rotate="random")
    detection = detect(case.map, PT)
    result = fit(case.map, detection)
    found = match(np.asarray(result.atoms.positions), case.positions)
    assert found.rmsd < 1e-3 < 0.05 < match(detection.positions, case.positions).rmsd
    u_iso = result.fitted.u_iso
    np.testing.assert_allclose(u_iso, 0.49, rtol=5e-3)


@pytest.mark.parametrize("solver", [LBFGS(), Adam()], ids=["lbfgs", "adam"])
def test_all_solvers_find_one_minimum(
    small: Simulation, detection: Detection, solver: AbstractSolver
) -> None:
    newton, other = fit(small.map, detection), fit(small.map, detection, solver=solver)
    assert other.history[-1] == pytest.approx(newton.history[-1], rel=1e-4)
    np.testing.assert_allclose(other.atoms.positions, newton.atoms.positions, atol=3e-3)
    assert len(newton.history) <= 8 < len(other.history)


def test_joint_fit_is_nearer_than_the_start(small: Simulation, detection: Detection) -> None:
    result = fit(small.map, detection)
    before = match(detection.positions, small.positions).rmsd
    after = match(np.asarray(result.atoms.positions), small.positions).rmsd
    assert after < 0.6 * before
    assert result.noise == pytest.approx(0.03, rel=0.1)
    assert result.history[-1] < result.history[0]


@pytest.mark.slow
def test_two_devices_fit_as_one(small: Simulation, detection: Detection) -> None:
    one, two = fit(small.map, detection), fit(small.map, detection, devices=2)
    np.testing.assert_allclose(two.history, one.history, rtol=1e-5)
    np.testing.assert_allclose(two.atoms.positions, one.atoms.positions, atol=1e-4)
    np.testing.assert_allclose(two.atoms.matrices(), one.atoms.matrices(), atol=1e-4)


def test_isotropic_atoms(small: Simulation, detection: Detection) -> None:
    result = fit(small.map, detection, displacements="isotropic")
    assert np.all(np.isnan(result.fitted.matrices))
    found = match(result.fitted.positions, small.positions)
    truth = np.trace(small.matrices, axis1=1, axis2=2)[found.known] / 3
    assert np.abs(result.fitted.u_iso[found.found] - truth).mean() < 0.02
    assert result.parameters == 5 * len(detection) + 1


@pytest.mark.parametrize("part", ["positions", "displacements", "amplitudes", "background"])
def test_frozen_parts_keep_their_values(small: Simulation, detection: Detection, part: str) -> None:
    free = fit(small.map, detection, max_iterations=8)
    result = fit(small.map, detection, frozen=(part,), max_iterations=8)
    mean = detection.mean_atom
    n = len(detection)

    def values(of: JointFit) -> np.ndarray:
        match part:
            case "positions":
                return np.asarray(of.atoms.positions)
            case "displacements":
                return np.asarray(of.atoms.matrices())
            case "amplitudes":
                return np.asarray(of.atoms.amplitudes)
            case _:
                return np.array(of.background.numbers()["level"])

    height = small.map.at(small.map.grid.nearest_voxels(detection.positions)) - mean.background
    start = {
        "positions": detection.positions,
        "displacements": np.tile(mean.matrix, (n, 1, 1)),
        "amplitudes": height * np.sqrt(np.linalg.det(2 * np.pi * mean.matrix)),
        "background": np.array(mean.background),
    }[part]
    np.testing.assert_allclose(values(result), start, rtol=1e-4, atol=1e-5)
    assert not np.allclose(values(free), start, rtol=1e-4, atol=1e-5)
    assert result.parameters == free.parameters - {"positions": 3 * n, "displacements": 6 * n}.get(
        part, n if part == "amplitudes" else 1
    )


def test_everything_frozen_is_the_start(small: Simulation, detection: Detection) -> None:
    parts = ("positions", "displacements", "amplitudes", "background")
    result = fit(small.map, detection, frozen=parts)
    assert result.parameters == 0
    np.testing.assert_allclose(result.atoms.positions, detection.positions, atol=1e-4)


def test_a_background_alone_can_be_free(small: Simulation, detection: Detection) -> None:
    result = fit(small.map, detection, frozen=("positions", "displacements", "amplitudes"))
    assert result.parameters == 1
    np.testing.assert_allclose(result.atoms.positions, detection.positions, atol=1e-4)


@pytest.mark.parametrize("kind", ["none", "constant", "linear"])
def test_backgrounds(small: Simulation, kind: str) -> None:
    grid = small.map.grid
    slope = np.array([0.002, -0.004, 0.001])
    places = grid.positions_of(np.stack(np.indices(grid.shape), axis=-1))
    ramp = {"none": 0.0, "constant": 0.4, "linear": 0.4 + (places - grid.centre) @ slope}[kind]
    density = small.map.with_values((small.map.values + ramp).astype(np.float32))
    detection = detect(density, PT)
    result = fit(density, detection, background=kind)
    assert match(result.fitted.positions, small.positions).rmsd < 0.03
    middle = result.background.on(grid, result.fitted_on)
    expected = np.broadcast_to(ramp, grid.shape)
    region = region_mask(grid, small.positions, 1.5)
    difference = np.broadcast_to(middle, grid.shape) - expected
    assert np.abs(difference[region]).max() < 0.02
    if kind == "linear":
        np.testing.assert_allclose(result.background.numbers()["slope"], slope, atol=4e-4)


class QuadraticBackground(AbstractBackground):
    """One of a researcher's own."""

    level: np.ndarray
    slope: np.ndarray
    bend: np.ndarray

    def at(self, *coordinates: np.ndarray) -> np.ndarray:
        numbers = zip(self.slope, self.bend, coordinates, strict=True)
        return self.level + sum(slope * x + bend * x**2 for slope, bend, x in numbers)


@pytest.mark.slow
def test_a_background_of_ones_own(small: Simulation, detection: Detection) -> None:
    """Planted and found again; left alone where it is frozen."""
    grid, bend = small.map.grid, np.array([0.003, -0.002, 0.001])
    places = grid.positions_of(np.stack(np.indices(grid.shape), axis=-1)) - grid.centre
    planted = 0.4 + places**2 @ bend
    density = small.map.with_values((small.map.values + planted).astype(np.float32))
    start = QuadraticBackground(0.3, np.zeros(3), np.zeros(3))
    result = fit(density, detection, background=start)
    assert result.reason == "converged"
    assert result.parameters == 10 * len(detection) + 7
    assert match(result.fitted.positions, small.positions).rmsd < 0.03
    found = result.background.on(grid, result.fitted_on)
    inside = region_mask(grid, small.positions, 1.5)
    assert np.abs(found - planted)[inside].max() < 0.02
    np.testing.assert_allclose(result.background.numbers()["bend"], bend, atol=3e-4)
    frozen = fit(density, detection, background=start, frozen=("background",))
    assert frozen.background.numbers() == {
        "level": pytest.approx(0.3),
        "slope": [0, 0, 0],
        "bend": [0, 0, 0],
    }


def test_numbers_of_a_background_in_order() -> None:
    grid = Grid((2, 3, 4), np.array([0.5, 0.5, 1.0]), np.zeros(3))
    background = LinearBackground(np.array(2.0), np.array([1.0, 10.0, 100.0]))
    changed = background.plus(np.array([1.0, 0.0, 0.0, 5.0]))
    assert changed.numbers() == {"level": 3.0, "slope": [1.0, 10.0, 105.0]}
    assert background.times(2).numbers() == {"level": 4.0, "slope": [2.0, 20.0, 200.0]}
    assert changed.on(grid, grid)[1, 2, 3] == pytest.approx(3 + 0.75 + 5 + 52.5)
    fields = background.fields(grid)
    total = sum(number * field for number, field in zip((2, 1, 10, 100), fields, strict=True))
    np.testing.assert_allclose(total, background.on(grid, grid))


def test_linear_background_is_the_same_traced_and_on_the_host() -> None:
    grid = Grid((6, 8, 10), np.array([0.3, 0.4, 0.5]), np.array([1.0, 2.0, 3.0]))
    background = LinearBackground(np.array(0.7), np.array([0.1, -0.2, 0.3]))
    traced = background.density(grid.shape, jnp.asarray(grid.spacing))
    np.testing.assert_allclose(traced, background.on(grid, grid), atol=1e-6)


def test_model_density_is_what_was_fitted(small: Simulation, detection: Detection) -> None:
    result = fit(small.map, detection)
    model = result.density(small.map.grid)
    region = region_mask(small.map.grid, detection.positions, 1.4)
    residual = (small.map.values - model)[region]
    assert residual.std() == pytest.approx(result.noise, rel=0.1)


def test_origin_far_away_costs_no_digits(small: Simulation, detection: Detection) -> None:
    grid = small.map.grid
    away = np.array([40_000.0, -30_000.0, 50_000.0])
    moved = DensityMap(small.map.values, Grid(grid.shape, grid.spacing, grid.origin + away))
    near = fit(small.map, detection)
    far = fit_jointly(moved, detection.positions + away, detection.mean_atom, PT)
    np.testing.assert_allclose(np.asarray(far.atoms.positions) - away, near.atoms.positions, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_of_intensity_only_scales_amplitudes(
    small: Simulation, detection: Detection, scale: float
) -> None:
    mean = detection.mean_atom
    scaled_mean = MeanAtom(scale * mean.height, mean.u, scale * mean.background, mean.matrix, mean.count)
    plain = fit(small.map, detection)
    scaled = fit_jointly(
        small.map.with_values((scale * small.map.values).astype(np.float32)),
        detection.positions,
        scaled_mean,
        PT,
    )
    np.testing.assert_allclose(scaled.atoms.positions, plain.atoms.positions, atol=1e-4)
    np.testing.assert_allclose(scaled.atoms.amplitudes, scale * plain.atoms.amplitudes, rtol=1e-3)


def some_atoms(positions: np.ndarray, u: float = 0.25) -> Atoms:
    n = len(positions)
    shape = AnisotropicDisplacements.from_variances(np.full(n, u))
    atoms = Atoms(positions, shape, np.full(n, (2 * np.pi * u) ** 1.5), np.full(n, 78))
    return jax.tree.map(lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x, atoms)


def test_bounds_hold_whatever_the_free_numbers(rng: np.random.Generator) -> None:
    atoms = some_atoms(rng.normal(size=(6, 3)))
    bounds = Bounds(move=0.6, widest=0.8)
    structure = on_host(BoundedAtoms.of(atoms, OneGaussian(), bounds))
    names = ("moves", "log_widths", "shears", "strengths")
    for size in (1.0, 1e3, 1e8):
        changes = [size * rng.normal(size=np.shape(getattr(structure, name))) for name in names]
        moved = eqx.tree_at(lambda s: [getattr(s, name) for name in names], structure, changes).atoms
        shift = np.asarray(moved.positions - atoms.positions)
        assert np.linalg.norm(shift, axis=1).max() <= 0.6 * (1 + 1e-5)
        widths = np.exp(np.asarray(moved.displacements.log_widths))
        assert widths.max() <= 0.8 * (1 + 1e-5)
        assert widths.min() >= 0.5 / bounds.width_factor * (1 - 1e-5)
        assert np.asarray(moved.amplitudes).min() > 0
        assert np.linalg.eigvalsh(np.asarray(moved.matrices())).min() > 0


def test_hessian_of_a_lone_atom_is_the_unit_matrix() -> None:
    """The reason for the parametrisation: in its units the first L-BFGS step is a Newton step."""
    grid = Grid((24, 24, 24), np.full(3, 0.3), np.zeros(3))
    atoms = some_atoms(grid.centre[None])
    density = DensityMap(
        render_map(Gaussians(grid.centre[None], atoms.matrices(), atoms.amplitudes), grid), grid
    )
    structure = BoundedAtoms.of(atoms, OneGaussian(), Bounds(move=0.6, widest=1.2))
    observation = MapObservation.of(density, atoms, background="none", noise=WhiteNoise(1.0))
    steps = {f"[0].{name}": step for name, step in steps_of(atoms, grid.spacing).items()}
    objective = Problem(structure, (observation,)).objective(steps)
    flat = jnp.zeros(10)
    gradient = jax.grad(lambda x: objective(objective.parametrisation.unflat(x)))
    along = jax.jit(lambda basis: jax.jvp(gradient, (flat,), (basis,))[1])
    columns = [along(basis) for basis in jnp.eye(len(flat))]
    np.testing.assert_allclose(np.stack(columns), np.eye(len(flat)), atol=0.02)


def test_interrupted_fit_keeps_the_best_so_far(small: Simulation, detection: Detection) -> None:
    def interrupt(iteration: int, value: float) -> None:
        if iteration >= 2:
            raise KeyboardInterrupt

    result = fit(small.map, detection, progress=interrupt)
    assert result.reason == "interrupted"
    assert match(result.fitted.positions, small.positions).rmsd < 0.05


def test_progress_counts_iterations(small: Simulation, detection: Detection) -> None:
    seen: list[tuple[int, float]] = []
    result = fit(small.map, detection, progress=lambda i, value: seen.append((i, value)))
    assert seen[-1][0] == len(result.history) - 1
    assert [i for i, _ in seen] == sorted(i for i, _ in seen)


class Rosenbrock(eqx.Module):
    scale: float = 1.0

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.scale * jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_lbfgs_walks_a_curved_valley() -> None:
    found = minimise(
        Rosenbrock(), np.full(6, -0.5, np.float32), LBFGS(), tolerance=1e-6, max_iterations=400
    )
    np.testing.assert_allclose(found.params, 1.0, atol=1e-2)
    assert found.history[0] == pytest.approx(float(Rosenbrock()(jnp.full(6, -0.5))))


@pytest.mark.parametrize("given", [optax.lbfgs(), optax.adam(0.05)], ids=["lbfgs", "adam"])
def test_any_transformation_of_optax_is_a_solver(given: optax.GradientTransformation) -> None:
    """The values that optax's own loop goes through."""
    given, objective = optax.with_extra_args_support(given), Rosenbrock()

    @jax.jit
    def iterate(x: jax.Array, state: optax.OptState) -> tuple:
        value, grad = jax.value_and_grad(objective)(x)
        step, state = given.update(grad, state, x, value=value, grad=grad, value_fn=objective)
        return optax.apply_updates(x, step), state, value

    start = x = np.full(6, -0.5, np.float32)
    state, values = given.init(x), []
    for _ in range(16):
        x, state, value = iterate(x, state)
        values.append(float(value))
    found = minimise(objective, start, Optax(given), tolerance=0.0, max_iterations=15)
    np.testing.assert_allclose(found.history, values, rtol=1e-4)
    assert values[-1] < 0.1 * values[0]


def test_plain_optax_on_the_modules_works(small: Simulation, detection: Detection) -> None:
    """A researcher's own loop: atoms and background are pytrees, and the likelihood is a function."""
    atoms = some_atoms(detection.positions, 0.2)
    observation = MapObservation.of(small.map, atoms, noise=WhiteNoise(1.0))
    optimiser = optax.adam(0.02)
    observation = observation.planned(atoms, on_host(observation.nuisance))
    both = jax.tree.map(jnp.asarray, (atoms, observation.nuisance.background))
    state = optimiser.init(eqx.filter(both, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(both: tuple, state: optax.OptState) -> tuple:
        def cost(both: tuple) -> jax.Array:
            own = eqx.tree_at(lambda own: own.background, paramax.unwrap(observation.nuisance), both[1])
            return observation.negative_log_likelihood(both[0], own)

        value, gradient = eqx.filter_value_and_grad(cost)(both)
        updates, state = optimiser.update(gradient, state)
        return eqx.apply_updates(both, updates), state, value

    values = []
    for _ in range(60):
        both, state, value = step(both, state)
        values.append(float(value))
    assert values[-1] < 0.5 * values[0]
    assert np.linalg.eigvalsh(np.asarray(both[0].matrices())).min() > 0
