"""Moves on sites, against energies counted atom by atom and probabilities summed over all particles."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms

from atomfit.simulation.effective_medium import PairwiseEMT
from atomfit.stacking.board import Board, Walkers, begin, board_of
from atomfit.stacking.board_energy import energies_of, energies_of_one
from atomfit.stacking.lattice_energy import LatticeEnergy, energy_of_calculator, energy_of_medium
from atomfit.stacking.sampling import _bounded, _groups, laid_together
from atomfit.stacking.walkers import Target, change_groups, walk
from atomfit.stacking.zones import Stacking, stacking_of, zone_lattice
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.structure.elements import element
from atomfit.support.numerics import own_numerics

STEPS, WALKERS = 500, 64


def stacking(zone: tuple[int, int, int] = (1, 1, 0), symbol: str = "Pt") -> Stacking:
    cell, _ = zone_lattice("fcc", element(symbol).neighbour_distance * 2**0.5, zone)
    return stacking_of(symbol, zone, cell[:2, :2].T)


def sites_of(board: Board, base: np.ndarray, cells: np.ndarray, walkers: Walkers, w: int) -> np.ndarray:
    """(h, k, l) of a walker's atoms."""
    found = []
    for c, (h, k) in enumerate(cells.tolist()):
        bottom = int(walkers.bottoms[w, c])
        for place in range(bottom, bottom + int(walkers.counts[w, c])):
            found.append((h, k, place - board.depth // 2 + int(base[c])))
    return np.array(found)


@pytest.mark.parametrize("zone", [(1, 1, 0), (1, 1, 1)])
def test_energies_on_sites_are_those_of_the_potential(zone: tuple[int, int, int]) -> None:
    own = stacking(zone)
    rng = np.random.default_rng(2)
    steps = np.array(list(product(range(-5, 6), repeat=3)))
    sites = steps[np.linalg.norm(steps @ own.vectors, axis=1) < 7 + rng.normal(size=len(steps))]
    with own_numerics():
        exact = energy_of_medium(own, EffectiveMedium.of("Pt"), 1e-9)
        short = energy_of_medium(own, EffectiveMedium.of("Pt"))
    atoms = Atoms(["Pt"] * len(sites), sites @ own.vectors * exact.scale, calculator=PairwiseEMT())
    assert exact.energy(sites) == pytest.approx(atoms.get_potential_energy(), abs=1e-3)
    assert short.energy(sites) == pytest.approx(atoms.get_potential_energy(), rel=0.02)
    # One atom is somewhere else.
    other = np.concatenate([sites[:-1], sites[:1] - [0, 0, 1]])
    moved = Atoms(["Pt"] * len(other), other @ own.vectors * exact.scale, calculator=PairwiseEMT())
    rise = moved.get_potential_energy() - atoms.get_potential_energy()
    assert short.energy(other) - short.energy(sites) == pytest.approx(rise, abs=0.02)


def test_any_calculator_is_learned() -> None:
    own = stacking()
    learned = energy_of_calculator(own, "Pt", PairwiseEMT())
    steps = np.array(list(product(range(-4, 5), repeat=3)))
    sites = steps[np.linalg.norm(steps @ own.vectors, axis=1) < 7]
    atoms = Atoms(["Pt"] * len(sites), sites @ own.vectors, calculator=PairwiseEMT())
    off = learned.energy(sites) - atoms.get_potential_energy()
    assert abs(off) / len(sites) < 0.01
    assert learned.error < 0.01


def patch(margin: int = 1) -> tuple[Board, np.ndarray, np.ndarray, LatticeEnergy]:
    own = stacking()
    cells = np.array([[0, 0], [1, 0], [0, 1]])
    energy = energy_of_medium(own, EffectiveMedium.of("Pt"))
    board, base = board_of(energy, cells, own, 3, margin)
    return board, base, cells, energy


def test_all_particles_are_as_probable_as_they_should_be() -> None:
    """Three columns of up to three atoms: all 7,000 particles are counted."""
    with own_numerics():
        board, base, cells, energy = patch()
        states = [(b, n) for n in (1, 2, 3) for b in range(board.low, board.high - n + 1)]
        every = np.array(list(product(states, repeat=3)))
        all_walkers = Walkers(
            jnp.asarray(every[..., 0], jnp.int32),
            jnp.asarray(every[..., 1], jnp.int32),
            jnp.zeros(len(every), jnp.float32),
        )
        energies = np.asarray(energies_of(board, all_walkers), np.float64)
        for w in (0, 100, len(every) - 1):
            slow = energy.energy(sites_of(board, base, cells, all_walkers, w))
            assert energies[w] == pytest.approx(slow, abs=1e-4)
        likelihood = np.log(
            np.array([[0.0, 0.5, 0.3, 0.2], [0.0, 0.2, 0.2, 0.6], [0.0, 0.3, 0.4, 0.3]]) + 1e-30
        )
        kt, mu = 0.8, 3.5
        logs = np.take_along_axis(likelihood, every[..., 1].T, axis=1).sum(axis=0)
        logs -= (energies - mu * every[..., 1].sum(axis=1)) / kt
        exact = np.exp(logs - np.logaddexp.reduce(logs))
        target = Target(
            jnp.full(WALKERS, kt, jnp.float32),
            jnp.full(WALKERS, mu, jnp.float32),
            jnp.zeros(WALKERS, jnp.float32),
            jnp.full(WALKERS, 99.0, jnp.float32),
            jnp.zeros(WALKERS, jnp.int32),
            jnp.asarray(likelihood[None], jnp.float32),
        )
        walkers = begin(board, np.full((WALKERS, 3), 2), np.zeros((WALKERS, 3), int))
        rng = np.random.default_rng(0)
        order = np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1]])
        twice = np.zeros(3, int)
        numbers, seen = [], []
        for block in range(40):
            steps = jnp.full(WALKERS, STEPS // 10, jnp.int32)
            walkers, _ = walk(board, target, walkers, steps, jax.random.key(block))
            groups, random = _groups(order, WALKERS, True, rng)
            walkers, _ = change_groups(board, target, walkers, jnp.asarray(twice), groups, random)
            if block >= 8:
                numbers.append(np.asarray(walkers.counts))
                seen.append(np.asarray(walkers.bottoms))
        counts, bottoms = np.concatenate(numbers), np.concatenate(seen)
    np.testing.assert_allclose(walkers.energies, energies_of(board, walkers), atol=1e-3)
    for column in range(3):
        for n in (1, 2, 3):
            wanted = exact[every[:, column, 1] == n].sum()
            assert np.mean(counts[:, column] == n) == pytest.approx(wanted, abs=0.03)
    apart = every[:, 0, 0] - every[:, 1, 0]
    for step in (-1, 0, 1):
        wanted = exact[apart == step].sum()
        assert np.mean(bottoms[:, 0] - bottoms[:, 1] == step) == pytest.approx(wanted, abs=0.03)


def test_steps_are_counted_not_accepted_ones() -> None:
    with own_numerics():
        board, *_ = patch()
        likelihood = np.array([[-1e7, -1e7, 0.0, -1e7]] * 3)
        cold = Target(
            jnp.full(4, 1e-4, jnp.float32),
            jnp.zeros(4, jnp.float32),
            jnp.zeros(4, jnp.float32),
            jnp.full(4, 99.0, jnp.float32),
            jnp.zeros(4, jnp.int32),
            jnp.asarray(likelihood[None], jnp.float32),
        )
        walkers = begin(board, np.full((4, 3), 2), np.zeros((4, 3), int))
        steps = jnp.asarray([0, 500, 500, 500], jnp.int32)
        after, accepted = walk(board, cold, walkers, steps, jax.random.key(0))
    assert int(accepted[0]) == 0
    np.testing.assert_array_equal(after.bottoms[0], walkers.bottoms[0])
    # Nothing that is likelier is left, and counts that cannot be were not taken.
    np.testing.assert_array_equal(after.counts, 2)
    assert float(after.energies[1:].max()) <= float(energies_of(board, walkers).max()) + 1e-4


def test_counts_that_are_left_out_pull_back() -> None:
    likely = -0.5 * (np.arange(1, 31) - np.array([[[4.2]], [[20.1]]])) ** 2 / 0.05
    bounded = _bounded(likely)
    for law, best in ((0, 3), (1, 19)):
        towards = np.diff(bounded[law, 0]) * np.where(np.arange(29) < best, 1, -1)
        assert towards.min() > 5
    near = np.abs(likely) < 60
    np.testing.assert_allclose(bounded[near] - bounded.max(), likely[near] - likely.max(), atol=1)


def test_mirror_images_and_shifts_are_laid_on_each_other() -> None:
    own = stacking()
    rng = np.random.default_rng(3)
    cells = np.array(list(product(range(5), repeat=2)))
    with own_numerics():
        board, base = board_of(energy_of_medium(own, EffectiveMedium.of("Pt")), cells, own, 9, 5)
    twice = np.rint(2 * (cells @ own.heights + base)).astype(int)
    counts = rng.integers(4, 9, len(cells))
    bottoms = board.depth // 2 - counts // 2 + rng.integers(-2, 2, len(cells))
    turned = 2 * (board.depth // 2) - twice - (bottoms + counts - 1)
    samples = np.stack([bottoms, bottoms + 2, turned, turned - 1])[None]
    laid, mirrored = laid_together(board, samples, np.tile(counts, (1, 4, 1)), twice)
    assert np.all(laid == laid[:, :1])
    assert mirrored[0, 0] == mirrored[0, 1] != mirrored[0, 2] == mirrored[0, 3]


@pytest.mark.parametrize("fewest", [5.0, 7.0])
def test_numbers_of_atoms_stay_within_bounds_whatever_the_chemical_potential(fewest: float) -> None:
    with own_numerics():
        board, *_ = patch()
        likelihood = jnp.zeros((1, 3, 5), jnp.float32)
        for mu, expected in ((50.0, 8), (-50.0, fewest)):
            target = Target(
                jnp.full(4, 0.1, jnp.float32),
                jnp.full(4, mu, jnp.float32),
                jnp.full(4, fewest, jnp.float32),
                jnp.full(4, 8.0, jnp.float32),
                jnp.zeros(4, jnp.int32),
                likelihood,
            )
            # Begun below the bounds or within them.
            walkers = begin(board, np.full((4, 3), 2), np.zeros((4, 3), int))
            after, _ = walk(board, target, walkers, jnp.full(4, 400, jnp.int32), jax.random.key(1))
            total = np.asarray(after.counts).sum(axis=1)
            np.testing.assert_array_equal(total, expected if mu > 0 or fewest < 6 else 6)


def test_an_atom_inside_and_one_alone() -> None:
    with own_numerics():
        board, *_ = patch()
        inside, alone = energies_of_one(board)
    # The effective-medium potential is zero in the crystal, and one alone lacks the energy of cohesion.
    assert inside == pytest.approx(0, abs=0.05)
    assert 3 < alone < 8
