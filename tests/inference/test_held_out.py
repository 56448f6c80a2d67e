"""Data that were kept back: of maps and series, and what they say of a model that lacks an atom."""

import equinox as eqx
import numpy as np
import pytest

from atomfit.inference import Problem, WhiteNoise, brightness_noise, frozen, held_out, refine, validate
from atomfit.observation import MapObservation, SeriesObservation
from atomfit.structure import Atoms, IsotropicDisplacements
from atomfit.support.errors import InputError
from inference.test_problem import AMPLITUDE, U, density_of, particle, series_of


def atoms_at(positions: np.ndarray) -> Atoms:
    n = len(positions)
    shape = IsotropicDisplacements.from_variances(np.full(n, U))
    return Atoms(positions, shape, np.full(n, AMPLITUDE), np.full(n, 78))


@pytest.mark.parametrize("kind", ["map", pytest.param("series", marks=pytest.mark.slow)])
def test_a_missing_atom_is_missed_where_nothing_was_fitted(kind: str) -> None:
    truth = particle()

    def problem(positions: np.ndarray) -> Problem:
        atoms = atoms_at(positions)
        if kind == "map":
            return Problem(atoms, (MapObservation.of(density_of(truth, 0.02), atoms_at(truth)),))
        return Problem(atoms, (SeriesObservation.of(series_of(truth, 0.02), atoms),))

    kept, held = held_out(problem(truth), part=0.3, seed=3)
    fit = refine(kept)
    right = validate(fit, held)
    assert right.fitted[0] == pytest.approx(0.5, rel=0.05)
    assert right.held[0] == pytest.approx(0.5, rel=0.15)
    kept, held = held_out(problem(truth[1:]), part=0.3, seed=3)
    lacking = validate(refine(kept), held, noise_of=fit)
    assert lacking.held[0] > 1.5 * right.held[0]


def test_parts_are_whole_and_complementary() -> None:
    atoms = atoms_at(particle())
    series = SeriesObservation.of(series_of(particle()), atoms)
    density = MapObservation.of(density_of(particle()), atoms, noise=WhiteNoise(0.1))
    kept, held = held_out(Problem(atoms, (series, density)), part=0.3, seed=1)
    for whole, a, b in zip((series, density), kept.observations, held.observations, strict=True):
        first, second = (np.asarray(o.counted) for o in (a, b))
        np.testing.assert_array_equal(first + second, np.asarray(whole.counted))
        assert not np.any((first > 0) & (second > 0))
    views = np.asarray(held.observations[0].counted).reshape(7, -1)
    assert np.count_nonzero(views.any(axis=1)) == np.count_nonzero(views.all(axis=1)) == 2
    again = held_out(Problem(atoms, (series, density)), part=0.3, seed=1)[1]
    np.testing.assert_array_equal(again.observations[1].counted, held.observations[1].counted)


def test_what_cannot_be_held_out_is_told() -> None:
    atoms = atoms_at(particle())
    density = MapObservation.of(density_of(particle()), atoms)
    counted = np.zeros_like(np.asarray(density.counted))
    counted[0, 0, 0] = 1
    alone = eqx.tree_at(lambda o: o.counted, density, counted)
    with pytest.raises(InputError, match="no part that can be held out"):
        held_out(Problem(atoms, (alone,)))
    with pytest.raises(InputError, match="no part of the data"):
        held_out(Problem(atoms, (density,)), part=1.5)
    noise = brightness_noise(np.asarray(density.data))
    bright = eqx.tree_at(lambda o: o.noise, density, noise)
    problem = Problem(frozen(atoms), (bright,))
    with pytest.raises(InputError, match="grows with brightness"):
        validate(refine(problem), problem)
