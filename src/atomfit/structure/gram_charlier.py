"""Density of an atom with third and fourth cumulants: a Gaussian times a polynomial.

Derivatives of a Gaussian are Hermite polynomials times it, so that with y = U⁻¹ r

    ρ = N(r; U) [1 + (C_jkl y_j y_k y_l - 3 C_jkl P_kl y_j) / 3!
                   + (D_jklm y_j y_k y_l y_m - 6 D_jklm P_lm y_j y_k + 3 D_jklm P_jk P_lm) / 4!],   P = U⁻¹

`gram_charlier` is that at any offsets. On a window's voxels, whose places are the same for all atoms but
for a shift, exponent and polynomial are sums over monomials of these places, so that windows of many atoms,
and their derivatives, are products of matrices: `coefficients` are the factors of the monomials. For the
polynomial they come from one quartic form of (1, r), which a shift of r turns into another.
"""

from itertools import combinations_with_replacement
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def gram_charlier(
    numbers: Any,
    offsets: Float[Array, "k m"],
    frame: Float[Array, "m d"],
    variance: Float[Array, ""],
) -> Float[Array, " k"]:
    """Density of one atom of integral one.

    **Arguments:**

    - `numbers`: U (Å²), C (Å³) and D (Å⁴), as whole tensors.
    - `offsets`: from its mean (Å).
    - `frame`: axes of the canvas in those of the tensors.
    - `variance`: of a blur (Å²).
    """
    matrix, third, fourth = numbers
    d = len(frame)
    matrix = frame @ matrix @ frame.T + variance * jnp.eye(d)
    third = jnp.einsum("aj,bk,cl,jkl->abc", frame, frame, frame, third)
    fourth = jnp.einsum("aj,bk,cl,em,jklm->abce", frame, frame, frame, frame, fourth)
    precision = jnp.linalg.inv(matrix)
    y = offsets @ precision
    gaussian = jnp.exp(-0.5 * jnp.sum(y * offsets, axis=1)) / jnp.sqrt(jnp.linalg.det(2 * np.pi * matrix))
    # Hermite polynomials contracted with symmetric tensors, by products of two of y that differ.
    row, column = np.triu_indices(d)
    twice = np.where(row == column, 1.0, 2.0).astype(np.float32)
    pairs = y[:, row] * y[:, column] * twice
    trace = jnp.einsum("jkl,kl->j", third, precision)
    traces = jnp.einsum("jklm,lm->jk", fourth, precision)
    odd = jnp.sum((pairs @ third[row, column] - 3 * trace) * y, axis=1)
    squared = fourth[row, column][:, row, column]
    even = jnp.sum((pairs @ squared - 6 * traces[row, column]) * pairs, axis=1)
    even += 3 * jnp.sum(traces * precision)
    return gaussian * (1 + odd / 6 + even / 24)


def coefficients(
    numbers: Any,
    shift: Float[Array, " d"],
    variance: Float[Array, ""],
    spacing: Float[Array, " d"],
) -> tuple[Float[Array, " q"], Float[Array, " p"]]:
    """Factors of `monomials` of orders 2 and 4: of the density's exponent and of its polynomial.

    **Arguments:**

    - `numbers`: as of `gram_charlier`.
    - `shift`: of the place that monomials are about from the atom's mean (Å).
    - `variance`: of a blur (Å²).
    - `spacing`: units of the places (Å).
    """
    matrix, third, fourth = numbers
    d = len(shift)
    matrix = matrix + variance * jnp.eye(d)
    precision = jnp.linalg.inv(matrix)
    moved = jnp.diag(jnp.concatenate([jnp.ones(1), spacing])).at[1:, 0].set(shift)
    # The exponent, and one over the root of the determinant with it.
    square = jnp.zeros((d + 1, d + 1)).at[1:, 1:].set(-0.5 * precision)
    square = moved.T @ square @ moved
    square = square.at[0, 0].add(-0.5 * jnp.log(jnp.linalg.det(2 * np.pi * matrix)))
    trace = jnp.einsum("jkl,kl->j", third, precision)
    traces = jnp.einsum("jklm,lm->jk", fourth, precision)
    p = precision
    form = jnp.zeros((d + 1,) * 4)
    form = form.at[0, 0, 0, 0].set(1 + jnp.sum(traces * p) / 8)
    form = form.at[0, 0, 0, 1:].set(-(p @ trace) / 2)
    form = form.at[0, 0, 1:, 1:].set(-(p @ traces @ p) / 4)
    form = form.at[0, 1:, 1:, 1:].set(jnp.einsum("ja,kb,lc,jkl->abc", p, p, p, third) / 6)
    whole = jnp.einsum("ja,kb,lc,me,jklm->abce", p, p, p, p, fourth) / 24
    form = form.at[1:, 1:, 1:, 1:].set(whole)
    form = jnp.einsum("ja,kb,lc,me,jklm->abce", moved, moved, moved, moved, form)
    return square.ravel() @ _places(d + 1, 2), form.ravel() @ _places(d + 1, 4)


def monomials(offsets: Float[np.ndarray, "k d"], order: int) -> Float[np.ndarray, "q k"]:
    """Products of so many of (1, x, y, z)."""
    whole = np.concatenate([np.ones((len(offsets), 1)), offsets], axis=1)
    which = list(combinations_with_replacement(range(whole.shape[1]), order))
    return np.prod(whole[:, which], axis=2).T.astype(np.float32)


def _places(d: int, order: int) -> Float[np.ndarray, "e q"]:
    """Which monomial each element of a form belongs to."""
    which = list(combinations_with_replacement(range(d), order))
    found = np.zeros((d**order, len(which)), np.float32)
    for i, indices in enumerate(np.ndindex(*(d,) * order)):
        found[i, which.index(tuple(sorted(indices)))] = 1.0
    return found
