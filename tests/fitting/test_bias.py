"""The second-order bias against a slow reference on a grid, and against planted truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.atoms import elements_of_matrices, matrices_of_elements
from atomfit.fitting.bias import second_order_bias, without_bias
from atomfit.fitting.fitted import FittedAtoms


def one_atom(matrix: np.ndarray, amplitude: float) -> FittedAtoms:
    return FittedAtoms(
        np.zeros((1, len(matrix))),
        np.array([amplitude]),
        np.array([np.trace(matrix) / len(matrix)]),
        matrix[None],
    )


def sampled_bias(matrix: np.ndarray, amplitude: float, c: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Box (1971), eq. 2.26, with every derivative taken by JAX and every integral a sum over voxels."""
    d = len(matrix)
    axis = np.arange(-4.0, 4.01, 0.25)
    points = np.stack([x.ravel() for x in np.meshgrid(*[axis] * d)], axis=1)

    def density(v: jax.Array) -> jax.Array:
        u = jnp.asarray(matrices_of_elements(v[d:-1]))
        away = points - v[:d]
        square = jnp.einsum("ni,ij,nj->n", away, jnp.linalg.inv(u), away)
        return v[-1] * jnp.exp(-0.5 * square) / jnp.sqrt(jnp.linalg.det(2 * jnp.pi * u))

    at = jnp.concatenate([jnp.zeros(d), jnp.asarray(elements_of_matrices(matrix)), jnp.array([amplitude])])
    slopes = np.asarray(jax.jacfwd(density)(at), np.float64) @ free
    curved = np.asarray(jax.jacfwd(jax.jacfwd(density))(at), np.float64)
    mean = 0.5 * np.einsum("nkl,kl->n", curved, c)
    return -free @ np.linalg.solve(slopes.T @ slopes, slopes.T @ mean)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kind", ["anisotropic", "isotropic", "fixed amplitude"])
def test_bias_is_that_of_the_sampled_formula(d: int, kind: str) -> None:
    rng = np.random.default_rng(d)
    root = rng.normal(size=(d, d)) * 0.1 + 0.7 * np.eye(d)
    matrix = root @ root.T if kind != "isotropic" else 0.4 * np.eye(d)
    q = d + d * (d + 1) // 2 + 1
    free = np.eye(q)
    if kind == "isotropic":
        free = np.delete(free, range(d, q - 1), axis=1)
        free = np.insert(free, d, np.where((np.arange(q) >= d) & (np.arange(q) < 2 * d), 1.0, 0.0), axis=1)
    if kind == "fixed amplitude":
        free = free[:, :-1]
    factor = free @ rng.normal(size=(free.shape[1], 2 * q)) * 0.005
    c = factor @ factor.T
    atom = one_atom(matrix, 2.0)
    found = second_order_bias(atom, c[None])[0]
    np.testing.assert_allclose(found, sampled_bias(matrix, 2.0, c, free), rtol=2e-3, atol=1e-7)


def test_nothing_is_taken_off_what_the_second_order_does_not_describe() -> None:
    atom = one_atom(0.25 * np.eye(3), 1.0)
    vast, unknown = np.eye(10)[None] * 0.5, np.full((1, 10, 10), np.nan)
    for c in (vast, unknown):
        assert not second_order_bias(atom, c).any()


def test_an_atom_keeps_its_numbers_if_no_gaussian_would_be_left() -> None:
    atom = one_atom(0.25 * np.eye(3), 1.0)
    bias = np.zeros((1, 10))
    bias[0, 3] = 0.3
    assert without_bias(atom, bias)[0, 3] == 0.25
    bias[0, 3] = 0.01
    assert without_bias(atom, bias)[0, 3] == pytest.approx(0.24)
