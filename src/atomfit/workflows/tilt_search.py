"""Atoms searched for in images: a rough start in, the atoms that the images show out.

    fit with amplitudes of their own -> those that fade go, those twice as bright are two
    fit with one amplitude for all   -> what the residual shows is added

Atoms of one element are alike, which is what tells one that is none; but a fit that makes them so cannot
bear one too many: it pushes its neighbours aside, and those theirs, through the whole depth of the
specimen. With an amplitude of its own it fades, and the others stay. An atom that is lacking is not seen
in such a fit, because its neighbours become brighter and take its place; where all are alike it stays in
the residual. So fits of both kinds take turns, begun where the last one has ended, and closed as soon as
they promise little, because the atoms are yet to change. Of several elements the amplitudes stay free.

An atom stays if it stands out as noise does not (`selection.judgement`) and by half as much as an atom
does: with one that stands out by less, the misfit is larger than without it. Places are tried that show
less, because the neighbours of an atom that is lacking have moved to take its place; but one that was tried
in vain is not tried again.

Where one atom too many has squeezed itself in, two of them share what is one's, and both stand. So whoever
is fainter than most is left out once: one that is real is asked for again. And where one is lacking between
neighbours that are too near, they have come together: whoever is brighter than most is tried as two once.

Each round is judged by chi-square and by what its atoms must have earned, each the square of the score that
it had to exceed. Rounds end when hardly an atom changes, or when none was better than the best for a while.
Then atoms of the best one that stand out by less than most are left out for trial, one by one, and places
that ask for an atom are given one, with their neighbours giving way (`selection.trials`), as long as that
is better.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.optimisation.ended import Ended, SearchEnded
from atomfit.options.tilt import TiltOptions
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.model import TiltModel
from atomfit.projection.start import Start
from atomfit.results.series import PreparedSeries
from atomfit.selection.completion import Discarded
from atomfit.selection.image_scores import scores_of_images
from atomfit.selection.judgement import Judgement, faintest_kind, judge_scores
from atomfit.selection.limits import LIMITS as SELECTION_LIMITS
from atomfit.selection.scores import Scores
from atomfit.selection.search_limits import LIMITS
from atomfit.selection.trials import Trials
from atomfit.tilt_series.result import result_of
from atomfit.tilt_series.stages import Run, Stage
from atomfit.workflows.tilt_changes import longest, weaker_of_two, with_atoms, with_width
from atomfit.workflows.tilt_refining import Progress, run_of

log = logging.getLogger("atomfit")

#: Rounds, at most, and after the best one.
_MOST, _PATIENCE = 16, 2
#: Standard deviation of the atoms in the first fit, in neighbour distances: an atom's place may be off by
#: as much.
_WIDTH = 0.2
#: Chi-square that a step of a fit must promise for each atom; and once atoms hardly change.
_LOOSE, _TIGHT = 0.3, 0.02
#: How often single atoms are tried.
_MOST_TRIALS = 5


@dataclass(frozen=True, eq=False)
class Found:
    """Atoms that a search has found.

    **Fields:**

    - `start`: where they are.
    - `fit`: of them, with the reason of the end if it was interrupted or has diverged.
    - `discarded`: places that were tried in vain.
    - `rounds`: of the search.
    - `reason`: why it ended.
    """

    start: Start
    fit: TiltFit
    discarded: Discarded
    rounds: int
    reason: SearchEnded

    @property
    def any(self) -> bool:
        """Whether there is an atom."""
        return bool(len(self.start.ids))


def search(
    ready: PreparedSeries,
    start: Start,
    options: TiltOptions,
    progress: Progress,
    keep: Callable[[Start], None] = lambda start: None,
) -> Found:
    """Atoms that images show.

    **Arguments:**

    - `ready`: the images.
    - `start`: where atoms may be, a few tenths of an ångström off, not all of them and some too many.
    - `options`: of which those of likelihood, views and rate matter here.
    - `progress`: called with the stage, the iterations done and the objective.
    - `keep`: called with the atoms after each round.
    """
    return _Search(ready, options, progress, keep).run(start)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Atoms, their model, and what it leaves."""

    start: Start
    fit: TiltFit
    model: TiltModel
    scores: Scores
    judged: Judgement
    value: float
    unit: float
    reason: Ended

    def chi_square_beyond(self, other: "_Fitted") -> float:
        """By how much this one's chi-square is larger, in units of what the better one leaves."""
        return 2 * (self.value - other.value) / min(self.unit, other.unit)


@dataclass(frozen=True, eq=False)
class _Search:
    ready: PreparedSeries
    options: TiltOptions
    progress: Progress
    keep: Callable[[Start], None]

    @property
    def distance(self) -> float:
        return self.ready.element.neighbour_distance

    @property
    def alike(self) -> bool:
        """Whether all atoms have one amplitude."""
        return len(self.ready.elements) == 1

    def run(self, start: Start) -> Found:
        first = self._run(start).first(wide=False, drifting="shifts" in self.options.refine)
        model = with_width(first, _WIDTH * self.distance)
        best: _Fitted | None = None
        best_round = 0
        in_vain, doubted, as_two = Discarded.none(3), np.zeros((0, 3)), np.zeros((0, 3))
        reason = SearchEnded.LAST_ROUND
        for round_ in range(_MOST):
            own = self._fit(start, model, own=True)
            if own.reason.early:
                return _ended(best or own, own.reason, in_vain, round_)
            sorted_out, two = self._sorted_out(own, as_two)
            as_two = np.concatenate([as_two, two])
            in_vain = in_vain.and_(_gone(own, sorted_out, two))
            left_out = self._doubtful(own, sorted_out, doubted)
            doubted = np.concatenate([doubted, sorted_out.positions[left_out]])
            sorted_out = sorted_out.chosen(~left_out)
            if not len(sorted_out.ids):
                if best is None:
                    return Found(sorted_out, own.fit, in_vain, round_ + 1, SearchEnded.NO_ATOMS)
                # A lone atom that was tried as two: neither half stands out, and one is one too many.
                reason = SearchEnded.NO_BETTER
                break
            model = self._one_amplitude(own, sorted_out)
            last = self._fit(sorted_out, model, own=not self.alike)
            if last.reason.early:
                return _ended(last, last.reason, in_vain, round_)
            if best is None or self._better(last, best):
                best, best_round = last, round_
                self.keep(last.start)
            places, amplitudes = self._lacking(last, in_vain.positions)
            removed = len(own.start.ids) - len(sorted_out.ids) + len(two)
            log.info(
                "search: %d atoms; %d faded, %d became two, %d are left out once, %d places are tried next",
                *(
                    len(last.start.ids),
                    removed - int(left_out.sum()),
                    len(two),
                    left_out.sum(),
                    len(places),
                ),
            )
            if not len(places) and not len(two) and not left_out.any() and (round_ > 0 or not removed):
                reason = SearchEnded.SETTLED
                break
            if removed + len(places) < LIMITS.few_changes * len(last.start.ids):
                reason = SearchEnded.SETTLED
                break
            if round_ - best_round >= _PATIENCE:
                reason = SearchEnded.NO_BETTER
                break
            start = last.start.joined(places, self.ready.element.number)
            model = with_atoms(last.model, last.start, start, amplitudes / self._unit(last))
        assert best is not None
        best, tried = self._tried(best)
        if best.reason.early:
            return _ended(best, best.reason, in_vain, round_)
        in_vain = in_vain.and_(tried)
        far = np.ones(len(in_vain), bool)
        if len(in_vain):
            far = (
                cKDTree(best.start.positions).query(in_vain.positions)[0]
                > LIMITS.same_place * self.distance
            )
        return Found(best.start, best.fit, in_vain.where(far), round_ + 1, reason)

    def _tried(self, best: _Fitted) -> tuple[_Fitted, Discarded]:
        """Better atoms, where one less or one more is better; and those that are no more."""
        gone = Discarded.none(3)
        for _ in range(_MOST_TRIALS if self.alike else 0):
            moving, judged = ~best.start.frozen, best.judged
            left = FittedSeries.of(self.ready.series, best.fit)
            earned = judged.cut**2 * best.scores.scatter**2
            whole = float(np.nanmedian(best.scores.whole))
            unsure = np.flatnonzero(moving & (np.nan_to_num(judged.scores) < LIMITS.unsure * whole))
            try:
                changed = Trials(left, self.distance, moving, earned).best(unsure, judged.candidates)
            except KeyboardInterrupt:
                return replace(best, reason=Ended.INTERRUPTED), gone
            if not changed.any:
                break
            log.info(
                "search: of %d atoms %d are better left out, %d are added where their neighbours give way",
                *(len(unsure), int((~changed.kept).sum()), len(changed.added)),
            )
            number = self.ready.element.number
            start = best.start.at(changed.positions).chosen(changed.kept).joined(changed.added, number)
            typical = float(np.median(np.asarray(best.model.atoms.amplitudes)[moving]))
            model = with_atoms(best.model, best.start, start, typical)
            now = self._fit(start, model, own=False, loose=_TIGHT)
            if now.reason.early:
                return now, gone
            more = len(now.start.ids) - len(best.start.ids)
            if now.chi_square_beyond(best) + judged.cut**2 * more >= 0:
                break
            gone = gone.and_(_left_out(best, changed.kept))
            best = now
            self.keep(best.start)
        return best, gone

    def _run(self, start: Start) -> Run:
        return run_of(self.ready, start, self.options, self.progress)

    def _unit(self, fitted: _Fitted) -> float:
        return self._run(fitted.start).unit

    def _fit(self, start: Start, model: TiltModel, own: bool, loose: float = _LOOSE) -> _Fitted:
        """A loose fit, begun with a model, and its scores."""
        run = self._run(start)
        of_views = frozenset(self.options.refine) - {"turns"}
        free = frozenset({"positions", "strengths", "log_widths"}) | of_views
        of_atoms = frozenset({"positions", "strengths"} if own else {"positions"})
        name = "search, own amplitudes" if own else "search, one amplitude"
        model, found = run.through(model, Stage(name, free, of_atoms, weighted=False, loose=loose))
        fit = result_of(run, model, found)
        left = FittedSeries.of(self.ready.series, fit)
        moving = ~start.frozen
        scores = scores_of_images(left, LIMITS.margin * self.distance, moving)
        judged = judge_scores(
            scores,
            fit.positions,
            np.full(len(fit.positions), np.nan),
            self.ready.element,
            rate=self.options.fdr,
            kinds=len(self.ready.elements),
            apart=LIMITS.close * self.distance,
        )
        unit = run.unit_of_objective(model)
        return _Fitted(start.at(fit.positions), fit, model, scores, judged, found.value, unit, found.reason)

    def _better(self, one: _Fitted, other: _Fitted) -> bool:
        """Whether chi-square and what each atom must have earned are lower."""
        more = len(one.start.ids) - len(other.start.ids)
        return one.chi_square_beyond(other) + self._least(one) * more < 0

    def _least(self, fitted: _Fitted) -> float:
        """What an atom must have earned, in squared scores."""
        return max(fitted.judged.cut, LIMITS.none_below * float(np.nanmedian(fitted.scores.whole))) ** 2

    def _sorted_out(
        self, own: _Fitted, as_two: Float[np.ndarray, "s 3"]
    ) -> tuple[Start, Float[np.ndarray, "t 3"]]:
        """The atoms that do not fade, with two for those that are too bright; and where these were.

        **Arguments:**

        - `own`: a fit with amplitudes of their own.
        - `as_two`: where atoms have been tried as two before.
        """
        moving = ~own.start.frozen
        amplitudes = np.asarray(own.model.atoms.amplitudes, np.float64)
        typical = self._typical(amplitudes[moving])
        stands = np.nan_to_num(own.judged.scores, nan=-np.inf) >= own.judged.cut
        good = (amplitudes >= LIMITS.none_below * typical) & stands
        good[moving] &= ~weaker_of_two(
            own.start.positions[moving],
            np.where(good, amplitudes, -1.0)[moving],
            LIMITS.close * self.distance,
        )
        two = moving & good & self.alike & (amplitudes > LIMITS.tried_as_two_above * typical)
        if len(as_two):
            again = cKDTree(as_two).query(own.start.positions)[0] < LIMITS.same_place * self.distance
            two &= ~again | (amplitudes > LIMITS.two_above * typical)
        brightness = np.where(two, amplitudes, -1.0)
        two &= ~weaker_of_two(own.start.positions, brightness, LIMITS.at_a_time * self.distance)
        middles = own.start.positions[two]
        step = LIMITS.apart * self.distance * longest(own.scores, middles, 0.35 * self.distance)
        kept = own.start.chosen((good & ~two) | own.start.frozen)
        halves = np.concatenate([middles - step, middles + step])
        return kept.joined(halves, self.ready.element.number), middles

    def _doubtful(
        self, own: _Fitted, start: Start, doubted: Float[np.ndarray, "d 3"]
    ) -> Bool[np.ndarray, " n"]:
        """Atoms of a start that are faint in a fit, and have not been doubted before."""
        row = start.rows_in(own.start)
        amplitudes = np.asarray(own.model.atoms.amplitudes, np.float64)
        typical = self._typical(amplitudes[~own.start.frozen])
        faint = (
            (row >= 0) & (amplitudes[row] < LIMITS.left_out_below * typical) & ~start.frozen & self.alike
        )
        if len(doubted):
            faint &= cKDTree(doubted).query(start.positions)[0] > LIMITS.same_place * self.distance
        faintness = np.where(faint, 1 - amplitudes[row] / typical, -1.0)
        return faint & ~weaker_of_two(start.positions, faintness, LIMITS.at_a_time * self.distance)

    def _typical(self, amplitudes: Float[np.ndarray, " n"]) -> float:
        """Amplitude of an atom, of the faintest kind if there are several; those too many left aside."""
        bright = amplitudes[amplitudes > LIMITS.none_below * float(np.median(amplitudes))]
        return faintest_kind(bright if len(bright) else amplitudes, len(self.ready.elements))

    def _one_amplitude(self, own: _Fitted, start: Start) -> TiltModel:
        """The model of the atoms that are left, all with a typical amplitude if they are alike."""
        amplitudes = np.asarray(own.model.atoms.amplitudes, np.float64)
        typical = self._typical(amplitudes[~own.start.frozen])
        model = with_atoms(own.model, own.start, start, typical)
        if not self.alike:
            return model
        # Those around are as bright beside each other as they were.
        return eqx.tree_at(
            lambda m: m.atoms.amplitudes, model, np.full(len(start.positions), typical, np.float32)
        )

    def _lacking(
        self, last: _Fitted, in_vain: Float[np.ndarray, "v 3"]
    ) -> tuple[Float[np.ndarray, "a 3"], Float[np.ndarray, " a"]]:
        """Places of further atoms (Å), and about what amplitudes they have (image units x Å²)."""
        whole = float(np.nanmedian(last.scores.whole))
        heights = last.judged.candidate_scores
        # The highest come first.
        enough = max(
            min(LIMITS.trial * whole, last.judged.cut), LIMITS.least_trial * whole, SELECTION_LIMITS.lowest
        )
        wanted = heights >= enough
        wanted &= np.arange(len(heights)) < LIMITS.trials * len(last.start.ids) + 10
        places = last.judged.candidates[wanted]
        new = np.ones(len(places), bool)
        if len(in_vain) and len(places):
            new = cKDTree(in_vain).query(places)[0] > LIMITS.same_place * self.distance
        amplitudes = np.asarray(last.model.atoms.amplitudes, np.float64)[~last.start.frozen]
        typical = float(np.median(amplitudes)) * self._unit(last)
        return places[new], typical * np.clip(heights[wanted][new] / whole, 0.0, 1.0)


def _ended(fitted: _Fitted, reason: Ended, in_vain: Discarded, rounds: int) -> Found:
    """What there is when a fit was interrupted or has diverged."""
    return Found(fitted.start, replace(fitted.fit, reason=reason), in_vain, rounds, SearchEnded(reason))


def _gone(own: _Fitted, after: Start, two: Float[np.ndarray, "t 3"]) -> Discarded:
    """The atoms of a fit that are no more, but for those that became two."""
    before = own.start
    gone = ~np.isin(np.arange(len(before.positions)), after.rows_in(before)) & ~before.frozen
    if len(two):
        gone &= cKDTree(two).query(before.positions)[0] > 0
    judged = own.judged
    every = Discarded(
        before.positions,
        judged.scores,
        judged.q_values,
        tuple(reason or "faded, beside its neighbours" for reason in judged.reasons),
    )
    return every.where(gone)


def _left_out(fitted: _Fitted, kept: Bool[np.ndarray, " n"]) -> Discarded:
    """The atoms of a fit that are no more."""
    judged = fitted.judged
    why = ("its neighbours describe the images as well without it",) * len(kept)
    return Discarded(fitted.start.positions, judged.scores, judged.q_values, why).where(~kept)
