"""Simulated films: groups of seeds share none, quarters tile one, surfaces and grains are as described."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from experiments.film.made import BEYOND, LOOSE, cut, support_of
from experiments.film.scenes import EDGE, FILM_PERIOD, GROUP_SIZE, GROUPS, KINDS, TILTS, VOXEL, WIDE, scene
from experiments.film.structures import BCC, TOO_NEAR, ball, brightness, grains, scattered, slab
from experiments.keeping import kept


def test_groups_share_no_film() -> None:
    for kind in KINDS:
        films = [
            {scene(kind, first + seed).film for seed in (*range(50), GROUP_SIZE - 1)}
            for first in GROUPS.values()
        ]
        assert not films[0] & films[1]
        for first, mine in zip(GROUPS.values(), films, strict=True):
            assert all(first <= film < first + GROUP_SIZE for film in mine)


def test_four_seeds_are_the_quarters_of_one_film() -> None:
    four = [scene("tantalum", GROUPS["choose"] + seed) for seed in range(4)]
    assert len({one.film for one in four}) == 1
    assert len({repr(asdict(one.imaging)) + f"{one.thickness} {one.roughness}" for one in four}) == 1
    covered = np.zeros((WIDE, WIDE), int)
    for one in four:
        x, y = one.corner
        covered[x : x + one.edge, y : y + one.edge] += 1
    assert np.all(covered == 1)
    assert 2 * EDGE == WIDE
    assert scene("particle", 7).film != scene("particle", 6).film


def test_tilts_are_those_of_the_measured_series() -> None:
    assert len(TILTS) == 46
    assert np.all(np.diff(TILTS) < 0)
    assert (max(TILTS), min(TILTS)) == (63.0, -55.9)


def test_surfaces_lie_where_they_should() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform([0, 0, -20], [30, 40, 20], (40_000, 3))
    lengths = np.array([30.0, 40.0])
    flat = slab(places, 20.0, 0.0, lengths, rng)
    np.testing.assert_array_equal(flat, np.abs(places[:, 2]) < 10)
    rough = slab(places, 20.0, 1.5, lengths, np.random.default_rng(1))
    # An atom is inside with the probability that the rough surface is higher.
    z = places[:, 2]
    assert 0.4 < rough[np.abs(z - 10) < 0.5].mean() < 0.6
    assert 0.02 < rough[np.abs(z - 12) < 0.3].mean() < 0.25
    again = slab(places + [30.0, 40.0, 0.0], 20.0, 1.5, lengths, np.random.default_rng(1))
    assert np.mean(again == rough) > 0.9999
    round_ = ball(places, 8.0, 0.0, rng)
    np.testing.assert_array_equal(round_, np.linalg.norm(places, axis=1) < 8)


def test_grains_are_crystals_turned_against_each_other() -> None:
    cell = np.array([30.0, 32.0, 34.0])
    atoms = grains(cell, np.random.default_rng(3))
    assert np.all((atoms >= 0) & (atoms < cell))
    tree = cKDTree(atoms, boxsize=cell)
    assert not tree.query_pairs(TOO_NEAR)
    bulk = 2 / BCC**3
    assert 0.85 < len(atoms) / float(np.prod(cell)) / bulk < 1.02
    # An atom within a grain has eight neighbours at the bcc distance; some are at boundaries.
    near = np.array(tree.query_ball_point(atoms, BCC * np.sqrt(3) / 2 + 0.01, return_length=True)) - 1
    assert 0.25 < np.mean(near == 8) < 0.95
    assert near.max() <= 12


def test_a_melt_begins_with_atoms_apart() -> None:
    cell = np.array([20.0, 24.0, 18.0])
    atoms = scattered(cell, 450, np.random.default_rng(0))
    assert atoms.shape == (450, 3)
    assert np.all((atoms >= 0) & (atoms < cell))
    assert cKDTree(atoms, boxsize=cell).query(atoms, k=2)[0][:, 1].min() > 2.0


def test_atoms_are_as_bright_as_a_dark_field_has_them() -> None:
    bright = brightness("alloy")
    np.testing.assert_allclose(bright / bright[2], [(28 / 78) ** 1.7, (46 / 78) ** 1.7, 1.0])
    np.testing.assert_allclose(np.prod(bright), 1.0)
    np.testing.assert_allclose(brightness("silicon"), [1.0])


@pytest.mark.parametrize("quarter", range(4))
def test_a_sub_area_knows_atoms_beyond_its_faces(quarter: int) -> None:
    one = scene("tantalum", GROUPS["choose"] + quarter)
    rng = np.random.default_rng(quarter)
    atoms = rng.uniform([0, 0, -10], [WIDE * VOXEL, WIDE * VOXEL, 10], (600, 3))
    types = rng.integers(0, 1, 600)
    support = support_of(one, atoms)
    density = np.zeros((len(support), *FILM_PERIOD[::-1]), np.float32)
    z, y, x = (
        np.rint(c / VOXEL).astype(int) for c in (atoms + [0, 0, VOXEL * (len(support) - 1) / 2])[:, ::-1].T
    )
    density[z, y % WIDE, x] = 1.0
    area = cut(one, density, atoms, types, "none")
    grid = area.map.grid
    assert grid.shape == (len(support), EDGE, EDGE)
    # Each voxel that is set has a true atom, and so has each true atom in the map.
    bright = grid.positions_of(np.argwhere(area.map.values > 0))
    assert cKDTree(area.positions).query(bright)[0].max() < VOXEL
    at = grid.indices_of(area.positions)
    inside = np.all((at > 0.5) & (at < np.array(grid.shape) - 1.5), axis=1)
    assert cKDTree(bright).query(area.positions[inside])[0].max() < VOXEL
    low, high = grid.origin - BEYOND, grid.positions_of(np.array(grid.shape) - 1) + BEYOND
    assert np.all((area.positions >= low) & (area.positions <= high))
    # As many per volume beyond the faces as within; along x on the side that the film goes on.
    wide = (EDGE * VOXEL + BEYOND) * (EDGE * VOXEL + 2 * BEYOND) / (WIDE * VOXEL) ** 2
    assert abs(len(area.positions) / (600 * wide) - 1) < 0.15
    assert np.ptp(area.positions[:, 1]) > EDGE * VOXEL + 1.5 * BEYOND


def test_the_support_ends_beyond_the_atoms() -> None:
    one = scene("silicon", 3)
    atoms = np.array([[0.0, 5, -10], [48.0, 9, 8]])
    support = support_of(one, atoms)
    x = VOXEL * np.arange(FILM_PERIOD[0])
    inside = (x <= 48 + LOOSE) | (x >= one.lengths[0] - LOOSE)
    np.testing.assert_array_equal(support.any(axis=0), inside)
    assert len(support) == 2 * int((10 + LOOSE) / VOXEL) + 1
    assert np.all(support.any(axis=1))


def test_what_is_kept_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"a": np.arange(3)}

    for _ in range(2):
        np.testing.assert_array_equal(kept(tmp_path / "x" / "a.npz", make)["a"], np.arange(3))
    assert made == [1]
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a.npz"]
