"""Candidates and decoys in scores that are nothing but noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from atomfit.selection.candidates import Vacancy
from atomfit.simulation.particles import particle
from atomfit.structure.grid import DensityMap, Grid


@pytest.fixture(scope="module")
def vacancy() -> Vacancy:
    """405 atoms and scores that know nothing of them."""
    atoms = particle("sphere", "Pt", 405, 0, 3.92)
    grid = Grid((96,) * 3, np.full(3, 0.358), np.zeros(3))
    noise = gaussian_filter(np.random.default_rng(5).normal(size=grid.shape), 0.5 / 0.358)
    field = DensityMap((noise / noise.std()).astype(np.float32), grid)
    return Vacancy(field, atoms - atoms.mean(axis=0) + grid.centre, 1.8, 3.4, 3)


def test_candidates_have_room_and_neighbours(vacancy: Vacancy) -> None:
    places, scores = vacancy.candidates()
    distances = np.linalg.norm(places[:, None] - vacancy.atoms, axis=2)
    assert len(places) > 3
    assert distances.min() > vacancy.apart
    assert np.sum(distances < vacancy.cutoff, axis=1).min() >= 3
    np.testing.assert_array_equal(np.sort(scores)[::-1], scores)


def test_bumps_that_were_taken_hide_no_decoys(vacancy: Vacancy) -> None:
    """Every candidate taken for an atom: as many decoys are expected as there were candidates."""
    places, _ = vacancy.candidates()
    taken = Vacancy(
        vacancy.field, np.concatenate([vacancy.atoms, places]), vacancy.apart, vacancy.cutoff, 3
    )
    clear = np.arange(len(taken.atoms)) < len(vacancy.atoms)
    _, expected = taken.decoys(clear)
    _, hidden = taken.decoys(np.ones(len(taken.atoms), bool))
    # Poisson's two deviations, and what the false atoms add to the volume by being neighbours.
    assert 0.5 * len(places) < expected < len(places) + 3 * np.sqrt(len(places)) + 5
    assert hidden < expected


def test_where_there_is_no_outside_hollows_are_counted(vacancy: Vacancy) -> None:
    inner = (slice(30, 66),) * 3
    field = DensityMap(vacancy.field.values[inner].copy(), vacancy.field.grid.crop((30,) * 3, (36,) * 3))
    few = np.zeros(405, bool)
    few[0] = True
    scores, expected = Vacancy(field, vacancy.atoms, 1.8, 3.4, 3).decoys(few)
    assert expected == len(scores) > 0
