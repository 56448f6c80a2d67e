"""The missing wedge is found where it was planted, about any axis."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.noise.sources import measure_noise
from atomfit.noise.wedge import Wedge, find_wedge, likelihood
from atomfit.simulation.disturbances import noise, without_wedge
from atomfit.structure.grid import DensityMap, Grid

GRID = Grid((64, 64, 64), np.full(3, 0.4), np.zeros(3))


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1000),
    begin=st.floats(0, np.pi),
    opening=st.floats(np.radians(12), np.radians(70)),
)
@pytest.mark.slow
def test_planes_are_found_about_any_axis(seed: int, begin: float, opening: float) -> None:
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    truth = Wedge.about(axis, begin, begin + opening)
    places = rng.uniform(-1, 1, (20000, 3)).astype(np.float32)
    missing = truth.missing(*places.T)
    power = (rng.exponential(size=len(places)) * np.where(missing, 1e-3, 1)).astype(np.float32)
    found, likely = find_wedge(places, power, 0.02)
    assert np.degrees(opening) == pytest.approx(found.opening, abs=0.3)
    assert abs(found.axis @ truth.axis) > np.cos(np.radians(0.4))
    assert abs(found.middle @ truth.middle) > np.cos(np.radians(0.4))
    assert np.mean(found.missing(*places.T) != missing) < 0.002
    assert likely > likelihood(missing, power) - 50


def test_depth_is_a_distance() -> None:
    wedge = Wedge.about(np.array([0.0, 1.0, 0.0]), np.radians(80), np.radians(100))
    first, second = (np.cross(wedge.axis, n) for n in wedge.normals)
    for along in (first, second):
        assert wedge.depth(*along[:, None]) == pytest.approx(0, abs=1e-12)
    assert wedge.depth(*wedge.middle[:, None]) == pytest.approx(np.sin(np.radians(10)))
    beside = 0.3 * wedge.axis + 0.01 * np.cross(wedge.axis, wedge.middle)
    assert not wedge.missing(*beside[:, None])


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_noise_without_a_wedge_says_which(correlation: float) -> None:
    angle = 30.0
    values = without_wedge(noise(GRID, 1.0, correlation, 3), GRID, angle).astype(np.float32)
    spectrum = measure_noise(DensityMap(values, GRID), GRID.centre[None], 0.25)
    assert spectrum is not None
    assert spectrum.wedge is not None
    assert spectrum.wedge.opening == pytest.approx(angle, abs=3)
    assert abs(spectrum.wedge.axis[1]) > 0.99
    assert abs(spectrum.wedge.middle[2]) > 0.99
    assert "tilt axis" in spectrum.describe()


def test_two_wedges_are_not_described_by_one() -> None:
    """A double-tilt series leaves out a pyramid: directions say what is missing, no wedge does."""
    values = noise(GRID, 1.0, 0.0, 4)
    kz, ky, kx = np.meshgrid(*[np.fft.fftfreq(n) for n in GRID.shape], indexing="ij", sparse=True)
    cone = np.maximum(np.abs(kx), np.abs(ky)) < np.tan(np.radians(35)) * np.abs(kz)
    values = np.fft.ifftn(np.where(cone, 0, np.fft.fftn(values))).real.astype(np.float32)
    spectrum = measure_noise(DensityMap(values, GRID), GRID.centre[None], 0.25)
    assert spectrum is not None
    assert spectrum.wedge is None
    assert spectrum.missing > 0.1
