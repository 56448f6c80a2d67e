"""Columns of an image refined, with what is known of them and of noise, and how much each stands out.

A column's height is told in standard deviations of what noise makes where it is (`column_noise`) without
it (`column_evidence`); pixels' own noise follows from brightness, which the fit tells, so that both are
found in turn.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from atomfit.detection.column_candidates import least_of_counts
from atomfit.detection.column_filter import BROADER, roughness_of_spots
from atomfit.detection.image_brightness import BrightnessLaw, brightness_law, counting_law
from atomfit.detection.limits import LIMITS as DETECTION
from atomfit.fitting.column_fit import FittedColumns, fit_columns, grown
from atomfit.fitting.column_information import ColumnInformation, ColumnUncertainty, measure_columns
from atomfit.inference.selection import maxima_of_noise
from atomfit.optimisation.ended import Ended
from atomfit.selection.column_evidence import heights_from_nothing
from atomfit.selection.column_noise import Excess, measure_excess
from atomfit.selection.column_rows import offset_variances, with_offsets
from atomfit.selection.column_shape import with_shape
from atomfit.selection.limits import LIMITS
from atomfit.structure.grid import DensityMap

Progress = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class ColumnRounds:
    """Columns that are there, and how that was found.

    **Fields:**

    - `fitted`: the columns.
    - `model`: what the fit predicts on the region.
    - `uncertainty`: standard uncertainties.
    - `quietest`: by how much variances are larger than those of pixels that err independently, at least.
    - `factors`: the same of each column, of this fit; in its standard uncertainties.
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
    quietest: Excess
    factors: Float[np.ndarray, " n"]
    law: BrightnessLaw
    scores: Float[np.ndarray, " n"]
    false: Float[np.ndarray, " n"]
    rejected: Float[np.ndarray, "m 2"]
    rejected_scores: Float[np.ndarray, " m"]
    rounds: int
    settled: bool


def judge(
    image: DensityMap,
    state: FittedColumns,
    max_iterations: int,
    progress: Progress,
    quietest: Excess | None = None,
    shapes: int = 0,
    lacking: bool = False,
) -> ColumnRounds:
    """Columns refined, with what is known of them and of noise.

    **Arguments:**

    - `image`: the region that is fitted.
    - `state`: columns to start from, one at least.
    - `max_iterations`, `progress`: of each fit.
    - `quietest`: excess of noise of fits to other columns. What a fit lacks is no noise: columns that have
        gone must not make others go.
    - `shapes`: how often the shape that columns share may change, and be fitted again.
    - `lacking`: whether columns may be, so that what the fit leaves is not all noise.
    """
    narrower = None
    for number in range(shapes + 1):
        state, model, law = _refined(image, grown(state, state.growth), max_iterations, progress)
        information = ColumnInformation.of(state, image.grid)
        excess = measure_excess(image, state, information, model, lacking)
        errs = float(np.median(excess.everywhere(model)[state.counted]))
        if narrower is not None and errs > narrower[0]:
            # What asked for a broader width was no column but what lies beneath.
            _, state, model, law, information, excess = narrower
            break
        if number == shapes or state.reason == Ended.INTERRUPTED:
            break
        narrower = (errs, state, model, law, information, excess) if state.widths == "fixed" else None
        left = information.roots * (image.values - model)
        before, state = state, with_shape(state, information, left, errs)
        if state is before:
            break
    places = np.asarray(state.columns.positions)
    bright = model[tuple(image.grid.nearest_voxels(places).T)]
    factors = excess.at(places, bright)
    known = measure_columns(state, information, factors)
    shifted = offset_variances(state, image.grid)[:, None, None] * np.diag([1.0, 0.0])
    known = replace(known, positions=known.positions + shifted)
    # Whether a column is there is asked of an image without it.
    quietest = replace(excess, earlier=quietest)
    esd = known.amplitudes / np.sqrt(factors)
    scores = heights_from_nothing(
        state, information, esd, quietest.beneath(places, bright - state.peaks), law.gain
    )
    area = image.grid.size * image.grid.voxel_volume
    false = maxima_of_noise(scores, 2, area * roughness_of_spots(state.width, BROADER))
    none = np.zeros(0)
    return ColumnRounds(
        state, model, known, quietest, factors, law, scores, false, np.zeros((0, 2)), none, 1, True
    )


def no_columns(state: FittedColumns) -> ColumnRounds:
    """There is no column."""
    nothing, places = np.zeros(0), np.zeros((0, 2))
    known = ColumnUncertainty(np.zeros((0, 2, 2)), nothing, nothing)
    law = BrightnessLaw(float(np.mean(state.variance)), 0.0)
    excess, model = Excess.none(state.variance.shape), np.zeros_like(state.variance)
    return ColumnRounds(
        state, model, known, excess, nothing, law, nothing, nothing, places, nothing, 0, True
    )


def _refined(
    image: DensityMap, state: FittedColumns, max_iterations: int, progress: Progress
) -> tuple[FittedColumns, Float[np.ndarray, "rows columns"], BrightnessLaw]:
    """Columns, and how pixels err, each as the other leaves it; and what is predicted."""
    for _ in range(LIMITS.noise_rounds if state.rows is None else LIMITS.offset_rounds):
        state = fit_columns(image, state, max_iterations, progress)
        rows, state = state.rows, with_offsets(image, state)
        model = state.drawn(image.grid) + state.background.on(image.grid, image.grid)
        law, variance = _variance(image, state, model)
        before, state = state.variance, replace(state, variance=variance)
        there = state.counted
        changed = np.median(np.abs(np.log(state.variance[there] / before[there])))
        if changed < LIMITS.same_noise and (rows is None or rows.same(state.rows)):
            break
        if state.reason == Ended.INTERRUPTED:
            break
    return state, model, law


def _variance(
    image: DensityMap, state: FittedColumns, model: Float[np.ndarray, "rows columns"]
) -> tuple[BrightnessLaw, Float[np.ndarray, "rows columns"]]:
    """Of each pixel's noise, by brightness."""
    law = counting_law(image.values)
    if law is not None:
        least = max(
            DETECTION.least_variance * float(np.mean(law(model))),
            least_of_counts(law, float(image.grid.spacing[0]), 1),
        )
        return law, np.maximum(law(model), least)
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
