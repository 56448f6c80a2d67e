"""Coloured noise and the missing wedge: recognised, weighed, and honest error bars after it."""

import numpy as np
import pytest

from atomfit.detection.detect import detect
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.gaussians.overlaps import derivatives_of_gaussian, weighted_derivatives
from atomfit.noise.sources import measure_noise
from atomfit.simulation import Simulation, simulate
from atomfit.simulation.disturbances import noise as noise_map
from atomfit.simulation.disturbances import without_wedge
from atomfit.statistics.displacements import principal_displacements
from atomfit.statistics.isotropy import isotropies
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.neighbours import find_neighbours

PT = element("Pt")


def disturbed(correlation: float = 0.0, wedge: float = 0.0, seed: int = 3) -> Simulation:
    return simulate(
        size=135, noise=0.05, noise_correlation=correlation, wedge=wedge, rotate="random", seed=seed, box=96
    )


def fitted(case: Simulation, weighted: bool) -> JointFit:
    """From the true positions: what detection makes of such maps is another question."""
    mean_atom = detect(case.map, PT).mean_atom
    spectrum = measure_noise(case.map, case.positions, mean_atom.u) if weighted else None
    return fit_jointly(case.map, case.positions, mean_atom, PT, noise=spectrum)


def test_white_noise_is_white() -> None:
    case = disturbed()
    spectrum = measure_noise(case.map, case.positions, 0.2)
    assert spectrum is not None
    assert spectrum.white
    assert spectrum.missing == 0
    assert spectrum.deviation == pytest.approx(0.05 * (case.map.values.max() / 1.0), rel=0.5)
    assert "white" in spectrum.describe()


@pytest.mark.parametrize("anisotropic", [False, True], ids=["cubic voxels", "unequal voxels"])
def test_spectrum_and_wedge_are_those_that_were_planted(anisotropic: bool) -> None:
    """Noise alone, blurred by 0.5 Å, without a wedge of 40 degrees about z."""
    spacing = np.array([0.36, 0.42, 0.5]) if anisotropic else np.full(3, 0.4)
    grid = Grid((80, 88, 96), spacing, np.zeros(3))
    values = without_wedge(noise_map(grid, 1.0, 0.5, seed=1), grid, 40.0)
    spectrum = measure_noise(DensityMap(values.astype(np.float32), grid), grid.centre[None], 0.2)
    assert spectrum is not None
    assert not spectrum.white
    # Frequencies next to the wedge are left out with it.
    assert 40 / 180 < spectrum.missing < 40 / 180 + 0.05
    k = 0.3 * np.array([[0, 0, 1], [0.17, 0, 1], [0, 1, 1], [1, 0, 0], [0.2, 1, 0], [1, 0, 1]])
    weights = spectrum.at(k)
    assert np.all(weights[:3] == 0)
    assert np.all(weights[3:] > 0)
    # P ~ exp(-4π² s² k²)
    ratio = spectrum.at(np.array([[0.4, 0, 0]])) / spectrum.at(np.array([[0.2, 0, 0]]))
    assert float(ratio[0]) == pytest.approx(np.exp(4 * np.pi**2 * 0.25 * (0.16 - 0.04)), rel=0.35)
    assert "missing" in spectrum.describe()


def test_weights_on_another_box_agree() -> None:
    case = disturbed(correlation=0.5)
    spectrum = measure_noise(case.map, case.positions, 0.2)
    assert spectrum is not None
    half = spectrum.on((64, 48, 80))
    assert half.shape == (64, 48, 41)
    frequency = np.array([[3 / 80, -5 / 48, 7 / 64]]) / case.map.grid.spacing
    assert half[7, -5, 3] == pytest.approx(float(spectrum.at(frequency)[0]), rel=1e-4)


def test_the_unit_of_a_map_does_not_matter() -> None:
    case = disturbed(correlation=0.4)
    a, b = (
        measure_noise(case.map.with_values(scale * case.map.values), case.positions, 0.2)
        for scale in (np.float32(1), np.float32(1e-12))
    )
    assert a is not None
    assert b is not None
    np.testing.assert_allclose(a.weights, b.weights, rtol=1e-3, atol=1e-4)
    assert b.deviation == pytest.approx(1e-12 * a.deviation, rel=1e-3)


def test_nothing_outside_is_no_spectrum(small: Simulation) -> None:
    values = np.where(small.map.values > 0.1, small.map.values, 0)
    assert measure_noise(small.map.with_values(values), small.positions, 0.2) is None
    crop = tuple(slice(25, 55) for _ in range(3))
    grid = small.map.grid.crop((25, 25, 25), (30, 30, 30))
    inside = DensityMap(small.map.values[crop], grid)
    kept = small.positions[np.all(np.abs(small.positions - grid.centre) < 5, axis=1)]
    assert measure_noise(inside, kept, 0.2) is None


def test_overlaps_with_equal_weights_are_those_of_white_noise(rng: np.random.Generator) -> None:
    step = 1 / 14
    axis = step * np.arange(-20, 21)
    mesh = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    half = mesh[len(mesh) // 2 :]
    parts = np.full(len(half), step**3)
    parts[0] /= 2
    root = 0.65 * np.eye(3) + 0.05 * rng.normal(size=(5, 3, 3))
    variances = root @ np.swapaxes(root, 1, 2)
    apart = rng.uniform(-1, 1, (5, 3))
    expected = derivatives_of_gaussian(apart, variances)
    ours = weighted_derivatives(apart, variances, half, parts)
    np.testing.assert_allclose(ours, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("correlation", "wedge", "better"), [(0.6, 0.0, 0.55), (0.0, 25.0, 0.9)], ids=["coloured", "wedge"]
)
def test_weights_make_fits_better_and_errors_honest(
    correlation: float, wedge: float, better: float
) -> None:
    case = disturbed(correlation, wedge)
    plain, weighted = fitted(case, False), fitted(case, True)
    error = weighted.fitted.positions - case.positions
    rmsd = [np.sqrt(np.mean((fit.fitted.positions - case.positions) ** 2)) for fit in (plain, weighted)]
    assert rmsd[1] < better * rmsd[0]
    truth = np.trace(case.matrices, axis1=1, axis2=2) / 3
    bias = [np.mean(fit.fitted.u_iso / truth) - 1 for fit in (plain, weighted)]
    assert abs(bias[1]) < min(0.04, abs(bias[0]))
    z = error / weighted.uncertainty.deviations[:, :3]
    assert z.std() == pytest.approx(1, abs=0.15)
    doi = principal_displacements(plain.fitted.matrices).degree_of_isotropy
    coordination = find_neighbours(weighted.fitted.positions).coordination_numbers
    debiased = isotropies(weighted.alone, coordination.astype(float)).means
    assert np.median(debiased) > max(0.9, np.median(doi))
