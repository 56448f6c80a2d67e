"""The second-order bias against a slow reference on a grid, and against planted truth."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import fit_jointly
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.uncertainty import uncertainty
from atomfit.rendering import Gaussians, render_map
from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid

VOXEL = 0.3
NOISE = 0.05


def atoms_of(positions: np.ndarray, matrices: np.ndarray, amplitudes: np.ndarray) -> FittedAtoms:
    u_iso = np.trace(matrices, axis1=1, axis2=2) / positions.shape[1]
    return FittedAtoms(positions, amplitudes, u_iso, matrices)


def sampled_bias(atoms: FittedAtoms, c: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Box (1971), eq. 2.26, with every derivative taken by JAX and every integral a sum over voxels.

    `c` has the covariances of each atom, `free` the directions in which one was free.
    """
    n, d = atoms.positions.shape
    low, high = atoms.positions.min() - 3.5, atoms.positions.max() + 3.5
    points = np.array(list(product(np.arange(low, high, VOXEL), repeat=d)))

    def density(v: jax.Array) -> jax.Array:
        u = jnp.asarray(matrices_of_elements(v[d:-1]))
        away = points - v[:d]
        square = jnp.einsum("ni,ij,nj->n", away, jnp.linalg.inv(u), away)
        return v[-1] * jnp.exp(-0.5 * square) / jnp.sqrt(jnp.linalg.det(2 * jnp.pi * u))

    elements = np.asarray(elements_of_matrices(atoms.matrices))
    vectors = np.concatenate([atoms.positions, elements, atoms.amplitudes[:, None]], axis=1)
    slope_of, curvature_of = jax.jit(jax.jacfwd(density)), jax.jit(jax.jacfwd(jax.jacfwd(density)))
    slopes = [np.asarray(slope_of(v), np.float64) @ free for v in vectors]
    curved = [np.asarray(curvature_of(v), np.float64) for v in vectors]
    mean = sum(0.5 * np.einsum("nkl,kl->n", h, one) for h, one in zip(curved, c, strict=True))
    slope = np.concatenate(slopes, axis=1)
    answer = -np.linalg.solve(slope.T @ slope, slope.T @ mean)
    return answer.reshape(n, -1) @ free.T


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kind", ["anisotropic", "isotropic", "fixed amplitudes"])
def test_bias_is_that_of_the_sampled_formula(d: int, kind: str) -> None:
    """Three atoms that overlap."""
    rng = np.random.default_rng(d)
    positions = np.eye(3)[:, :d] * 1.4 + rng.normal(0, 0.05, (3, d))
    roots = rng.normal(size=(3, d, d)) * 0.05 + 0.6 * np.eye(d)
    if kind == "isotropic":
        roots = np.array([0.5, 0.6, 0.7])[:, None, None] * np.eye(d)
    atoms = atoms_of(positions, roots @ np.swapaxes(roots, 1, 2), np.array([2.0, 3.0, 2.5]))
    free = np.eye(d + d * (d + 1) // 2 + 1)
    if kind == "isotropic":
        free = np.concatenate([free[:, :d], free[:, d : 2 * d].sum(axis=1, keepdims=True), free[:, -1:]], 1)
    frozen = ("amplitudes",) if kind == "fixed amplitudes" else ()
    if frozen:
        free = free[:, :-1]
    known = uncertainty(atoms, NOISE, VOXEL**d, isotropic=kind == "isotropic", frozen=frozen)
    expected = sampled_bias(atoms, known.covariances, free)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(known.bias, expected, rtol=5e-3, atol=2e-6)


def test_nothing_is_taken_off_what_the_second_order_does_not_describe() -> None:
    atom = atoms_of(np.zeros((1, 3)), 0.25 * np.eye(3)[None], np.ones(1))
    assert uncertainty(atom, 0.01, VOXEL**3).bias.any()
    assert not uncertainty(atom, 1.0, VOXEL**3).bias.any()


def test_mean_displacement_of_many_atoms_has_no_bias() -> None:
    """A crystal of 512 atoms at 20 % noise: without the correction it is wrong by four standard errors."""
    u, spacing = 0.25, 2.8
    places = np.array(list(product(range(8), repeat=3))) * spacing + 4.0
    n, shape = len(places), (int((7 * spacing + 8.0) / 0.36),) * 3
    grid = Grid(shape, np.full(3, 0.36), np.zeros(3))
    amplitudes = np.full(n, (2 * np.pi * u) ** 1.5)
    clean = render_map(Gaussians(places, np.tile(u * np.eye(3), (n, 1, 1)), amplitudes), grid, 5.0)
    noise = np.random.default_rng(0).normal(0, 0.2, grid.shape)
    density = DensityMap((clean + noise).astype(np.float32), grid)
    mean_atom = MeanAtom(1.0, u, 0.0, u * np.eye(3), n)
    fit = fit_jointly(density, places, mean_atom, element("Pt"))
    found, error = fit.fitted.u_iso.mean() / u - 1, fit.fitted.u_iso.std() / u / n**0.5
    taken = fit.uncertainty.bias[:, 3:6].mean() / u
    assert taken > 3 * error
    assert abs(found) < 2.5 * error
    assert found + taken > 3 * error
