"""What a map is judged by: right maps raise no doubt, wrong ones are named; no fit is needed for these."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from atomfit.detection.mean_atom import measure_mean_atom
from atomfit.detection.resolution import measure_resolution
from atomfit.doubts.inspection import Inspection, inspect
from atomfit.fitting.held_out import HeldOut
from atomfit.optimisation.ended import Ended
from atomfit.options.build import BuildOptions
from atomfit.report.check import describe
from atomfit.simulation import Simulation, simulate
from atomfit.simulation.particles import particle
from atomfit.structure.elements import element, typical
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.neighbours import shell_gap
from atomfit.support.errors import Doubt, InputError
from atomfit.verdict.common import bond_ratio, bonds, disorder
from atomfit.verdict.of_map import MapMeasures, _cut, _part_cut, _unseen
from atomfit.workflows import preparation
from atomfit.workflows.build import build
from atomfit.workflows.preparation import check

PT = element("Pt")
GRID = Grid((64, 64, 64), np.full(3, 0.358), np.zeros(3))
RADIUS = np.linalg.norm(np.indices(GRID.shape) - 32, axis=0)
BALL = 1 / (1 + np.exp((RADIUS - 18) / 1.5))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=GRID.shape)


def as_map(values: np.ndarray) -> DensityMap:
    return DensityMap(values.astype(np.float32), GRID)


def blurred(small: Simulation, width: float) -> DensityMap:
    values = gaussian_filter(small.map.values, width / 0.358)
    return small.map.with_values((values + 0.01 * values.max() * noise_like(values)).astype(np.float32))


def noise_like(values: np.ndarray) -> np.ndarray:
    return np.random.default_rng(3).normal(size=values.shape)


def test_the_map_of_a_particle_raises_no_doubt(small: Simulation) -> None:
    found = inspect(small.map, PT)
    assert found.usable
    assert found.resolution.value < 0.7 * PT.neighbour_distance
    assert "this map can be used" in describe(*check(small.map, "Pt"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (BALL * (1 + 0.35 * noise(0)), "the width of noise"),
        (BALL + 0.02 * noise(1), "grain, not atoms"),
        (gaussian_filter(BALL, 2) + 0.01 * noise(2), ""),
    ],
    ids=["noise in a ball", "featureless ball", "smooth ball"],
)
def test_what_has_not_the_shape_of_atoms_cannot_be_used(values: np.ndarray, said: str) -> None:
    found = inspect(as_map(values), PT)
    assert not found.usable
    assert said in " ".join(doubt.remedy for doubt in found.doubts)
    assert "cannot be used" in describe(*check(as_map(values), "Pt"))


def test_grain_on_a_blurred_particle_is_no_matter_of_voxels(small: Simulation) -> None:
    values = gaussian_filter(small.map.values, 2.55 / 0.358)
    grain = 0.002 * np.random.default_rng(0).normal(size=values.shape)
    [doubt] = inspect(small.map.with_values((values + grain).astype(np.float32)), PT).doubts
    assert "resolution" in doubt.problem
    assert "too low" in doubt.remedy


@pytest.mark.parametrize("width", [1.3, 2.1])
def test_a_map_that_resolves_no_atoms_cannot_be_used(small: Simulation, width: float) -> None:
    found = inspect(blurred(small, width), PT)
    assert not found.usable
    assert "resolution" in found.doubts[0].problem
    assert found.resolution.value > 2.2


def test_resolution_is_where_signal_is_a_third_of_the_noise() -> None:
    """A band of waves of known power in white noise: the last that stands out is its edge."""
    rng = np.random.default_rng(0)
    k = np.sqrt(sum(np.square(f) for f in np.meshgrid(*[np.fft.fftfreq(64, 0.358)] * 3, indexing="ij")))
    waves = np.fft.ifftn(np.fft.fftn(rng.normal(size=GRID.shape)) * (k < 1 / 1.8)).real
    for power, expected in ((2.0, 1.8), (0.15, np.inf)):
        found = measure_resolution(as_map(np.sqrt(power) * waves + rng.normal(size=GRID.shape)))
        assert found.value == pytest.approx(expected, rel=0.04)


def test_half_maps_tell_the_resolution_whatever_the_colour_of_noise() -> None:
    rng = np.random.default_rng(1)
    k = np.sqrt(sum(np.square(f) for f in np.meshgrid(*[np.fft.fftfreq(64, 0.358)] * 3, indexing="ij")))
    signal = np.fft.ifftn(np.fft.fftn(rng.normal(size=GRID.shape)) * (k < 1 / 2.5)).real
    halves = [as_map(signal + gaussian_filter(rng.normal(size=GRID.shape), 0.8)) for _ in range(2)]
    whole = as_map((halves[0].values + halves[1].values) / 2)
    found = measure_resolution(whole, (halves[0], halves[1]))
    assert found.value == pytest.approx(2.5, rel=0.05)
    assert "half-maps" in found.describe()
    assert measure_resolution(whole).value < 2.0


def test_noise_alone_has_no_resolution() -> None:
    assert measure_resolution(as_map(noise(4))).value == np.inf


def test_the_mean_atom_does_not_depend_on_a_constant(small: Simulation) -> None:
    high = small.map.with_values(small.map.values + np.float32(50))
    assert inspect(high, PT).usable
    assert measure_mean_atom(high, PT).background > 10


@pytest.mark.parametrize(
    ("symbol", "shape", "lattice"),
    [("Pt", "sphere", 3.92), ("Au", "icosahedron", 4.08), ("Al", "octahedron", 4.05)],
)
def test_bonds_of_the_right_element_are_right_and_of_a_wrong_one_named(
    symbol: str, shape: str, lattice: float
) -> None:
    rng = np.random.default_rng(0)
    sites = particle(shape, symbol, 147 if shape == "sphere" else 4, 0, lattice)  # type: ignore[arg-type]
    sites = sites + rng.normal(0, 0.1, sites.shape)
    right = element(symbol)
    assert not bonds(bond_ratio(sites, right), len(sites), (right,), "voxel size", "--voxel-size")
    assert not disorder(shell_gap(sites), 0.05, right)
    for other, times in (("Si", 1.0), ("U", 1.0), (symbol, 2.0), (symbol, 0.5), (symbol, 0.1)):
        kind = element(other)
        [found] = bonds(bond_ratio(times * sites, kind), len(sites), (kind,), "voxel size", "--voxel-size")
        assert found.level == "bad"
        assert "element or the voxel size" in found.remedy
    # A wrong calibration is told from what noise and clusters do to bonds.
    for times in (0.95, 1.05):
        ratio = times * bond_ratio(particle("sphere", symbol, 147, 0, lattice), right)
        [found] = bonds(ratio, 147, (right,), "voxel size", "--voxel-size")
        assert found.level == "doubtful"
    # An icosahedron of 13 whose places are 0.05 Å off may have bonds that are 5 % longer.
    assert not bonds(1.05, 13, (right,), "voxel size", "--voxel-size")


def test_bonds_of_an_alloy_lie_between_those_of_its_elements() -> None:
    both = (element("Fe"), PT)
    distance = typical(both).shell_distance
    for measured, level in (
        (both[0].shell_distance, "good"),
        (PT.shell_distance, "good"),
        (0.94 * both[0].shell_distance, "doubtful"),
        (1.2 * PT.shell_distance, "bad"),
    ):
        found = bonds(measured / distance, 100, both, "voxel size", "--voxel-size")
        assert [one.level for one in found] == ([] if level == "good" else [level])
    assert f"20% more than the {PT.shell_distance:.2f} Å of Pt" in found[0].problem


def test_places_that_only_keep_apart_are_no_atoms() -> None:
    rng, places = np.random.default_rng(0), np.zeros((0, 3))
    while len(places) < 150:
        new = rng.uniform(-9, 9, 3)
        if np.all(np.linalg.norm(places - new, axis=1) > 2.0):
            places = np.concatenate([places, new[None]])
    kind = element("Pt")
    [found] = disorder(shell_gap(places), 0.05, kind)
    assert (found.code, found.level) == ("disorder", "bad")
    # So do atoms whose places are uncertain.
    assert disorder(shell_gap(places), 0.3, kind)[0].level == "doubtful"
    assert np.isnan(shell_gap(places[:4]))


def test_what_a_mask_does_is_no_fault_of_the_voxels(
    monkeypatch: pytest.MonkeyPatch, small: Simulation
) -> None:
    def looked_at(density: DensityMap, *rest: object, **more: object) -> Inspection:
        found = inspect(density, PT)
        cut = not np.array_equal(density.values, small.map.values)
        return replace(found, doubts=(Doubt("spots are flat", "check the voxel size"),) if cut else ())

    monkeypatch.setattr(preparation, "inspect", looked_at)
    with pytest.raises(
        InputError, match=r"inside the mask of 8 Å spots are flat; .*larger --mask-diameter"
    ):
        preparation.prepare(small.map, "Pt", BuildOptions(mask_diameter=8))


def test_the_one_atom_of_a_map_is_good() -> None:
    one = simulate(size=1, noise=0.05, box=30, seed=1)
    result = build(one.map, "Pt")
    assert len(result) == 1
    assert result.verdict.measures["removed"] > 0.8
    assert result.verdict.measures["clear"] == 1
    assert result.verdict.level == "good"


def test_short_bonds_in_a_mask_name_it(small: Simulation) -> None:
    result = build(small.map, "Pt", mask_diameter=2.8, fit="log")
    [found] = [one for one in result.verdict.findings if one.code == "bonds"]
    assert "--mask-diameter" in found.remedy


def test_a_mask_through_the_particle_is_told() -> None:
    """Of atoms in a row 2 Å apart one has its middle, and no other its half height, beyond the edge."""
    atoms = np.stack([np.arange(4, 20, 2.0), np.full(8, 10.0), np.full(8, 10.0)], axis=1)
    x = GRID.positions_of(np.stack(np.indices(GRID.shape), axis=-1))[..., 0]
    whole = as_map(noise(0))
    assert np.isnan(_part_cut(whole, atoms, 0.25))
    # Half the height is 0.59 Å from the middle.
    assert _part_cut(replace(whole, counted=x > 4.2), atoms, 0.25) == 1 / 8
    assert _part_cut(replace(whole, counted=x > 3.0), atoms, 0.25) == 0
    assert _cut(MapMeasures(8, 1.0, cut=0.125))[0].code == "cut"
    assert _cut(MapMeasures(8, 1.0, cut=0.02)) == _cut(MapMeasures(8, 1.0)) == []


def test_a_fit_that_describes_noise_is_told() -> None:
    held = HeldOut("voxels", 50, 1000, 0.9, 0.7, 1.8, 0.1, 1.7, Ended.CONVERGED)
    [found] = _unseen(held)
    assert (found.code, found.level) == ("held-out", "doubtful")
    assert "1.8 times as much" in found.problem
    assert _unseen(replace(held, ratio=3.5))[0].level == "bad"
    # Neither what is little more, nor what blocks leave open.
    for other in (
        replace(held, ratio=1.3),
        replace(held, error=0.3),
        replace(held, ratio=float("nan")),
        None,
    ):
        assert _unseen(other) == []
