"""Atoms as their elements scatter, seen by a map of some of them and by images of all: planted truth."""

import equinox as eqx
import numpy as np
import pytest

from atomfit.gaussians.scatterers import FormFactors
from atomfit.gaussians.scattering_atoms import ScatteringAtoms
from atomfit.inference.fit import refine
from atomfit.inference.noise import WhiteNoise
from atomfit.inference.parameters import frozen
from atomfit.inference.problem import Problem, products
from atomfit.observation.map import MapObservation
from atomfit.observation.series import SeriesObservation
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import render_map
from atomfit.simulation.series import projected
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.structure.grid import DensityMap, Grid

#: What widens atoms in the map and in the images (Å²), and how much less bright the map's are.
OF_MAP, OF_IMAGES, DIMMER = 0.15, 0.08, 0.3
SHOWN = np.array([1, 2, 4])
NUMBERS = np.array([78, 26, 78, 26, 26])
POSITIONS = np.array([[-2.0, 0, 0], [0.6, 0, 0.5], [0, 2.5, 0.2], [0, -2.5, 1.0], [2.8, 1.5, -1.0]])
AMPLITUDES = np.where(NUMBERS == 78, 10.8, 7.2)


def atoms_of(u: float, positions: np.ndarray = POSITIONS) -> ScatteringAtoms:
    shape = IsotropicDisplacements.from_variances(np.full(5, u))
    atoms = Atoms(positions, shape, AMPLITUDES, NUMBERS)
    return ScatteringAtoms.of(atoms, FormFactors.of(NUMBERS, 0.1))


def drawn(u: float) -> tuple[np.ndarray, FormFactors]:
    return np.tile(u * np.eye(3), (5, 1, 1)), FormFactors.of(NUMBERS, 0.1)


@pytest.fixture(scope="module")
def density() -> DensityMap:
    shapes, scattering = drawn(OF_MAP)
    grid = Grid((32, 32, 32), np.full(3, 0.4), np.full(3, -6.2))
    some = scattering[SHOWN].gaussians(POSITIONS[SHOWN], shapes[SHOWN], DIMMER * AMPLITUDES[SHOWN])
    return DensityMap(render_map(some, grid, 6.0).astype(np.float32), grid)


@pytest.fixture(scope="module")
def series() -> TiltSeries:
    shapes, scattering = drawn(OF_IMAGES)
    views = Views.from_tilts(np.array([-60.0, 0.0, 60.0]), "y", (32, 32))
    of_all = scattering.gaussians(POSITIONS, shapes, AMPLITUDES)
    images = np.stack(list(projected(of_all, views, np.zeros(3), (32, 32), 0.4)))
    return TiltSeries(images.astype(np.float32), np.ones(images.shape, bool), 0.4, views, np.zeros(3))


def of_map(density: DensityMap, structure: ScatteringAtoms, u: float) -> MapObservation:
    own = {
        "displacements": IsotropicDisplacements.from_variances(np.full(3, u)),
        "amplitudes": DIMMER * AMPLITUDES[SHOWN],
    }
    return MapObservation.of(
        density, structure, noise=WhiteNoise(0.01), background="none", own=own, which=SHOWN
    )


def test_a_map_of_some_and_images_of_all_are_fitted_together(
    density: DensityMap, series: TiltSeries
) -> None:
    moved = POSITIONS + np.random.default_rng(0).normal(0, 0.05, (5, 3))
    begin = atoms_of(0.1, moved)
    observations = of_map(density, begin, 0.12), SeriesObservation.of(series, begin, noise=WhiteNoise(0.01))
    fit = refine(Problem(frozen(begin, lambda a: a.scattering), observations), tolerance=1e-5)
    found, of_map_alone = fit.structure, fit.nuisances[0].own
    assert isinstance(found, ScatteringAtoms)
    np.testing.assert_allclose(found.positions, POSITIONS, atol=2e-3)
    np.testing.assert_allclose(found.atoms.matrices()[:, 0, 0], OF_IMAGES, atol=2e-3)
    np.testing.assert_allclose(of_map_alone["displacements"].matrices(3)[:, 0, 0], OF_MAP, atol=2e-3)
    np.testing.assert_allclose(of_map_alone["amplitudes"], DIMMER * AMPLITUDES[SHOWN], rtol=0.01)
    np.testing.assert_array_equal(found.scattering.weights, begin.scattering.weights)


def test_steps_follow_what_each_of_some_atoms_is_at_rest(density: DensityMap) -> None:
    """In closed form and by differentiation; a map of some atoms must not take them for others."""
    structure = atoms_of(OF_MAP)
    problem = Problem(frozen(structure, lambda a: a.scattering), of_map(density, structure, OF_MAP))
    objective = problem.objective()
    free = objective.parametrisation.zeros()
    vector = np.random.default_rng(1).normal(size=objective.parameters.length).astype(np.float32)
    (exact,) = products(objective, free, vector[None])
    closed = np.asarray(eqx.filter_jit(lambda o, at, v: o.curvature(at)[0](v))(objective, free, vector))
    # The region around atoms ends where a closed form goes on, and overlaps have fewer terms.
    scale = np.abs(exact).max()
    assert np.abs(closed - exact).max() < 0.03 * scale
