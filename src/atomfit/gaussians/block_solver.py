"""Solving with a block-sparse matrix of all atoms: quickly as a rule, at length if need be, or not at all.

Where atoms overlap as atoms do, conjugate gradients need a few dozen products. Where they lie on each
other, the matrix is nearly singular and hundreds are not enough; what has been reached then is no solution,
and looks like one. So it is solved anew: a matrix of few numbers is factorised, one of many is tried with
many more products, each atom's own block as the preconditioner. What is then still left of the right-hand
side decides: a vector that does not solve the system is NaN.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg, splu

_ACCURACY = 1e-4
#: Products with the matrix as a rule, and at most.
_PRODUCTS, _MOST_PRODUCTS = 200, 2000
#: Matrices of so many rows are factorised.
_FACTORISED = 5000
#: What a solution may leave of a right-hand side, in it.
_LEFT = 10 * _ACCURACY

Vector = Float[np.ndarray, " k"]


def solve(
    blocks: Float[np.ndarray, "n m p p"],
    neighbours: Int[np.ndarray, "n m"],
    right: Float[np.ndarray, "n p c"],
) -> Float[np.ndarray, "n p c"]:
    """The inverse of a symmetric matrix times vectors; NaN where a vector is not found.

    **Arguments:**

    - `blocks`: of each atom with its neighbours, itself first; zero where there are fewer.
    - `neighbours`: their indices.
    - `right`: vectors.
    """
    n, p, c = right.shape

    def product(vector: Vector) -> Vector:
        return np.einsum("nmpq,nmq->np", blocks, vector.reshape(n, p)[neighbours]).ravel()

    matrix = LinearOperator((n * p, n * p), matvec=product, dtype=np.float64)
    # Made once, and only if it is needed.
    harder = cache(
        lambda: _factorised(blocks, neighbours) if n * p <= _FACTORISED else _at_length(matrix, blocks)
    )

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def answer(column: Vector) -> Vector:
        found, unfinished = cg(matrix, column, rtol=_ACCURACY, maxiter=_PRODUCTS)
        if not unfinished:
            return found
        found = harder()(column)
        left = np.linalg.norm(column - matrix @ found)
        return found if left <= _LEFT * np.linalg.norm(column) else np.full(n * p, np.nan)

    return np.stack([answer(column) for column in right.reshape(n * p, c).T], axis=1).reshape(right.shape)


def _factorised(
    blocks: Float[np.ndarray, "n m p p"], neighbours: Int[np.ndarray, "n m"]
) -> Callable[[Vector], Vector]:
    """Solves by a factorisation; to NaN if there is none."""
    n, m, p, _ = blocks.shape
    begins = np.arange(n + 1) * m
    matrix = sparse.bsr_array(
        (blocks.reshape(n * m, p, p), neighbours.ravel(), begins), shape=(n * p, n * p)
    )
    # Of what nothing is known: a row of zeros, whose right-hand side is zero as well.
    nothing = np.diagonal(blocks[:, 0], axis1=1, axis2=2).ravel() == 0
    try:
        return splu((matrix.tocsc() + sparse.diags_array(nothing.astype(float))).tocsc()).solve
    except RuntimeError:
        return lambda column: np.full(n * p, np.nan)


def _at_length(matrix: LinearOperator, blocks: Float[np.ndarray, "n m p p"]) -> Callable[[Vector], Vector]:
    """Solves by conjugate gradients with each atom's own block as the preconditioner."""
    n, _, p, _ = blocks.shape
    inverse = np.linalg.pinv(blocks[:, 0], hermitian=True)

    def own(vector: Vector) -> Vector:
        return np.einsum("npq,nq->np", inverse, vector.reshape(n, p)).ravel()

    before = LinearOperator(matrix.shape, matvec=own, dtype=np.float64)
    return lambda column: cg(matrix, column, rtol=_ACCURACY, maxiter=_MOST_PRODUCTS, M=before)[0]
