"""Which columns are there: fitted, judged by what the fit leaves, and fitted again until nothing changes.

A round fits all columns together, measures how pixels err, adds what the residual still shows and takes
away what noise would most likely have given; what is only likely to be there stays until the end. Both have
one scale: the height of a column in standard deviations of what noise makes there (`column_noise`), and the
number of maxima so high that noise has in the area that was looked at (`inference.selection`). A column is
kept if the rate of false ones among those as good is small enough.
"""

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.detection.column_candidates import (
    Candidates,
    candidates_at,
    find_candidates,
    local_variance,
    noise_variance,
)
from atomfit.detection.column_filter import (
    BROADER,
    BlobFilter,
    integral_of_spot,
    least_roundness,
    maxima,
    noise_of_spots,
    roughness_of_spots,
    roundness,
)
from atomfit.detection.column_scale import ColumnScale
from atomfit.detection.image_brightness import counting_law
from atomfit.fitting.column_fit import REACH, FittedColumns, Widths, columns_of, joined, without
from atomfit.fitting.column_information import ColumnInformation
from atomfit.inference.selection import LEAST, maxima_of_noise
from atomfit.observation.row_offsets import RowOffsets
from atomfit.observation.spline import SplineBackground
from atomfit.optimisation.ended import Ended
from atomfit.selection.column_evidence import heights_of_spots
from atomfit.selection.column_judgement import ColumnRounds, judge, no_columns
from atomfit.selection.column_noise import Excess, disordered_part
from atomfit.selection.column_settings import ColumnSettings
from atomfit.selection.limits import LIMITS
from atomfit.structure.atoms import Atoms
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import nearest_distances
from atomfit.structure.region import region_mask

#: Pixels within this of what may be a column count (Å), or within a column's reach.
_NEAR = 2.0
#: And as far as the next column may be that nothing has shown yet, which is not farther than this (Å).
_NEXT = 3.5
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
    if settings.selecting:
        last = search.chosen(search.rounds(state, scale))
        if len(last.fitted) < LIMITS.kept * len(state) and last.fitted.reason != Ended.INTERRUPTED:
            part = disordered_part(image, last.fitted, last.model, scale.width)
            if part < LIMITS.disordered:
                log.info("what is left has the order of a lattice: its columns are looked for once more")
                again = _Search(image, settings, lacking=True)
                found = again.chosen(again.rounds(state, scale))
                # What is asked less strictly has to find more.
                if len(found.fitted) > len(last.fitted) or found.fitted.reason == Ended.INTERRUPTED:
                    search, last = again, found
    else:
        last = search.refined(state, scale)
    if len(last.fitted) and last.fitted.reason != Ended.INTERRUPTED:
        straight = _straightened(image, last) if step is None and _dense(last.fitted) else None
        if widths != "shared" or not last.settled or straight is not None or settings.row_jitter:
            last = search.ended(last, straight, widths)
    places, scores = _joined(search.gone)
    return replace(last, rejected=places, rejected_scores=scores)


@dataclass(eq=False)
class _Search:
    """Rounds of fits to an image, and what has gone in them.

    **Fields:**

    - `image`, `settings`: as for `select_columns`.
    - `lacking`: whether most columns may be lacking at first: then what has the order of a lattice is no
        noise in the first rounds, and a background that is flat is smooth.
    - `gone`: places of columns that were taken away, and their scores then.
    - `quietest`: the least excess of noise of all fits.
    """

    image: DensityMap
    settings: ColumnSettings
    lacking: bool = False
    gone: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    quietest: Excess | None = None

    @cached_property
    def likely(self) -> float:
        """Rate of false columns among those that stay until the last ones are chosen.

        Only where noise is that of counts: elsewhere much of what is faint is the shape of columns.
        """
        few = counting_law(self.image.values) is not None
        return max(self.settings.fdr, LIMITS.likely) if few else self.settings.fdr

    def judged(
        self, state: FittedColumns, shapes: int = LIMITS.rounds_of_shape, lacking: bool = False
    ) -> ColumnRounds:
        settings = self.settings
        # Gaussians may be broader, too.
        shapes = shapes if settings.profile or state.widths == "fixed" else 0
        last = judge(
            self.image, state, settings.max_iterations, settings.progress, self.quietest, shapes, lacking
        )
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
            # At first columns are lacking, which look like wings of others.
            lacking = self.lacking and number <= LIMITS.rounds_lacking
            last = self.judged(state, 1 if state.widths == "fixed" else min(number - 1, 1), lacking)
            flat = _flattened(self.image, last) if lacking and number == 1 else None
            if flat is not None:
                self.quietest = None
                last = self.judged(flat, 1, lacking)
            before, scale = scale.width, _broader(scale, last.fitted)
            state, faint = last.fitted, faint_columns(last, self.likely)
            # Later ones have had their trial.
            first = number <= LIMITS.rounds_entangled
            weak = (_not_entangled(faint, state) if first else faint) | _odd(self.image, state)
            added = _lacking(self.image, last, self.likely)
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
            same = not weak.any() and not len(added) and scale.width == before
            last = replace(last, rounds=number, settled=same and number > 1)
            if last.settled or state.reason == Ended.INTERRUPTED:
                break
            if number > 1:
                too_faint.append(np.asarray(state.columns.positions)[faint])
            rest = self.without(last, weak)
            if scale.width > before and self.settings.step is None:
                rest = _smoother(self.image, rest, scale.width / before)
            if number == 1 or state.widths == "shared":
                rest = _of_a_width(rest, scale, _clear(last, ~weak))
            state = replace(rest, columns=joined(rest.columns, added))
        return last

    def refined(self, state: FittedColumns, scale: ColumnScale) -> ColumnRounds:
        """The columns of a start, all of them and no others, of one width."""
        first = self.judged(state)
        if first.fitted.reason == Ended.INTERRUPTED:
            return first
        return self.judged(_of_a_width(first.fitted, _broader(scale, first.fitted), _clear(first)))

    def ended(self, before: ColumnRounds, straight: FittedColumns | None, widths: Widths) -> ColumnRounds:
        """The last fits: widths as they were asked for, and a straight background if there is one.

        Nothing comes any more but what a straight background has pushed away; what does not hold goes.
        """
        state = before.fitted
        if straight is not None:
            # It leaves what a fine background had taken up.
            state, self.quietest = straight, None
        if before.fitted.widths == "fixed" and not _clear(before):
            state = replace(state, widths="fixed")
        if self.settings.row_jitter:
            # Not before: columns that are lacking, or come and go, are not what lines should follow.
            state = replace(state, rows=RowOffsets.none(self.image.grid))
        last = self.judged(replace(state, widths=state.widths if widths == "shared" else widths))
        if not self.settings.selecting:
            return replace(last, rounds=before.rounds)
        weak = _odd(self.image, last.fitted)
        if self.settings.row_jitter:
            # What made up for lines that are offset has no part any more.
            weak |= faint_columns(last, self.settings.fdr)
        added = last.fitted.columns[:0]
        if straight is not None and widths != "elliptical":
            added = _lacking(self.image, last, self.settings.fdr)
        if weak.any() or len(added):
            log.info("in the end %d columns go and %d come", int(weak.sum()), len(added))
            rest = self.without(last, weak)
            if not len(rest):
                return replace(no_columns(rest), rounds=before.rounds)
            last = self.judged(replace(rest, columns=joined(rest.columns, added)))
            late = faint_columns(last, self.settings.fdr) | _odd(self.image, last.fitted)
            late[: len(rest)] = False
            if late.any():
                last = self.judged(self.without(last, late))
        return replace(last, rounds=before.rounds, settled=before.settled)

    def chosen(self, last: ColumnRounds) -> ColumnRounds:
        """Those that are there at the rate that was asked for.

        They are judged beside all others that are likely: a background that makes up for columns which were
        left out takes from those that were not.
        """
        faint = faint_columns(last, self.settings.fdr) if len(last.fitted) else np.zeros(0, bool)
        if not faint.any():
            return last
        rest = self.without(last, faint)
        if not len(rest):
            return replace(no_columns(rest), rounds=last.rounds)
        found = replace(self.judged(rest), rounds=last.rounds, settled=last.settled)
        return replace(found, scores=last.scores[~faint], false=last.false[~faint])


def _dense(state: FittedColumns) -> bool:
    """Whether columns are so near to each other that they have no support between them."""
    if len(state) < 2:
        return False
    distances = nearest_distances(np.asarray(state.columns.positions))
    return float(np.median(distances)) < LIMITS.dense_columns * state.width


def _flattened(image: DensityMap, last: ColumnRounds) -> FittedColumns | None:
    """The same on a smoother background, if that leaves hardly more; else None.

    Between columns that fill an image a fine background is known badly, and takes what is known of them.
    """
    state = last.fitted
    if state.background.step[0] >= LIMITS.flat_background * state.width:
        return None
    flat, more = _on_background(image, last, LIMITS.flat_background * state.width)
    return flat if more < LIMITS.flat_leaves else None


def _straightened(image: DensityMap, last: ColumnRounds) -> FittedColumns | None:
    """Columns on a straight background; None if that leaves much more (a body of depth, out of focus)."""
    straight, more = _on_background(image, last, LIMITS.coarse_background)
    return replace(straight, widths="shared") if more < LIMITS.straight_leaves else None


def _on_background(image: DensityMap, last: ColumnRounds, step: float) -> tuple[FittedColumns, float]:
    """The same on a background with such a step (Å), and what that leaves more, in what columns are."""
    state = last.fitted
    level = float(np.quantile(state.background.heights, 0.1))
    other = replace(state, background=SplineBackground.over(image.grid, step, level))
    roots = np.where(state.counted, 1 / np.sqrt(state.variance), 0.0).ravel()
    information = ColumnInformation.of(other, image.grid)
    left = information.left_of(roots * (state.aligned(image) - level).ravel())
    now = roots * (image.values - last.model).ravel()
    seen = roots * (last.model - state.background.on(image.grid, image.grid)).ravel()
    return other, float((np.sum(left**2) - np.sum(now**2)) / max(np.sum(seen**2), 1e-300))


def _broader(scale: ColumnScale, state: FittedColumns) -> ColumnScale:
    """What columns look like, with the width that was held if that has become broader."""
    broader = state.widths == "fixed" and state.width > scale.width
    return replace(scale, width=state.width) if broader else scale


def _smoother(image: DensityMap, state: FittedColumns, times: float) -> FittedColumns:
    """The same with so many times the distance of the background's knots; its heights are found anew."""
    background = state.background
    level, step = float(np.quantile(background.heights, 0.1)), times * float(background.step[0])
    return replace(state, background=SplineBackground.over(image.grid, step, level))


def _of_a_width(state: FittedColumns, scale: ColumnScale, clear: bool) -> FittedColumns:
    """The same with a width that all share; the one that was seen, if theirs follows something else.

    At first it is known better than what is a column, and always if columns are not clear of noise.
    """
    low, high = LIMITS.widths_of_columns
    if clear and low < state.width / scale.width < high:
        return replace(state, widths="shared")
    places, amplitudes = np.asarray(state.columns.positions), np.asarray(state.columns.amplitudes)
    return replace(state, columns=columns_of(places, amplitudes, scale.width), widths="fixed", growth=0.0)


def _clear(last: ColumnRounds, which: Bool[np.ndarray, " n"] | slice = slice(None)) -> bool:
    """Whether columns tell a width that they share: beside pixels' own noise, as a wrong width errs too."""
    scores = (last.scores * np.sqrt(last.factors))[which]
    return bool(len(scores)) and float(np.median(scores)) > LIMITS.tells_width


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
    step = settings.step
    if step is None:
        # What a fine background takes up of columns is affordable where they are far above noise.
        bright = len(found.scores) and np.quantile(found.scores, 0.8) > LIMITS.affords_fine
        few = counting_law(image.values) is not None
        smooth = not bright and (few or _even(image, scale, variance, found))
        step = (LIMITS.background_of_counts if smooth else LIMITS.fine_background) * scale.width
    start = columns_of(found.positions, found.amplitudes, scale.width)
    next_column = 0.0
    if settings.selecting and len(places) > 1:
        next_column = min(float(np.median(nearest_distances(places))), _NEXT)
    return FittedColumns(
        start,
        SplineBackground.over(image.grid, step, level),
        variance,
        image.measured(_near(image, places, max(REACH * scale.width, _NEAR) + next_column)),
        "fixed",
    )


def _even(
    image: DensityMap,
    scale: ColumnScale,
    variance: Float[np.ndarray, "rows columns"],
    found: Candidates,
) -> bool:
    """Whether what lies beneath columns is smoother than they are: rough films have hollows as bumps."""
    hollows = find_candidates(replace(image, values=-image.values), scale, variance)
    return float(np.sum(hollows.scores**2)) < LIMITS.even_beneath * float(np.nansum(found.scores**2))


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


def _not_entangled(faint: Bool[np.ndarray, " n"], state: FittedColumns) -> Bool[np.ndarray, " n"]:
    """Faint columns but for those that may be faint only because of a fainter one beside them that goes.

    Of two that stand in each other's place neither is known, though their sum is.
    """
    positions, amplitudes = np.asarray(state.columns.positions), np.asarray(state.columns.amplitudes)
    pairs = cKDTree(positions).query_pairs(LIMITS.entangled * state.width, output_type="ndarray")
    pairs = pairs[faint[pairs].all(axis=1)]
    first = amplitudes[pairs[:, 0]] > amplitudes[pairs[:, 1]]
    brighter, fainter = (np.where(x, pairs[:, 0], pairs[:, 1]) for x in (first, ~first))
    stays = np.zeros(len(faint), bool)
    stays[brighter] = True
    stays[fainter] = False
    return faint & ~stays


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
    noise = noise_of_spots(width, pixel, BROADER) * np.sqrt(local_variance(state.variance, width, pixel))
    response, factors = left.spots(width, BROADER), excess.beneath_everywhere(model)
    places, scores = maxima(response / (noise * np.sqrt(factors)), LEAST, width / pixel)
    positions = image.grid.positions_of(places)
    at = tuple(image.grid.nearest_voxels(positions).T)
    heights = heights_of_spots(
        response[at] / np.sqrt(factors[at]),
        np.stack(at, axis=1),
        state.variance,
        width / pixel,
        BROADER,
        last.law.gain,
    )
    area = image.grid.size * image.grid.voxel_volume
    false = maxima_of_noise(heights, 2, area * roughness_of_spots(width, BROADER))
    good = false <= max(fdr * len(state), LIMITS.false_columns)
    good &= roundness(left.smooth(width), places, width / pixel) > least_roundness(scores)
    good &= state.counted[at]
    if len(state):
        good &= cKDTree(state.columns.positions).query(positions)[0] > LIMITS.apart_from_columns * width
    amplitudes = response[at][good] * integral_of_spot(width, BROADER)
    return columns_of(positions[good], amplitudes, width)
