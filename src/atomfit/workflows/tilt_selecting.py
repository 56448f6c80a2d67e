"""Which atoms images show: fits and changes of the atoms until nothing changes, as for maps.

The judge is that of maps (`selection.judgement`), with scores from the images (`selection.image_scores`).
Where what is left of the images is no noise, because they were denoised or the model lacks something,
atoms are judged by each other, as in a map that has no outside: if its colour says so, or if hollows go far
beyond those of noise and would take most of the atoms with them.
Atoms that surround a part of a specimen are neighbours like all others, but are neither judged nor moved.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.optimisation.ended import Ended, SearchEnded
from atomfit.options.tilt import TiltOptions
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import ImageUncertainty, measure_uncertainty
from atomfit.projection.limits import LIMITS as IMAGE_LIMITS
from atomfit.projection.start import Start
from atomfit.results.series import PreparedSeries
from atomfit.selection.completion import Discarded, Selection, Stage, complete
from atomfit.selection.evidence import Decoys
from atomfit.selection.image_scores import scores_of_images
from atomfit.selection.judgement import Judgement, judge_scores
from atomfit.selection.limits import LIMITS as SELECTION_LIMITS
from atomfit.selection.scores import Scores
from atomfit.selection.search_limits import LIMITS
from atomfit.tilt_series.result import without_atoms
from atomfit.tilt_series.sampled import sampled_excess
from atomfit.workflows.tilt_refining import Progress, refine_start
from atomfit.workflows.tilt_search import search

log = logging.getLogger("atomfit")


Refit = Callable[[Start], TiltFit]


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A fit, where it began, what it leaves and how well it knows its atoms."""

    fit: TiltFit
    start: Start
    left: FittedSeries
    scores: Scores
    known: ImageUncertainty

    def worse_than(self, other: "_Fitted") -> float:
        """By how much chi-square is larger, in the unit of the other's squared scores."""
        more = _more_chi_square(self.left, other.left)
        return more / (other.scores.scatter**2 * other.known.excess)

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Of the atoms that moved (Å)."""
        return self.fit.positions[~self.start.frozen]

    @property
    def reason(self) -> Ended:
        """Why it ended."""
        return self.fit.reason


def search_and_select(
    ready: PreparedSeries, start: Start, options: TiltOptions, progress: Progress
) -> tuple[Start, TiltFit, Selection]:
    """The atoms that images show, their fit, and what was decided.

    **Arguments:**

    - `ready`, `start`: the images, and where atoms may be.
    - `options`: of the simplest fit (`tilt_refining.alike`).
    - `progress`: called with the stage, the iterations done and the objective.
    """

    def refit(atoms: Start) -> TiltFit:
        return refine_start(ready, atoms, replace(options, anneal=False), progress)

    if not len(start.ids):
        return _nothing(ready, start, options, nothing_selected(Discarded.none(3)))
    if options.map is not None or options.start is not None:
        # Atoms that somebody else has found may be farther off than those of a reconstruction.
        start = start.at(refine_start(ready, start, options, progress).positions)
    found = search(ready, start, options, progress)
    log.info("search: %s after %d rounds, %d atoms", found.reason, found.rounds, len(found.start.ids))
    if not found.any:
        return _nothing(ready, found.start, options, nothing_selected(found.discarded))
    # Whoever has interrupted the search does not want to wait for another fit.
    first = found.fit if found.reason.early else refit(found.start)
    astray = _describes_worse(ready, first, found.fit)
    if astray:
        log.warning("the fit of these atoms has gone astray: that of the search stands, as it is")
    if astray or found.reason.early:
        start, fit, selection, _ = select_from_images(ready, found.start, found.fit, options)
        return start, fit, selection
    start, fit, selection, _ = select_from_images(ready, found.start, first, options, refit)
    apart = LIMITS.close * ready.element.neighbour_distance / 2
    selection = selection.with_earlier(found.discarded, apart, found.reason != SearchEnded.LAST_ROUND)
    if not selection.judgement.kept.any():
        return _nothing(ready, start, options, nothing_selected(selection.with_atoms(fit.positions)))
    return start, fit, selection


def _nothing(
    ready: PreparedSeries, start: Start, options: TiltOptions, selection: Selection
) -> tuple[Start, TiltFit, Selection]:
    """No atom, not even of those around."""
    nobody = start.chosen(np.zeros(len(start.positions), bool))
    return nobody, without_atoms(ready.series, ready.held_out(options.held_out)), selection


def select_from_images(
    ready: PreparedSeries, start: Start, fit: TiltFit, options: TiltOptions, refit: Refit | None = None
) -> tuple[Start, TiltFit, Selection, ImageUncertainty]:
    """The atoms that images show, their fit, and what was decided.

    **Arguments:**

    - `ready`, `start`, `fit`: the images, the atoms so far, and their fit.
    - `options`: what was asked for.
    - `refit`: fits other atoms; if not given, those that there are are judged only.
    """

    def judgement(of: _Fitted) -> Judgement:
        return _judged(of, ready, options)

    def uncertainty(at: Start, left: FittedSeries, parts: Collection[str] = ()) -> ImageUncertainty:
        return measure_uncertainty(
            left,
            options.own_amplitudes,
            at.known,
            at.numbers,
            options.known_amplitudes,
            options.displacements,
            parts,
            options.known_turns,
        )

    def fitted(at: Start, fit: TiltFit) -> _Fitted:
        left = FittedSeries.of(ready.series, fit)
        scores = scores_of_images(left, LIMITS.margin * ready.element.neighbour_distance, ~at.frozen)
        return _Fitted(fit, at, left, scores, uncertainty(at, left))

    beside = LIMITS.beside * ready.element.neighbour_distance
    last = start, fit

    def going_on(positions: np.ndarray) -> _Fitted:
        nonlocal last
        assert refit is not None
        changed = _with_atoms(start, positions, ready.element.number)
        begin = _begin(changed.positions, last[0].positions, last[1].positions, beside)
        last = changed, refit(changed.going_on(begin))
        return fitted(*last)

    def anew(positions: np.ndarray) -> _Fitted:
        assert refit is not None
        changed = _with_atoms(start, positions, ready.element.number)
        return fitted(changed, refit(changed))

    moving = ~start.frozen
    apart = LIMITS.close * ready.element.neighbour_distance
    # Going on is quicker, but an atom may stay where one that was lacking has drawn it.
    stages = [Stage(judgement, by, worse=_Fitted.worse_than) for by in (going_on, anew)]
    if refit is None:
        stages = [Stage(judgement, anew, rounds=0)]
    _, end, selection = complete(start.positions[moving], fitted(start, fit), apart, stages)
    known = end.known
    if refit is None and known.whole and len(end.start.positions):
        known = uncertainty(end.start, end.left, options.refine)
        end = replace(end, known=known)
    # Whoever has interrupted the fit does not want to wait for others.
    if refit is None and not end.fit.reason.early and (not known.whole or _faint(end)):
        alike = known
        if end.left.colour is not None:
            alike = uncertainty(end.start, replace(end.left, colour=None))
        known = _together(ready, end, alike, options)
    return end.start, end.fit, selection, known


def _faint(end: _Fitted) -> bool:
    """Whether atoms are so uncertain that the curvature at the fit may not tell by how much."""
    errors = end.known.positions[~end.start.frozen]
    errors = errors[np.isfinite(errors)]
    return errors.size > 0 and bool(np.median(errors) > LIMITS.sampled_beyond * np.sqrt(end.left.width))


def _together(
    ready: PreparedSeries, end: _Fitted, known: ImageUncertainty, options: TiltOptions
) -> ImageUncertainty:
    """Uncertainties of many atoms, or of faint ones, with what the curvature at the fit lacks.

    That is sampled where all frequencies count alike, whose uncertainties are `known`.
    """
    log.info("uncertainty: what the curvature at the fit does not know of it is sampled")
    excess = sampled_excess(
        ready.series,
        end.fit,
        known.covariances,
        known.amplitudes if options.own_amplitudes else None,
        known.excess,
        end.start.known,
        options.known_amplitudes,
        options.refine,
        end.start.frozen if end.start.frozen.any() else None,
    )
    return end.known.less_certain(excess.positions, excess.amplitudes)


def _judged(of: _Fitted, ready: PreparedSeries, options: TiltOptions) -> Judgement:
    moving = ~of.start.frozen
    judge = partial(
        judge_scores,
        of.scores,
        of.fit.positions,
        # Scores are measured in what they scatter by, which knows the residual's colour as well.
        of.known.evidence * of.known.excess,
        ready.element,
        rate=options.fdr,
        kinds=len(ready.elements),
        apart=LIMITS.close * ready.element.neighbour_distance,
    )
    judged = judge(noise_known=of.known.excess <= IMAGE_LIMITS.coloured)
    if judged.decoys.scale > LIMITS.heavy_hollows and judged.cut > np.nanmedian(judged.scores):
        judged = judge(noise_known=False)
    if not options.own_amplitudes and len(ready.elements) == 1:
        # With one that stands out by less than half of what an atom does, the misfit is larger.
        half = LIMITS.none_below * float(np.nanmedian(of.scores.whole))
        judged = replace(judged, reasons=_half_atoms(judged, of.scores.whole), cut=max(judged.cut, half))
    return judged.of(moving, of.known.evidence[moving])


def _half_atoms(judged: Judgement, whole: Float[np.ndarray, " n"]) -> tuple[str, ...]:
    """Why each atom should go where atoms are alike.

    With one that stands out by less than half, the misfit is larger than without it.
    """
    return tuple(
        reason
        or (
            f"stands out by {z:.1f} σ, an atom does by {all_of_it:.1f}"
            if z < LIMITS.none_below * all_of_it
            else ""
        )
        for reason, z, all_of_it in zip(judged.reasons, judged.scores, whole, strict=True)
    )


def _begin(
    positions: Float[np.ndarray, "n 3"],
    began: Float[np.ndarray, "k 3"],
    ended: Float[np.ndarray, "k 3"],
    beside: float,
) -> Float[np.ndarray, "n 3"]:
    """Where a fit begins: where the last one has ended, if only a few atoms are others.

    An atom that was lacking, or one too many, has drawn its neighbours from their places: these begin anew,
    and where many atoms are others, all do.

    **Arguments:**

    - `positions`: where atoms begin anew (Å).
    - `began`, `ended`: of the last fit's atoms (Å).
    - `beside`: of how far neighbours are (Å).
    """
    rows = {tuple(place): i for i, place in enumerate(began.tolist())}
    row = np.array([rows.get(tuple(place), -1) for place in positions.tolist()], dtype=int)
    others = np.concatenate([positions[row < 0], np.delete(began, row[row >= 0], axis=0)])
    if len(others) > LIMITS.few_atoms * len(positions):
        return positions
    anew = row < 0
    if len(others):
        anew |= cKDTree(others).query(positions)[0] < beside
    return np.where(anew[:, None], positions, ended[row])


def _with_atoms(start: Start, positions: Float[np.ndarray, "n 3"], number: int) -> Start:
    """The same start with other atoms; of new ones nothing is known, and they are of one element."""
    rows = {tuple(place): i for i, place in enumerate(start.positions.tolist())}
    before = np.array([rows.get(tuple(place), -1) for place in positions.tolist()], dtype=int)
    around = np.flatnonzero(start.frozen)
    every = np.concatenate([before, around])
    places, new = np.concatenate([positions, start.positions[around]]), (every < 0)[:, None]
    ids = start.ids_with_new(before)
    return replace(
        start,
        positions=places,
        numbers=np.where(every < 0, number, start.numbers[every]),
        frozen=np.arange(len(every)) >= len(positions),
        ids=ids,
        last=max([start.last, *start.ids.tolist(), *ids.tolist()]),
        known=None if start.known is None else np.where(new, np.inf, start.known[every]),
        expected=None if start.expected is None else np.where(new, places, start.expected[every]),
        rows=None,
        named=0,
    )


def _describes_worse(ready: PreparedSeries, fit: TiltFit, other: TiltFit) -> bool:
    """Whether a fit describes the images worse than another of as many atoms, by more than such differ."""
    one, two = (FittedSeries.of(ready.series, each) for each in (fit, other))
    return _more_chi_square(one, two) > LIMITS.astray * len(fit.positions)


def _more_chi_square(one: FittedSeries, other: FittedSeries) -> float:
    """By how much chi-square is larger, with the other's noise."""
    squares = one.residual.astype(np.float64) ** 2 - other.residual.astype(np.float64) ** 2
    return float(np.sum(other.precisions.astype(np.float64) * squares))


def nothing_selected(discarded: Discarded) -> Selection:
    """The selection where no atom stands out.

    **Arguments:**

    - `discarded`: what was tried.
    """
    none, decoys = np.zeros(0), Decoys(0.0, 1.0, "hollows")
    judgement = Judgement(
        none,
        none,
        none,
        (),
        np.zeros((0, 2, 3)),
        np.zeros((0, 3)),
        none,
        none,
        SELECTION_LIMITS.lowest,
        decoys,
    )
    return Selection(judgement, discarded, 0, True)
