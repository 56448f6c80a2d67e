"""Atoms that were not given to a fit are asked for, and those that are none are removed."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from atomfit import build
from atomfit.detection.detect import Detection, detect
from atomfit.detection.limits import LIMITS
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.selection.completion import Selection, Stage, complete
from atomfit.selection.evidence import Decoys
from atomfit.selection.judgement import Judgement, judge
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element
from atomfit.structure.matching import match

PT = element("Pt")
APART = LIMITS.closest * PT.neighbour_distance


@pytest.fixture(scope="module")
def case() -> Simulation:
    return simulate(size=79, noise=0.05, rotate="random", seed=1, box=84)


@pytest.fixture(scope="module")
def found(case: Simulation) -> Detection:
    return detect(case.map, PT)


def completed(
    case: Simulation, found: Detection, positions: np.ndarray, rounds: int = 5
) -> tuple[np.ndarray, JointFit, Selection]:
    """From a fit of given atoms, as if they had been detected."""

    def fit(places: np.ndarray) -> JointFit:
        return fit_jointly(case.map, places, found.mean_atom, PT)

    def judgement(fit: JointFit) -> Judgement:
        return judge(case.map, fit, PT)

    return complete(positions, fit(positions), APART, [Stage(judgement, fit, rounds)], found.rejected)


def test_missing_atoms_are_added_and_invented_ones_removed(case: Simulation, found: Detection) -> None:
    centre = case.map.grid.centre
    corners = centre + 0.8 * (case.map.grid.origin - centre) * np.array(
        [[1, 1, 1], [1, -1, 1], [-1, 1, -1]]
    )
    inside = np.linalg.norm(case.positions - centre, axis=1).argsort()
    left_out = [inside[0], inside[20], inside[-1], inside[-2]]
    given = np.concatenate([np.delete(case.positions, left_out, axis=0), corners])
    begun, fit, selection = completed(case, found, given)
    pairs = match(fit.fitted.positions, case.positions, 0.5)
    assert (pairs.missing, pairs.false) == (0, 0)
    assert len(begun) == len(case.positions)
    assert selection.settled
    assert np.all(selection.judgement.scores > selection.judgement.cut)
    away = match(selection.discarded.positions, corners, 1.5)
    assert len(away.found) == 3
    for i in away.found:
        assert "stands out by" in selection.discarded.reasons[i]


def test_an_atom_that_is_two_is_split_and_two_that_are_one_merged(
    case: Simulation, found: Detection
) -> None:
    tree = np.linalg.norm(case.positions[:, None] - case.positions, axis=2) + 9 * np.eye(
        len(case.positions)
    )
    i, j = np.unravel_index(tree.argmin(), tree.shape)
    middle = case.positions[[i, j]].mean(axis=0)
    others = np.delete(case.positions, [i, j], axis=0)
    split, _, selection = completed(case, found, np.concatenate([others, middle[None]]))
    assert match(split, case.positions, 1.0).f1 == 1
    assert selection.settled
    double = case.positions[0] + np.array([0.5, 0.3, 0.0])
    merged, _, selection = completed(case, found, np.concatenate([case.positions, double[None]]))
    assert match(merged, case.positions, 1.0).f1 == 1
    assert selection.settled


def test_what_was_removed_is_not_tried_again(case: Simulation, found: Detection) -> None:
    """A judge who wants back what he had removed: it ends, and says that it has not settled."""
    places = case.positions
    fit = fit_jointly(case.map, places, found.mean_atom, PT)
    honest = judge(case.map, fit, PT)

    def judgement(other: JointFit) -> Judgement:
        n = len(other.fitted)
        if n == len(places):
            return replace(honest, reasons=("a whim", *honest.reasons[1:]))
        kept = {name: getattr(honest, name)[1:] for name in ("scores", "evidence", "q_values", "parts")}
        return replace(
            honest,
            **kept,
            reasons=honest.reasons[1:],
            candidates=places[:1],
            candidate_scores=np.array([50.0]),
            candidate_q_values=np.array([0.0]),
        )

    def refit(changed: np.ndarray) -> JointFit:
        return fit_jointly(case.map, changed, found.mean_atom, PT)

    result, _, selection = complete(places, fit, APART, [Stage(judgement, refit)])
    assert selection.rounds == 1
    assert len(result) == len(places) - 1
    assert "a whim" in selection.discarded.reasons


def test_the_papers_selection_judges_only(case: Simulation, found: Detection) -> None:
    begun, _, selection = completed(case, found, case.positions[2:], rounds=0)
    assert len(begun) == len(case.positions) - 2
    assert selection.rounds == 0
    assert np.sum(selection.judgement.wanted) == 2


def test_detection_takes_back_what_it_rejected(case: Simulation, found: Detection) -> None:
    from atomfit.detection.validation import Rejected

    poor = replace(found, rejected=Rejected(case.positions[:1] + 0.05, ("poor",)))
    _, _, selection = completed(case, poor, case.positions[1:])
    assert "poor" not in selection.discarded.reasons


@pytest.mark.parametrize("size", [1, 4])
def test_small_errors_of_the_model_are_no_atoms(size: int) -> None:
    """Without noise everything stands out from it."""
    clean = simulate(size=size, noise=0.0, seed=0)
    pairs = match(build(clean.map, "Pt").positions, clean.positions)
    assert (pairs.missing, pairs.false) == (0, 0)


@pytest.mark.slow
def test_coloured_noise_hides_no_atom() -> None:
    """Noise that is correlated over 0.6 Å: the denoised map misses a tenth of the atoms."""
    noisy = simulate(size=309, noise=0.05, noise_correlation=0.6, rotate="random", seed=0)
    detected, selected = (build(noisy.map, "Pt", selection=name) for name in ("paper", "fit"))
    assert len(detected) < 300
    pairs = match(selected.positions, noisy.positions)
    assert len(pairs.found) == len(noisy.positions)
    assert pairs.false == 0
    assert len(selected.baseline.iso_status) == len(selected)


@dataclass
class Places:
    """A fit that is nothing but where its atoms have ended."""

    positions: np.ndarray
    reason: str = "converged"


def test_an_atom_that_was_added_in_vain_is_not_added_again() -> None:
    place = np.array([[2.0, 0.0, 0.0]])
    fits = []

    def refit(begin: np.ndarray) -> Places:
        fits.append(begin)
        # Whatever is added ends at the first atom, and leaves its place as bright as before.
        return Places(begin * [0.1, 1.0, 1.0])

    def judgement(fit: Places) -> Judgement:
        n = len(fit.positions)
        reasons = ("", *["merged with a stronger atom 0.20 Å away"] * (n - 1))
        return Judgement(
            *(np.full(n, 9.0), np.full(n, 81.0), np.zeros(n), reasons, np.full((n, 2, 3), np.nan)),
            *(place, np.array([5.0]), np.zeros(1), 3.0, Decoys(1.0, 1.0, "hollows")),
        )

    begin = np.zeros((1, 3))
    positions, _, selection = complete(begin, Places(begin), 1.5, [Stage(judgement, refit, 5)])
    assert [len(places) for places in fits] == [2, 1]
    np.testing.assert_array_equal(positions, begin)
    assert selection.settled
    assert len(selection.discarded) == 1


def test_whoever_interrupts_a_stage_waits_for_no_other() -> None:
    begin, fits = np.zeros((1, 3)), []

    def judgement(fit: Places) -> Judgement:
        n = len(fit.positions)
        return Judgement(
            *(np.full(n, 9.0), np.full(n, 81.0), np.zeros(n), ("",) * n, np.full((n, 2, 3), np.nan)),
            *(np.array([[4.0 * n, 0.0, 0.0]]), np.array([5.0]), np.zeros(1), 3.0),
            Decoys(1.0, 1.0, "hollows"),
        )

    def interrupted(places: np.ndarray) -> Places:
        fits.append(places)
        return Places(places, "interrupted")

    def other(places: np.ndarray) -> Places:
        raise AssertionError("nobody waits for this fit")

    stages = [Stage(judgement, interrupted, 5), Stage(judgement, other, 5)]
    _, _, selection = complete(begin, Places(begin), 1.5, stages)
    assert len(fits) == 1
    assert not selection.settled
