"""What the displacements of a particle have in common: the marginal likelihood, maximised.

For given spreads τ and τ' the mean M and its change with coordination follow from weighted least squares;
the two spreads are searched for. See `prior` for the model.

What is needed of an atom is how probable its U is among the others, so the noise that counts is that of
an atom which is as they are. At its own U it would be another. An atom that noise has narrowed looks better
known than it is, and would draw the others after it. And one that is truly wide is known worse, by far
where noise is coloured: weights sharpen the map, and U less the width of the noise is what is left of an
atom. With its own covariance such an atom would pass for one of the others to which noise was unkind, and
no spread would be found where there is a wide one. So each covariance is taken to the expected U, in the
proportion in which that of a lone atom changes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize

from atomfit.fitting.limits import LIMITS
from atomfit.fitting.prior import DisplacementPrior, MapAlone, dimensions, parts
from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements

log = logging.getLogger("atomfit")
OfLoneAtoms = Callable[[Float[np.ndarray, "n s"]], Float[np.ndarray, "n s s"]]

#: Atoms that widths are estimated from, at most.
_MOST_ATOMS = 5000
#: Times that covariances are taken at the displacements that were found expected, and the least of these,
#: as a part of typical ones.
_REPETITIONS = 3
_NARROWEST = 0.25


def estimate_prior(
    alone: MapAlone,
    coordination: Float[np.ndarray, " n"],
    kept: Bool[np.ndarray, " n"],
    of_lone: Callable[[Int[np.ndarray, " k"], Float[np.ndarray, "k s"]], Float[np.ndarray, "k s s"]],
) -> DisplacementPrior | None:
    """What the displacements have in common; None if there are too few atoms to say.

    **Arguments:**

    - `alone`: displacements as the map alone has them.
    - `coordination`: coordination numbers.
    - `kept`: atoms to be believed.
    - `of_lone`: covariances, in any unit, that some of the atoms would have without neighbours, had they
        given displacements.
    """
    which = np.flatnonzero(kept & np.all(np.isfinite(alone.information), axis=(1, 2)))
    if len(which) < LIMITS.prior_atoms:
        return None
    which = which[:: -(-len(which) // _MOST_ATOMS)]
    u, covariances = alone.displacements[which], alone.covariances[which]
    fitted = alone.fitted[which]
    s = u.shape[1]
    centre = float(coordination[which].mean())
    away = coordination[which] - centre
    constant = np.ones((len(u), 1))
    designs = [constant]
    if np.ptp(away) > 0:
        designs.append(np.column_stack([constant, away]))
    try:
        fits = [
            _most_probable(u, covariances, fitted, design, partial(of_lone, which)) for design in designs
        ]
    except np.linalg.LinAlgError:
        # Frequencies that a filter took away may be all that tells of atoms of such widths.
        log.info("no prior: the map does not tell all displacements")
        return None
    best = fits[0]
    if len(fits) > 1 and fits[0].loss - fits[1].loss > LIMITS.prior_gain * s * np.log(len(u)):
        best = fits[1]
    slope = best.coefficients[1] if len(best.coefficients) > 1 else np.zeros(s)
    return DisplacementPrior(best.coefficients[0], slope, centre, *best.spreads, len(u))


@dataclass(frozen=True, eq=False)
class _Hyperparameters:
    """Of the marginal likelihood: minus twice its logarithm, regression, τ and τ'."""

    loss: float
    coefficients: Float[np.ndarray, "c s"]
    spreads: tuple[float, float]


def _most_probable(
    u: Float[np.ndarray, "n s"],
    covariances: Float[np.ndarray, "n s s"],
    fitted: Float[np.ndarray, "n s"],
    design: Float[np.ndarray, "n c"],
    of_lone: OfLoneAtoms,
) -> _Hyperparameters:
    """Maximise the marginal likelihood; the regression is solved for at each pair of spreads.

    Each covariance is taken from the U that it was computed at to the expected one, found by repetition.
    """
    d = dimensions(u.shape[1])
    typical = np.median(fitted[:, :d].mean(axis=1))
    expected = np.tile(typical * (np.arange(u.shape[1]) < d), (len(u), 1))
    inverse = np.linalg.inv(np.linalg.cholesky(of_lone(fitted)))
    for _ in range(_REPETITIONS):
        taken = np.linalg.cholesky(of_lone(_no_narrower(expected, _NARROWEST * typical))) @ inverse
        found = _at_given_covariances(u, taken @ covariances @ np.swapaxes(taken, 1, 2), design)
        expected = design @ found.coefficients
    return found


def _no_narrower(elements: Float[np.ndarray, "n s"], least: float) -> Float[np.ndarray, "n s"]:
    """Matrices with no eigenvalue below the least."""
    if elements.shape[1] == 1:
        return np.maximum(elements, least)
    values, vectors = np.linalg.eigh(np.asarray(matrices_of_elements(elements)))
    widened = (vectors * np.maximum(values, least)[:, None]) @ np.swapaxes(vectors, 1, 2)
    return np.asarray(elements_of_matrices(widened))


def _at_given_covariances(
    u: Float[np.ndarray, "n s"],
    covariances: Float[np.ndarray, "n s s"],
    design: Float[np.ndarray, "n c"],
) -> _Hyperparameters:
    s = u.shape[1]
    covariance_parts = [np.linalg.pinv(part) for part in parts(s)]
    # Typical uncertainty of each part, in the unit of its spread.
    typical = np.sqrt([np.median(np.einsum("nab,ab->n", covariances, part)) for part in parts(s)])
    typical[1] /= np.sqrt(max(s - 1, 1))
    typical = np.maximum(typical, 1e-9)

    def at(logarithms: Float[np.ndarray, "2"]) -> tuple[float, Float[np.ndarray, "c s"]]:
        total = covariances + sum(
            np.exp(2 * x) * part for x, part in zip(logarithms, covariance_parts, strict=True)
        )
        weights = np.linalg.inv(total)
        normal = np.einsum("nc,nab,ne->caeb", design, weights, design)
        right = np.einsum("nc,nab,nb->ca", design, weights, u)
        size = right.size
        coefficients = np.linalg.solve(normal.reshape(size, size), right.ravel()).reshape(right.shape)
        rest = u - design @ coefficients
        loss = np.einsum("na,nab,nb->", rest, weights, rest) + np.linalg.slogdet(total)[1].sum()
        return float(loss), coefficients

    found = minimize(
        lambda x: at(x)[0] / len(u),
        np.log(typical),
        method="Nelder-Mead",
        bounds=[(np.log(LIMITS.prior_spread * x), np.log(100 * x)) for x in typical],
        options={"xatol": 0.02, "fatol": 1e-5, "maxfev": 200},
    )
    if not found.success:
        log.warning(
            "by how much displacements differ was not settled: the prior is as wide as was found last"
        )
    loss, coefficients = at(found.x)
    isotropic, anisotropic = (float(x) for x in np.exp(found.x))
    return _Hyperparameters(loss, coefficients, (isotropic, anisotropic))
