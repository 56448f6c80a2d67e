"""The temperature that particles look like, from steps that they could have made."""

from itertools import product

import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.stacking.board import Board, Walkers, begin, board_of
from atomfit.stacking.board_energy import energies_of
from atomfit.stacking.lattice_energy import energy_of_medium
from atomfit.stacking.limits import LIMITS
from atomfit.stacking.temperature import BOLTZMANN, Trust, rises_of_transfers, temperature_of
from atomfit.stacking.zones import stacking_of, zone_lattice
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.structure.elements import element
from atomfit.support.numerics import own_numerics


@pytest.fixture(scope="module")
def board() -> Board:
    cell, _ = zone_lattice("fcc", element("Pt").neighbour_distance * 2**0.5, (1, 1, 0))
    own = stacking_of("Pt", (1, 1, 0), cell[:2, :2].T)
    cells = np.array([[0, 0], [1, 0], [0, 1]])
    with own_numerics():
        return board_of(energy_of_medium(own, EffectiveMedium.of("Pt")), cells, own, 3, 1)[0]


@pytest.mark.parametrize("temperature", [1500.0, 3000.0])
def test_particles_of_a_temperature_look_like_it(board: Board, temperature: float) -> None:
    """Three columns that share six atoms: all particles, drawn as often as they are probable."""
    states = [(b, n) for n in (1, 2, 3, 4) for b in range(board.low, board.high - n + 1)]
    every = np.array([s for s in product(states, repeat=3) if sum(n for _, n in s) == 6])

    def walkers(which: np.ndarray) -> Walkers:
        numbers = (jnp.asarray(which[..., k], jnp.int32) for k in (0, 1))
        return Walkers(*numbers, jnp.zeros(len(which), jnp.float32))

    rng = np.random.default_rng(1)
    with own_numerics():
        energies = np.asarray(energies_of(board, walkers(every)), np.float64)
        p = np.exp(-(energies - energies.min()) / (BOLTZMANN * temperature))
        drawn = every[rng.choice(len(every), 20_000, p=p / p.sum())]
        random = jnp.asarray(rng.random((4, len(drawn), 16)), jnp.float32)
        rises, fits = (np.asarray(each) for each in rises_of_transfers(board, walkers(drawn), random))
    assert 0.1 < fits.mean() < 0.9
    assert temperature_of(rises[fits].astype(float)) == pytest.approx(temperature, rel=0.03)


def test_temperatures_have_bounds() -> None:
    assert temperature_of(np.array([0.1, 0.2])) == LIMITS.coldest
    assert temperature_of(np.array([-0.1, -0.2])) == LIMITS.warmest


def test_what_is_known_stays(board: Board) -> None:
    rng = np.random.default_rng(0)
    with own_numerics():
        walkers = begin(board, np.full((2, 3), 2), np.zeros((2, 3), int))
        given, found = Trust(700.0, 14), Trust(None, 14)
        changed = [found.after(block, board, walkers, rng) for block in range(20)]
        assert not any(given.after(block, board, walkers, rng) for block in range(20))
    assert given.temperature == 700
    assert np.flatnonzero(changed).tolist() == [3, 5, 7, 9, 11, 13]
    assert LIMITS.coldest <= found.temperature <= LIMITS.warmest
