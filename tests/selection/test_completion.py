"""Atoms that were not given to a fit are asked for, and those that are none are removed."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit import build
from atomfit.detection.detect import Detection, detect
from atomfit.elements import element
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.grid import DensityMap
from atomfit.matching import match
from atomfit.selection.completion import changed, changes
from atomfit.selection.scores import scores
from atomfit.simulation import Simulation, simulate

PT = element("Pt")


@pytest.fixture(scope="module")
def case() -> Simulation:
    return simulate(size=79, noise=0.05, rotate="random", seed=1, box=84)


def fitted(density: DensityMap, positions: np.ndarray) -> tuple[Detection, JointFit]:
    """A fit of given atoms, as if they had been detected."""
    found = detect(density, PT)
    detection = replace(found, positions=positions, correlations=np.ones(len(positions)))
    return detection, fit_jointly(density, positions, found.mean_atom, PT)


def test_scores_of_nothing_are_standard_normal(case: Simulation) -> None:
    _, fit = fitted(case.map, case.positions)
    z, least = scores(case.map, fit)
    outside = z.values[:12]
    assert outside.std() == pytest.approx(1, abs=0.1)
    assert 3 < least < 6
    assert z.values.max() < least


def test_missing_atoms_are_asked_for_and_invented_ones_removed(case: Simulation) -> None:
    centre = case.map.grid.centre
    corners = centre + 0.8 * (case.map.grid.origin - centre) * np.array(
        [[1, 1, 1], [1, -1, 1], [-1, 1, -1]]
    )
    inside = np.linalg.norm(case.positions - centre, axis=1).argsort()
    left_out = np.array([inside[0], inside[20], inside[-1], inside[-2]])
    positions = np.concatenate([np.delete(case.positions, left_out, axis=0), corners])
    detection, fit = fitted(case.map, positions)
    found = changes(case.map, detection, fit, PT)
    pairs = match(found.added, case.positions[left_out], 0.5)
    assert len(pairs.found) == len(found.added) == len(left_out)
    np.testing.assert_array_equal(np.flatnonzero(~found.kept), range(len(positions) - 3, len(positions)))
    assert "4 atoms added" in found.describe()
    assert "3 removed" in found.describe()
    after = changed(case.map, detection, found, PT)
    assert len(after) == len(after.correlations) == len(case.positions)
    assert sum("stands out by" in reason for reason in after.rejected.reasons) == 3
    _, again = fitted(case.map, after.positions)
    assert not changes(case.map, after, again, PT).any


def test_what_was_removed_is_not_tried_again(case: Simulation) -> None:
    detection, fit = fitted(case.map, case.positions[1:])
    assert len(changes(case.map, detection, fit, PT).added) == 1
    rejected = replace(detection.rejected, positions=case.positions[:1], reasons=("noise",))
    assert not changes(case.map, replace(detection, rejected=rejected), fit, PT).any


@pytest.mark.parametrize("factor", [1e-3, 500.0])
def test_scale_of_intensity_does_not_matter(case: Simulation, factor: float) -> None:
    density = case.map.with_values((factor * case.map.values).astype(np.float32))
    detection, fit = fitted(density, case.positions[2:])
    found = changes(density, detection, fit, PT)
    pairs = match(found.added, case.positions[:2], 0.5)
    assert (len(pairs.found), pairs.false) == (2, 0)
    assert found.kept.all()


def test_coloured_noise_hides_no_atom() -> None:
    """Noise that is correlated over 0.6 Å: the denoised map misses a tenth of the atoms."""
    noisy = simulate(size=309, noise=0.05, noise_correlation=0.6, rotate="random", seed=0)
    detected, selected = (build(noisy.map, "Pt", selection=name) for name in ("paper", "fit"))
    assert len(detected) < 300
    pairs = match(selected.positions, noisy.positions)
    assert len(pairs.found) == len(noisy.positions)
    assert pairs.false == 0
    assert len(selected.baseline.iso_status) == len(selected)
