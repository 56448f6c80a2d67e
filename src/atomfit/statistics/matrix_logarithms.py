"""Logarithms of displacement matrices with noise: matrices go in, five numbers of each shape come out.

In the logarithm L of a matrix noise is the same whatever the matrix, since what widens an atom does so in
proportion, and U_iso is apart: it moves the trace of L and nothing else. What is left, A = L less a third
of its trace, has the eigenvalues ln u_i - ln U_mean, so that DOI = U_min / U_maj is exp(-r) with r their
range. A is given by its five parts along orthonormal matrices (`basis`), so that rotations keep its
length.

A matrix of noise need not be positive and may have no logarithm: the map's part of it is taken as linear
about the matrix that was fitted (a step of Newton's in L), which is. Where that step is so long that
nothing is linear any more, a matrix is not known. That happens to a few atoms that a prior has drawn far,
where peaks are no more than twice the noise.
"""

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.limits import LIMITS
from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements

#: Smallest part of its largest eigenvalue that the smallest of an information matrix may be.
_ROUNDING = 1e-9


def logarithms(
    elements: Float[np.ndarray, "n 6"],
    information: Float[np.ndarray, "n 6 6"],
    about: Float[np.ndarray, "n 6"],
) -> tuple[Float[np.ndarray, "n 5"], Float[np.ndarray, "n 5 5"], Bool[np.ndarray, " n"]]:
    """Anisotropic parts of matrices' logarithms, with their inverse covariances, and where they are known.

    **Arguments:**

    - `elements`: of matrices: 11, 22, 33, 12, 13, 23 (Å²).
    - `information`: their inverse covariances (1/Å⁴); NaN where not known.
    - `about`: matrices that the information was evaluated at (Å²).
    """
    known = np.all(np.isfinite(elements) & np.isfinite(about), axis=1)
    known &= np.all(np.isfinite(information), axis=(1, 2))
    safe = np.where(known[:, None], about, np.array([1.0, 1, 1, 0, 0, 0]))
    values, axes = np.linalg.eigh(np.asarray(matrices_of_elements(safe)))
    known &= values[:, 0] > 0
    values = np.where(known[:, None], values, 1.0)
    logs = np.log(values)
    # Derivative of a matrix by its logarithm, along and between its axes.
    apart = logs[:, :, None] - logs[:, None, :]
    near = np.abs(apart) < 1e-6
    slopes = (values[:, :, None] - values[:, None, :]) / np.where(near, 1.0, apart)
    slopes = np.where(near, np.sqrt(values[:, :, None] * values[:, None, :]), slopes)
    elementary = basis()
    turned = np.einsum("nji,kjl,nlm->nkim", axes, elementary, axes)
    columns = np.einsum("nij,nkjl,nml->nkim", axes, turned * slopes[:, None], axes)
    jacobian = np.swapaxes(np.asarray(elements_of_matrices(columns)), 1, 2)
    now = np.einsum("nij,nj,nlj,kil->nk", axes, logs, axes, elementary)
    step = np.linalg.solve(jacobian, np.where(known[:, None], elements - safe, 0.0)[..., None])[..., 0]
    whole = np.swapaxes(jacobian, 1, 2) @ np.where(known[:, None, None], information, np.eye(6)) @ jacobian
    # Without the trace, which is the first of the basis.
    beside = whole[:, 1:, 0]
    precision = whole[:, 1:, 1:] - beside[:, :, None] * beside[:, None, :] / whole[:, :1, :1]
    # Rounding errors of a matrix that is nearly flat may leave a direction without information.
    determined = np.linalg.eigvalsh(precision)
    known &= determined[:, 0] > _ROUNDING * determined[:, -1]
    known &= np.linalg.norm(step[:, 1:], axis=1) < LIMITS.isotropy_step
    return (now + step)[:, 1:], precision, known


def basis() -> Float[np.ndarray, "6 3 3"]:
    """Orthonormal symmetric matrices, of which the first is the unit matrix."""
    diagonal = np.array([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]])
    diagonal /= np.linalg.norm(diagonal, axis=1, keepdims=True)
    basis = np.zeros((6, 3, 3))
    basis[:3, range(3), range(3)] = diagonal
    for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2)), 3):
        basis[k, i, j] = basis[k, j, i] = np.sqrt(0.5)
    return basis
