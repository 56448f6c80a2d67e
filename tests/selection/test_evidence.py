"""Likelihood ratios against refits, and false-discovery rates against planted truth."""

from functools import cache

import numpy as np
import pytest

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.selection.evidence import Decoys, likelihood_ratios
from atomfit.selection.limits import LIMITS
from atomfit.simulation import simulate
from atomfit.structure.elements import element
from noise_maxima import heights_of_maxima

PT = element("Pt")


@cache
def _field() -> np.ndarray:
    return np.concatenate([heights_of_maxima(seed, 2.5, 0.1, 0.8) for seed in range(8)])


def maxima(rng: np.random.Generator, n: int, scale: float = 1.0) -> np.ndarray:
    """Heights of so many maxima of noise above t₀, of a field that is so loud."""
    heights = scale * _field()
    return rng.choice(heights[heights > LIMITS.lowest], n)


@pytest.mark.slow
def test_evidence_is_what_chi_square_loses_without_the_atom() -> None:
    """The fit repeated without each of three atoms: its neighbours can do less than to second order."""
    case = simulate(size=13, noise=0.1, seed=2, box=60, u_core=0.25, u_surface=0.25)
    mean = MeanAtom(1.0, 0.25, 0.0, 0.25 * np.eye(3), 1)
    fit = fit_jointly(case.map, case.positions, mean, PT)
    evidence = likelihood_ratios(fit.fitted.amplitudes, fit.uncertainty)

    def squares(other: JointFit) -> float:
        rest = case.map.values - other.density(case.map.grid)
        return float(np.sum(rest**2, dtype=np.float64))

    for i in (0, 6, 12):
        without = fit_jointly(case.map, np.delete(case.positions, i, axis=0), mean, PT)
        lost = (squares(without) - squares(fit)) / fit.noise**2
        assert evidence[i] == pytest.approx(lost, rel=0.25)


def test_evidence_of_a_lone_atom_is_its_signal_to_noise() -> None:
    case = simulate(size=1, noise=0.05, seed=0, box=48, u_core=0.25, u_surface=0.25)
    mean = MeanAtom(1.0, 0.25, 0.0, 0.25 * np.eye(3), 1)
    fit = fit_jointly(case.map, case.positions, mean, PT, background="none")
    evidence = likelihood_ratios(fit.fitted.amplitudes, fit.uncertainty)
    norm = float(derivatives_of_gaussian(np.zeros((1, 3)), 2 * fit.fitted.shapes, 0)[0, 0])
    expected = fit.fitted.amplitudes**2 * norm / case.map.grid.voxel_volume / fit.noise**2
    np.testing.assert_allclose(evidence, expected, rtol=0.02)


@pytest.mark.slow
def test_frozen_amplitudes_have_no_evidence() -> None:
    case = simulate(size=13, noise=0.05, seed=2, box=56)
    mean = MeanAtom(1.0, 0.2, 0.0, 0.2 * np.eye(3), 1)
    for frozen, known in ((("amplitudes",), False), (("positions", "displacements"), True)):
        fit = fit_jointly(case.map, case.positions, mean, PT, frozen=frozen)
        evidence = likelihood_ratios(fit.fitted.amplitudes, fit.uncertainty)
        assert np.all(np.isfinite(evidence)) == known


@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
def test_the_tail_of_decoys_is_found(scale: float) -> None:
    """Over forty fields of 400 maxima: the tail of one holds about forty, too few to judge by."""
    high = LIMITS.lowest + scale
    expected = found = 0.0
    for seed in range(40):
        heights = maxima(np.random.default_rng(seed), 400, scale)
        decoys = Decoys.of_hollows(heights, 400.0)
        assert decoys.scale == pytest.approx(scale, rel=0.2)
        expected += float(decoys.expected(high))
        found += np.sum(heights > high)
    # Of noise that is no louder than was measured, 12 and 16 % too many are expected (two sets of seeds):
    # maxima of voxels are lower than those of the field, of which the law is.
    assert expected == pytest.approx(found, rel=0.25)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_rates_are_what_was_asked_for(rate: float) -> None:
    """Two hundred mixtures of atoms and noise that overlap."""
    false = taken = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        atoms, noise = rng.normal(4.5, 1, 300), maxima(rng, 80)
        found = np.concatenate([atoms[atoms > LIMITS.lowest], noise])
        decoys = Decoys.of_hollows(maxima(rng, 80), 80.0)
        cut = decoys.cut(found, rate)
        false += int(np.sum(noise >= cut))
        taken += int(np.sum(found >= cut))
    assert false / taken == pytest.approx(rate, rel=0.3)


def test_q_values_rise_as_scores_fall() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(8, 2, 100), maxima(rng, 50), [np.nan]])
    q = Decoys.of_hollows(maxima(rng, 50), 50.0).q_values(scores)
    order = np.argsort(-scores[:-1])
    assert np.all(np.diff(q[order]) >= 0)
    assert np.all((q[:-1] >= 0) & (q[:-1] <= 1))
    assert np.isnan(q[-1])


def test_the_cut_lies_between_atoms_and_noise() -> None:
    rng = np.random.default_rng(1)
    noise, decoys = maxima(rng, 60), Decoys.of_hollows(maxima(rng, 60), 60.0)
    clear = decoys.even(np.concatenate([rng.normal(30, 3, 300), noise]))
    assert float(decoys.expected(clear)) < 0.1
    assert clear < 10
    # Among atoms that are hardly louder than noise more is risked.
    faint = decoys.even(np.concatenate([rng.normal(5, 1, 300), noise]))
    assert LIMITS.lowest < faint < clear


@pytest.mark.parametrize("scale", [1.5, 2.2])
def test_what_is_too_faint_tells_how_much_of_the_rest_is_false(scale: float) -> None:
    """Near the cut there are atoms and false ones; the faint ones are mostly false. Twenty mixtures.

    Atoms among the faint ones make it pessimistic; that it does not see false ones beyond the cut, less so.
    """
    cut, expected, beyond = 6.0, 0.0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        atoms, false = rng.normal(10, 2.7, 700), maxima(rng, 200, scale)
        together = np.concatenate([atoms, false])
        decoys = Decoys.of_faint(together[together < cut])
        assert decoys.source == "faint"
        expected += float(decoys.expected(cut))
        beyond += int(np.sum(false > cut))
    assert 0.5 < expected / beyond < 5


def test_no_decoys_is_no_certainty() -> None:
    none = Decoys.of_hollows(np.zeros(0), 0.0)
    assert float(none.expected(LIMITS.lowest)) == 1
    assert np.isfinite(none.even(np.array([3.0, 10.0])))
    assert np.isfinite(none.cut(np.zeros(0), 0.01))
