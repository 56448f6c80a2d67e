"""The effective-medium potential in JAX against ase's, and against the arrays that simulations use."""

import jax
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from scipy.spatial import cKDTree

from atomfit.simulation.effective_medium import PairwiseEMT
from atomfit.simulation.particles import particle
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.support.errors import InputError


@pytest.mark.parametrize("symbol", ["Al", "Ni", "Pt"])
def test_energies_and_forces_are_those_of_ase(symbol: str) -> None:
    rng = np.random.default_rng(1)
    positions = particle("sphere", symbol, 60, 1)
    positions += rng.normal(0, 0.1, positions.shape)
    medium = EffectiveMedium.of(symbol)
    pairs = cKDTree(positions).query_pairs(medium.reach, output_type="ndarray")
    atoms = Atoms([symbol] * 60, positions, calculator=EMT())
    with jax.enable_x64(True):
        energies = np.asarray(medium.energies(positions, pairs))
        slope = np.asarray(jax.grad(lambda x: medium.energies(x, pairs).sum())(positions))
    np.testing.assert_allclose(energies, atoms.get_potential_energies(), atol=1e-9)
    np.testing.assert_allclose(-slope, atoms.get_forces(), atol=1e-9)
    atoms.calc = PairwiseEMT()
    np.testing.assert_allclose(energies, atoms.get_potential_energies(), atol=1e-9)
    single = np.asarray(medium.energies(positions.astype(np.float32), pairs))
    np.testing.assert_allclose(single, energies, atol=1e-4)


def test_an_atom_in_the_bulk_is_the_zero_of_energy() -> None:
    medium = EffectiveMedium.of("Pt")
    a = medium.neighbour_distance * 2**0.5
    cells = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 1, 3)
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites = ((cells + basis).reshape(-1, 3) * a).astype(np.float64)
    pairs = cKDTree(sites).query_pairs(medium.reach, output_type="ndarray")
    middle = int(np.argmin(np.linalg.norm(sites, axis=1)))
    with jax.enable_x64(True):
        energies = np.asarray(medium.energies(sites, pairs))
    # Its fourth shell is not in what it is counted from.
    assert abs(energies[middle]) < 0.01
    alone = np.asarray(medium.energies(np.zeros((1, 3), np.float32), np.zeros((0, 2), int)))
    np.testing.assert_allclose(alone, [5.85], rtol=1e-6)


def test_other_elements_are_refused() -> None:
    with pytest.raises(InputError, match="does not know Fe"):
        EffectiveMedium.of("Fe")
