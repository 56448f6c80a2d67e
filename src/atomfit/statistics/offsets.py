"""What all atoms of a model have in common, and how unlike the error bars of models are.

Offsets c_k of models follow from y_ik = a_i + c_k of reference atoms by weighted least squares, values that
are far off counting for less (Huber). Atoms are eliminated first, so that what is solved has as many
unknowns as there are models, however many atoms there are.
"""

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.limits import LIMITS

_ROUNDS = 5
#: Factors of error bars of one model beside another's that are believed.
_FACTORS = (1 / 5, 5.0)


def shared_offsets(
    values: Float[np.ndarray, "t n"], weights: Float[np.ndarray, "t n"], reference: Bool[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, "t t"]]:
    """What all reference atoms of a model have in common, of mean zero, and its covariance as weights have
    it."""
    y, own = np.where(weights > 0, values, 0.0)[:, reference], weights[:, reference]
    # An atom that is in one model says nothing of the others.
    own = own * (np.sum(own > 0, axis=0) > 1)
    if not own.any():
        return np.zeros(len(y)), np.zeros((len(y), len(y)))
    damped = own
    for _ in range(_ROUNDS):
        total = np.maximum(damped.sum(axis=0), 1e-300)
        means = np.sum(damped * y, axis=0) / total
        normal = np.diag(damped.sum(axis=1)) - (damped / total) @ damped.T
        inverse = np.linalg.pinv(normal, rcond=1e-10, hermitian=True)
        offsets = inverse @ np.sum(damped * (y - means), axis=1)
        rest = y - offsets[:, None]
        rest = (rest - np.sum(damped * rest, axis=0) / total) * np.sqrt(own)
        there = own > 0
        scale = 1.4826 * float(np.median(np.abs(rest[there]))) or 1.0
        damped = own * np.minimum(1, LIMITS.trend_outlier * scale / np.maximum(np.abs(rest), 1e-300))
    return offsets, inverse


def unlike_models(
    residuals: Float[np.ndarray, "t n"],
    weights: Float[np.ndarray, "t n"],
    kept: Float[np.ndarray, "t n"],
    reference: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, " t"]:
    """By which factors error bars of models are unlike, from the scatter about lines; geometric mean 1.

    What reference atoms have in common in a model, and the others, is left out: it is no error of an atom.
    """
    squares, there = np.zeros(len(residuals)), np.zeros(len(residuals))
    for members in (reference, ~reference):
        own = np.where(np.isfinite(residuals[:, members]), weights[:, members], 0.0)
        total, count = own.sum(axis=1), np.sum(own > 0, axis=1)
        rest = np.where(own > 0, residuals[:, members], 0.0)
        rest = rest - (np.sum(own * rest, axis=1) / np.maximum(total, 1e-300))[:, None]
        free = np.where(count > 1, 1 - 1 / np.maximum(count, 1), 0.0)
        squares += np.sum(own * rest**2, axis=1) * (free > 0)
        there += np.nansum(np.where(own > 0, kept[:, members], 0.0), axis=1) * free
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where((squares > 0) & (there > 0), squares / there, np.nan)
    if not np.isfinite(found).any():
        return np.ones(len(found))
    factors = np.sqrt(found / np.exp(np.nanmean(np.log(found))))
    return np.clip(np.nan_to_num(factors, nan=1.0), *_FACTORS)


def group_means(
    left: Float[np.ndarray, "t n"], weights: Float[np.ndarray, "t n"], members: Bool[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Mean over a group in each model, as if all its atoms were in all models; and what it varies by."""
    own = weights[:, members]
    y = np.where(own > 0, left[:, members], 0.0)
    level = np.sum(own * y, axis=0) / np.maximum(own.sum(axis=0), 1e-300)
    total = own.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.sum(own * (y - level), axis=1) / total
        return np.where(total > 0, apart + level[own.sum(axis=0) > 0].mean(), np.nan), 1 / total
