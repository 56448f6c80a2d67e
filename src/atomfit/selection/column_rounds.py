"""Which columns are there: fitted, judged by what the fit leaves, and fitted again until nothing changes.

A round fits all columns together, measures how pixels err, adds what the residual still shows and takes
away what noise would have given. Both have one scale: the height of a column in standard deviations of what
noise makes there (`column_noise`), and the number of maxima so high that noise has in the area that was
looked at (`inference.selection`). A column is kept if the rate of false ones among those as good is small
enough.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.detection.column_candidates import (
    find_candidates,
    integral_of_response,
    least_of_counts,
    local_variance,
    noise_variance,
)
from atomfit.detection.column_filter import (
    BlobFilter,
    maxima,
    noise_of_blobs,
    roughness_of_blobs,
    roundness,
)
from atomfit.detection.column_scale import ColumnScale
from atomfit.detection.image_brightness import BrightnessLaw, brightness_law
from atomfit.detection.limits import LIMITS as DETECTION
from atomfit.fitting.column_fit import (
    REACH,
    FittedColumns,
    Widths,
    columns_of,
    drawn,
    fit_columns,
    joined,
    peaks,
    without,
)
from atomfit.fitting.column_information import ColumnInformation, ColumnUncertainty, measure_columns
from atomfit.inference.selection import LEAST, maxima_of_noise
from atomfit.observation.spline import SplineBackground
from atomfit.optimisation.ended import Ended
from atomfit.selection.column_noise import Excess, measure_excess
from atomfit.selection.limits import LIMITS
from atomfit.structure.atoms import Atoms
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import nearest_distances
from atomfit.structure.region import region_mask

#: Pixels within this of what may be a column count (Å), or within a column's reach.
_NEAR = 2.0
_NOWHERE = np.full((1, 2), -1e9)

log = logging.getLogger("atomfit")

Progress = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class ColumnRounds:
    """Columns that are there, and how that was found.

    **Fields:**

    - `fitted`: the columns.
    - `model`: what the fit predicts on the region.
    - `uncertainty`: standard uncertainties.
    - `excess`: by how much these are larger than those of pixels that err independently.
    - `quietest`: the least of that in all rounds, which columns are judged by.
    - `factors`: that excess of each column.
    - `law`: how the variance of pixels grows with brightness.
    - `scores`: height of each column in standard deviations of what noise makes where it is.
    - `false`: how many as good as each, or better, noise alone would give.
    - `rejected`, `rejected_scores`: columns that were taken away, and their scores then.
    - `rounds`: how many there were.
    - `settled`: whether nothing changed in the last one.
    """

    fitted: FittedColumns
    model: Float[np.ndarray, "rows columns"]
    uncertainty: ColumnUncertainty
    excess: Excess
    quietest: Excess
    factors: Float[np.ndarray, " n"]
    law: BrightnessLaw
    scores: Float[np.ndarray, " n"]
    false: Float[np.ndarray, " n"]
    rejected: Float[np.ndarray, "m 2"]
    rejected_scores: Float[np.ndarray, " m"]
    rounds: int
    settled: bool


def select_columns(
    image: DensityMap,
    scale: ColumnScale,
    step: float | None = None,
    fdr: float = 0.01,
    widths: Widths = "shared",
    max_iterations: int = 60,
    progress: Progress = lambda iteration, value: None,
) -> ColumnRounds:
    """Find the columns of an image and refine them jointly.

    **Arguments:**

    - `image`: the region that is fitted, columns bright.
    - `scale`: what they look like.
    - `step`: from knot to knot of the background (Å); if None, it is fine while columns are selected, and
        straight in the end where they are dense, for what lies between them is theirs.
    - `fdr`: rate of false columns among those kept.
    - `widths`: what is free of them, in the end; while columns are selected they share one.
    - `max_iterations`: the most iterations of a fit.
    - `progress`: called with the iterations done and the objective of each fit.
    """
    state = _start(image, scale, step)
    log.info(
        "%d candidates on %d pixels; their fits take about %.0f s",
        len(state),
        int(state.counted.sum()),
        LIMITS.seconds_at_least + LIMITS.seconds_a_column * len(state),
    )
    gone: list[tuple[np.ndarray, np.ndarray]] = []
    too_faint: list[np.ndarray] = []
    quietest: Excess | None = None
    for number in range(1, LIMITS.column_rounds + 1):
        if not len(state):
            break
        last = judge(image, state, max_iterations, progress, quietest)
        state, quietest = last.fitted, last.quietest
        faint, odd = _faint(last, fdr), _odd(image, state)
        weak = faint | odd
        added = _lacking(image, last, fdr)
        # What was too faint once, though the residual had asked for it, has had its trial.
        tried = cKDTree(np.concatenate([*too_faint[1:], _NOWHERE]))
        added = added[tried.query(added.positions)[0] >= state.width]
        log.info(
            "round %d: %d columns, %.2f Å wide; %d go and %d come",
            number,
            len(state),
            state.width,
            int(weak.sum()),
            len(added),
        )
        settled = not weak.any() and not len(added) and number > 1
        if settled or state.reason == Ended.INTERRUPTED:
            break
        gone.append((np.asarray(state.columns.positions)[weak], last.scores[weak]))
        too_faint.append(np.asarray(state.columns.positions)[faint])
        if number == 1 or state.widths == "shared":
            state = _of_a_width(state, scale)
        state = replace(state, columns=joined(without(state, weak).columns, added))
    if not len(state):
        return _none(state, gone)
    straight = _straightened(image, last) if step is None and _dense(state) else None
    if (widths != "shared" or not settled or straight is not None) and state.reason != Ended.INTERRUPTED:
        state = state if straight is None else straight
        state = replace(state, widths=state.widths if widths == "shared" else widths)
        last = judge(image, state, max_iterations, progress, quietest)
        faint, odd = _faint(last, fdr), _odd(image, last.fitted)
        # Nothing comes any more but what a straight background has pushed away; what does not hold goes.
        weak = odd | (faint if not settled else False)
        added = last.fitted.columns[:0] if straight is None else _lacking(image, last, fdr)
        if weak.any() or len(added):
            gone.append((np.asarray(last.fitted.columns.positions)[weak], last.scores[weak]))
            if weak.all():
                return _none(without(last.fitted, weak), gone)
            rest = without(last.fitted, weak)
            if len(added) and widths in ("shared", "own"):
                rest = replace(rest, columns=joined(rest.columns, added))
            last = judge(image, rest, max_iterations, progress, quietest)
            late = _faint(last, fdr) | _odd(image, last.fitted)
            late[: len(rest) - len(added)] = False
            if late.any():
                gone.append((np.asarray(last.fitted.columns.positions)[late], last.scores[late]))
                last = judge(image, without(last.fitted, late), max_iterations, progress, quietest)
    places, scores = _joined(gone)
    return replace(last, rejected=places, rejected_scores=scores, rounds=number, settled=settled)


def _dense(state: FittedColumns) -> bool:
    """Whether columns are so near to each other that they have no support between them."""
    if len(state) < 2:
        return False
    distances = nearest_distances(np.asarray(state.columns.positions))
    return float(np.median(distances)) < LIMITS.dense_columns * state.width


def _straightened(image: DensityMap, last: ColumnRounds) -> FittedColumns | None:
    """Columns on a straight background; None if that leaves much more (a body of depth, out of focus)."""
    state = last.fitted
    level = float(np.quantile(state.background.heights, 0.1))
    straight = SplineBackground.over(image.grid, LIMITS.coarse_background, level)
    state = replace(state, background=straight, widths="shared")
    roots = np.where(state.counted, 1 / np.sqrt(state.variance), 0.0).ravel()
    information = ColumnInformation.of(state, image.grid)
    left = information.left_of(roots * (image.values - level).ravel())
    now = roots * (image.values - last.model).ravel()
    seen = roots * (last.model - last.fitted.background.on(image.grid, image.grid)).ravel()
    more = np.sum(left**2) - np.sum(now**2)
    return state if more < LIMITS.straight_leaves * np.sum(seen**2) else None


def _of_a_width(state: FittedColumns, scale: ColumnScale) -> FittedColumns:
    """The same with a width that all share; the one that was seen, if theirs follows something else.

    At first it is known better than what is a column.
    """
    low, high = LIMITS.widths_of_columns
    if low < state.width / scale.width < high:
        return replace(state, widths="shared")
    places, amplitudes = np.asarray(state.columns.positions), np.asarray(state.columns.amplitudes)
    return replace(state, columns=columns_of(places, amplitudes, scale.width), widths="fixed")


def judge(
    image: DensityMap,
    state: FittedColumns,
    max_iterations: int,
    progress: Progress,
    quietest: Excess | None = None,
) -> ColumnRounds:
    """Columns refined, with what is known of them and of noise.

    **Arguments:**

    - `image`: the region that is fitted.
    - `state`: columns to start from, one at least.
    - `max_iterations`, `progress`: of each fit.
    - `quietest`: excess of noise of fits to other columns. What a fit lacks is no noise: columns that have
        gone must not make others go.
    """
    state, model, law = _refined(image, state, max_iterations, progress)
    information = ColumnInformation.of(state, image.grid)
    excess = measure_excess(image, state, information, model, state.width)
    places = np.asarray(state.columns.positions)
    bright = model[tuple(image.grid.nearest_voxels(places).T)]
    factors = excess.at(places, bright)
    known = measure_columns(state, information, factors)
    # Whether a column is there is asked of an image without it.
    quietest = replace(excess, earlier=quietest)
    beneath = quietest.at(places, bright - peaks(state.columns))
    scores = known.heights * np.sqrt(factors / beneath)
    area = image.grid.size * image.grid.voxel_volume
    false = maxima_of_noise(scores, 2, area * roughness_of_blobs(state.width))
    none = np.zeros(0)
    return ColumnRounds(
        state, model, known, excess, quietest, factors, law, scores, false, np.zeros((0, 2)), none, 1, True
    )


def _none(state: FittedColumns, gone: list[tuple[np.ndarray, np.ndarray]]) -> ColumnRounds:
    """There is no column."""
    places, scores = _joined(gone)
    nothing = np.zeros(0)
    known = ColumnUncertainty(np.zeros((0, 2, 2)), nothing, nothing, nothing)
    law = BrightnessLaw(float(np.mean(state.variance)), 0.0)
    excess = Excess.none(state.variance.shape)
    model, rounds = np.zeros_like(state.variance), len(gone)
    return ColumnRounds(
        state, model, known, excess, excess, nothing, law, nothing, nothing, places, scores, rounds, True
    )


def _joined(gone: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    places = np.concatenate([np.zeros((0, 2)), *(place for place, _ in gone)])
    return places, np.concatenate([np.zeros(0), *(scores for _, scores in gone)])


def _start(image: DensityMap, scale: ColumnScale, step: float | None) -> FittedColumns:
    variance = noise_variance(image.values, float(image.grid.spacing[0]))
    found = find_candidates(image, scale, variance)
    level = float(np.quantile(image.values, 0.05))
    step = LIMITS.fine_background * scale.width if step is None else step
    start = columns_of(found.positions, found.amplitudes, scale.width)
    return FittedColumns(
        start,
        SplineBackground.over(image.grid, step, level),
        variance,
        image.measured(_near(image, found.positions, max(REACH * scale.width, _NEAR))),
        "fixed",
    )


def _near(
    image: DensityMap, positions: Float[np.ndarray, "n 2"], radius: float
) -> Bool[np.ndarray, "rows columns"]:
    return (
        region_mask(image.grid, positions, radius) if len(positions) else np.zeros(image.grid.shape, bool)
    )


def _refined(
    image: DensityMap, state: FittedColumns, max_iterations: int, progress: Progress
) -> tuple[FittedColumns, Float[np.ndarray, "rows columns"], BrightnessLaw]:
    """Columns, and how pixels err, each as the other leaves it; and what is predicted."""
    for _ in range(LIMITS.noise_rounds):
        state = fit_columns(image, state, max_iterations, progress)
        model = drawn(image.grid, state.columns) + state.background.on(image.grid, image.grid)
        law, variance = _variance(image, state, model)
        before, state = state.variance, replace(state, variance=variance)
        there = state.counted
        changed = np.median(np.abs(np.log(state.variance[there] / before[there])))
        if changed < LIMITS.same_noise or state.reason == Ended.INTERRUPTED:
            break
    return state, model, law


def _variance(
    image: DensityMap, state: FittedColumns, model: Float[np.ndarray, "rows columns"]
) -> tuple[BrightnessLaw, Float[np.ndarray, "rows columns"]]:
    """Of each pixel's noise, by brightness."""
    there = state.counted
    left, dark = (image.values - model)[there], float(np.quantile(model[there], 0.01))
    # Columns' numbers take their part of the noise where columns are bright.
    strength = (model - state.background.on(image.grid, image.grid))[there] ** 2 / state.variance[there]
    absorbed = 3 * len(state) * strength / max(float(strength.sum()), 1e-300)
    left = left / np.sqrt(1 - np.minimum(absorbed, 0.5))
    law = brightness_law(model[there], left, dark)
    mean = float(np.mean(left**2))
    least = max(DETECTION.least_variance * mean, (1e-4 * float(np.ptp(image.values))) ** 2)
    least = max(least, least_of_counts(law, float(image.grid.spacing[0])))
    return law, np.maximum(law(model), least)


def _faint(last: ColumnRounds, fdr: float) -> Bool[np.ndarray, " n"]:
    """Columns that noise would have given."""
    order = np.argsort(-last.scores)
    rate = last.false[order] / np.arange(1, len(order) + 1)
    good = np.flatnonzero((rate <= fdr) & (last.scores[order] >= LEAST))
    faint = np.ones(len(order), bool)
    faint[order[: good[-1] + 1 if len(good) else 0]] = False
    return faint


def _odd(image: DensityMap, state: FittedColumns) -> Bool[np.ndarray, " n"]:
    """Columns that have left the image, or that make up for another one's shape."""
    positions, amplitudes = np.asarray(state.columns.positions), state.columns.amplitudes
    # What has left the image is known by its tail only.
    odd = ~image.grid.contains(positions)
    # Of two that are nearer than any two columns, the fainter one is none.
    near = cKDTree(positions).query_pairs(LIMITS.closest_columns * state.width, output_type="ndarray")
    odd[np.where(amplitudes[near[:, 0]] < amplitudes[near[:, 1]], near[:, 0], near[:, 1])] = True
    return odd


def _lacking(image: DensityMap, last: ColumnRounds, fdr: float) -> Atoms:
    """Columns that the residual shows."""
    state, model, excess = last.fitted, last.model, last.quietest
    pixel, width = float(image.grid.spacing[0]), state.width
    left = BlobFilter(np.where(state.counted, image.values - model, 0.0), pixel)
    noise = noise_of_blobs(width, pixel) * np.sqrt(local_variance(state.variance, width, pixel))
    response = left.blobs(width)
    score = response / (noise * np.sqrt(excess.everywhere(model)))
    places, scores = maxima(score, LEAST, width / pixel)
    area = image.grid.size * image.grid.voxel_volume
    false = maxima_of_noise(scores, 2, area * roughness_of_blobs(width))
    good = false <= max(fdr * len(state), LIMITS.false_columns)
    good &= roundness(left.smooth(width), places, width / pixel) > DETECTION.roundness
    positions = image.grid.positions_of(places)
    good &= state.counted[tuple(image.grid.nearest_voxels(positions).T)]
    if len(state):
        good &= cKDTree(state.columns.positions).query(positions)[0] > LIMITS.apart_from_columns * width
    at = tuple(image.grid.nearest_voxels(positions[good]).T)
    amplitudes = response[at] * integral_of_response(width, width)
    return columns_of(positions[good], amplitudes, width)
