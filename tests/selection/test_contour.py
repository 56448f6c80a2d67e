"""Voxels of atoms, against a slow reference, and the level that shows them."""

import numpy as np
import pytest

from atomfit.gaussians.fitted import FittedAtoms
from atomfit.selection.contour import agreements, best_level, contour
from atomfit.structure.grid import DensityMap, Grid

GRID = Grid((30, 32, 34), np.array([0.4, 0.45, 0.5]), np.array([1.0, -2.0, 3.0]))


def atoms_of(positions: np.ndarray, u: np.ndarray) -> FittedAtoms:
    matrices = u[:, None, None] * np.eye(3)
    return FittedAtoms(positions, (2 * np.pi * u) ** 1.5, u, matrices)


@pytest.fixture(scope="module")
def atoms() -> FittedAtoms:
    rng = np.random.default_rng(0)
    positions = GRID.centre + rng.uniform(-3, 3, (12, 3))
    return atoms_of(positions, rng.uniform(0.2, 0.5, 12))


def test_labels_are_those_of_the_largest_share(atoms: FittedAtoms) -> None:
    voxels = GRID.positions_of(np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1))
    squares = np.sum((voxels[..., None, :] - atoms.positions) ** 2, axis=-1)
    each = np.exp(-0.5 * squares / atoms.u_iso)
    shares = each / (each.sum(axis=-1, keepdims=True) + 0.5)
    expected = np.where(shares.sum(axis=-1) > 0.5, shares.argmax(axis=-1) + 1, 0)
    found = contour(DensityMap(each.sum(axis=-1).astype(np.float32), GRID), atoms)
    assert np.mean(found.labels != expected) < 1e-4
    assert set(np.unique(found.labels)) == set(range(13))


def test_without_noise_the_contour_is_at_half_the_height(atoms: FittedAtoms) -> None:
    found = contour(DensityMap(atoms.density(GRID), GRID), atoms)
    assert found.level == pytest.approx(0.5, abs=0.02)
    assert found.f1 > 0.99


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_the_level_is_the_best_one_for_the_true_voxels(atoms: FittedAtoms, noise: float) -> None:
    values = atoms.density(GRID)
    noisy = (values + np.random.default_rng(1).normal(0, noise, values.shape)).astype(np.float32)
    found = contour(DensityMap(noisy, GRID), atoms)
    truth = found.labels > 0

    def f1(level: float) -> float:
        above = noisy >= level
        return 2 * np.sum(above & truth) / (above.sum() + truth.sum())

    assert f1(found.level) == pytest.approx(found.f1)
    assert found.f1 >= max(f1(level) for level in np.linspace(0.05, 1.5, 60)) - 2e-3
    assert found.sigma == pytest.approx((found.level - noisy.mean()) / noisy.std(), rel=1e-4)


def test_no_atom_has_no_voxel() -> None:
    none = atoms_of(np.zeros((0, 3)), np.zeros(0))
    found = contour(DensityMap(np.zeros(GRID.shape, np.float32), GRID), none)
    assert not found.labels.any()
    assert np.isnan(found.level)
    unknown = atoms_of(np.full((1, 3), 2.0), np.full(1, np.nan))
    assert not contour(DensityMap(np.zeros(GRID.shape, np.float32), GRID), unknown).labels.any()


def test_cuts_agree_with_voxels_as_counting_has_it() -> None:
    rng = np.random.default_rng(2)
    inside = rng.random((6, 7, 8)) < 0.2
    values = np.float32(inside + rng.normal(0, 0.5, inside.shape))
    levels = np.linspace(-2, 3, 40)
    counted = [2 * np.sum((values >= x) & inside) / (np.sum(values >= x) + inside.sum()) for x in levels]
    np.testing.assert_allclose(agreements(values, inside, levels), counted)
    level, f1 = best_level(values, inside)
    assert f1 >= max(counted) - 0.01
    assert agreements(values, inside, np.array([level]))[0] == pytest.approx(f1)
