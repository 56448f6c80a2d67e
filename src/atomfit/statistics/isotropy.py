"""How isotropic displacements are: DOI of each atom from matrices with noise, and the DOI of all of them.

**Noise makes matrices less isotropic, never more**: eigenvalues of a matrix with noise lie farther apart
than those without (they repel), so that U_min / U_maj of a perfectly round atom comes out as 0.66 where
the peak of an atom is five times the noise of a voxel. No correction of a single atom takes that away:
what an atom by itself says of so small a number, between zero and one, is not enough for an estimate of
it without bias. All atoms of a map together do say how their DOI is distributed. That is learned first,
by deconvolution, and then tells each atom what its matrix means (empirical Bayes: Robbins 1956; Efron
2014).

*Coordinates.* The anisotropic part of the logarithm of each matrix, where noise is the same whatever the
matrix (`matrix_logarithms`); DOI is exp(-r), with r the range of its eigenvalues.

*Likelihood* of each atom for each r, whatever the orientation: `isotropy_likelihood`.

*Distribution* of r among the atoms, for each coordination number, if it makes a difference: `mixing`.
What is reported is the mean over several such distributions, each learned from atoms that were weighed at
random, of the posterior mean of DOI, with the posterior's standard deviation in which their scatter is
contained (Laird & Louis 1987).

So the estimate has little bias in the mean over the atoms of a map, if peaks are well above the noise. It
is no unbiased estimate of a single atom: where noise is large, atoms are drawn to what all are like, the
more the less is known of each, and their spread is smaller than the true one; `Isotropies.distribution`
is the estimate of that. The standard deviation says how far. How near means come, and how honest
deviations are: `experiments/isotropy`.

`found_round` asks another question, of each atom by itself: is its matrix less round than noise alone
makes one?
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.fitting.prior import MapAlone, dimensions
from atomfit.statistics.isotropy_likelihood import likelihoods, nodes_of
from atomfit.statistics.matrix_logarithms import logarithms
from atomfit.statistics.mixing import Mixing

#: Atoms that the distribution is learned from at most.
_MOST_ATOMS = 1000


@dataclass(frozen=True, eq=False)
class Isotropies:
    """Degrees of isotropy of n atoms; NaN where a matrix or its covariance is not known.

    **Fields:**

    - `means`: of DOI, given the map and the distribution.
    - `deviations`: standard deviation of the same: the standard uncertainty.
    - `values`, `distribution`: DOI, and the part of the atoms that has it; empty where nothing was learned.
    """

    means: Float[np.ndarray, " n"]
    deviations: Float[np.ndarray, " n"]
    values: Float[np.ndarray, " k"]
    distribution: Float[np.ndarray, " k"]


def isotropies(
    alone: MapAlone,
    coordination: Float[np.ndarray, " n"],
    learned_from: Bool[np.ndarray, " n"] | None = None,
    seed: int = 0,
) -> Isotropies:
    """Degree of isotropy of each atom, and its distribution; NaN of what is no matrix of three dimensions.

    **Arguments:**

    - `alone`: what the map alone says of displacements (Å²), with their information; fitted matrices are
        positive definite where DOI is to be known.
    - `coordination`: coordination numbers.
    - `learned_from`: atoms that the distribution is learned from; all if not given. Without any, nothing is
        known.
    - `seed`: of all that is drawn.
    """
    n = len(alone.displacements)
    means, deviations = np.full(n, np.nan), np.full(n, np.nan)
    known = np.zeros(n, bool)
    if alone.displacements.shape[1] == 6:
        a, w, known = logarithms(alone.displacements, alone.information, alone.fitted)
    chosen = np.flatnonzero(known if learned_from is None else known & learned_from)
    if not len(chosen):
        return Isotropies(means, deviations, np.zeros(0), np.zeros(0))
    chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:_MOST_ATOMS])
    nodes = nodes_of(a[known], w[known])
    learned = likelihoods(a[chosen], w[chosen], nodes, seed)
    doi = np.repeat(np.exp(-nodes), learned.shape[2])
    flat = learned.reshape(len(chosen), -1)
    flat = flat / flat.max(axis=1, keepdims=True)
    mixing = Mixing(flat, coordination[chosen], doi / doi.sum(), seed=seed).chosen()
    places = np.unique(coordination[known])
    distribution = np.zeros(len(nodes))
    for place, g in zip(places, mixing.at(places), strict=True):
        rows = np.flatnonzero(known & (coordination == place))
        flat = likelihoods(a[rows], w[rows], nodes, seed).reshape(len(rows), -1)
        total = flat @ g.T
        means[rows] = np.mean(flat @ (g * doi).T / total, axis=1)
        squares = np.mean(flat @ (g * doi**2).T / total, axis=1)
        deviations[rows] = np.sqrt(np.maximum(squares - means[rows] ** 2, 0))
        distribution += len(rows) / known.sum() * g.mean(axis=0).reshape(len(nodes), -1).sum(axis=1)
    return Isotropies(means, deviations, np.exp(-nodes), distribution)


def found_round(alone: MapAlone) -> Bool[np.ndarray, " n"]:
    """Atoms whose own matrices are no more anisotropic than noise makes them on average.

    With a the anisotropic part of U (five numbers in three dimensions) and C its covariance, aᵀ C⁻¹ a has
    the expectation of what is real and as much as there are numbers. False where that is not known.

    **Arguments:**

    - `alone`: what the map alone says of displacements (Å²).
    """
    elements, covariances = alone.displacements, alone.covariances
    count = elements.shape[1]
    if count == 1:
        return np.zeros(len(elements), bool)
    d = dimensions(count)
    # A basis of the anisotropic part: differences of the diagonal, and what is beside it.
    basis = np.zeros((count - 1, count))
    basis[: d - 1, :d] = np.eye(d)[1:] - 1 / d
    basis[d - 1 :, d:] = np.eye(count - d)
    a, c = elements @ basis.T, basis @ covariances @ basis.T
    known = np.all(np.isfinite(a), axis=1) & np.all(np.isfinite(c), axis=(1, 2))
    safe = np.where(known[:, None, None], c, np.eye(count - 1))
    strength = np.einsum("ni,ni->n", a, np.linalg.solve(safe, a[..., None])[..., 0])
    return known & (strength <= count - 1)
