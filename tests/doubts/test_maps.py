"""What speaks against a map before it is fitted: each fault is named, right maps are let through."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import atomfit
from atomfit.doubts.sections import map_doubts
from atomfit.doubts.spacing import measured_distance
from atomfit.doubts.values import hot_pixels, sharpest
from atomfit.options.build import BuildOptions
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import Doubt, InputError, settle
from atomfit.workflows.preparation import check, prepare
from simulated_series import planted

PT = element("Pt")
Change = Callable[[np.ndarray], np.ndarray]


def changed(case: Simulation, change: Change) -> DensityMap:
    return DensityMap.from_array(change(case.map.values.copy()), tuple(case.map.grid.spacing))


def scaled(density: DensityMap, factor: float) -> DensityMap:
    """The same map with another voxel size."""
    return DensityMap.from_array(density.values, tuple(density.grid.spacing * factor))


def outside(value: float) -> Change:
    """What lies beyond the middle of each face's sphere is not measured."""

    def change(values: np.ndarray) -> np.ndarray:
        middle = (np.array(values.shape) - 1) / 2
        radius = np.sqrt(sum((x - m) ** 2 for x, m in zip(np.indices(values.shape), middle, strict=True)))
        values[radius > middle.min()] = value
        return values

    return change


def some_set(value: float, *places: tuple[int, int, int]) -> Change:
    def change(values: np.ndarray) -> np.ndarray:
        for place in places:
            values[place] = value
        return values

    return change


DOUBTFUL: dict[str, tuple[Change, str]] = {
    "-9999 outside": (outside(-9999), "exactly -9999"),
    "-32768 in a corner": (lambda v: np.where(np.indices(v.shape).sum(0) < 12, -32768, 100 * v), "-32768"),
    "the largest float": (outside(3.4028235e38), "3.40282e+38"),
    "zero below a background": (lambda v: outside(0.0)(v + 100), "exactly 0"),
    "two hot voxels": (some_set(40.0, (3, 4, 5), (30, 8, 30)), "2 voxels"),
    "a cosmic ray": (some_set(25.0, (3, 4, 5), (3, 4, 6), (3, 5, 6)), "3 voxels"),
    "dark": (lambda v: -v, "--invert"),
    "noise": (lambda v: np.random.default_rng(0).normal(size=v.shape), "nothing stands out"),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_is_wrong_as_a_rule_is_refused_unless_a_user_insists(case: str, small: Simulation) -> None:
    change, words = DOUBTFUL[case]
    density = changed(small, change)
    with pytest.raises(InputError, match=r"insist \(--insist\)") as refused:
        prepare(density, "Pt")
    assert words in str(refused.value)
    if "float" not in case:
        ready = prepare(density, "Pt", BuildOptions(insist=True))
        assert any(words in warning for warning in ready.warnings)
    # What the one command cannot use, the other refuses.
    if case in ("dark", "noise"):
        (doubt, *_) = check(density, "Pt")[1].doubts
        assert words in doubt.problem + doubt.remedy
    else:
        with pytest.raises(InputError, match=r"exactly|voxels have"):
            check(density, "Pt")


@pytest.mark.parametrize(("factor", "words"), [(0.1, "nm"), (0.5, "before binning"), (2.0, "too large")])
def test_a_wrong_voxel_size_is_told_by_the_distance_of_maxima(factor: float, words: str) -> None:
    case = simulate(size=80, rotate="random", noise=0.05, voxel_size=(0.45,) * 3, box=(120,) * 3)
    with pytest.raises(InputError, match="insist") as refused:
        prepare(scaled(case.map, factor), "Pt")
    assert words in str(refused.value)
    if factor > 0.1:  # the remedy is the true size
        given = float(str(refused.value).split("--voxel-size ")[1].split(",")[0])
        assert given == pytest.approx(0.45, rel=0.12)


def test_a_compound_gives_its_own_distance() -> None:
    case = simulate(size=80, lattice=6.0, rotate="random", noise=0.03, voxel_size=(0.6,) * 3)
    with pytest.raises(InputError, match=r"--neighbour-distance 4\.[12]"):
        prepare(case.map, "Pt")
    assert prepare(case.map, "Pt", BuildOptions(neighbour_distance=4.24)).warnings == ()


RIGHT: dict[str, dict[str, Any]] = {
    "13 atoms": {"shape": "icosahedron", "size": 2, "noise": 0.02},
    "13 atoms, coarse": {"shape": "icosahedron", "size": 2, "noise": 0.1, "voxel_size": (0.8,) * 3},
    "coarse": {"size": 80, "noise": 0.05, "voxel_size": (1.2,) * 3, "rotate": "random"},
    "noisy": {"size": 200, "noise": 0.3, "rotate": "random"},
    "coloured, with a wedge": {"size": 80, "noise": 0.1, "noise_correlation": 0.5, "wedge": 30},
    "blurred": {"size": 80, "noise": 0.03, "u_core": 0.4, "u_surface": 0.5},
    "no noise": {"size": 55, "noise": 0.0},
    "two atoms": {"size": 2, "noise": 0.02},
    "one narrow atom": {
        "size": 1,
        "noise": 0.0,
        "u_core": 0.04,
        "u_surface": 0.04,
        "voxel_size": (0.5,) * 3,
    },
    "aluminium": {"size": 80, "element": "Al", "noise": 0.05, "rotate": "10,20,30"},
}
ALSO: dict[str, Change] = {
    "as it is": lambda v: v,
    "masked": lambda v: np.where(v > 0.25, v, 0),
    "cut at half its peak": lambda v: np.where(v > 0.5 * v.max(), v, 0),
    "a mask": lambda v: (v > 0.4 * v.max()) * 1.0,
    "counts": lambda v: np.random.default_rng(1).poisson(20 * np.clip(v, 0, None) + 0.1),
    "filling the box": lambda v: v[14:-14, 14:-14, 14:-14],
    "scaled": lambda v: 1e6 * v + 3e5,
}


def let_through(density: DensityMap, symbol: str, **options: Any) -> tuple[str, ...]:
    assert not map_doubts(density.values)[0]
    return prepare(density, symbol, BuildOptions(**options)).warnings


@pytest.mark.parametrize("case", RIGHT)
def test_right_maps_are_let_through(case: str) -> None:
    options = RIGHT[case]
    let_through(simulate(**options, seed=2).map, options.get("element", "Pt"))


@pytest.mark.parametrize("case", ALSO)
def test_right_maps_of_other_kinds_are_let_through(case: str, small: Simulation) -> None:
    warnings = let_through(changed(small, ALSO[case]), "Pt")
    if case in ("masked", "cut at half its peak"):
        assert any("of the voxels are exactly zero" in warning for warning in warnings)


def test_a_map_of_dark_atoms_is_let_through_inverted(small: Simulation) -> None:
    let_through(changed(small, lambda v: 3 - v), "Pt", invert=True)
    with pytest.raises(InputError, match="leave out --invert"):
        prepare(small.map, "Pt", BuildOptions(invert=True))


def test_distances_do_not_depend_on_the_scale(small: Simulation) -> None:
    for factor in (0.25, 1.0, 3.0):
        found = measured_distance(scaled(small.map, factor), PT)
        assert found == pytest.approx(factor * 2.77, rel=0.08)


def test_noise_within_a_mask_does_not_halve_the_distance() -> None:
    """It has more maxima at half the scale than there are atoms."""
    case = simulate(size=55, rotate="random", noise=0.2, seed=1000, voxel_size=0.358)
    grid = case.map.grid
    places = grid.positions_of(np.argwhere(np.ones(grid.shape, bool))) - grid.centre
    reach = np.linalg.norm(case.positions - grid.centre, axis=1).max() + 1.07
    inside = (np.linalg.norm(places, axis=1) < reach).reshape(grid.shape)
    masked = case.map.with_values(case.map.values * inside)
    assert measured_distance(masked, PT) == pytest.approx(2.77, rel=0.08)
    assert measured_distance(scaled(masked, 0.5), PT) == pytest.approx(1.385, rel=0.08)


def test_a_large_map_is_judged_by_its_liveliest_part(
    small: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomfit.doubts.spacing._ENOUGH", small.map.grid.size // 5)
    assert measured_distance(small.map, PT) == pytest.approx(2.77, rel=0.08)


def test_images_are_no_map() -> None:
    images = planted(views=21, noise=0.03).images
    doubts, warnings = map_doubts(images)
    assert "stack of images" in (doubts[0].problem if doubts else warnings[0])
    few = planted(views=12, noise=0.03).images
    with pytest.raises(InputError, match="stack of images"):
        settle(map_doubts(few)[0], insist=False)


@pytest.mark.parametrize("half", [6, 10])
def test_a_part_of_a_map_is_no_stack_of_images(half: int) -> None:
    """All of its sections hold atoms, and the box is flat."""
    values = simulate(shape="icosahedron", size=3, rotate="random", noise=0.06, seed=3).map.values
    middle = len(values) // 2
    assert map_doubts(values[middle - half : middle + half]) == ([], [])


def test_hot_pixels_are_found_and_counts_are_none(rng: np.random.Generator) -> None:
    image = rng.poisson(0.05, (200, 200)).astype(np.float32)
    assert not len(hot_pixels(image, None, sharpest(2.77, 0.4)))
    image[7, 9] = image[0, 0] = 60
    found = hot_pixels(image, None, sharpest(2.77, 0.4))
    assert sorted(map(tuple, found.tolist())) == [(0, 0), (7, 9)]
    counted = np.ones(image.shape, bool)
    counted[7, 9] = False
    assert hot_pixels(image, counted, sharpest(2.77, 0.4)).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v * np.float32(1e-40), "32-bit floats hardly hold"),
        (lambda v: v[:4, :4, :4], "smaller than an atom"),
    ],
)
def test_what_cannot_be_is_refused_whoever_insists(change: Change, words: str, small: Simulation) -> None:
    density = DensityMap.from_array(change(small.map.values), 0.3)
    with pytest.raises(InputError, match=words):
        prepare(density, "Pt", BuildOptions(insist=True))


def test_small_boxes_and_lost_digits_are_told(small: Simulation) -> None:
    box = DensityMap.from_array(small.map.values[29:35, 29:35, 29:35].copy(), 0.36)
    assert any("holds few Pt atoms" in w for w in prepare(box, "Pt", BuildOptions(insist=True)).warnings)
    offset = small.map.with_values(small.map.values + np.float32(3e5))
    assert any("few digits" in warning for warning in prepare(offset, "Pt").warnings)


def test_doubts_become_warnings() -> None:
    doubt = Doubt("the moon is green", "look again")
    assert settle([doubt], insist=True) == ["the moon is green (look again)"]
    with pytest.raises(InputError, match=r"the moon is green; look again; if it is right, insist"):
        settle([doubt], insist=False)


def test_an_unknown_element_says_nothing_of_distances(small: Simulation) -> None:
    assert check(scaled(small.map, 2.0))[1].usable
    assert not check(scaled(small.map, 2.0), "Pt")[1].usable


def test_python_insists_too(small: Simulation) -> None:
    with pytest.raises(InputError, match="--voxel-size"):
        atomfit.build(scaled(small.map, 2.0), "Pt", fit="log")
    far = replace(PT, neighbour_distance=5.54)
    assert measured_distance(scaled(small.map, 2.0), far) == pytest.approx(5.54, rel=0.08)
    assert len(atomfit.build(scaled(small.map, 2.0), "Pt", fit="log", insist=True, min_cn=0)) > 40


def test_what_was_insisted_on_is_in_the_verdict(small: Simulation) -> None:
    """Of atoms at half their distance those that are left look well."""
    result = atomfit.build(scaled(small.map, 0.5), "Pt", fit="log", insist=True)
    (found,) = [finding for finding in result.verdict.findings if finding.code == "insisted"]
    assert found.level == "bad"
    assert "2 times too small" in found.problem
    assert sum("2 times too small" in warning for warning in result.warnings) == 1
