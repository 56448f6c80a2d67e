"""What the displacements of a particle have in common: the marginal likelihood, maximised.

For given spreads τ and τ' the mean M and its change with coordination follow from weighted least squares;
the two spreads are searched for. See `prior` for the model.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize

from atomfit.atoms import elements_of_matrices, matrices_of_elements
from atomfit.fitting.prior import DisplacementPrior, MapAlone, dimensions, parts

#: Atoms that widths are estimated from, at most.
_MOST_ATOMS = 5000
#: Atoms that are needed to say anything of the others.
_FEWEST_ATOMS = 20
#: Times that covariances are taken at the displacements that were found expected, and how far they may go.
_REPETITIONS = 3
_MOST_SCALING = 4.0
#: A spread below this part of a typical standard uncertainty is as good as none.
_LEAST_SPREAD = 0.2
#: A change with coordination must gain so much in twice the log likelihood for each of its numbers, times
#: the logarithm of the number of atoms (Schwarz 1978).
_GAIN = 1.0


def estimate_prior(
    alone: MapAlone, coordination: Float[np.ndarray, " n"], kept: Bool[np.ndarray, " n"]
) -> DisplacementPrior | None:
    """What the displacements have in common; None if there are too few atoms to say.

    **Arguments:**

    - `alone`: displacements as the map alone has them.
    - `coordination`: coordination numbers.
    - `kept`: atoms to be believed.
    """
    which = np.flatnonzero(kept & np.all(np.isfinite(alone.information), axis=(1, 2)))
    if len(which) < _FEWEST_ATOMS:
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
    fits = [_most_probable(u, covariances, fitted, design) for design in designs]
    best = fits[0]
    if len(fits) > 1 and fits[0].loss - fits[1].loss > _GAIN * s * np.log(len(u)):
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
) -> _Hyperparameters:
    """Maximise the marginal likelihood; the regression is solved for at each pair of spreads.

    An atom that noise has made narrower than it is, along any axis, looks better known than it is, and
    would draw the others after it. What noise does to U, relative to U, hardly depends on U, so each
    covariance is taken from the U that it was computed at to the expected one, found by repetition.
    """
    d = dimensions(u.shape[1])
    middle = np.median(fitted[:, :d].mean(axis=1))
    expected = np.tile(middle * (np.arange(u.shape[1]) < d), (len(u), 1))
    for _ in range(_REPETITIONS):
        taken = _stretches(fitted, expected)
        found = _at_given_covariances(u, taken @ covariances @ np.swapaxes(taken, 1, 2), design)
        expected = design @ found.coefficients
    return found


def _stretches(
    before: Float[np.ndarray, "n s"], after: Float[np.ndarray, "n s"]
) -> Float[np.ndarray, "n s s"]:
    """What stretching space, so that it takes one matrix to another, does to a small change of it.

    It does not stretch variances by more than `_MOST_SCALING` along any axis.
    """
    values, vectors = np.linalg.eigh(np.asarray(matrices_of_elements(before)))
    root, inverse = (_power(values, vectors, power) for power in (0.5, -0.5))
    ratios, axes = np.linalg.eigh(inverse @ np.asarray(matrices_of_elements(after)) @ inverse)
    ratios = np.clip(ratios, 1 / _MOST_SCALING, _MOST_SCALING)
    # Without turning: U^½ R^½ U^-½ takes U to what is wanted.
    stretch = root @ _power(ratios, axes, 0.5) @ inverse
    units = np.asarray(matrices_of_elements(np.eye(before.shape[1])))
    changed = stretch[:, None] @ units @ np.swapaxes(stretch, 1, 2)[:, None]
    return np.swapaxes(np.asarray(elements_of_matrices(changed)), 1, 2)


def _power(
    values: Float[np.ndarray, "n d"], vectors: Float[np.ndarray, "n d d"], power: float
) -> Float[np.ndarray, "n d d"]:
    """A power of symmetric matrices, by their eigenvalues and eigenvectors."""
    least = 1e-3 * values[:, -1:]
    return (vectors * np.maximum(values, least)[:, None] ** power) @ np.swapaxes(vectors, 1, 2)


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
        bounds=[(np.log(_LEAST_SPREAD * x), np.log(100 * x)) for x in typical],
        options={"xatol": 0.02, "fatol": 1e-5, "maxfev": 200},
    )
    loss, coefficients = at(found.x)
    isotropic, anisotropic = (float(x) for x in np.exp(found.x))
    return _Hyperparameters(loss, coefficients, (isotropic, anisotropic))
