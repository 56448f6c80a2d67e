"""One problem of maps and series: where it ends, and what it knows."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import fit_jointly
from atomfit.inference import (
    AbstractObservation,
    AbstractPixelNoise,
    Fit,
    Known,
    Objective,
    Problem,
    WhiteNoise,
    fit_at,
    frozen,
    refine,
    select,
)
from atomfit.observation import MapObservation, SeriesObservation
from atomfit.projection import TiltSeries, Views
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation import simulate
from atomfit.simulation.series import projected
from atomfit.structure import AnisotropicDisplacements, Atoms, DensityMap, Grid, IsotropicDisplacements
from atomfit.structure.elements import element
from atomfit.support.errors import InputError

VIEWS, PIXEL, SHAPE = 7, 0.4, (36, 40)
U, AMPLITUDE = 0.2, 2.0


def particle() -> np.ndarray:
    case = simulate(shape="icosahedron", size=2, noise=0.0, jitter=0.1, seed=5, box=40)
    return case.positions - case.map.grid.centre


def density_of(positions: np.ndarray, noise: float = 0.0, seed: int = 0) -> DensityMap:
    """A map with noise as a part of its highest voxel."""
    n = len(positions)
    grid = Grid((36, 36, 36), np.full(3, 0.4), np.full(3, -7.0))
    gaussians = Gaussians(positions, np.tile(U * np.eye(3), (n, 1, 1)), np.full(n, AMPLITUDE))
    clean = render_map(gaussians, grid)
    rng = np.random.default_rng(seed)
    values = clean + 0.1 + noise * clean.max() * rng.standard_normal(clean.shape)
    return DensityMap(values.astype(np.float32), grid)


def series_of(positions: np.ndarray, noise: float = 0.0, seed: int = 0) -> TiltSeries:
    """Images with noise as a part of their brightest pixel."""
    n = len(positions)
    views = Views.from_tilts(np.linspace(-70, 70, VIEWS), "y", SHAPE)
    gaussians = Gaussians(positions, np.tile(U * np.eye(3), (n, 1, 1)), np.full(n, AMPLITUDE))
    clean = np.stack(list(projected(gaussians, views, np.zeros(3), SHAPE, PIXEL)))
    rng = np.random.default_rng(seed)
    images = clean + 0.2 + noise * clean.max() * rng.standard_normal(clean.shape)
    return TiltSeries(images.astype(np.float32), np.ones(images.shape, bool), PIXEL, views, np.zeros(3))


def atoms_at(positions: np.ndarray, u: float = U, matrices: bool = False) -> Atoms:
    n = len(positions)
    shape = AnisotropicDisplacements if matrices else IsotropicDisplacements
    return Atoms(
        np.asarray(positions),
        displacements=shape.from_variances(np.full(n, u)),
        amplitudes=np.full(n, AMPLITUDE),
        numbers=np.full(n, 78),
    )


def covariance_of_places(fit: Fit) -> np.ndarray:
    """Of all coordinates together (Å²)."""
    parameters = fit.objective.parametrisation
    n, p = parameters.columns
    names = list(parameters.rows)
    first = sum(
        int(np.prod(np.shape(parameters.steps[x])[1:], dtype=int))
        for x in names[: names.index("[0].positions")]
    )
    rows = (np.arange(n)[:, None] * p + first + np.arange(3)).ravel()
    steps = np.asarray(parameters.flat(parameters.steps), np.float64)[rows]
    return fit.uncertainty.covariance[np.ix_(rows, rows)] * np.outer(steps, steps)


def test_a_map_ends_where_the_fit_of_maps_does() -> None:
    """Two ways to one minimum and one covariance: closed forms, and derivatives of JAX."""
    truth = particle()
    density = density_of(truth, 0.05)
    start = truth + np.random.default_rng(1).normal(0, 0.05, truth.shape)
    atoms = atoms_at(start, matrices=True)
    ours = refine(Problem(atoms, (MapObservation.of(density, atoms),)))
    assert ours.reason == "converged"
    theirs = fit_jointly(density, start, MeanAtom(2.0, U, 0.1, U * np.eye(3), 13), element("Pt"))
    off = ours.structure.positions - (theirs.positions + theirs.uncertainty.bias[:, :3])
    assert np.abs(off).max() < 0.1 * theirs.uncertainty.deviations[:, :3].min()
    np.testing.assert_allclose(ours.uncertainty.positions, theirs.uncertainty.deviations[:, :3], rtol=0.06)
    amplitudes = np.asarray(ours.uncertainty.structure.amplitudes)
    np.testing.assert_allclose(amplitudes, theirs.uncertainty.deviations[:, -1], rtol=0.06)
    assert float(ours.observations[0].noise.deviation) == pytest.approx(theirs.noise, rel=0.02)
    # The bias of U, by Box's formula: summed by hand there, by second derivatives here.
    u = ours.uncertainty.of(lambda s, _: jnp.trace(s.displacements.matrices(3), axis1=1, axis2=2) / 3)
    expected = theirs.uncertainty.bias[:, 3:6].mean()
    assert u.bias.mean() == pytest.approx(expected, rel=0.15)
    assert np.abs((u.value - U) / u.esd).max() < 5


def test_several_observations_are_one_objective() -> None:
    """Independent ones add up what they know; one that knows nothing changes nothing."""
    truth = particle()
    atoms = atoms_at(truth)
    of_map = MapObservation.of(density_of(truth), atoms, noise=WhiteNoise(0.1))
    of_images = SeriesObservation.of(series_of(truth), atoms, noise=WhiteNoise(0.3))

    def known(*observations: Any) -> np.ndarray:
        places_only = frozen(atoms, lambda a: (a.displacements, a.amplitudes))
        objective = Problem(places_only, observations).objective()
        return covariance_of_places(fit_at(objective, objective.parametrisation.zeros()))

    alone, images, both = known(of_map), known(of_images), known(of_map, of_images)
    total = np.linalg.inv(np.linalg.inv(alone) + np.linalg.inv(images))
    np.testing.assert_allclose(both, total, atol=2e-3 * np.abs(total).max())
    nothing = eqx.tree_at(lambda o: o.noise, of_map, WhiteNoise(1e4))
    np.testing.assert_allclose(known(nothing, of_images), images, atol=2e-3 * np.abs(images).max())


@pytest.mark.slow
def test_weights_of_an_image_change_nothing_if_all_are_alike() -> None:
    """Sixteen columns: the closed form of overlaps knows of no weights, and is not used where there are."""
    rng = np.random.default_rng(0)
    truth = np.stack(np.meshgrid(np.arange(4) * 2.2 + 2, np.arange(4) * 2.2 + 2), -1).reshape(-1, 2)
    grid = Grid((60, 60), np.full(2, 0.2), np.zeros(2))
    clean = render_map(Gaussians(truth, np.tile(0.2 * np.eye(2), (16, 1, 1)), np.ones(16)), grid)
    values = clean + 0.1 + 0.05 * clean.max() * rng.standard_normal(clean.shape)
    shape = AnisotropicDisplacements.from_variances(np.full(16, 0.25), 2)
    start = truth + rng.normal(0, 0.05, truth.shape)
    atoms = Atoms(start, shape, np.full(16, 0.8), np.full(16, 78))
    fits = []
    for weight in (1.0, 0.02):
        image = MapObservation.of(DensityMap(values.astype(np.float32), grid), atoms)
        image = eqx.tree_at(lambda o: o.counted, image, image.counted * np.float32(weight))
        fits.append(refine(Problem(atoms, (image,))))
        assert (fits[-1].observations[0].neighbours is not None) == (weight == 1)  # type: ignore[attr-defined]
        assert fits[-1].reason == "converged"
        assert len(fits[-1].history) < 12
    plain, light = fits
    np.testing.assert_allclose(light.structure.positions, plain.structure.positions, atol=1e-4)
    np.testing.assert_allclose(light.uncertainty.positions, plain.uncertainty.positions, rtol=1e-3)
    z = (plain.structure.positions - truth) / plain.uncertainty.positions
    assert 0.7 < np.sqrt(np.mean(z**2)) < 1.4


def test_scale_and_blur_are_an_observations_own() -> None:
    """Without noise, a map of another unit and resolution and images agree on everything else."""
    truth = particle()
    density = density_of(truth)
    atoms = atoms_at(truth + 0.03)
    wider = DensityMap(5 * render_wider(truth, density.grid), density.grid)
    observations = (
        SeriesObservation.of(series_of(truth), atoms, placed=True),
        MapObservation.of(wider, atoms, free=("scale", "blur")),
    )
    fit = refine(Problem(atoms, observations))
    np.testing.assert_allclose(fit.structure.positions, truth, atol=2e-3)
    assert float(fit.nuisances[1].scale) == pytest.approx(5, rel=1e-2)
    assert float(fit.nuisances[1].blur) == pytest.approx(0.1, abs=3e-3)


def render_wider(positions: np.ndarray, grid: Grid) -> np.ndarray:
    n = len(positions)
    return render_map(
        Gaussians(positions, np.tile((U + 0.1) * np.eye(3), (n, 1, 1)), np.full(n, AMPLITUDE)), grid
    )


def test_steps_follow_the_curvature_of_the_objective() -> None:
    """Where data are as predicted, Gauss-Newton's matrix is the Hessian, priors and nuisances included."""
    truth = particle()[:4]
    atoms = atoms_at(truth)
    series = SeriesObservation.of(series_of(truth), atoms, free=("backgrounds", "shifts", "gains", "turns"))
    prior = Known(lambda s: s.positions, truth, 0.1)
    objective = Problem(atoms, (series,), (prior,)).objective()
    free = objective.parametrisation.zeros()
    exact = eqx.tree_at(lambda o: o.observations[0].data, objective, objective.predictions(free)[0])
    at = exact.parametrisation.flat(free)
    along = jnp.asarray(np.random.default_rng(0).normal(size=at.shape), jnp.float32)

    @eqx.filter_jit
    def both(objective: Objective) -> tuple[jax.Array, jax.Array]:
        slope = jax.grad(lambda v: objective(objective.parametrisation.unflat(v)))
        return objective.curvature(free)[0](along), jax.jvp(slope, (at,), (along,))[1]

    product, hessian = both(exact)
    np.testing.assert_allclose(product, hessian, atol=2e-3 * np.abs(hessian).max())


def test_views_do_not_take_what_is_the_atoms() -> None:
    """A shift, a turn and a factor of all views together change nothing."""
    truth = particle()
    atoms = atoms_at(truth)
    series = SeriesObservation.of(series_of(truth), atoms, free=("shifts", "turns", "gains"))
    objective = Problem(atoms, (series,)).objective()
    parameters, rotations = objective.parametrisation, series.rotations
    free = parameters.zeros()
    for part, common in (("shifts", rotations[:, :2]), ("turns", rotations)):
        name = next(x for x in free if part in x)
        free[name] = (common @ np.float32([0.3, -0.2, 0.5])) / np.asarray(parameters.steps[name])
    name = next(x for x in free if "gains" in x)
    free[name] = np.full(VIEWS, 0.4, np.float32) / np.asarray(parameters.steps[name])
    views = parameters(free)[1][0].views
    for values, start in ((views.shifts, 0.0), (views.turns, 0.0), (views.gains, 1.0)):
        np.testing.assert_allclose(values, start, atol=1e-5)
    placed = SeriesObservation.of(series_of(truth), atoms, free=("shifts",), placed=True)
    assert isinstance(placed.nuisance.views.shifts, np.ndarray)
    # Then something has to place the atoms; where nothing does, nobody knows where they are.
    objective = Problem(frozen(atoms, lambda a: (a.displacements, a.amplitudes)), (placed,)).objective()
    lost = fit_at(objective, objective.parametrisation.zeros()).uncertainty
    assert np.all(np.isnan(lost.positions))
    apart = lost.of(lambda s, _: jnp.linalg.norm(s.positions[0] - s.positions[1])[None])
    assert np.isfinite(apart.esd[0])


def test_atoms_of_noise_are_told_from_others() -> None:
    """Thirteen atoms among forty places where there is none, at a rate of one in a hundred."""
    truth = particle()
    density = density_of(truth, 0.12, seed=3)
    rng = np.random.default_rng(4)
    far = rng.uniform(-6, 6, (4000, 3))
    apart: list[np.ndarray] = []
    for place in far:
        if np.min(np.linalg.norm(np.array([*truth, *apart]) - place, axis=1)) > 2.0 and len(apart) < 30:
            apart.append(place)
    start = np.concatenate([truth, apart])
    amplitudes = np.where(np.arange(len(start)) < len(truth), AMPLITUDE, 0.3)
    atoms = eqx.tree_at(lambda a: a.amplitudes, atoms_at(start), amplitudes)
    atoms = frozen(atoms, lambda a: a.displacements)
    fit = refine(Problem(atoms, (MapObservation.of(density, atoms_at(start)),)))
    chosen = select(fit, fdr=0.01)
    assert chosen.kept[: len(truth)].all()
    assert chosen.kept[len(truth) :].sum() <= 1
    assert np.all(chosen.evidence[: len(truth)] > 50)
    # A larger volume has more maxima of noise.
    assert np.all(select(fit, volume=1e6).false >= chosen.false)


class Cubic(AbstractPixelNoise):
    """A noise of nobody's."""

    def cost(self, predicted: Any, data: Any) -> Any:
        return 50 * (predicted - data) ** 2 + 20 * jnp.abs(predicted - data) ** 3


@pytest.mark.slow
def test_a_part_of_ones_own_is_used() -> None:
    truth = particle()
    density = density_of(truth, 0.05)
    atoms = atoms_at(truth)
    plain = MapObservation.of(density, atoms, noise=WhiteNoise(0.1))
    own = MapObservation.of(density, atoms, noise=Cubic())
    first, second = (refine(Problem(atoms, (o,))) for o in (plain, own))
    moved = np.abs(first.structure.positions - second.structure.positions).max()
    assert 1e-5 < moved < 0.05
    held = refine(Problem(atoms, (plain,), (Known(lambda s: s.positions, truth, 1e-4),)))
    np.testing.assert_allclose(held.structure.positions, truth, atol=5e-4)
    assert np.all(held.uncertainty.positions <= 1.01e-4)


class Three(AbstractObservation):
    """Says two numbers of what has three."""

    data: Any
    counted: Any
    noise: Any
    nuisance: Any = None

    def predict(self, structure: Any, nuisance: Any) -> Any:
        return jnp.mean(structure.positions, axis=0)[:2]


def no_data(atoms: Any, observation: Any) -> None:
    Problem(atoms, (Three(np.zeros(3), np.ones(3), WhiteNoise()),)).objective()


def no_number(atoms: Any, observation: Any) -> None:
    refine(Problem(atoms, (observation,), (lambda s: jnp.sum(s.positions) * jnp.nan,)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda atoms, o: Problem(atoms, ()), "there is no observation"),
        (lambda atoms, o: Problem(frozen(atoms), (frozen_nuisance(o),)).objective(), "nothing is free"),
        (no_data, "its data have"),
        (no_number, "is no number"),
    ],
)
def test_what_cannot_be_refined_is_told(make: Callable[[Any, Any], Any], said: str) -> None:
    truth = particle()
    atoms = atoms_at(truth)
    with pytest.raises(InputError, match=said):
        make(atoms, MapObservation.of(density_of(truth), atoms))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda d, s, a: MapObservation.of(d, a, free=("scal",)), "there is no 'scal'.*scale"),
        (lambda d, s, a: MapObservation.of(d, a, own=("displacement",)), "there is no 'displacement'"),
        (lambda d, s, a: SeriesObservation.of(s, a, free=("shift",)), "there is no 'shift'.*shifts"),
        (lambda d, s, a: MapObservation.of(d, a[:0]), "no atoms"),
        (lambda d, s, a: MapObservation.of(d, a.shifted(np.full(3, 500.0))), "no atom is inside"),
        (lambda d, s, a: MapObservation.of(d, flat(a)), "atoms of 2 dimensions"),
        (lambda d, s, a: SeriesObservation.of(s, flat(a)), "atoms of 2 dimensions"),
        (lambda d, s, a: MapObservation.of(d.with_values(d.values * np.nan), a), "are no numbers"),
    ],
)
def test_what_cannot_be_observed_is_told(make: Callable[[Any, Any, Any], Any], said: str) -> None:
    truth = particle()
    with pytest.raises(InputError, match=said):
        make(density_of(truth), series_of(truth), atoms_at(truth))


def flat(atoms: Atoms) -> Atoms:
    return eqx.tree_at(lambda a: a.positions, atoms, atoms.positions[:, :2])


def frozen_nuisance(observation: Any) -> Any:
    return eqx.tree_at(lambda o: o.nuisance, observation, replace_fn=frozen)
