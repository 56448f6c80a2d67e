"""What a fit is wrong by on average, and taking it off.

The density of an atom is not linear in its position and width, so that noise does not cancel: U comes out
too large, by a part of it that grows as the square of the noise. At 15 % noise in every voxel it is one
or two percent of U: far below the standard uncertainty of one atom, but not of the mean of a thousand.

To second order the bias of nonlinear least squares is (Box 1971, eq. 2.26)

    b = -H⁻¹ g,    g_i = Σ_j ½ Σ_kl C_kl ∫ ∂_i ρ ∂_k ∂_l ρ_j,

with H the information, C the covariance of the numbers of atom j: minus what a fit makes of the mean
curvature of the density over the noise. Curvature is a sum of derivatives of a Gaussian up to the fourth,
and so reaches farther than the density: an atom feels a quarter of its neighbours' as well. The integrals
are derivatives of overlaps, up to the sixth (`overlaps`).

A prior is part of H, and C is then smaller; averaged over what the prior expects, the same holds.

It is zero for an atom that the second order does not describe (see `MOST`), or of which no Gaussian would
be left.
"""

import logging
from functools import partial

import numpy as np
from jaxtyping import Float

from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.information import Information, overlaps
from atomfit.gaussians.overlaps import mean_curvature, projected
from atomfit.gaussians.scatterers import Overlap
from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements

log = logging.getLogger("atomfit")

#: A bias that is a larger part of a standard uncertainty is not believed.
MOST = 0.5


def second_order_bias(
    atoms: FittedAtoms,
    covariances: Float[np.ndarray, "n q q"],
    known: Information,
    overlap: Overlap,
    lifts: Float[np.ndarray, "n p b"],
    inside: Float[np.ndarray, "n q q"] | None = None,
) -> Float[np.ndarray, "n q"]:
    """Bias of the numbers of each atom; zero where it is not known.

    **Arguments:**

    - `atoms`: the fitted atoms.
    - `covariances`: of position (Å), displacements (Å²; 11, 22, 33, 12, 13, 23) and amplitude, as in
        `Uncertainty`; zero for numbers that were not free.
    - `known`: what is known of them.
    - `overlap`: of two Gaussians, with its derivatives.
    - `lifts`: of which L Lᵀ is what an unknown background adds to the inverse of the information.
    - `inside`: what of each atom was seen (see `information`).
    """
    d, amplitudes = atoms.positions.shape[1], np.nan_to_num(atoms.amplitudes)
    # Half the digits are enough for a correction. Its unit keeps them within the range of float32.
    unit = float(np.median(amplitudes))
    curvature = mean_curvature(np.nan_to_num(covariances), amplitudes, d) / unit
    curvature, amplitudes = curvature.astype(np.float32), (amplitudes / unit).astype(np.float32)
    pull = []
    for rows, derivatives in overlaps(atoms, known.neighbours, partial(overlap, order=6), np.float32):
        others = np.where(known.missing[rows, :, None], np.float32(0), curvature[known.neighbours[rows]])
        pull.append(projected(others, derivatives, amplitudes[rows], d))
    units = np.where(np.arange(covariances.shape[1]) < covariances.shape[1] - 1, unit**2, unit)
    natural_pull = np.concatenate(pull).astype(np.float64) * units
    if inside is not None:
        natural_pull = np.einsum("nij,njk,nk->ni", inside, inside, natural_pull)
    right = natural_pull @ known.basis / known.unit
    answer = known.solve((right / known.scale)[..., None])[..., 0] / known.scale
    if not np.all(np.isfinite(answer)):
        log.warning("what noise adds to displacements on average was not found, and is not taken off")
    # Bias of the amplitudes would push the background down, which widens atoms in turn.
    answer += lifts @ np.einsum("npb,np->b", lifts, right)
    bias = -answer @ known.basis.T
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    small = np.all(bias**2 <= MOST**2 * np.nan_to_num(variances), axis=1)
    better = np.nan_to_num(natural(atoms) - bias)
    smallest = np.linalg.eigvalsh(np.asarray(matrices_of_elements(better[:, d:-1])))[:, 0]
    sound = small & (smallest > 0) & (better[:, -1] > 0)
    return np.where(sound[:, None], bias, 0.0)


def natural(atoms: FittedAtoms) -> Float[np.ndarray, "n q"]:
    """Position, displacements (11, 22, 33, 12, 13, 23) and amplitude of each atom."""
    elements = np.asarray(elements_of_matrices(atoms.shapes))
    return np.concatenate([atoms.positions, elements, atoms.amplitudes[:, None]], axis=1)
