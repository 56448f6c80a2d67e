import numpy as np
import pytest

from atomfit.simulation.particles import orientation, particle
from atomfit.structure.neighbours import CUTOFF_PER_DISTANCE, find_neighbours


@pytest.mark.parametrize(
    ("shape", "size"), [("octahedron", 6), ("cuboctahedron", 4), ("decahedron", 4), ("icosahedron", 4)]
)
def test_coordination_numbers_are_ases(shape: str, size: int) -> None:
    neighborlist = pytest.importorskip("ase.neighborlist")
    from ase import Atoms

    sites = orientation("random", 5).apply(particle(shape, "Pt", size))
    first = neighborlist.neighbor_list("i", Atoms(["Pt"] * len(sites), sites), 3.35)
    expected = np.bincount(first, minlength=len(sites))
    found = find_neighbours(sites)
    np.testing.assert_array_equal(found.coordination_numbers, expected)
    assert found.coordination_numbers.max() == 12


def test_cutoff_of_fcc_is_the_papers() -> None:
    a = 3.92
    sites = particle("sphere", "Pt", 500, lattice=a)
    assert find_neighbours(sites).cutoff == pytest.approx(0.5 * a * (1 + 1 / np.sqrt(2)), rel=1e-3)


def test_cutoff_survives_disorder() -> None:
    rng = np.random.default_rng(0)
    sites = particle("sphere", "Pt", 500)
    moved = sites + rng.normal(0, 0.1, sites.shape)
    np.testing.assert_array_equal(
        find_neighbours(moved).coordination_numbers, find_neighbours(sites).coordination_numbers
    )


def test_given_cutoff_is_used() -> None:
    sites = np.array([[0.0, 0, 0], [2, 0, 0], [5, 0, 0]])
    assert find_neighbours(sites, 3.5).coordination_numbers.tolist() == [1, 2, 1]
    assert find_neighbours(sites, 2.5).mean_distances[0] == 2.0
    assert np.isnan(find_neighbours(sites, 2.5).mean_distances[2])


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_count(n: int) -> None:
    found = find_neighbours(np.zeros((n, 3)), None, 2.77)
    assert found.coordination_numbers.tolist() == [0] * n
    assert np.all(np.isnan(found.nearest_distances))


def test_scattered_atoms_are_not_neighbours() -> None:
    sites = 20.0 * np.arange(4)[:, None] * np.ones(3)
    found = find_neighbours(sites, None, 2.77)
    assert not found.coordination_numbers.any()
    assert found.cutoff <= 1.25 * 2.77 * CUTOFF_PER_DISTANCE
