"""How numbers of many atoms change in time, beside what all of them have in common.

A number y of atom i in model k (its U, its amplitude) is taken to be

    y_ik = a_i + b_i (t_k - t̄) + c_k + e_ik

with a trend b_i of its own, errors e_ik, and an offset c_k that all atoms of a model share: each map has
its own resolution, which blurs all its atoms alike, and its own scale. Offsets are no news of any atom, so
they are found first and taken away, and reported by themselves as the `common` trend. What atoms have in
common and what the microscope did cannot be told apart by any numbers; but atoms inside a particle, whose
surroundings are alike, are the standard by which those at the surface are judged. So offsets are those of
`reference` atoms, by least squares of a_i + c_k, atoms that do not fit counting for less (Huber); a trend
is relative to theirs.

**Error bars are not believed.** Those of a model may be wrong by a factor of its own, which the scatter
about all lines tells; each atom's are put right by its own scatter, shrunk to that of all (`moderated`).
With two models there is no scatter: the factor is then that of the median trend.

**Groups** (atoms at the surface, of an element) have trends of their means. Atoms of one model may err
together, so that no sum over atoms says how well a mean is known: that is judged by how it scatters about
its line from model to model, by Student's t with as many degrees of freedom as there are models, less two.
So is the common trend.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import chi2
from scipy.stats import f as f_law
from scipy.stats import t as t_law

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.lines import Line, Lines, deviates, line_of, lines_through, weights_of
from atomfit.statistics.moderated import MANY, moderated
from atomfit.statistics.offsets import group_means, shared_offsets, unlike_models
from atomfit.statistics.significance import q_values

_ROUNDS = 5
#: Median of chi-square with one degree of freedom, and with three.
_MEDIAN, _MEDIAN_3 = 0.45493642, 2.36597388


@dataclass(frozen=True, eq=False)
class Trends:
    """Trends of one number of all atoms.

    **Fields:**

    - `middle`: of each atom's line, at the mean of all times, common offsets left out.
    - `slopes`, `esds`: change a unit of time beside the reference atoms', and standard uncertainty; NaN for
        atoms that are in too few models.
    - `z`, `p`, `q`: as normal deviates, probabilities without a change, and false-discovery rates.
    - `offsets`: common to each model, of mean zero.
    - `common`: their trend.
    - `groups`: trend of the mean of each group beside the reference atoms'.
    - `factors`: by which error bars of each model are multiplied.
    - `scatter`: by which all are too small besides; without error bars, the standard deviation itself.
    - `freedom`: typical degrees of freedom of an atom's trend.
    """

    middle: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, " n"]
    esds: Float[np.ndarray, " n"]
    z: Float[np.ndarray, " n"]
    p: Float[np.ndarray, " n"]
    q: Float[np.ndarray, " n"]
    offsets: Float[np.ndarray, " t"]
    common: Line
    groups: dict[str, Line]
    factors: Float[np.ndarray, " t"]
    scatter: float
    freedom: float


def find_trends(
    times: Float[np.ndarray, " t"],
    values: Float[np.ndarray, "t n"],
    esds: Float[np.ndarray, "t n"] | None,
    reference: Bool[np.ndarray, " n"],
    groups: dict[str, Bool[np.ndarray, " n"]],
) -> Trends:
    """Find trends of a number of many atoms.

    **Arguments:**

    - `times`: of the models, rising.
    - `values`: NaN where not known.
    - `esds`: standard uncertainties; None, or NaN, where not known.
    - `reference`: atoms that offsets of models are found from.
    - `groups`: atoms by group.

        >>> rng = np.random.default_rng(1)
        >>> y = rng.normal(1, 0.1, (8, 200)) + rng.normal(0, 1, (8, 1))
        >>> y[:, :5] += 0.2 * np.arange(8.0)[:, None]
        >>> found = find_trends(np.arange(8.0), y, np.full(y.shape, 0.03), np.arange(200) >= 5, {})
        >>> np.flatnonzero(found.q < 0.01).tolist(), round(found.scatter, 1)
        ([0, 1, 2, 3, 4], 3.3)
    """
    given = weights_of(values, esds)
    factors, weights, own, offsets, spread = _settled(times, values, given, reference)
    left = values - offsets[:, None]
    count, inside = np.isfinite(values).sum(axis=0), int(reference.sum())
    # Reference atoms have given a part of their freedom to the offsets.
    freedom = np.maximum(count - 2, 0) * np.where(reference & (inside > 1), 1 - 1 / max(inside, 1), 1.0)
    squares = np.nansum(weights * own.residuals**2, axis=0) / np.where(freedom > 0, freedom, np.nan)
    enough = count >= min(3, len(times))
    variances, free = _judged(squares, freedom, own.slopes**2 / own.variances, _MEDIAN, enough)
    deviations = np.sqrt(_with_offsets(own, variances, spread, reference))
    with np.errstate(invalid="ignore", divide="ignore"):
        quotients = own.slopes / deviations
    p = np.asarray(2 * t_law.sf(np.abs(quotients), free))
    p[~np.isfinite(quotients)] = np.nan
    return Trends(
        own.middle,
        np.where(enough, own.slopes, np.nan),
        deviations,
        deviates(p, quotients),
        p,
        q_values(p),
        offsets,
        line_of(times, offsets),
        {
            name: line_of(times, *group_means(left, given, members))
            for name, members in groups.items()
            if members.any()
        },
        factors,
        _scatter(squares, freedom, variances),
        float(np.median(free[enough])) if enough.any() else 0.0,
    )


def _settled(
    times: Float[np.ndarray, " t"],
    values: Float[np.ndarray, "t n"],
    given: Float[np.ndarray, "t n"],
    reference: Bool[np.ndarray, " n"],
) -> tuple[
    Float[np.ndarray, " t"],
    Float[np.ndarray, "t n"],
    Lines,
    Float[np.ndarray, " t"],
    Float[np.ndarray, "t t"],
]:
    """Factors of models' error bars, weights with them, lines, offsets, and the offsets' covariance."""
    factors, weights = np.ones(len(times)), given
    offsets, spread = shared_offsets(values, weights, reference)
    own = lines_through(times, values - offsets[:, None], weights)
    for _ in range(_ROUNDS if len(times) >= LIMITS.trend_models else 0):
        change = unlike_models(own.residuals, weights, own.kept, reference)
        factors, weights = factors * change, weights / change[:, None] ** 2
        offsets, spread = shared_offsets(values, weights, reference)
        own = lines_through(times, values - offsets[:, None], weights)
    return factors, weights, own, offsets, spread


def _judged(
    squares: Float[np.ndarray, " n"],
    freedom: Float[np.ndarray, " n"],
    sizes: Float[np.ndarray, " n"],
    median: float,
    enough: Bool[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Variances that errors are multiplied by, NaN for atoms in too few models, and degrees of freedom.

    **Arguments:**

    - `squares`, `freedom`: reduced chi-square of each atom about its line.
    - `sizes`, `median`: chi-square of each trend, and its median where nothing changes.
    - `enough`: atoms that are in as many models as is needed.
    """
    shrunk = moderated(squares, np.where(np.isfinite(squares), freedom, 0.0))
    variances, free = shrunk.variances, shrunk.freedom
    if not np.isfinite(shrunk.prior):
        # Two models: a line goes through both, and most atoms are taken not to have changed.
        known = sizes[np.isfinite(sizes)]
        one = max(float(np.median(known)) / median, 1e-300) if len(known) else np.nan
        variances, free = np.full(len(sizes), one), np.full(len(sizes), MANY)
    return np.where(enough, variances, np.nan), free


def _with_offsets(
    own: Lines,
    variances: Float[np.ndarray, " n"],
    spread: Float[np.ndarray, "t t"],
    reference: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Variances of slopes, with what offsets add; of reference atoms they have taken a part."""
    of_offsets = np.einsum("tn,ts,sn->n", own.levers, spread * _typical(variances), own.levers)
    alone = own.variances * variances
    return np.where(reference, np.maximum(alone - of_offsets, 0.5 * alone), alone + of_offsets)


@dataclass(frozen=True, eq=False)
class Drifts:
    """Trends of positions.

    **Fields:**

    - `velocities`, `esds`: Å a unit of time, and standard uncertainties; NaN for atoms in too few models.
    - `z`, `p`, `q`: of the velocity's length, as of `Trends`.
    - `scatter`: by which error bars are too small.
    """

    velocities: Float[np.ndarray, "n 3"]
    esds: Float[np.ndarray, "n 3"]
    z: Float[np.ndarray, " n"]
    p: Float[np.ndarray, " n"]
    q: Float[np.ndarray, " n"]
    scatter: float


def find_drifts(
    times: Float[np.ndarray, " t"],
    positions: Float[np.ndarray, "t n 3"],
    esds: Float[np.ndarray, "t n 3"] | None,
) -> Drifts:
    """Find trends of positions, in which models' own motions and sizes are no more.

    **Arguments:**

    - `times`: of the models.
    - `positions`: in the common frame (Å); NaN where an atom is not.
    - `esds`: standard uncertainties of these (Å); None, or NaN, where not known.
    """
    errors = [None if esds is None else esds[..., k] for k in range(3)]
    weights = [weights_of(positions[..., k], one) for k, one in enumerate(errors)]
    axes = [lines_through(times, positions[..., k], own) for k, own in enumerate(weights)]
    count = np.isfinite(positions[..., 0]).sum(axis=0)
    freedom = 3.0 * np.maximum(count - 2, 0)
    total = sum(np.nansum(w * one.residuals**2, axis=0) for w, one in zip(weights, axes, strict=True))
    squares = total / np.where(freedom > 0, freedom, np.nan)
    slopes = np.stack([one.slopes for one in axes], axis=1)
    own = np.stack([one.variances for one in axes], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.sum(slopes**2 / own, axis=1)
    variances, free = _judged(squares, freedom, lengths, _MEDIAN_3, count >= min(3, len(times)))
    ratio = lengths / 3 / variances
    p = np.asarray(f_law.sf(ratio, 3, free))
    p[~np.isfinite(ratio)] = np.nan
    return Drifts(
        np.where(np.isfinite(variances)[:, None], slopes, np.nan),
        np.sqrt(own * variances[:, None]),
        deviates(p, np.ones(len(p))),
        p,
        q_values(p),
        _scatter(squares, freedom, variances),
    )


def _scatter(
    squares: Float[np.ndarray, " n"], freedom: Float[np.ndarray, " n"], variances: Float[np.ndarray, " n"]
) -> float:
    """By which factor error bars are too small, as the middle of all atoms has it."""
    known = np.isfinite(squares) & (freedom > 0)
    if not known.any():
        return float(np.sqrt(_typical(variances)))
    middle = chi2.ppf(0.5, freedom[known]) / freedom[known]
    return float(np.sqrt(np.median(squares[known] / middle)))


def _typical(variances: Float[np.ndarray, " n"]) -> float:
    known = variances[np.isfinite(variances)]
    return float(np.median(known)) if len(known) else np.nan


def reference_atoms(
    coordination: Float[np.ndarray, " n"], often: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Atoms that set what all have in common: those inside the particle, or all if these are few.

    **Arguments:**

    - `coordination`: typical coordination number of each; NaN where not known.
    - `often`: which are in more than one model.
    """
    inner = often & (coordination >= LIMITS.inside)
    return inner if inner.sum() >= LIMITS.trend_inner else often
