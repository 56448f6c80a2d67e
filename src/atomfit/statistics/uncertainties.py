"""Standard uncertainties of what is computed from a fit, by propagation of its covariances.

An eigenvalue of U changes by vᵀ dU v when U changes by dU, v being its eigenvector; the degree of
isotropy, u_iso and the peak follow from first derivatives as well.

**The degree of isotropy is biased by noise**, which makes any matrix less isotropic, never more. What it
is without that bias is estimated from all atoms together: see `statistics.isotropy`. If the fit drew
displacements to those of other atoms (`fitting.prior`), that is done with those of the map alone, without
what the prior has put into them.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from atomfit.gaussians.determined import determined, scales_of
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.uncertainty import Uncertainty
from atomfit.statistics.displacements import PrincipalDisplacements
from atomfit.statistics.isotropy import Isotropies
from atomfit.structure.neighbours import Neighbours


@dataclass(frozen=True, eq=False)
class StandardUncertainties:
    """Standard uncertainties of n atoms' numbers; NaN where one is not known or was frozen.

    **Fields:**

    - `positions`: along x, y, z (Å).
    - `matrices`: of the elements of U (Å²; 11, 22, 33, 12, 13, 23).
    - `amplitudes`: (map units x Å³).
    - `u_iso`: (Å²).
    - `principal`: of the eigenvalues, largest first (Å²).
    - `degree_of_isotropy`: first order; where eigenvalues nearly coincide it is a rough guide.
    - `peak_heights`: (map units).
    - `nearest_distances`: to the nearest atom (Å).
    - `debiased_isotropy`: not an uncertainty, but what follows from one: DOI without the bias of noise.
    - `debiased_isotropy_esd`: of that.
    """

    positions: Float[np.ndarray, "n d"]
    matrices: Float[np.ndarray, "n s"]
    amplitudes: Float[np.ndarray, " n"]
    u_iso: Float[np.ndarray, " n"]
    principal: Float[np.ndarray, "n d"]
    degree_of_isotropy: Float[np.ndarray, " n"]
    peak_heights: Float[np.ndarray, " n"]
    nearest_distances: Float[np.ndarray, " n"]
    debiased_isotropy: Float[np.ndarray, " n"]
    debiased_isotropy_esd: Float[np.ndarray, " n"]


def unknown(n: int, d: int) -> StandardUncertainties:
    """Of atoms that nothing is known of."""
    row, rows = np.full(n, np.nan), np.full((n, d), np.nan)
    return StandardUncertainties(
        rows, np.full((n, d * (d + 1) // 2), np.nan), row, row, rows, row, row, row, row, row
    )


def propagate(
    atoms: FittedAtoms,
    principal: PrincipalDisplacements,
    neighbours: Neighbours,
    known: Uncertainty,
    isotropy: Isotropies,
) -> StandardUncertainties:
    """Standard uncertainties of everything that is computed from the fitted numbers.

    **Arguments:**

    - `atoms`, `known`: the fit and its covariances, of which those that say nothing are left out.
    - `principal`: displacements along principal axes.
    - `neighbours`: nearest atoms and their distances.
    - `isotropy`: degrees of isotropy without the bias of noise.
    """
    d = atoms.positions.shape[1]
    known = replace(known, covariances=determined(known.covariances, scales_of(atoms)))
    deviations = known.deviations
    shapes = known.covariances[:, d:-1, d:-1]
    diagonal = np.arange(shapes.shape[1]) < d
    # vᵀ dU v, in which an element beside the diagonal counts twice.
    pairs = _element_products(principal.axes)
    values = principal.values
    of_values = np.einsum("nka,nab,nlb->nkl", pairs, shapes, pairs)
    slope = np.zeros_like(values)
    slope[:, -1] += 1 / values[:, 0]
    slope[:, 0] -= values[:, -1] / values[:, 0] ** 2
    # The peak is a sum of terms, each of which has ln peak = ln A - ½ ln det V + constant.
    heights, terms = atoms.peaks
    parts = heights / np.sum(heights, axis=1, keepdims=True)
    inverses = np.einsum("nk,nkij->nij", parts, np.linalg.inv(terms))
    row, column = np.triu_indices(d, 1)
    by_shape = -0.5 * np.concatenate([inverses[:, range(d), range(d)], 2 * inverses[:, row, column]], 1)
    by_number = np.concatenate([by_shape, 1 / atoms.amplitudes[:, None]], axis=1)
    peaks = atoms.peak_heights * _deviation(by_number, known.covariances[:, d:, d:])
    return StandardUncertainties(
        deviations[:, :d],
        np.where(np.all(np.isfinite(atoms.matrices), axis=(1, 2))[:, None], deviations[:, d:-1], np.nan),
        deviations[:, -1],
        _deviation(np.broadcast_to(diagonal / d, shapes.shape[:2]), shapes),
        _root(np.diagonal(of_values, axis1=1, axis2=2)),
        _deviation(slope, of_values),
        peaks,
        known.of_distances(atoms.positions, neighbours.nearest),
        isotropy.means,
        isotropy.deviations,
    )


def _element_products(axes: Float[np.ndarray, "n k d"]) -> Float[np.ndarray, "n k s"]:
    """What each axis v makes of the elements of a matrix M in vᵀ M v."""
    row, column = np.triu_indices(axes.shape[-1], 1)
    return np.concatenate([axes**2, 2 * axes[..., row] * axes[..., column]], axis=-1)


def _deviation(slopes: Float[np.ndarray, "n k"], c: Float[np.ndarray, "n k k"]) -> Float[np.ndarray, " n"]:
    """Standard uncertainty of a number that depends on others by the given slopes."""
    return _root(np.einsum("na,nab,nb->n", slopes, c, slopes))


def _root(variances: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.sqrt(np.where(variances > 0, variances, np.nan))
