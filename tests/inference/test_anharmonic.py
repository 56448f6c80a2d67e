"""Atoms with tails: what Gaussians make of them, and what third and fourth cumulants do."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from atomfit.inference import AbstractObservation, Fit, Known, Problem, WhiteNoise, refine
from atomfit.inference.problem import predicted
from atomfit.observation import MapObservation, SeriesObservation
from atomfit.projection import TiltSeries, Views
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation import simulate
from atomfit.simulation.series import projected
from atomfit.structure import AnharmonicAtoms, AnisotropicDisplacements, Atoms, DensityMap, Grid
from atomfit.structure.anharmonic import unique_indices

#: Variance of each place that an atom visits, and its integral.
U, AMPLITUDE = 0.16, 2.0
VIEWS, PIXEL, SHAPE = 9, 0.4, (36, 40)


class Mixture:
    """Atoms that are often at one place and sometimes at two others, all of them on one side."""

    def __init__(self, seed: int) -> None:
        case = simulate(shape="icosahedron", size=2, noise=0.0, jitter=0.1, seed=5, box=40)
        rng = np.random.default_rng(seed)
        n = len(case.positions)
        self.weights = np.array([0.7, 0.2, 0.1])
        away = rng.standard_normal((n, 3))
        away *= rng.uniform(0.3, 0.5, (n, 1)) / np.linalg.norm(away, axis=1, keepdims=True)
        steps = np.stack([0 * away, away, 1.2 * away + 0.1 * rng.standard_normal((n, 3))], axis=1)
        self.means = case.positions - case.map.grid.centre
        steps -= np.einsum("k,nki->ni", self.weights, steps)[:, None]
        self.places = self.means[:, None] + steps
        second, self.third, fourth = (self._moments(steps, order) for order in (2, 3, 4))
        gaussian = np.einsum("nij,nkl->nijkl", second, second)
        pairs = gaussian + np.swapaxes(gaussian, 2, 3) + np.swapaxes(gaussian, 2, 4)
        self.matrices = second + U * np.eye(3)
        self.fourth = fourth - pairs

    def _moments(self, steps: np.ndarray, order: int) -> np.ndarray:
        letters = "abcd"[:order]
        terms = ",".join(f"nk{x}" for x in letters)
        return np.einsum(f"k,{terms}->n{letters}", self.weights, *[steps] * order)

    @property
    def gaussians(self) -> Gaussians:
        n = len(self.means)
        weights = np.tile(AMPLITUDE * self.weights, n)
        return Gaussians(self.places.reshape(-1, 3), np.tile(U * np.eye(3), (len(weights), 1, 1)), weights)

    @property
    def atoms(self) -> Atoms:
        n = len(self.means)
        displacements = AnisotropicDisplacements.from_matrices(self.matrices)
        return Atoms(
            self.means,
            displacements=displacements,
            amplitudes=np.full(n, AMPLITUDE),
            numbers=np.full(n, 78),
        )

    @property
    def anharmonic(self) -> AnharmonicAtoms:
        third, fourth = (
            np.stack([tensor[(slice(None), *i)] for i in unique_indices(3, order)], axis=1)
            for order, tensor in ((3, self.third), (4, self.fourth))
        )
        atoms = self.atoms
        return AnharmonicAtoms(
            atoms.positions,
            displacements=atoms.displacements,
            third=third,
            fourth=fourth,
            amplitudes=atoms.amplitudes,
            numbers=atoms.numbers,
        )


def map_of(mixture: Mixture, noise: float, seed: int = 0) -> DensityMap:
    grid = Grid((36, 36, 36), np.full(3, 0.4), np.full(3, -7.0))
    clean = render_map(mixture.gaussians, grid)
    values = clean + noise * clean.max() * np.random.default_rng(seed).standard_normal(clean.shape)
    return DensityMap(values.astype(np.float32), grid)


def series_of(mixture: Mixture, noise: float, seed: int = 0) -> TiltSeries:
    views = Views.from_tilts(np.linspace(-75, 75, VIEWS), "y", SHAPE)
    clean = np.stack(list(projected(mixture.gaussians, views, np.zeros(3), SHAPE, PIXEL)))
    images = clean + noise * clean.max() * np.random.default_rng(seed).standard_normal(clean.shape)
    return TiltSeries(images.astype(np.float32), np.ones(images.shape, bool), PIXEL, views, np.zeros(3))


def observed(mixture: Mixture, kind: str, structure: Atoms | AnharmonicAtoms) -> AbstractObservation:
    if kind == "map":
        return MapObservation.of(map_of(mixture, 0.01), structure, background="none")
    return SeriesObservation.of(series_of(mixture, 0.005), structure)


def quotients(fit: Fit, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Errors of means and of displacements in their standard uncertainties."""
    row, column = np.triu_indices(3)

    def both(structure: Atoms | AnharmonicAtoms, nuisances: object) -> Array:
        matrices = structure.displacements.matrices(3)[:, row, column]
        return jnp.concatenate([structure.positions, matrices], axis=1)

    known = fit.uncertainty.of(both)
    true = np.concatenate([mixture.means, mixture.matrices[:, row, column]], axis=1)
    z = (known.value - true) / known.esd
    return z[:, :3], z[:, 3:]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


@pytest.mark.parametrize("kind", ["map", "series"])
def test_cumulants_describe_a_mixture_whole_or_projected(kind: str) -> None:
    mixture = Mixture(0)
    structures = mixture.atoms, mixture.anharmonic
    clean = map_of(mixture, 0.0) if kind == "map" else series_of(mixture, 0.0)
    away = []
    for structure in structures:
        white = WhiteNoise(1.0)
        o: AbstractObservation
        if isinstance(clean, DensityMap):
            o = MapObservation.of(clean, structure, noise=white, background="none")
        else:
            o = SeriesObservation.of(clean, structure, noise=white)
        objective = Problem(structure, (o,)).objective()
        drawn = np.asarray(predicted(objective, objective.parametrisation.zeros())[0])
        away.append(rms((np.asarray(o.data) - drawn)[np.asarray(o.counted) > 0]))
    # Cumulants beyond the fourth are what is left.
    assert away[1] < 0.35 * away[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["map", "series"])
def test_means_and_displacements_are_right_where_gaussians_are_wrong(kind: str) -> None:
    mixture = Mixture(0)
    gaussian = refine(Problem(mixture.atoms, (observed(mixture, kind, mixture.atoms),)))
    assert max(map(rms, quotients(gaussian, mixture))) > 2.5

    start = AnharmonicAtoms.of(gaussian.structure)
    wide = Known(lambda s: jnp.concatenate([s.third, s.fourth], axis=1), 0.0, 0.05)
    fit = refine(Problem(start, (observed(mixture, kind, start),), (wide,)))
    for z in quotients(fit, mixture):
        assert 0.7 < rms(z) < 1.3
