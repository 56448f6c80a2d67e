"""The noise that a fit leaves: its spectrum, what is absorbed of it, and error bars that come from it."""

import numpy as np
import pytest

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import fit_jointly
from atomfit.noise.residual import SmoothNoise, absorbed_part, noise_left, taper
from atomfit.simulation import Simulation, simulate
from atomfit.simulation.disturbances import noise
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid

ALL = ("positions", "displacements", "amplitudes")
GRID = Grid((72, 64, 80), np.array([0.35, 0.4, 0.3]), np.zeros(3))


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_residual_that_nothing_was_fitted_to_is_the_noise(correlation: float) -> None:
    values = noise(GRID, 2.0, correlation, seed=4)
    found = noise_left(values, taper(np.ones(GRID.shape, bool), GRID), GRID, 50, 0.3, frozen=ALL)
    k = np.array([0.1, 0.3, 0.6])
    # Blurring white noise multiplies its power by exp(-4π² s² k²); the total stays 2² in every voxel.
    per_voxel = 4.0 * (8 * np.pi**1.5 * correlation**3 / np.prod(GRID.spacing) if correlation else 1.0)
    expected = per_voxel * np.exp(-4 * np.pi**2 * correlation**2 * k**2)
    np.testing.assert_allclose(found.power(k), expected, rtol=0.2)


@pytest.mark.parametrize(
    ("frozen", "isotropic", "numbers"),
    [
        ((), False, 10),
        (("displacements",), False, 4),
        (("positions",), False, 7),
        ((), True, 5),
        (("positions",), True, 2),
    ],
)
def test_a_fit_absorbs_as_many_numbers_as_it_has(
    frozen: tuple[str, ...], isotropic: bool, numbers: int
) -> None:
    """Summed over all frequencies of a box, the absorbed part is the number of parameters."""
    k = np.linspace(0, 4, 4000)
    part = absorbed_part(k, 1.0, 0.3, 3, frozen, isotropic)
    assert np.trapezoid(4 * np.pi * k**2 * part, k) == pytest.approx(numbers, rel=1e-3)


@pytest.mark.parametrize("correlation", [0.0, 0.35])
def test_the_width_that_finds_a_position_best(correlation: float) -> None:
    """Against estimates from one atom's derivative, voxel by voxel, in noise of that correlation."""
    u, axis = 0.3, np.arange(-20, 21) * 0.3
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    k = [np.fft.fftfreq(41, 0.3)] * 3
    power = np.exp(-4 * np.pi**2 * correlation**2 * sum(a**2 for a in np.meshgrid(*k, indexing="ij")))

    def slope(s: float) -> np.ndarray:
        return x / s**2.5 * np.exp(-(x**2 + y**2 + z**2) / (2 * s))

    def disturbed(s: float) -> float:
        noise = np.sum(power * np.abs(np.fft.fftn(slope(s))) ** 2)
        return float(noise / np.sum(slope(s) * slope(u)) ** 2)

    widths = np.linspace(0.5, 1.0, 51) * u
    best = widths[np.argmin([disturbed(s) for s in widths])]
    noise_of_it = SmoothNoise(np.ones(1), np.array([2 * correlation**2]))
    assert noise_of_it.sharpest(u, 3) == pytest.approx(best, abs=0.02 * u)
    assert (best < 0.9 * u) == (correlation > 0)


def test_error_bars_where_noise_fills_the_box() -> None:
    """Noise correlated over 0.4 Å, which cannot be measured outside: taken for white, errors look small."""
    case = simulate(size=135, noise=0.03, noise_correlation=0.4, rotate="random", seed=2, box=64)
    edge = 8
    inner = tuple(slice(edge, -edge) for _ in range(3))
    density = DensityMap(
        case.map.values[inner].copy(), case.map.grid.crop((edge,) * 3, (64 - 2 * edge,) * 3)
    )
    mean = MeanAtom(height=1.0, u=0.24, background=0.0, matrix=0.24 * np.eye(3), count=135)
    spreads = []
    for kind in (None, "residual"):
        fit = fit_jointly(density, case.positions, mean, element("Pt"), noise=kind)
        errors = fit.fitted.positions - case.positions
        spreads.append(np.std(errors / fit.uncertainty.deviations[:, :3]))
    assert spreads[0] > 1.8
    assert 0.7 < spreads[1] < 1.3


def test_noise_of_a_few_voxels_is_unknown(small: Simulation) -> None:
    """A box of six voxels: atoms have more numbers than it has voxels; no uncertainties, but a result."""
    inner = tuple(slice(n // 2 - 3, n // 2 + 3) for n in small.map.grid.shape)
    density = DensityMap.from_array(small.map.values[inner].copy(), 0.358)
    mean = MeanAtom(1.0, 0.2, 0.0, 0.2 * np.eye(3), 1)
    fit = fit_jointly(density, density.grid.centre[None], mean, element("Pt"), noise="residual")
    assert fit.inside is not None
    assert not fit.inside.known
    assert fit.inside.sharpest(0.2, 3) == 0.2
    assert np.isnan(fit.uncertainty.deviations).all()
    assert np.isfinite(fit.positions).all()


def test_nothing_left_is_unknown_noise() -> None:
    """A residual that is zero everywhere, as of a map of zeros and ones."""
    window = taper(np.ones(GRID.shape, bool), GRID)
    assert not noise_left(np.zeros(GRID.shape), window, GRID, 50, 0.3).known
