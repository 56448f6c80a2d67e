"""What maximum likelihood is wrong by on average, and taking it off.

The density of an atom is not linear in its position and width, so that noise does not cancel: U comes out
too large, by a part of it that grows as the square of the noise. At 15 % noise
in every voxel it is one or two percent of U: far below the standard uncertainty of one atom, but not of
the mean of a thousand.

To second order the bias of nonlinear least squares is (Box 1971, eq. 2.26)

    b = -G⁻¹ g,    G_ij = ∫ ∂_i ρ ∂_j ρ,    g_i = ½ Σ_kl C_kl ∫ ∂_i ρ ∂_k ∂_l ρ,

with C the covariance of the atom's numbers: minus what a fit makes of the mean curvature of the density
over the noise. Neighbours are in C. The integrals are those of a single atom, since curvature is felt
where the atom is; and the same for all atoms, when each is turned and stretched into the unit Gaussian,
where they are moments:

    ∫ D^a N D^b N = (-1)^|a| D^(a+b) N(0; 2)

Nothing is taken off an atom that the second order does not describe (see `MOST`).
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int
from scipy.special import factorial2

from atomfit.atoms import elements_of_matrices, matrices_of_elements
from atomfit.fitting.fitted import FittedAtoms
from atomfit.fitting.overlaps import natural_parameters

#: A bias that is a larger part of a standard uncertainty, in any direction, is not believed.
MOST = 0.5


def second_order_bias(
    atoms: FittedAtoms, covariances: Float[np.ndarray, "n q q"]
) -> Float[np.ndarray, "n q"]:
    """Bias of the numbers of each atom; zero where it is not known.

    **Arguments:**

    - `atoms`: the fitted atoms, each a single Gaussian.
    - `covariances`: of position (Å), displacements (Å²; 11, 22, 33, 12, 13, 23) and amplitude, as in
        `Uncertainty`; zero for numbers that were not free.
    """
    d = atoms.positions.shape[1]
    bias = np.zeros(covariances.shape[:2])
    usable = atoms.usable & np.all(np.isfinite(covariances), axis=(1, 2))
    back = _from_unit_gaussian(atoms.shapes[usable], atoms.amplitudes[usable])
    there = np.linalg.inv(back)
    c = there @ covariances[usable] @ np.swapaxes(there, 1, 2)
    information, curvature = _moments(d)
    pull = 0.5 * c.reshape(len(c), curvature[0].size) @ curvature.reshape(len(curvature), -1).T
    # Only what was free can answer: the directions in which there is a covariance.
    values, vectors = np.linalg.eigh(c)
    variances = np.where(values > 1e-9 * values[:, -1:], values, 0.0)
    free = np.where(variances[:, None, :] > 0, vectors, 0.0)
    turned = np.swapaxes(free, 1, 2)
    normal = turned @ information @ free + (variances == 0)[:, None, :] * np.eye(c.shape[1])
    answer = np.linalg.solve(normal, turned @ pull[..., None])
    small = np.all(answer[..., 0] ** 2 <= MOST**2 * variances, axis=1)
    bias[usable] = np.where(small[:, None], -(back @ free @ answer)[..., 0], 0.0)
    return bias


def without_bias(atoms: FittedAtoms, bias: Float[np.ndarray, "n q"]) -> Float[np.ndarray, "n q"]:
    """Position, displacements and amplitude of each atom, less their bias if a Gaussian is left."""
    d = atoms.positions.shape[1]
    found = np.concatenate(
        [atoms.positions, np.asarray(elements_of_matrices(atoms.shapes)), atoms.amplitudes[:, None]], axis=1
    )
    better = found - bias
    smallest = np.linalg.eigvalsh(np.asarray(matrices_of_elements(better[:, d:-1])))[:, 0]
    sound = (smallest > 0) & (better[:, -1] > 0)
    return np.where(sound[:, None], better, found)


def _from_unit_gaussian(
    shapes: Float[np.ndarray, "n d d"], amplitudes: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n q q"]:
    """What a change of the unit Gaussian's numbers is, when it is stretched and turned into each atom."""
    n, d, _ = shapes.shape
    lower = np.linalg.cholesky(shapes)
    q = len(natural_parameters(d))
    back = np.zeros((n, q, q))
    back[:, :d, :d] = lower
    for column, unit in enumerate(np.asarray(matrices_of_elements(np.eye(q - d - 1)))):
        back[:, d:-1, d + column] = elements_of_matrices(lower @ unit @ np.swapaxes(lower, 1, 2))
    back[:, -1, -1] = amplitudes
    return back


@cache
def _moments(d: int) -> tuple[Float[np.ndarray, "q q"], Float[np.ndarray, "q q q"]]:
    """∫ ∂_i ρ ∂_k ρ and ∫ ∂_i ρ ∂_k ∂_l ρ of the unit Gaussian of unit amplitude."""
    orders = np.array([[axes.count(k) for k in range(d)] for axes in natural_parameters(d)])
    # Moving is minus a gradient, widening half a second derivative, twice that beside the diagonal.
    signs = np.array(
        [(1.0, -1.0, 0.5 if len({*axes}) == 1 else 1.0)[len(axes)] for axes in natural_parameters(d)]
    )
    parity = (-1.0) ** orders.sum(axis=1)
    information = (parity * signs)[:, None] * signs * _at_zero(orders[:, None] + orders)
    curvature = (parity * signs)[:, None, None] * np.multiply.outer(signs, signs)
    curvature = curvature * _at_zero(orders[:, None, None] + orders[:, None] + orders)
    # The density is linear in its amplitude.
    curvature[:, -1, -1] = 0.0
    return information, curvature


def _at_zero(orders: Int[np.ndarray, "*k d"]) -> Float[np.ndarray, "*k"]:
    """Derivatives of N(r; 2) at zero, in units of its value there."""
    half = orders // 2
    along = (-0.5) ** half * np.where(half > 0, factorial2(np.maximum(orders - 1, 1)), 1.0)
    return np.prod(np.where(orders % 2 == 0, along, 0.0), axis=-1)
