"""How probable a matrix with noise is, for each degree of isotropy that its atom may have.

In go five numbers a of each atom's matrix (`matrix_logarithms`) and their inverse covariances S⁻¹; out
come likelihoods of ranges r and classes of the middle eigenvalue b. The atom's own matrix is A = r D, D
being a direction (`isotropy_directions`), of which all orientations are alike likely:

    p(a | r, b) = ∫ N(a; r D, S) over orientations.

The integral is a weighted mean over drawn directions, the same for all r, so that it is smooth in r.
Draws are quasi-random (Sobol), so that few are enough: twice as many change the root mean square error of
DOI by nothing that shows, half as many do.
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from atomfit.statistics.isotropy_directions import CLASSES, triaxial, uniaxial

#: Directions drawn from each of two densities.
_DRAWS = 64
#: Nodes of r at most, and the largest (DOI of 0.01).
_NODES, _LARGEST = 60, 4.6
_ATOMS_AT_A_TIME = 64


def nodes_of(a: Float[np.ndarray, "n 5"], w: Float[np.ndarray, "n 5 5"]) -> Float[np.ndarray, " r"]:
    """Values of r, half as far apart as it is known of the atoms that are known best.

    **Arguments:**

    - `a`, `w`: anisotropic parts of logarithms, and their inverse covariances.
    """
    deviations = np.sqrt(2.5 / np.trace(w, axis1=1, axis2=2) * 4)
    ranges = np.linalg.norm(a, axis=1) * np.sqrt(2) + 3 * deviations
    largest = float(np.clip(np.quantile(ranges, 0.999), 0.1, _LARGEST))
    apart = max(0.5 * float(np.quantile(deviations, 0.1)), largest / _NODES)
    return np.linspace(0, largest, max(int(np.ceil(largest / apart)), 12) + 1)


def likelihoods(
    a: Float[np.ndarray, "n 5"],
    w: Float[np.ndarray, "n 5 5"],
    nodes: Float[np.ndarray, " r"],
    seed: int = 0,
    draws: int = _DRAWS,
) -> Float[np.ndarray, "n r b"]:
    """How probable each atom is for each r and class of b, in a unit of its own.

    **Arguments:**

    - `a`, `w`: anisotropic parts of logarithms, and their inverse covariances.
    - `nodes`: values of r.
    - `seed`, `draws`: of the directions; half as many as are drawn, a power of two.

    Classes are those between disc and cigar, then discs and cigars proper.
    """
    drawn = qmc.Sobol(5, seed=seed).random(2 * draws)
    result = np.empty((len(a), len(nodes), CLASSES + 2))
    for begin in range(0, len(a), _ATOMS_AT_A_TIME):
        rows = slice(begin, begin + _ATOMS_AT_A_TIME)
        directions, weights, classes = triaxial(a[rows], w[rows], drawn)
        parts = [(directions, CLASSES * weights[..., None] * (classes[..., None] == np.arange(CLASSES)))]
        for which in (0, 2):
            directions, weights = uniaxial(a[rows], w[rows], drawn, which)
            parts.append((directions, weights[..., None]))
        exponents = [_exponents(a[rows], w[rows], directions, nodes) for directions, _ in parts]
        # No atom is so far from all nodes that all its likelihoods are zero.
        highest = np.max([x.max(axis=(1, 2)) for x in exponents], axis=0)[:, None, None]
        result[rows] = np.concatenate(
            [
                np.exp(x - highest) @ weights / weights.shape[1]
                for x, (_, weights) in zip(exponents, parts, strict=True)
            ],
            axis=2,
        )
    return result


def _exponents(
    a: Float[np.ndarray, "n 5"],
    w: Float[np.ndarray, "n 5 5"],
    directions: Float[np.ndarray, "n m 5"],
    nodes: Float[np.ndarray, " r"],
) -> Float[np.ndarray, "n r m"]:
    """Logarithms of N(a; r D, S) for each r and direction, but for what is the same of all of them."""
    weighed = directions @ w
    curvature = np.einsum("nmk,nmk->nm", weighed, directions)[:, None]
    slope = np.einsum("nmk,nk->nm", weighed, a)[:, None]
    r = nodes[:, None]
    return r * (slope - 0.5 * r * curvature)
