"""Local structure, grains and lattices of clusters whose structure is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from atomfit.options.build import ParticleShape
from atomfit.simulation.particles import particle
from atomfit.statistics.bonds import Bonds
from atomfit.statistics.crystals import CRYSTALS, Crystal
from atomfit.statistics.grains import find_grains
from atomfit.statistics.lattice import fit_lattices
from atomfit.statistics.structure import local_structure
from atomfit.statistics.twins import find_twins
from atomfit.structure.neighbours import find_neighbours


def ball(crystal: Crystal, constant: float, atoms: int) -> np.ndarray:
    """The atoms of a crystal nearest to a site, found by following bonds."""
    places, kinds = [np.zeros(3)], [0]
    seen = {(0, 0, 0)}
    for place, kind in zip(places, kinds, strict=False):
        for bond, to in zip(crystal.bonds[kind], crystal.leads_to[kind], strict=True):
            new = place + bond
            key = tuple(np.rint(1000 * new).astype(int).tolist())
            if key not in seen and np.linalg.norm(new) < 5:
                seen.add(key)
                places.append(new)
                kinds.append(int(to))
    order = np.argsort(np.linalg.norm(places, axis=1))
    return constant * np.array(places)[order[:atoms]]


def moved(positions: np.ndarray, seed: int, noise: float) -> np.ndarray:
    """Turned, shifted and jittered."""
    rng = np.random.default_rng(seed)
    turned = Rotation.random(rng=rng).apply(positions) + rng.uniform(-50, 50, 3)
    return turned + rng.normal(0, noise, positions.shape)


def bonded(positions: np.ndarray) -> Bonds:
    return Bonds.of(positions, find_neighbours(positions).cutoff)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.03, 0.06]))
def test_local_structure_of_twins(seed: int, noise: float) -> None:
    """Numbers of a Mackay icosahedron of 309 atoms and of a bipyramid of 181 follow from their layers."""
    found = local_structure(bonded(moved(particle("icosahedron", "Pt", 5), seed, noise)))
    counts = {name: int(np.sum(found == name)) for name in ("fcc", "hcp", "fivefold", "icosahedral")}
    assert counts == {"fcc": 20, "hcp": 90, "fivefold": 36, "icosahedral": 1}
    found = local_structure(bonded(moved(particle("decahedron", "Pt", 6), seed, noise)))
    counts = {name: int(np.sum(found == name)) for name in ("fcc", "hcp", "fivefold")}
    assert counts == {"fcc": 20, "hcp": 30, "fivefold": 4}


@pytest.mark.parametrize(
    ("shape", "size", "grains", "planes"), [("decahedron", 6, 5, 5), ("icosahedron", 5, 20, 30)]
)
@pytest.mark.parametrize("noise", [0.0, 0.08])
def test_grains_and_planes_of_twins(
    shape: ParticleShape, size: int, grains: int, planes: int, noise: float
) -> None:
    positions = moved(particle(shape, "Pt", size), 3, noise)
    bonds = bonded(positions)
    found = find_grains(bonds)
    assert found.crystal is CRYSTALS["fcc"]
    assert len(found.grains) == grains
    # Every atom inside one grain, that is not on a twin plane, is that grain's and no other's.
    fcc = local_structure(bonds) == "fcc"
    owners = np.stack([grain.explained for grain in found.grains])[:, fcc]
    assert np.mean(owners.sum(axis=0) == 1) >= 0.95
    assert np.all(found.membership[fcc] >= 0)
    twins = find_twins(bonds, found)
    assert len(twins) == planes
    # All planes of a decahedron hold its axis; atoms on a plane belong to hcp layers.
    if planes == 5:
        assert np.linalg.svd([twin.normal for twin in twins])[1][2] < 0.1


@pytest.mark.parametrize("name", list(CRYSTALS))
def test_lattices_are_found_in_any_orientation(name: str) -> None:
    crystal, constant, noise = CRYSTALS[name], 4.1, 0.02
    errors = []
    for seed in range(5):
        positions = moved(ball(crystal, constant, 300), seed, noise)
        bonds = bonded(positions)
        grains = find_grains(bonds)
        assert grains.crystal is crystal
        (lattice,) = fit_lattices(positions, bonds, grains)
        assert len(lattice) == 300
        edges, esd = lattice.edges
        true = constant * np.linalg.norm(crystal.cell, axis=1)
        errors.append((edges - true) / esd)
        angles, angle_esd = lattice.angles
        right = 120.0 if name == "hcp" else 90.0
        assert angles == pytest.approx([90, 90, right], abs=5 * angle_esd.max())
        assert lattice.deviation == pytest.approx(noise, rel=0.2)
        assert lattice.constant == pytest.approx(constant, abs=5 * lattice.constant_esd)
    assert np.std(errors) == pytest.approx(1, abs=0.5)


def test_the_setting_is_nearest_to_the_box() -> None:
    positions = particle("octahedron", "Pt", 6)
    bonds = bonded(positions)
    (lattice,) = fit_lattices(positions, bonds, find_grains(bonds))
    np.testing.assert_allclose(lattice.rotation, np.eye(3), atol=1e-6)


def test_outliers_do_not_move_a_lattice(rng: np.random.Generator) -> None:
    positions = particle("sphere", "Pt", 309, lattice=3.92)
    outer = np.linalg.norm(positions, axis=1).argsort()[-40:]
    positions[outer] += rng.normal(0, 0.4, (40, 3))
    bonds = Bonds.of(positions, find_neighbours(positions).cutoff)
    (lattice, *_) = fit_lattices(positions, bonds, find_grains(bonds))
    assert lattice.constant == pytest.approx(3.92, rel=1e-3)


def test_what_is_no_crystal_has_no_lattice() -> None:
    positions = np.random.default_rng(0).uniform(0, 20, (400, 3))
    found = find_grains(bonded(positions))
    assert found.crystal is None
    assert fit_lattices(positions, bonded(positions), found) == ()
    assert np.all(found.membership == -1)


@pytest.mark.parametrize("crystal", CRYSTALS.values(), ids=list(CRYSTALS))
def test_rotations_keep_bonds(crystal: Crystal) -> None:
    count = {"fcc": 24, "bcc": 24, "hcp": 6, "diamond": 12, "rocksalt": 24}[crystal.name]
    assert len(crystal.rotations) == count
    for turn in crystal.rotations:
        turned = crystal.bonds[0] @ turn.T
        assert np.linalg.norm(turned[:, None] - crystal.bonds[0], axis=2).min(axis=1).max() < 1e-9


def scattered(crystal: Crystal, constant: float, atoms: int, pieces: int) -> np.ndarray:
    """Pieces of a crystal, each turned as it likes, far from each other."""
    piece = ball(crystal, constant, atoms)
    places = 30 * np.stack(np.unravel_index(np.arange(pieces), (8, 8, 8)), axis=1)
    turns = Rotation.random(pieces, rng=np.random.default_rng(0))
    return np.concatenate([turn.apply(piece) + place for turn, place in zip(turns, places, strict=True)])


@pytest.mark.parametrize(("pieces", "grains"), [(4, 4), (220, 0)])
def test_fragments_of_very_many_atoms_are_no_grains(pieces: int, grains: int) -> None:
    positions = scattered(CRYSTALS["fcc"], 3.92, 19, pieces)
    assert len(find_grains(Bonds.of(positions, 3.3), ("fcc",)).grains) == grains


@pytest.mark.parametrize(("pieces", "grains"), [(4, 4), (10, 0)])
def test_fragments_of_an_open_network_are_no_grains(pieces: int, grains: int) -> None:
    """Four grains of diamond are grains; ten small pieces are what amorphous silicon has as well."""
    positions = scattered(CRYSTALS["diamond"], 5.43, 29, pieces)
    assert len(find_grains(Bonds.of(positions, 2.9), ("diamond",)).grains) == grains
