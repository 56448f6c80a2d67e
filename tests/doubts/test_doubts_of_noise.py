"""Whether there are atoms at all: noise is told from particles, by their order or by maps like them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from atomfit.detection.existence import Existence, existence
from atomfit.detection.limits import LIMITS as DETECTION
from atomfit.detection.surrogates import Texture
from atomfit.doubts.inspection import inspect
from atomfit.doubts.limits import LIMITS
from atomfit.doubts.noise import beside_noise
from atomfit.doubts.spacing import maxima
from atomfit.report.check import describe
from atomfit.simulation import Simulation
from atomfit.simulation.disturbances import noise
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import shell_gap
from atomfit.support.errors import InputError
from atomfit.workflows.build import build
from atomfit.workflows.preparation import check, prepare

PT = element("Pt")
EDGE, VOXEL = 52, 0.358
RADII = np.linalg.norm(np.indices((EDGE,) * 3) - (EDGE - 1) / 2, axis=0)


def as_map(values: np.ndarray) -> DensityMap:
    return DensityMap.from_array(values.astype(np.float32), VOXEL)


def coloured(blur: float, seed: int) -> np.ndarray:
    """Noise of deviation 1, blurred by a Gaussian (Å)."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=RADII.shape), blur / VOXEL, mode="wrap")
    return field / field.std()


def ball(edge: float) -> np.ndarray:
    """A ball of radius 15 voxels with an edge so wide."""
    return 1 / (1 + np.exp(np.clip((RADII - 15) / edge, -50, 50)))


#: In each of them the fit found atoms, with a good verdict or after bright maxima were called too near.
NOISE = {
    "masked and clipped": lambda: (RADII < 15) * np.maximum(coloured(0.5, 1), 0),
    "on a slab": lambda: (np.abs(np.indices(RADII.shape)[0] - 25) < 8) * (1 + 0.5 * coloured(0.3, 2)),
    "finer than atoms": lambda: (RADII < 15) * np.maximum(coloured(0.3, 3), 0),
    "of counts": lambda: np.random.default_rng(4).poisson(20 * ball(1.5)).astype(float),
}


@pytest.mark.parametrize("kind", NOISE)
def test_noise_that_cannot_be_measured_is_named(kind: str) -> None:
    density = as_map(NOISE[kind]())
    (doubt,) = inspect(density, PT).doubts
    assert "may be noise" in doubt.problem
    with pytest.raises(InputError, match="no better than noise of the same colour"):
        prepare(density, "Pt")


def test_dark_noise_is_not_to_be_turned() -> None:
    (doubt,) = inspect(as_map(-NOISE["masked and clipped"]()), PT).doubts
    assert "may be noise" in doubt.problem


def masked(case: Simulation, level: float, clipped: bool) -> DensityMap:
    """A particle in noise of a part of its peaks, masked close to its atoms."""
    grid, rng = case.map.grid, np.random.default_rng(2)
    places = grid.positions_of(np.argwhere(np.ones(grid.shape, bool))) - grid.centre
    reach = np.linalg.norm(case.positions - grid.centre, axis=1).max() + 1.5
    inside = (np.linalg.norm(places, axis=1) < reach).reshape(grid.shape)
    values = (case.map.values + level * rng.normal(size=grid.shape)) * inside
    return case.map.with_values((np.maximum(values, 0) if clipped else values).astype(np.float32))


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize("level", [0.0, 0.2])
def test_a_particle_without_an_outside_is_let_through(
    level: float, clipped: bool, small: Simulation
) -> None:
    found = inspect(masked(small, level, clipped), PT)
    assert found.usable
    # Its order says it; no surrogate is made.
    assert found.existence is None


def scattered(seed: int) -> np.ndarray:
    """Places in a ball that only keep 2.4 Å apart (Å), as in the worst of glasses."""
    rng, places = np.random.default_rng(seed), np.zeros((0, 3))
    while len(places) < 60:
        place = rng.uniform(-7.5, 7.5, 3)
        if np.linalg.norm(place) < 7.5 and np.all(np.linalg.norm(places - place, axis=1) > 2.4):
            places = np.append(places, [place], axis=0)
    return places


def test_atoms_without_order_are_told_from_noise_like_them() -> None:
    """By surrogates: the same map with other phases would be noise."""
    density = as_map(np.zeros(RADII.shape))
    voxels = density.grid.positions_of(np.argwhere(RADII >= 0)) - density.grid.centre
    values = np.zeros(len(voxels))
    for place in scattered(3):
        values += np.exp(-np.sum((voxels - place) ** 2, axis=1) / (2 * 0.2))
    values = (values.reshape(RADII.shape) + 0.1 * coloured(0.4, 5)) * (RADII * VOXEL < 8.5)
    density = as_map(values)
    found = beside_noise(density, PT.neighbour_distance)
    assert found is not None
    assert found.deviations > LIMITS.noise_clear
    assert inspect(density, PT).usable


def test_noise_that_can_be_measured_is_left_to_the_fit(small: Simulation) -> None:
    """All over the box, coloured, and louder than in any map that is fitted well."""
    values = small.map.values + noise(small.map.grid, 0.2, 0.5, seed=0)
    density = small.map.with_values(values.astype(np.float32))
    assert not shell_gap(maxima(density, PT.neighbour_distance)[1]) < 0.3
    assert beside_noise(density, PT.neighbour_distance) is None


def test_a_few_atoms_are_not_judged(small: Simulation) -> None:
    few = small.positions[: DETECTION.existence_atoms - 1]
    assert existence(small.map, few, 0.25, PT.neighbour_distance) is None
    empty = small.map.with_values(np.zeros_like(small.map.values))
    assert existence(empty, small.positions, 0.25, PT.neighbour_distance) is None


def test_check_without_an_element_warns() -> None:
    density = as_map(NOISE["masked and clipped"]())
    file, found = check(density)
    assert found.usable
    assert any("may be noise" in warning for warning in found.warnings)
    assert "may be noise" in describe(file, found)


def test_who_insists_has_atoms_and_a_bad_verdict(tmp_path: Path) -> None:
    """Nothing is taken away in silence: atoms are written, and what is to be thought of them."""
    result = build(as_map(NOISE["masked and clipped"]()), "Pt", fit="log", insist=True)
    assert len(result) > 0
    assert result.verdict.bad
    assert "noise" in result.verdict.codes
    assert any("may be noise" in warning for warning in result.warnings)
    assert "may be noise" in (result.write(tmp_path / "out") / "summary.json").read_text(encoding="utf-8")


def standing(deviations: float) -> Existence:
    """Atoms that are so many standard deviations better than noise."""
    drawn = ((0.49,), (0.50,), (0.51,))
    return Existence((0.50 + deviations * 0.01 * np.sqrt(4 / 3),), drawn)


@pytest.mark.parametrize(
    ("deviations", "level", "codes"),
    [(4.0, "bad", ("noise",)), (6.0, "doubtful", ("noise",)), (8.0, "good", ())],
)
def test_the_verdict_says_how_near_to_noise_a_map_is(
    deviations: float, level: str, codes: tuple[str, ...], small: Simulation
) -> None:
    assert standing(deviations).deviations == pytest.approx(deviations)
    ready = replace(prepare(small.map, "Pt"), existence=standing(deviations))
    verdict = build(ready, "Pt", fit="log").verdict
    assert verdict.level == level
    assert verdict.codes == codes


def test_a_surrogate_is_like_its_map() -> None:
    """The same values; power within 15 % where it is loud; and other phases."""
    density = as_map((RADII < 18) * np.maximum(coloured(0.5, 3), 0))
    region = density.values != 0
    texture = Texture.of(density, region, region)
    other = texture.surrogate(np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(other[region]), np.sort(texture.values[region]))
    assert not other[~region].any()
    length = np.linalg.norm(np.meshgrid(*[np.fft.fftfreq(EDGE)] * 3, indexing="ij"), axis=0)
    shells = (length * EDGE / 3).astype(int).ravel()
    own, drawn = (
        np.bincount(shells, (np.abs(np.fft.fftn(values)) ** 2).ravel())
        for values in (texture.values, other)
    )
    loud = own > 0.03 * own.max()
    assert loud.sum() > 3
    np.testing.assert_allclose(drawn[loud], own[loud], rtol=0.15)
    assert abs(np.corrcoef(other[region], texture.values[region])[0, 1]) < 0.15


def test_what_depends_on_depth_only_is_no_texture() -> None:
    """Of noise on a ball with a smooth profile the noise is left, with deviation one."""
    profile, outline = ball(2), ball(2) > 0.2
    white = np.random.default_rng(4).normal(size=profile.shape)
    density = as_map(profile + 0.05 * white)
    texture = Texture.of(density, outline, outline)
    assert texture.values[outline].std() == pytest.approx(1, abs=0.01)
    # The profile steps by more than the noise does; by depth it is gone.
    assert np.corrcoef(texture.values[outline], white[outline])[0, 1] > 0.95
    assert density.values[outline].std() > 3 * 0.05
