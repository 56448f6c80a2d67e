"""What is given in an odd way is used as it was meant, or refused: never ignored."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.inference import (
    AbstractPixelNoise,
    Known,
    Problem,
    WhiteNoise,
    fixed_where,
    refine,
    with_wrapped,
)
from atomfit.inference.local import measure_local_uncertainty
from atomfit.inference.noise import KnownPrecision
from atomfit.observation import MapObservation, SeriesObservation
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians, render_map
from atomfit.structure import Atoms, IsotropicDisplacements
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError

TRUTH = np.array([[4.0, 4.2, 4.1], [6.6, 4.3, 4.6], [5.2, 6.7, 4.4], [5.0, 5.1, 6.9]])
GRID = Grid((26, 26, 26), np.full(3, 0.45), np.zeros(3))
CLEAN = render_map(Gaussians(TRUTH, np.tile(0.3 * np.eye(3), (4, 1, 1)), np.ones(4)), GRID)


def atoms_at(positions: Any = TRUTH, amplitudes: Any = None) -> Atoms:
    amplitudes = np.full(len(positions), 0.9) if amplitudes is None else amplitudes
    shapes = IsotropicDisplacements.from_variances(np.full(len(positions), 0.28))
    return Atoms(
        positions, displacements=shapes, amplitudes=amplitudes, numbers=np.full(len(positions), 78)
    )


def density(noise: Any = 0.01, seed: int = 0) -> DensityMap:
    values = CLEAN + noise * np.random.default_rng(seed).standard_normal(GRID.shape)
    return DensityMap(values.astype(np.float32), GRID)


ATOMS = atoms_at(TRUTH + 0.05)


def test_what_is_known_of_each_voxel_is_cut_out_with_the_map() -> None:
    """The half in which there is ten times as much noise says little, wherever the atoms' region begins."""
    deviations = np.where(np.arange(26) < 11, 0.005, 0.05)[:, None, None] * np.ones(GRID.shape)
    z = []
    for seed in range(6):
        noise = KnownPrecision((1 / deviations**2).astype(np.float32))
        fit = refine(Problem(ATOMS, MapObservation.of(density(deviations, seed), ATOMS, noise=noise)))
        z.append((fit.structure.positions - TRUTH) / fit.uncertainty.positions)
        assert fit.uncertainty.positions[3].mean() > 3 * fit.uncertainty.positions[0].mean()
    assert 0.8 < np.sqrt(np.mean(np.square(z))) < 1.2
    with pytest.raises(InputError, match=r"noise: noise of \(8, 8, 8\) values"):
        MapObservation.of(density(), ATOMS, noise=KnownPrecision(np.ones((8, 8, 8), np.float32)))


def test_a_likelihood_of_ones_own_has_its_own_information() -> None:
    class Twice(WhiteNoise):
        def cost(self, predicted: Any, data: Any) -> Any:
            return 2 * super().cost(predicted, data)

    class Plain(AbstractPixelNoise):
        def cost(self, predicted: Any, data: Any) -> Any:
            return (jnp.asarray(data) - predicted) ** 2 / 0.01**2

    errors = []
    for noise in (WhiteNoise(0.01), Twice(0.01), Plain()):
        fit = refine(Problem(ATOMS, MapObservation.of(density(), ATOMS, noise=noise)))
        errors.append(fit.uncertainty.positions.mean())
    np.testing.assert_allclose(errors[1:], errors[0] / np.sqrt(2), rtol=1e-3)


def test_a_prediction_of_ones_own_is_what_is_fitted() -> None:
    """Of a map, and of a series that has its gradient view by view."""

    class TwiceTheMap(MapObservation):
        def predict(self, structure: Any, nuisance: Any) -> Any:
            return 2 * super().predict(structure, nuisance)

    class TwiceTheSeries(SeriesObservation):
        def predict(self, structure: Any, nuisance: Any) -> Any:
            return 2 * super().predict(structure, nuisance)

    views = Views.from_tilts(np.arange(-60.0, 61.0, 20.0), "y", (28, 28))
    flat = Grid((28, 28), np.full(2, 0.45), np.zeros(2))
    images = np.zeros((len(views.rotations), 28, 28), np.float32)
    for image, rotation, centre in zip(images, views.rotations, views.centres, strict=True):
        seen = ((TRUTH - 5.0) @ rotation.T)[:, :2] + 0.45 * centre
        image += render_map(Gaussians(seen, np.tile(0.3 * np.eye(2), (4, 1, 1)), np.ones(4)), flat)
    series = TiltSeries(images, np.ones(images.shape, bool), 0.45, views, np.full(3, 5.0))
    halves = (
        TwiceTheMap.of(density(), ATOMS, background="none"),
        TwiceTheSeries.of(series, ATOMS, noise=WhiteNoise(0.01), free=()),
    )
    for twice in halves:
        fit = refine(Problem(ATOMS, twice))
        np.testing.assert_allclose(fit.structure.amplitudes, 0.5, rtol=0.03)


def test_whole_numbers_are_refined_or_refused() -> None:
    whole = atoms_at(np.rint(TRUTH).astype(int), np.ones(4, int))
    fit = refine(Problem(whole, MapObservation.of(density(), whole)))
    np.testing.assert_allclose(fit.structure.positions, TRUTH, atol=0.05)
    still = eqx.tree_at(lambda a: a.positions, ATOMS, np.rint(TRUTH).astype(int))
    with pytest.raises(InputError, match="positions are whole numbers"):
        Problem(still, MapObservation.of(density(), ATOMS))
    np.testing.assert_array_equal(atoms_at(TRUTH.tolist()).positions, TRUTH)


def test_a_prior_that_has_changed_is_asked_again() -> None:
    class Spring:
        stiffness = 1.0

        def __call__(self, structure: Any) -> Any:
            return 0.5 * self.stiffness * jnp.sum((structure.positions - jnp.asarray(TRUTH) - 0.2) ** 2)

    spring, places = Spring(), []
    for spring.stiffness in (1.0, 1e9):
        fit = refine(Problem(ATOMS, MapObservation.of(density(), ATOMS), spring))
        places.append(float(np.mean(fit.structure.positions - TRUTH)))
    assert abs(places[0]) < 0.02
    assert places[1] == pytest.approx(0.2, abs=0.01)


def test_what_no_data_tell_has_no_uncertainty() -> None:
    """An atom outside the map, and one that is kept in place: all others have theirs."""
    far = atoms_at(np.vstack([TRUTH, [[60.0, 5.0, 5.0]]]))
    kept = with_wrapped(ATOMS, lambda a: a.positions, lambda x: fixed_where(x, np.arange(4) == 0))
    for atoms, at in ((far, 4), (kept, 0)):
        fit = refine(Problem(atoms, MapObservation.of(density(), atoms)))
        esd = fit.uncertainty.positions
        assert np.all(np.isnan(esd[at]))
        assert np.all(np.isfinite(np.delete(esd, at, axis=0)))
        local = measure_local_uncertainty(fit.objective, fit.free).of_atoms(lambda s: s.positions)
        np.testing.assert_allclose(local.esd, esd, rtol=0.05)
        assert np.isfinite(fit.log_evidence)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
def test_a_switch_of_jax_changes_nothing() -> None:
    plain = refine(Problem(ATOMS, MapObservation.of(density(), ATOMS)))
    with jax.enable_x64(True):
        fit = refine(Problem(ATOMS, MapObservation.of(density(), ATOMS)))
        np.testing.assert_array_equal(fit.structure.positions, plain.structure.positions)
        np.testing.assert_array_equal(fit.uncertainty.positions, plain.uncertainty.positions)
        assert jnp.zeros(()).dtype == jnp.float64


def _observed(**options: Any) -> Callable[[], Any]:
    return lambda: MapObservation.of(density(), ATOMS, **options)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: WhiteNoise(-0.1), "deviation: a standard deviation is -0.1"),
        (lambda: Known(lambda s: s.positions, TRUTH, -0.1), "deviations: a standard deviation is not"),
        (lambda: MapObservation.of(density(), atoms_at(TRUTH, np.zeros(4))), "all amplitudes are zero"),
        (lambda: MapObservation.of(density(), atoms_at(TRUTH, np.ones(3))), "amplitudes of shape"),
        (_observed(which=[0, 9]), "which atoms a map shows"),
        (_observed(which=[1, 1]), "which atoms a map shows"),
        (_observed(which=np.zeros(4, bool)), "which atoms a map shows"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[], Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        wrong()


def test_some_atoms_may_be_named_by_a_mask() -> None:
    observation = MapObservation.of(density(), ATOMS, which=np.array([True, False, True, True]))
    np.testing.assert_array_equal(observation.which, [0, 2, 3])
