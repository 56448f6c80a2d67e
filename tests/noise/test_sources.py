"""Half-maps and tilts: the noise that was planted is found, also where there is no outside."""

from typing import NamedTuple

import numpy as np
import pytest

from atomfit.detection.detect import detect
from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.noise import sources
from atomfit.noise.sources import (
    louder_than_halves,
    measure_noise,
    quiet_outside,
    spectrum_of_half_maps,
    spectrum_of_tilts,
)
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.noise.tilt_angles import TiltAngles
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation import Simulation, simulate
from atomfit.simulation.disturbances import noise as noise_map
from atomfit.simulation.disturbances import without_wedge
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from atomfit.structure.region import region_mask
from atomfit.support.errors import InputError
from atomfit.workflows.build import build

PT = element("Pt")
DEVIATION, CORRELATION = 0.05, 0.5


class Halves(NamedTuple):
    """A particle, what its atoms look like, and two half-maps with coloured noise."""

    case: Simulation
    mean_atom: MeanAtom
    first: DensityMap
    second: DensityMap

    @property
    def mean(self) -> DensityMap:
        return self.first.with_values(0.5 * (self.first.values + self.second.values))

    def cropped(self, room: int) -> "Halves":
        """With faces so many voxels from the outermost atoms."""
        grid = self.case.map.grid
        voxels = grid.nearest_voxels(self.case.positions)
        low, high = voxels.min(axis=0) - room, voxels.max(axis=0) + room + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        inner = grid.crop(tuple(int(i) for i in low), tuple(int(i) for i in high - low))
        first, second = (DensityMap(half.values[box], inner) for half in (self.first, self.second))
        return Halves(self.case, self.mean_atom, first, second)


@pytest.fixture(scope="module")
def halves() -> Halves:
    case = simulate(size=60, noise=0.0, rotate="random", seed=3)
    mean_atom = detect(case.map, PT).mean_atom
    maps = [
        (case.map.values + noise_map(case.map.grid, 2**0.5 * DEVIATION, CORRELATION, seed)).astype(
            np.float32
        )
        for seed in (11, 12)
    ]
    return Halves(case, mean_atom, *(case.map.with_values(values) for values in maps))


def fitted(
    density: DensityMap, case: Simulation, mean_atom: MeanAtom, noise: NoiseSpectrum | None
) -> JointFit:
    start = case.positions + np.random.default_rng(0).normal(0, 0.05, case.positions.shape)
    return fit_jointly(density, start, mean_atom, PT, noise=noise)


def rmsd(fit: JointFit, case: Simulation) -> float:
    return float(np.sqrt(np.mean((fit.fitted.positions - case.positions) ** 2)))


def test_half_maps_tell_what_the_outside_tells(halves: Halves) -> None:
    u = halves.mean_atom.u
    ours = spectrum_of_half_maps(halves.first, halves.second, u)
    outside = measure_noise(halves.mean, halves.case.positions, u)
    assert ours is not None
    assert outside is not None
    assert "half-maps" in ours.describe()
    assert ours.deviation == pytest.approx(outside.deviation, rel=0.05)
    for spectrum in (ours, outside):
        assert spectrum.variance**0.5 == pytest.approx(DEVIATION, rel=0.06)
    k = np.random.default_rng(0).normal(size=(50, 3))
    k *= 0.3 / np.linalg.norm(k, axis=1, keepdims=True)
    np.testing.assert_allclose(ours.at(k).mean(), outside.at(k).mean(), rtol=0.1)


def test_a_box_without_an_outside(halves: Halves) -> None:
    tight, u = halves.cropped(2), halves.mean_atom.u
    assert measure_noise(tight.mean, halves.case.positions, u) is None
    ours = spectrum_of_half_maps(tight.first, tight.second, u)
    whole = spectrum_of_half_maps(halves.first, halves.second, u)
    assert ours is not None
    assert whole is not None
    # A box of 13 Å tells frequencies apart no better than by 1/13 Å.
    assert ours.variance**0.5 == pytest.approx(DEVIATION, rel=0.4)
    # P ~ exp(-4π² s² k²), however the box is cut.
    directions = np.random.default_rng(0).normal(size=(60, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.exp(4 * np.pi**2 * CORRELATION**2 * (0.4**2 - 0.15**2))
    for spectrum, tolerance in ((ours, 0.4), (whole, 0.2)):
        first, second = (spectrum.at(k * directions).mean() for k in (0.4, 0.15))
        assert first / second == pytest.approx(expected, rel=tolerance)


def test_half_maps_that_were_masked(halves: Halves) -> None:
    """The zeros around a mask are no noise."""
    grid, u = halves.case.map.grid, halves.mean_atom.u
    places = grid.positions_of(np.stack(np.indices(grid.shape), axis=-1))
    inside = np.linalg.norm(places - grid.centre, axis=-1) < 11
    masked = [half.with_values(half.values * inside) for half in (halves.first, halves.second)]
    spectrum = spectrum_of_half_maps(*masked, u)
    assert spectrum is not None
    whole = spectrum_of_half_maps(halves.first, halves.second, u)
    assert whole is not None
    assert spectrum.deviation == pytest.approx(whole.deviation, rel=0.15)


def test_halves_that_share_noise_are_told_by_the_outside(halves: Halves) -> None:
    u = halves.mean_atom.u
    both = halves.first, halves.second
    assert louder_than_halves(halves.mean, both, halves.case.positions, u) is None
    common = noise_map(halves.mean.grid, DEVIATION, CORRELATION, 13)
    sharing = [half.with_values((half.values + common).astype(np.float32)) for half in both]
    mean = halves.mean.with_values((halves.mean.values + common).astype(np.float32))
    times = louder_than_halves(mean, (sharing[0], sharing[1]), halves.case.positions, u)
    assert times == pytest.approx(2, rel=0.15)
    masked = [half.with_values(np.where(halves.case.map.values > 0.01, half.values, 0)) for half in both]
    assert louder_than_halves(halves.mean, (masked[0], masked[1]), halves.case.positions, u) is None


def test_half_maps_without_a_difference_are_refused(halves: Halves) -> None:
    with pytest.raises(InputError, match="do not differ"):
        spectrum_of_half_maps(halves.first, halves.first, 0.2)


@pytest.mark.slow
def test_a_fit_with_half_maps_is_the_one_with_the_outside(halves: Halves) -> None:
    """As near to the truth with the outside cut off as with the noise measured there, and honest."""
    case, mean_atom, u = halves.case, halves.mean_atom, halves.mean_atom.u
    outside = fitted(halves.mean, case, mean_atom, measure_noise(halves.mean, case.positions, u))
    tight = halves.cropped(6)
    weighted = fitted(tight.mean, case, mean_atom, spectrum_of_half_maps(tight.first, tight.second, u))
    plain = fitted(tight.mean, case, mean_atom, None)
    assert rmsd(weighted, case) < min(1.25 * rmsd(outside, case), 0.5 * rmsd(plain, case))
    for fit in (outside, weighted):
        z = (fit.fitted.positions - case.positions) / fit.uncertainty.deviations[:, :3]
        assert z.std() == pytest.approx(1, abs=0.15)
        assert fit.chi_square == pytest.approx(1, abs=0.15)
    assert np.isnan(plain.chi_square)


def test_tilts_take_the_place_of_a_search(halves: Halves) -> None:
    """Noise without a wedge of 40 degrees, which a search finds as well as it is known."""
    grid = Grid((80, 88, 96), np.full(3, 0.4), np.zeros(3))
    values = without_wedge(noise_map(grid, 1.0, 0.5, seed=1), grid, 40.0)
    density = DensityMap(values.astype(np.float32), grid)
    tilts = TiltAngles(np.arange(-69.0, 70.0, 2.0))
    searched = measure_noise(density, grid.centre[None], 0.2)
    known = measure_noise(density, grid.centre[None], 0.2, tilts)
    geometry = spectrum_of_tilts(tilts, grid, 0.2)
    assert searched is not None
    assert known is not None
    assert known.missing == pytest.approx(geometry.missing)
    assert 40 / 180 < known.missing < 40 / 180 + 0.05
    assert searched.missing == pytest.approx(known.missing, abs=0.02)
    np.testing.assert_array_equal(known.weights == 0, geometry.weights == 0)
    assert not geometry.white
    assert "not measured" in geometry.describe()
    assert set(np.unique(geometry.weights)) == {0.0, 1.0}
    assert np.isnan(geometry.variance)


@pytest.mark.slow
def test_a_fit_with_tilts_alone(halves: Halves) -> None:
    """A wedge of 25 degrees about z, in a map whose outside is not looked at."""
    case, mean_atom = halves.case, halves.mean_atom
    values = case.map.values + noise_map(case.map.grid, 0.05, 0.0, seed=5)
    density = case.map.with_values(without_wedge(values, case.map.grid, 25.0).astype(np.float32))
    spectrum = spectrum_of_tilts(TiltAngles(np.arange(-77.0, 78.0)), case.map.grid, mean_atom.u)
    plain = fitted(density, case, mean_atom, None)
    weighted = fitted(density, case, mean_atom, spectrum)
    assert rmsd(weighted, case) < 0.7 * rmsd(plain, case)
    truth = np.trace(case.matrices, axis1=1, axis2=2) / 3
    bias = [abs(np.mean(fit.fitted.u_iso / truth) - 1) for fit in (plain, weighted)]
    assert bias[1] < 0.05
    z = (weighted.fitted.positions - case.positions) / weighted.uncertainty.deviations[:, :3]
    assert z.std() == pytest.approx(1, abs=0.15)
    assert np.isnan(weighted.chi_square)


def test_noise_of_a_large_map_is_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blurred by 0.5 Å; parts of it say what the whole says."""
    grid = Grid((88, 80, 96), np.full(3, 0.4), np.zeros(3))
    density = DensityMap(noise_map(grid, 1.0, 0.5, seed=1).astype(np.float32), grid)
    whole = measure_noise(density, grid.centre[None], 0.2)
    monkeypatch.setattr(sources, "_LARGEST_EDGE", 50)
    parts = measure_noise(density, grid.centre[None], 0.2)
    assert whole is not None
    assert parts is not None
    assert parts.weights.shape == (44, 40, 48)
    directions = np.random.default_rng(0).normal(size=(60, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for k in (0.05, 0.1, 0.2, 0.3):
        ours, expected = (
            spectrum.deviation**2 / spectrum.at(k * directions).mean() for spectrum in (parts, whole)
        )
        assert ours == pytest.approx(expected, rel=0.25)


def test_a_map_that_was_smoothed_outside_is_found_out() -> None:
    """Noise inside that the outside does not have; atoms that a fit lacks are no noise."""
    case = simulate(size=79, noise=0.0, rotate="random", seed=1, box=90)
    noise = 0.05 * np.random.default_rng(0).normal(size=case.map.grid.shape)
    inside = region_mask(case.map.grid, case.positions, 2.0)
    everywhere = case.map.with_values((case.map.values + noise).astype(np.float32))
    quiet = np.where(inside, noise, 0.05 * noise)
    smoothed = case.map.with_values((case.map.values + quiet).astype(np.float32))
    places, u = case.positions, 0.2
    assert quiet_outside(everywhere, case.map.values, places, places, u) is None
    times = quiet_outside(smoothed, case.map.values, places, places, u)
    assert times == pytest.approx(20, rel=0.1)
    lacking = render_map(Gaussians(places[::5], case.matrices[::5], case.amplitudes[::5]), case.map.grid)
    assert quiet_outside(everywhere, case.map.values - lacking, places, places, u) is None
    # What is small beside an atom is the model's own error.
    faint = case.map.with_values((case.map.values + np.where(inside, 0.1, 0.0) * noise).astype(np.float32))
    assert quiet_outside(faint, case.map.values, places, places, u) is None


@pytest.mark.slow
def test_noise_is_taken_from_the_residual_where_the_outside_is_quiet() -> None:
    case = simulate(size=79, noise=0.0, rotate="random", seed=1, box=100)
    noise = 0.08 * np.random.default_rng(0).normal(size=case.map.grid.shape)
    inside = region_mask(case.map.grid, case.positions, 2.0)
    values = case.map.values + np.where(inside, noise, 0.05 * noise)
    result = build(case.map.with_values(values.astype(np.float32)), "Pt")
    assert any("is not that inside" in warning for warning in result.warnings)
    assert result.joint is not None
    assert result.joint.inside is not None
    pairs = match(result.positions, case.positions, 1.0)
    assert (pairs.missing, pairs.false) == (0, 0)
