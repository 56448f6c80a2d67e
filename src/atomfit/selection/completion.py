"""Fits, and changes of the atoms that the fits ask for, until nothing changes.

    fit -> judgement -> atoms removed, split and added -> fit -> ...

It ends: a place where an atom was taken away is not tried again, an atom is tried as two once, so that
every round has fewer places left to try than the one before; and there is a last round. A fit that has run
out of iterations is judged like any other: what wanders may be no atom, or two. Whatever was
detected, fitted or asked for and is no atom in the end is kept in a second table, with its score and the
reason.

No change stands that makes the description of the data worse by more than the scores of what was taken away
had promised, if a fit can tell that: it is undone, and the selection ends there, not settled.

Where a map says little of each atom's shape (a prior was needed), an atom that was not found makes its
neighbours long rather than leave a trace of its own. So all atoms first share one shape, which is also
quicker; when nothing changes any more each gets its own back, and is judged again. Where the noise is not
known either, atoms are judged by each other, which needs all of them: whatever stands out becomes an atom
first, and those that are faint beside the others go at once, at the end.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.detection.validation import Rejected
from atomfit.optimisation.ended import Ended
from atomfit.selection.judgement import Judgement
from atomfit.selection.limits import LIMITS

log = logging.getLogger("atomfit")

#: Fits of a stage after its first, at most.
MOST_ROUNDS = 10


@runtime_checkable
class Fit(Protocol):
    """Atoms fitted to a map or to images."""

    @property
    def positions(self) -> Float[np.ndarray, "n d"]:
        """Of the atoms (Å)."""

    @property
    def reason(self) -> str:
        """Why it ended."""


_Fit = TypeVar("_Fit", bound=Fit)


@dataclass(frozen=True, eq=False)
class Discarded:
    """Places that are no atoms.

    **Fields:**

    - `positions`: in Å.
    - `scores`, `q_values`: as for atoms; NaN for what was never fitted.
    - `reasons`: why it is none.
    """

    positions: Float[np.ndarray, "m d"]
    scores: Float[np.ndarray, " m"]
    q_values: Float[np.ndarray, " m"]
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.reasons)

    @classmethod
    def none(cls, d: int) -> "Discarded":
        """Nothing."""
        return cls(np.zeros((0, d)), np.zeros(0), np.zeros(0), ())

    @classmethod
    def of(cls, rejected: Rejected) -> "Discarded":
        """What detection has rejected, and nothing has scored."""
        unknown = np.full(len(rejected.reasons), np.nan)
        return cls(rejected.positions, unknown, unknown, rejected.reasons)

    def where(self, kept: Bool[np.ndarray, " m"]) -> "Discarded":
        """Some of these."""
        reasons = tuple(reason for reason, keep in zip(self.reasons, kept, strict=True) if keep)
        return Discarded(self.positions[kept], self.scores[kept], self.q_values[kept], reasons)

    def and_(self, other: "Discarded") -> "Discarded":
        """These and others."""
        return Discarded(
            np.concatenate([self.positions, other.positions]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.q_values, other.q_values]),
            self.reasons + other.reasons,
        )


@dataclass(frozen=True, eq=False)
class Selection:
    """Which atoms are real.

    **Fields:**

    - `judgement`: of the last fit.
    - `discarded`: what is none.
    - `rounds`: fits after the first.
    - `settled`: whether the last fit asks for no change.
    """

    judgement: Judgement
    discarded: Discarded
    rounds: int
    settled: bool

    def after(self, earlier: "Selection", apart: float) -> "Selection":
        """The same after an earlier one, whose atoms were fitted again in another way.

        **Arguments:**

        - `earlier`: that has removed and added.
        - `apart`: places nearer than this (Å) are the same.
        """
        new = _far(self.discarded.positions, earlier.discarded.positions, apart)
        discarded = earlier.discarded.and_(self.discarded.where(new))
        return Selection(self.judgement, discarded, earlier.rounds + self.rounds, earlier.settled)

    def with_earlier(self, tried: Discarded, apart: float, settled: bool) -> "Selection":
        """The same after a search.

        **Arguments:**

        - `tried`: places that were no atoms there.
        - `apart`: places nearer than this (Å) are the same.
        - `settled`: whether the search has ended by itself.
        """
        new = _far(tried.positions, self.discarded.positions, apart)
        return replace(
            self, discarded=tried.where(new).and_(self.discarded), settled=self.settled and settled
        )

    def with_atoms(self, positions: Float[np.ndarray, "n d"]) -> Discarded:
        """What is discarded, and all that was judged (Å)."""
        judged = self.judgement
        return self.discarded.and_(Discarded(positions, judged.scores, judged.q_values, judged.reasons))


@dataclass(frozen=True, eq=False)
class Stage(Generic[_Fit]):
    """A way to change the atoms.

    **Fields:**

    - `judge`: says what a fit asks for.
    - `refit`: fits atoms that begin at other places.
    - `rounds`: how often, at most; with 0 atoms are judged only.
    - `worse`: by how much chi-square is larger for one fit than for another, in the unit of the other's
        squared scores, if that can be told.
    """

    judge: Callable[[_Fit], Judgement]
    refit: Callable[[Float[np.ndarray, "n d"]], _Fit]
    rounds: int = MOST_ROUNDS
    worse: Callable[[_Fit, _Fit], float] | None = None


def complete(
    positions: Float[np.ndarray, "n d"],
    fit: _Fit,
    apart: float,
    stages: Sequence[Stage[_Fit]],
    rejected: Rejected | None = None,
) -> tuple[Float[np.ndarray, "k d"], _Fit, Selection]:
    """Change the atoms until their fit asks for nothing.

    **Returns:** where the atoms began, their fit, and what was decided.

    **Arguments:**

    - `positions`: where the atoms of `fit` began (Å).
    - `fit`: of them, as the last stage fits.
    - `apart`: least distance of two atoms (Å).
    - `stages`: one after the other, each until it asks for nothing.
    - `rejected`: places that were no atoms before.
    """
    d, last = positions.shape[1], stages[-1]
    removed, split = Discarded.none(d), np.zeros((0, d))
    added, in_vain = np.zeros((0, d)), np.zeros((0, d))
    rounds, by = 0, last.refit
    for stage in stages:
        if by not in (stage.refit, last.refit) and fit.reason != Ended.INTERRUPTED:
            fit, rounds, by = stage.refit(positions), rounds + 1, stage.refit
        for left in reversed(range(stage.rounds + 1)):
            judgement = stage.judge(fit)
            # An atom that was added and has merged with another one would be asked for again, for ever.
            gone = positions[~judgement.kept]
            in_vain = np.concatenate([in_vain, gone[~_far(gone, added, 0.0)]])
            change = _change(judgement, positions, fit, removed, in_vain, split, apart)
            # If no atom stands the test they are kept, with their q-values, and `settled` says so.
            if not left or not change.any or not len(change.positions) or fit.reason == Ended.INTERRUPTED:
                break
            log.info("selection, at %.1f σ: %s", judgement.cut, change.describe())
            changed, rounds, by = stage.refit(change.positions), rounds + 1, stage.refit
            if stage.worse is not None and stage.worse(changed, fit) > change.promised:
                log.warning(
                    "this change is undone: with it the model describes the data worse than it should have"
                )
                break
            removed, split = removed.and_(change.removed), np.concatenate([split, change.split])
            added = np.concatenate([added, change.places])
            positions, fit = change.positions, changed
    settled = not change.any or not last.rounds
    log.info("selection, at %.1f σ: %s", judgement.cut, "nothing to change" if settled else "not settled")
    before = Discarded.none(d) if rejected is None else Discarded.of(rejected)
    before = before.where(_far(before.positions, fit.positions, apart / 2))
    tried = np.concatenate([removed.positions, in_vain])
    discarded = before.and_(removed).and_(_below(judgement, tried, apart))
    return positions, fit, Selection(judgement, discarded, rounds, settled)


def without_faint(
    positions: Float[np.ndarray, "n d"],
    fit: _Fit,
    selection: Selection,
    stage: Stage[_Fit],
    evidence_of: Callable[[_Fit], Float[np.ndarray, " k"]],
) -> tuple[Float[np.ndarray, "k d"], _Fit, Selection]:
    """Take away, once, what does not stand a test, and fit the others.

    **Returns:** as `complete`; scores and q-values are those beside the atoms that went.

    **Arguments:** as for `complete`, and

    - `selection`: of the atoms so far.
    - `stage`: the test, and the fit of those that stand it.
    - `evidence_of`: the evidence of a fit's atoms.
    """
    judgement = stage.judge(fit)
    kept = judgement.kept
    if not kept.any():
        return positions, stage.refit(positions), replace(selection, judgement=judgement, settled=False)
    gone = _fitted(judgement, fit).where(~kept)
    log.info("selection, at %.1f σ: %d are faint beside the others", judgement.cut, len(gone))
    positions = positions[kept]
    fit = stage.refit(positions)
    return (
        positions,
        fit,
        Selection(
            judgement.of(kept, evidence_of(fit)),
            selection.discarded.and_(gone),
            selection.rounds + 1,
            selection.settled,
        ),
    )


def _fitted(judgement: Judgement, fit: Fit) -> Discarded:
    """The atoms of a fit, as if they were none."""
    return Discarded(fit.positions, judgement.scores, judgement.q_values, judgement.reasons)


@dataclass(frozen=True, eq=False)
class _Change:
    """The atoms to fit next, and how they differ from the last ones.

    **Fields:**

    - `positions`: where they begin (Å).
    - `places`, `added`: of those that are new, and their scores.
    - `removed`: that are none.
    - `split`: that are tried as two.
    """

    positions: Float[np.ndarray, "n d"]
    places: Float[np.ndarray, "a d"]
    added: Float[np.ndarray, " a"]
    removed: Discarded
    split: Float[np.ndarray, "s d"]

    @property
    def any(self) -> bool:
        return bool(len(self.added) or len(self.removed) or len(self.split))

    @property
    def promised(self) -> float:
        """By how much chi-square may be larger after it."""
        lost = np.nan_to_num(np.maximum(self.removed.scores, 0.0))
        return LIMITS.promised * float(np.sum(lost**2)) + LIMITS.anyway

    def describe(self) -> str:
        parts = []
        if len(self.added):
            low, high = self.added.min(), self.added.max()
            parts.append(f"{len(self.added)} atoms added that the residual has ({low:.1f} to {high:.1f} σ)")
        merged = sum("merged" in reason for reason in self.removed.reasons)
        if merged:
            parts.append(f"{merged} merged with a neighbour")
        if len(self.removed) > merged:
            parts.append(f"{len(self.removed) - merged} removed that noise could have made")
        if len(self.split):
            parts.append(f"{len(self.split)} tried as two")
        return "; ".join(parts) or "nothing to change"


def _change(
    judgement: Judgement,
    positions: Float[np.ndarray, "n d"],
    fit: Fit,
    removed: Discarded,
    in_vain: Float[np.ndarray, "v d"],
    split: Float[np.ndarray, "s d"],
    apart: float,
) -> _Change:
    """What a judgement asks for, less what was tried before."""
    fitted, kept = fit.positions, judgement.kept
    two = kept & np.isfinite(judgement.parts[:, 0, 0]) & _far(fitted, split, apart)
    two &= _far(judgement.parts[:, 0], removed.positions, apart / 2)
    two &= _far(judgement.parts[:, 1], removed.positions, apart / 2)
    places = judgement.candidates[judgement.wanted]
    new = _far(places, removed.positions, apart / 2) & _far(places, fitted[two], apart)
    new &= _far(places, in_vain, apart / 2)
    gone = _fitted(judgement, fit).where(~kept)
    # Atoms that stay begin where they were found, so that a fit does not depend on those before it.
    begin = positions[kept & ~two]
    halves = judgement.parts[two].reshape(-1, fitted.shape[1])
    return _Change(
        np.concatenate([begin, halves, places[new]]),
        places[new],
        judgement.candidate_scores[judgement.wanted][new],
        gone,
        fitted[two],
    )


def _below(judgement: Judgement, tried: Float[np.ndarray, "t d"], apart: float) -> Discarded:
    """Candidates that are no atoms; those that have been tried are told elsewhere."""
    reasons = tuple(
        "not tried" if wanted else f"stands out by {z:.1f} σ, below {judgement.cut:.1f}"
        for z, wanted in zip(judgement.candidate_scores, judgement.wanted, strict=True)
    )
    below = Discarded(
        judgement.candidates, judgement.candidate_scores, judgement.candidate_q_values, reasons
    )
    return below.where(_far(below.positions, tried, apart / 2))


def _far(places: Float[np.ndarray, "m d"], others: Float[np.ndarray, "n d"], distance: float) -> np.ndarray:
    """Which places are farther than a distance from all others; so are places that are not known."""
    far = np.ones(len(places), bool)
    known = np.all(np.isfinite(places), axis=1)
    if len(others) and known.any():
        far[known] = np.asarray(cKDTree(others).query(places[known])[0]) > distance
    return far
