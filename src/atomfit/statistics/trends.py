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
from scipy.stats import chi2, norm
from scipy.stats import f as f_law
from scipy.stats import t as t_law

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.moderated import MANY, moderated
from atomfit.statistics.significance import q_values

_ROUNDS = 5
#: Median of chi-square with one degree of freedom, and with three.
_MEDIAN, _MEDIAN_3 = 0.45493642, 2.36597388
#: Factors of error bars of one model beside another's that are believed.
_FACTORS = (1 / 5, 5.0)


@dataclass(frozen=True)
class Line:
    """A straight line through numbers of models.

    **Fields:**

    - `middle`: its value at the mean of all times.
    - `slope`, `esd`: its change a unit of time, and the standard uncertainty; NaN where nothing tells.
    - `z`, `p`: the slope in its uncertainties, as a normal deviate; and its probability without a change.
    """

    middle: float
    slope: float
    esd: float
    z: float
    p: float


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
    weights = given = _weights(values, esds)
    factors = np.ones(len(times))
    for _ in range(_ROUNDS if len(times) >= LIMITS.trend_models else 1):
        offsets, spread = _offsets(values, weights, reference)
        left = values - offsets[:, None]
        lines = _lines(times, left, weights)
        if len(times) >= LIMITS.trend_models:
            change = _unlike(lines.residuals, weights, lines.kept, reference)
            factors, weights = factors * change, weights / change[:, None] ** 2
    count, inside = np.isfinite(values).sum(axis=0), max(int(reference.sum()), 1)
    freedom = np.maximum(count - 2, 0) * np.where(reference, 1 - 1 / inside, 1.0)
    if inside == 1:
        freedom = np.maximum(count - 2, 0) * 1.0
    squares = np.nansum(weights * lines.residuals**2, axis=0) / np.where(freedom > 0, freedom, np.nan)
    shrunk = moderated(squares, np.where(np.isfinite(squares), freedom, 0.0))
    variances, free = shrunk.variances, shrunk.freedom
    if not np.isfinite(shrunk.prior):
        # Two models: a line goes through both, and most atoms are taken not to have changed.
        ratio = (
            np.nanmedian(lines.slopes**2 / lines.variances) if np.any(np.isfinite(lines.slopes)) else np.nan
        )
        variances = np.full(len(count), max(float(ratio) / _MEDIAN, 1e-300))
        free = np.full(len(count), MANY)
    enough = count >= min(3, len(times))
    variances = np.where(enough, variances, np.nan)
    of_offsets = np.einsum("tn,ts,sn->n", lines.levers, spread * _typical(variances), lines.levers)
    own = lines.variances * variances
    # The offsets have taken a part of the reference atoms' own errors.
    total = np.where(reference, np.maximum(own - of_offsets, 0.5 * own), own + of_offsets)
    deviations = np.sqrt(total)
    with np.errstate(invalid="ignore", divide="ignore"):
        quotients = lines.slopes / deviations
    p = np.asarray(2 * t_law.sf(np.abs(quotients), free))
    p[~np.isfinite(quotients)] = np.nan
    return Trends(
        lines.middle,
        np.where(enough, lines.slopes, np.nan),
        deviations,
        _deviates(p, quotients),
        p,
        q_values(p),
        offsets,
        line_of(times, offsets),
        {
            name: line_of(times, *_means(left, given, members))
            for name, members in groups.items()
            if members.any()
        },
        factors,
        _scatter(squares, freedom, variances),
        float(np.median(free[enough])) if enough.any() else 0.0,
    )


def line_of(
    times: Float[np.ndarray, " t"],
    values: Float[np.ndarray, " t"],
    variances: Float[np.ndarray, " t"] | None = None,
) -> Line:
    """A line through one number of each model, whose scatter says how well it is known.

    **Arguments:**

    - `times`: of the models.
    - `values`: NaN where not known.
    - `variances`: in proportion to which each is uncertain; alike if not given.
    """
    known = np.isfinite(values) if variances is None else np.isfinite(values) & (variances > 0)
    if known.sum() < 2:
        return Line(float(values[known].mean()) if known.any() else np.nan, *[np.nan] * 4)
    w = np.ones(int(known.sum())) if variances is None else 1 / variances[known]
    y, x = values[known], times[known] - times.mean()
    middle_x, middle_y = np.average(x, weights=w), np.average(y, weights=w)
    square = float(np.sum(w * (x - middle_x) ** 2))
    slope = float(np.sum(w * (x - middle_x) * y) / square)
    at_middle, free = float(middle_y - slope * middle_x), int(known.sum()) - 2
    if free < 1:
        return Line(at_middle, slope, *[np.nan] * 3)
    rest = y - middle_y - slope * (x - middle_x)
    esd = float(np.sqrt(np.sum(w * rest**2) / free / square))
    quotient = slope / esd if esd > 0 else np.nan
    p = float(2 * t_law.sf(abs(quotient), free)) if np.isfinite(quotient) else np.nan
    return Line(at_middle, slope, esd, float(_deviates(np.array([p]), np.array([quotient]))[0]), p)


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
    axes = [
        _lines(
            times, positions[..., k], _weights(positions[..., k], None if esds is None else esds[..., k])
        )
        for k in range(3)
    ]
    weights = [_weights(positions[..., k], None if esds is None else esds[..., k]) for k in range(3)]
    count = np.isfinite(positions[..., 0]).sum(axis=0)
    freedom = 3.0 * np.maximum(count - 2, 0)
    total = sum(np.nansum(w * one.residuals**2, axis=0) for w, one in zip(weights, axes, strict=True))
    squares = total / np.where(freedom > 0, freedom, np.nan)
    shrunk = moderated(squares, np.where(np.isfinite(squares), freedom, 0.0))
    variances, free = shrunk.variances, shrunk.freedom
    slopes, own = (
        np.stack([getattr(one, name) for one in axes], axis=1) for name in ("slopes", "variances")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.sum(slopes**2 / own, axis=1)
    if not np.isfinite(shrunk.prior):
        middle = np.nanmedian(lengths) if np.isfinite(lengths).any() else np.nan
        variances, free = (
            np.full(len(count), max(float(middle) / _MEDIAN_3, 1e-300)),
            np.full(len(count), MANY),
        )
    variances = np.where(count >= min(3, len(times)), variances, np.nan)
    ratio = lengths / 3 / variances
    p = np.asarray(f_law.sf(ratio, 3, free))
    p[~np.isfinite(ratio)] = np.nan
    return Drifts(
        np.where(np.isfinite(variances)[:, None], slopes, np.nan),
        np.sqrt(own * variances[:, None]),
        _deviates(p, np.ones(len(p))),
        p,
        q_values(p),
        _scatter(squares, freedom, variances),
    )


@dataclass(frozen=True, eq=False)
class _Lines:
    """Weighted lines of all atoms.

    Values at the mean time, slopes, their variances if weights are right, residuals, which part of each
    value's variance is left in its residual, and derivatives of slopes by values.
    """

    middle: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, " n"]
    variances: Float[np.ndarray, " n"]
    residuals: Float[np.ndarray, "t n"]
    kept: Float[np.ndarray, "t n"]
    levers: Float[np.ndarray, "t n"]


def _lines(
    times: Float[np.ndarray, " t"], values: Float[np.ndarray, "t n"], weights: Float[np.ndarray, "t n"]
) -> _Lines:
    y = np.where(weights > 0, values, 0.0)
    x = (times - times.mean())[:, None]
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle_x, middle_y = np.sum(weights * x, axis=0) / total, np.sum(weights * y, axis=0) / total
        apart = x - middle_x
        square = np.sum(weights * apart**2, axis=0)
        square = np.where(square > 1e-12 * total * np.ptp(times) ** 2, square, np.nan)
        levers = weights * apart / square
        slopes = np.sum(np.where(weights > 0, levers * y, 0.0), axis=0)
        slopes = np.where(np.isfinite(square), slopes, np.nan)
        residuals = np.where(weights > 0, values - middle_y - slopes * apart, np.nan)
        kept = np.where(weights > 0, 1 - weights / total - weights * apart**2 / square, np.nan)
    return _Lines(middle_y - slopes * middle_x, slopes, 1 / square, residuals, kept, np.nan_to_num(levers))


def _weights(
    values: Float[np.ndarray, "t n"], esds: Float[np.ndarray, "t n"] | None
) -> Float[np.ndarray, "t n"]:
    """Inverse variances; zero where a value is not known, and the median's where its error is not."""
    known = np.isfinite(values)
    if esds is None:
        return known.astype(float)
    good = known & np.isfinite(esds) & (esds > 0)
    if not good.any():
        return known.astype(float)
    middle = float(np.median(esds[good]))
    return np.where(known, 1 / np.where(good, esds, middle) ** 2, 0.0)


def _offsets(
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


def _unlike(
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


def _means(
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


def _of_most(squares: Float[np.ndarray, " n"], median: float) -> Float[np.ndarray, " n"]:
    """The variance of all atoms, from their median square, most of them being unchanged."""
    known = squares[np.isfinite(squares)]
    one = max(float(np.median(known)) / median, 1e-300) if len(known) else np.nan
    return np.full(len(squares), one)


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


def _deviates(p: Float[np.ndarray, " n"], signs: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Probabilities of both sides as normal deviates with a sign."""
    return np.sign(signs) * norm.isf(np.maximum(p, 1e-300) / 2)


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
