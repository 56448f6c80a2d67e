"""Which atoms images show: fits and changes of the atoms until nothing changes, as for maps.

The judge is that of maps (`selection.judgement`), with scores from the images (`selection.image_scores`).
Where what is left of the images is no noise, because they were denoised or the model lacks something,
atoms are judged by each other, as in a map that has no outside: if its colour says so, or if hollows go far
beyond those of noise and would take most of the atoms with them.
Atoms that surround a part of a specimen are neighbours like all others, but are neither judged nor moved.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.detection.mean_atom import CLOSEST
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import ImageUncertainty, measure_uncertainty
from atomfit.projection.verdict import COLOURED
from atomfit.selection.completion import Selection, Stage, complete
from atomfit.selection.image_scores import scores_of_images
from atomfit.selection.judgement import Judgement, judge_scores
from atomfit.tilt_options import TiltOptions
from atomfit.tilt_preparation import PreparedSeries
from atomfit.tilt_starts import Start

log = logging.getLogger("atomfit")

#: Others are looked for so far beyond the atoms, in neighbour distances.
_MARGIN = 1.2
#: A few atoms, as a part of all.
_FEW = 0.05
#: Neighbours of an atom, and theirs, in neighbour distances.
_BESIDE = 2.2
#: Hollows of noise have a scale of one.
_HEAVY = 1.5

Refit = Callable[[Start], TiltFit]


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A fit, where it began, what it leaves and how well it knows its atoms."""

    fit: TiltFit
    start: Start
    left: FittedSeries
    known: ImageUncertainty

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Of the atoms that moved (Å)."""
        return self.fit.positions[~self.start.frozen]

    @property
    def reason(self) -> str:
        """Why it ended."""
        return self.fit.reason


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

    def fitted(at: Start, fit: TiltFit) -> _Fitted:
        left = FittedSeries.of(ready.series, fit)
        return _Fitted(fit, at, left, measure_uncertainty(left, options.own_amplitudes, at.known))

    beside = _BESIDE * ready.element.neighbour_distance
    last = start, fit

    def going_on(positions: np.ndarray) -> _Fitted:
        nonlocal last
        assert refit is not None
        changed = _with_atoms(start, positions, ready)
        begin = _begin(changed.positions, last[0].positions, last[1].positions, beside)
        last = changed, refit(changed.going_on(begin))
        return fitted(*last)

    def anew(positions: np.ndarray) -> _Fitted:
        assert refit is not None
        changed = _with_atoms(start, positions, ready)
        return fitted(changed, refit(changed))

    moving = ~start.frozen
    apart = CLOSEST * ready.element.neighbour_distance
    # Going on is quicker, but an atom may stay where one that was lacking has drawn it.
    stages = [Stage(judgement, going_on), Stage(judgement, anew)]
    if refit is None:
        stages = [Stage(judgement, anew, rounds=0)]
    _, end, selection = complete(start.positions[moving], fitted(start, fit), apart, stages)
    return end.start, end.fit, selection, end.known


def _judged(of: _Fitted, ready: PreparedSeries, options: TiltOptions) -> Judgement:
    moving = ~of.start.frozen
    found = scores_of_images(of.left, _MARGIN * ready.element.neighbour_distance, moving)
    judge = partial(
        judge_scores,
        found,
        of.fit.positions,
        # Scores are measured in what they scatter by, which knows the residual's colour as well.
        of.known.evidence * of.known.excess,
        ready.element,
        rate=options.fdr,
        kinds=len(ready.elements),
    )
    judged = judge(noise_known=of.known.excess <= COLOURED)
    if judged.decoys.scale > _HEAVY and judged.cut > np.nanmedian(judged.scores):
        judged = judge(noise_known=False)
    if not options.own_amplitudes:
        judged = replace(judged, reasons=_half_atoms(judged, found.whole))
    return judged.of(moving, of.known.evidence[moving])


def _half_atoms(judged: Judgement, whole: Float[np.ndarray, " n"]) -> tuple[str, ...]:
    """Why each atom should go where atoms are alike.

    With one that stands out by less than half, the misfit is larger than without it.
    """
    return tuple(
        reason
        or (f"stands out by {z:.1f} σ, an atom does by {all_of_it:.1f}" if z < 0.5 * all_of_it else "")
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
    if len(others) > _FEW * len(positions):
        return positions
    anew = row < 0
    if len(others):
        anew |= cKDTree(others).query(positions)[0] < beside
    return np.where(anew[:, None], positions, ended[row])


def _with_atoms(start: Start, positions: Float[np.ndarray, "n 3"], ready: PreparedSeries) -> Start:
    """The same start with other atoms; of new ones nothing is known, and they are of the typical kind."""
    rows = {tuple(place): i for i, place in enumerate(start.positions.tolist())}
    before = np.array([rows.get(tuple(place), -1) for place in positions.tolist()], dtype=int)
    around = np.flatnonzero(start.frozen)
    every = np.concatenate([before, around])
    known = start.known
    if known is not None:
        known = np.where((every < 0)[:, None], np.inf, known[every])
    return replace(
        start,
        positions=np.concatenate([positions, start.positions[around]]),
        numbers=np.where(every < 0, ready.element.number, start.numbers[every]),
        frozen=np.arange(len(every)) >= len(positions),
        ids=np.arange(1, len(positions) + 1),
        known=known,
    )
