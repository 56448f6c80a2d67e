"""What surrounds the measured part of a map, told from what is meant; and what masks do to error bars."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from atomfit.detection.mean_atom import measure_mean_atom
from atomfit.doubts.unmeasured import find_unmeasured
from atomfit.fitting.joint import fit_jointly
from atomfit.options.build import BuildOptions
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError
from atomfit.workflows.preparation import masked, prepare

PT = element("Pt")
Change = Callable[[np.ndarray], np.ndarray]


def from_the_middle(values: np.ndarray) -> np.ndarray:
    """Distance of each voxel from the middle of the box, in voxels."""
    middle = (np.array(values.shape) - 1) / 2
    return np.sqrt(sum((x - m) ** 2 for x, m in zip(np.indices(values.shape), middle, strict=True)))


def ball(values: np.ndarray, part: float = 0.18, outside: float = 0.0) -> np.ndarray:
    """A hard mask, of a radius in edges of the box; the default one cuts through the particle."""
    return np.where(from_the_middle(values) < part * min(values.shape), values, outside)


def top(values: np.ndarray) -> float:
    return float(np.percentile(values, 99.9))


MASKS: dict[str, Change] = {
    "a ball": ball,
    "a ball beyond the particle": lambda v: ball(v, 0.45),
    "a ball of a map without negative values": lambda v: ball(np.maximum(v, 0)),
    "half of the box": lambda v: np.where(np.indices(v.shape)[2] < v.shape[2] // 2, v, 0),
    "a pad": lambda v: np.pad(v, 6),
    "a pad on one side": lambda v: np.pad(v, ((0, 12), (0, 0), (0, 0))),
    "a bright pad": lambda v: np.pad(v, 6, constant_values=0.5 * top(v)),
    "a ball on a background": lambda v: ball(v + top(v)),
}
MEANT: dict[str, Change] = {
    "all measured": lambda v: v,
    "below zero": lambda v: np.maximum(v, 0),
    "below a third": lambda v: np.where(v > top(v) / 3, v, 0),
    "below a half": lambda v: np.where(v > top(v) / 2, v, 0),
    "raised to a third": lambda v: np.maximum(v, top(v) / 3),
    "few whole numbers": lambda v: np.round(6 * v / top(v)),
    "many whole numbers": lambda v: np.round(1000 * v / top(v)),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_and_pads_are_found(kind: str, small: Simulation) -> None:
    values = MASKS[kind](small.map.values).astype(np.float32)
    found = find_unmeasured(values)
    assert found is not None
    assert np.all(values[found.voxels] == np.float32(found.value))
    assert np.mean(values[~found.voxels] == np.float32(found.value)) < 0.3
    assert found.foreign == (kind in ("a bright pad", "a ball on a background"))


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.15, 0.3])
def test_what_is_cut_by_value_counts(noise: float) -> None:
    case = simulate(shape="icosahedron", size=3, rotate="random", noise=noise, seed=2)
    for kind, change in MEANT.items():
        assert find_unmeasured(change(case.map.values).astype(np.float32)) is None, kind


def test_a_number_around_the_map_is_named_and_not_taken_for_dark_atoms(small: Simulation) -> None:
    padded = MASKS["a bright pad"](small.map.values)
    given = DensityMap.from_array(padded, tuple(small.map.grid.spacing))
    with pytest.raises(InputError, match=r"around all others, are exactly .* not measured"):
        prepare(given, "Pt")
    assert prepare(given, "Pt", BuildOptions(insist=True)).density.counted is not None


def test_masked_voxels_are_told_and_have_no_weight(small: Simulation) -> None:
    given = small.map.with_values(ball(small.map.values, 0.45).astype(np.float32))
    ready = prepare(given, "Pt")
    assert any("do not count" in warning for warning in ready.warnings)
    assert ready.density.counted is not None
    assert np.array_equal(ready.density.counted, given.values != 0)


def test_error_bars_of_atoms_that_a_mask_cuts_through(small: Simulation) -> None:
    """Where the mask's voxels counted, errors were several times their error bars."""
    density = small.map.with_values(ball(small.map.values).astype(np.float32))
    around = find_unmeasured(density.values)
    assert around is not None
    density = replace(density, counted=~around.voxels)
    true = small.positions[~around.voxels[tuple(density.grid.nearest_voxels(small.positions).T)]]
    assert 20 < len(true) < 55, len(true)
    mean = measure_mean_atom(density, PT)
    spread = []
    for given in (density, replace(density, counted=None)):
        fit = fit_jointly(given, true, mean, PT, noise="residual")
        errors = (fit.positions - true) / fit.uncertainty.deviations[:, :3]
        spread.append(np.sqrt(np.nanmean(errors**2)))
    assert 0.5 < spread[0] < 1.4
    assert spread[1] > 2


def test_what_a_mask_of_ones_own_has_changed_does_not_count(small: Simulation) -> None:
    changed = masked(small.map, 12.0)
    assert changed.counted is not None
    step = float(small.map.grid.spacing.min())
    assert np.array_equal(changed.counted, from_the_middle(small.map.values) * step <= 6.0)
    assert changed.with_values(-changed.values).counted is changed.counted
