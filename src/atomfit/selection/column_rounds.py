"""Which columns are there: fitted, judged by what the fit leaves, and fitted again until nothing changes.

A round fits all columns together, measures how pixels err, adds what the residual still shows and takes
away what noise would have given. Both have one scale: the height of a column in standard deviations of what
noise makes there (`column_noise`), and the number of maxima so high that noise has in the area that was
looked at (`inference.selection`). A column is kept if the rate of false ones among those as good is small
enough.
"""

import logging
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.detection.column_candidates import (
    candidates_at,
    find_candidates,
    integral_of_response,
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
from atomfit.detection.limits import LIMITS as DETECTION
from atomfit.fitting.column_fit import REACH, FittedColumns, Widths, columns_of, joined, without
from atomfit.fitting.column_information import ColumnInformation
from atomfit.inference.selection import LEAST, maxima_of_noise
from atomfit.observation.spline import SplineBackground
from atomfit.optimisation.ended import Ended
from atomfit.selection.column_judgement import ColumnRounds, judge, no_columns
from atomfit.selection.column_noise import Excess
from atomfit.selection.column_settings import ColumnSettings
from atomfit.selection.limits import LIMITS
from atomfit.structure.atoms import Atoms
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import nearest_distances
from atomfit.structure.region import region_mask

#: Pixels within this of what may be a column count (Å), or within a column's reach.
_NEAR = 2.0
_NOWHERE = np.full((1, 2), -1e9)

log = logging.getLogger("atomfit")


def select_columns(image: DensityMap, scale: ColumnScale, settings: ColumnSettings) -> ColumnRounds:
    """Find the columns of an image and refine them jointly.

    **Arguments:**

    - `image`: the region that is fitted, columns bright.
    - `scale`: what they look like.
    - `settings`: how.
    """
    step, widths = settings.step, settings.widths
    search = _Search(image, settings)
    state = _start(image, scale, settings)
    log.info(
        "%d candidates on %d pixels; their fits take about %.0f s",
        len(state),
        int(state.counted.sum()),
        LIMITS.seconds_at_least + LIMITS.seconds_a_column * len(state),
    )
    last = search.rounds(state, scale) if settings.selecting else search.refined(state, scale)
    if len(last.fitted) and last.fitted.reason != Ended.INTERRUPTED:
        straight = _straightened(image, last) if step is None and _dense(last.fitted) else None
        if widths != "shared" or not last.settled or straight is not None:
            last = search.ended(last, straight, widths)
    places, scores = _joined(search.gone)
    return replace(last, rejected=places, rejected_scores=scores)


@dataclass(eq=False)
class _Search:
    """Rounds of fits to an image, and what has gone in them.

    **Fields:**

    - `image`, `settings`: as for `select_columns`.
    - `gone`: places of columns that were taken away, and their scores then.
    - `quietest`: the least excess of noise of all fits.
    """

    image: DensityMap
    settings: ColumnSettings
    gone: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    quietest: Excess | None = None

    def judged(self, state: FittedColumns) -> ColumnRounds:
        settings = self.settings
        last = judge(self.image, state, settings.max_iterations, settings.progress, self.quietest)
        self.quietest = last.quietest
        return last

    def without(self, last: ColumnRounds, which: Bool[np.ndarray, " n"]) -> FittedColumns:
        self.gone.append((np.asarray(last.fitted.columns.positions)[which], last.scores[which]))
        return without(last.fitted, which)

    def rounds(self, state: FittedColumns, scale: ColumnScale) -> ColumnRounds:
        """Columns come and go until nothing changes, all of one width."""
        too_faint = [_NOWHERE]
        for number in range(1, LIMITS.column_rounds + 1):
            if not len(state):
                return replace(no_columns(state), rounds=number - 1)
            last = self.judged(state)
            state, faint = last.fitted, faint_columns(last, self.settings.fdr)
            weak, added = faint | _odd(self.image, state), _lacking(self.image, last, self.settings.fdr)
            # What was too faint once, though the residual had asked for it, has had its trial.
            tried = cKDTree(np.concatenate(too_faint))
            added = added[tried.query(added.positions)[0] >= state.width]
            log.info(
                "round %d: %d columns, %.2f Å wide; %d go and %d come",
                number,
                len(state),
                state.width,
                int(weak.sum()),
                len(added),
            )
            last = replace(last, rounds=number, settled=not weak.any() and not len(added) and number > 1)
            if last.settled or state.reason == Ended.INTERRUPTED:
                break
            if number > 1:
                too_faint.append(np.asarray(state.columns.positions)[faint])
            rest = self.without(last, weak)
            if number == 1 or state.widths == "shared":
                rest = _of_a_width(rest, scale)
            state = replace(rest, columns=joined(rest.columns, added))
        return last

    def refined(self, state: FittedColumns, scale: ColumnScale) -> ColumnRounds:
        """The columns of a start, all of them and no others, of one width."""
        first = self.judged(state)
        if first.fitted.reason == Ended.INTERRUPTED:
            return first
        return self.judged(_of_a_width(first.fitted, scale))

    def ended(self, before: ColumnRounds, straight: FittedColumns | None, widths: Widths) -> ColumnRounds:
        """The last fits: widths as they were asked for, and a straight background if there is one.

        Nothing comes any more but what a straight background has pushed away; what does not hold goes.
        """
        state = before.fitted if straight is None else straight
        last = self.judged(replace(state, widths=state.widths if widths == "shared" else widths))
        if not self.settings.selecting:
            return replace(last, rounds=before.rounds)
        weak = _odd(self.image, last.fitted)
        if not before.settled:
            weak |= faint_columns(last, self.settings.fdr)
        added = last.fitted.columns[:0]
        if straight is not None and widths != "elliptical":
            added = _lacking(self.image, last, self.settings.fdr)
        if weak.any() or len(added):
            rest = self.without(last, weak)
            if not len(rest):
                return replace(no_columns(rest), rounds=before.rounds)
            last = self.judged(replace(rest, columns=joined(rest.columns, added)))
            late = faint_columns(last, self.settings.fdr) | _odd(self.image, last.fitted)
            late[: len(rest)] = False
            if late.any():
                last = self.judged(self.without(last, late))
        return replace(last, rounds=before.rounds, settled=before.settled)


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


def _joined(gone: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    places = np.concatenate([np.zeros((0, 2)), *(place for place, _ in gone)])
    return places, np.concatenate([np.zeros(0), *(scores for _, scores in gone)])


def _start(image: DensityMap, scale: ColumnScale, settings: ColumnSettings) -> FittedColumns:
    variance, given = noise_variance(image.values, float(image.grid.spacing[0])), settings.start
    if given is None or settings.selecting:
        found = find_candidates(image, scale, variance)
        places = found.positions if given is None else np.concatenate([given, found.positions])
    if given is not None:
        found = candidates_at(image, scale, given)
        places = places if settings.selecting else given
    level = float(np.quantile(image.values, 0.05))
    step = LIMITS.fine_background * scale.width if settings.step is None else settings.step
    start = columns_of(found.positions, found.amplitudes, scale.width)
    return FittedColumns(
        start,
        SplineBackground.over(image.grid, step, level),
        variance,
        image.measured(_near(image, places, max(REACH * scale.width, _NEAR))),
        "fixed",
    )


def _near(
    image: DensityMap, positions: Float[np.ndarray, "n 2"], radius: float
) -> Bool[np.ndarray, "rows columns"]:
    return (
        region_mask(image.grid, positions, radius) if len(positions) else np.zeros(image.grid.shape, bool)
    )


def faint_columns(last: ColumnRounds, fdr: float) -> Bool[np.ndarray, " n"]:
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
