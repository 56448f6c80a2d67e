"""What a fit has not seen: held back indeed, foretold as noise allows, and worse with too many numbers."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.detection.detect import Detection, detect
from atomfit.fitting.held_frequencies import judge_by_frequencies
from atomfit.fitting.held_out import HeldOut, judge_by_voxels
from atomfit.fitting.joint import fit_jointly
from atomfit.fitting.settings import MapSettings
from atomfit.noise.likelihood import StudentLoss
from atomfit.noise.sources import measure_noise
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element

PT = element("Pt")


@pytest.fixture(scope="module")
def detection(small: Simulation) -> Detection:
    return detect(small.map, PT)


def judged(case: Simulation, found: Detection, part: float = 0.2, **settings: object) -> HeldOut:
    wanted = MapSettings(**settings)  # type: ignore[arg-type]
    return judge_by_voxels(case.map, case.positions, found.mean_atom, PT, wanted, part)


def test_what_is_held_out_is_not_seen(small: Simulation, detection: Detection) -> None:
    held = np.random.default_rng(0).random(small.map.values.shape) < 0.1
    other = small.map.with_values(small.map.values + np.where(held, np.float32(0.5), np.float32(0)))
    # Atoms begin as high as the map is at their places, so that place is to be the same.
    places = tuple(small.map.grid.nearest_voxels(detection.positions).T)
    held[places] = False
    other.values[places] = small.map.values[places]
    fits = [
        fit_jointly(density, detection.positions, detection.mean_atom, PT, held_out=held)
        for density in (small.map, other)
    ]
    np.testing.assert_array_equal(fits[0].positions, fits[1].positions)
    whole = fit_jointly(small.map, detection.positions, detection.mean_atom, PT)
    assert fits[0].voxels == pytest.approx(0.9 * whole.voxels, rel=0.01)


def test_a_right_model_foretells_as_noise_allows(small: Simulation, detection: Detection) -> None:
    found = judged(small, detection)
    assert found.blocks == pytest.approx(0.2 * found.around, abs=1)
    # About (1 + p / n) / (1 - p / n) of the voxels near atoms.
    assert 1.1 < found.expected < 1.25
    assert abs(found.ratio - found.expected) < 3.5 * found.error
    assert found.error < 0.06
    assert found.correlation_held == pytest.approx(found.correlation_fitted, abs=0.05)


@pytest.mark.slow
def test_a_robust_fit_as_well(small: Simulation, detection: Detection) -> None:
    found = judged(small, detection, likelihood=StudentLoss())
    assert 1.05 < found.expected < 1.25
    assert abs(found.ratio - found.expected) < 3.5 * found.error


@pytest.mark.slow
def test_too_many_numbers_describe_noise() -> None:
    """There are four voxels a number near atoms."""
    case = simulate(shape="icosahedron", size=3, rotate="random", noise=0.1, voxel_size=0.6, seed=1)
    found = detect(case.map, PT)
    own = judged(case, found, 0.1)
    assert own.ratio - 1.5 > own.error
    assert own.expected > 1.5
    assert own.correlation_held < own.correlation_fitted - 0.1


@pytest.mark.slow
def test_frequencies_are_held_out_where_noise_is_coloured() -> None:
    case = simulate(shape="icosahedron", size=3, rotate="random", noise=0.05, noise_correlation=0.5, seed=2)
    mean_atom = detect(case.map, PT).mean_atom
    noise = measure_noise(case.map, case.positions, mean_atom.u)
    assert noise is not None
    assert not noise.white
    found = judge_by_frequencies(case.map, case.positions, mean_atom, PT, MapSettings(), noise, 0.1)
    assert found.kind == "frequencies"
    assert found.blocks == pytest.approx(0.1 * found.around, abs=1)
    assert 1.05 < found.expected < 1.3
    assert 0.95 < found.ratio < found.expected + 3.5 * found.error < 1.5
    # Wrong atoms foretell nothing of it.
    moved = case.positions + np.random.default_rng(0).normal(0, 1, case.positions.shape)
    wrong = judge_by_frequencies(case.map, moved, mean_atom, PT, MapSettings(max_iterations=3), noise, 0.1)
    assert wrong.correlation_held < found.correlation_held - 0.2


def test_an_interrupted_fit_has_no_figures() -> None:
    assert not np.isfinite(replace(HeldOut.interrupted("voxels", 5, 100)).ratio)
