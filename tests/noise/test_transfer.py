"""Frequencies that a filter has taken from a map are found, and do not spoil a fit of the others."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from atomfit.detection.mean_atom import measure_mean_atom
from atomfit.fitting.joint import fit_jointly
from atomfit.noise.sources import measure_noise, without_slow
from atomfit.noise.transfer import lost_below, without_slow_waves
from atomfit.rendering import Gaussians
from atomfit.rendering.host import render_map
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap

PT = element("Pt")
Change = Callable[[np.ndarray], np.ndarray]


def band_pass(values: np.ndarray) -> np.ndarray:
    """Between Gaussians of 0.3 and 1.4 Å."""
    return gaussian_filter(values, 0.8) - gaussian_filter(values, 4)


#: What is done to a map, and between which frequencies (1/Å) the first is that it has as a whole.
LOST: dict[str, tuple[Change, float, float]] = {
    "nothing": (lambda v: v, 0.0, 0.0),
    "scaled": (lambda v: 100 * v + 5, 0.0, 0.0),
    "smoothed": (lambda v: gaussian_filter(v, 1.0), 0.0, 0.0),
    "cut below zero": (lambda v: np.maximum(v, 0), 0.0, 0.0),
    "a slope": (lambda v: v + 0.1 * v.max() * np.linspace(0, 1, v.shape[0])[:, None, None], 0.0, 0.0),
    "band-pass": (band_pass, 0.12, 0.4),
    "high-pass": (lambda v: v - gaussian_filter(v, 3), 0.12, 0.45),
    "high-pass of slower changes": (lambda v: v - gaussian_filter(v, 10), 0.03, 0.4),
}


@pytest.mark.parametrize("noise", [0.03, 0.1])
@pytest.mark.parametrize("kind", LOST)
def test_what_a_filter_has_taken_is_found(kind: str, noise: float) -> None:
    change, least, most = LOST[kind]
    clean = simulate(shape="icosahedron", size=3, rotate="random", noise=0.0, seed=1).map
    noisy = simulate(shape="icosahedron", size=3, rotate="random", noise=noise, seed=1).map
    changed = change(noisy.values.astype(np.float64)).astype(np.float32)
    times = float(np.std(change(clean.values)) / np.std(clean.values))
    assert least <= lost_below(noisy.with_values(changed), times * clean.values) <= most


def test_what_is_taken_out_is_lost(small: Simulation) -> None:
    less = without_slow_waves(small.map.values, small.map.grid, 0.2)
    assert lost_below(small.map.with_values(less), small.map.values) == pytest.approx(0.2, abs=0.04)


@pytest.mark.slow
def test_error_bars_of_a_filtered_map() -> None:
    """Where all frequencies counted, or the noise was what the fit leaves, they were too small."""
    case = simulate(shape="icosahedron", size=2, rotate="random", noise=0.05, box=48, seed=4)
    density = case.map.with_values(band_pass(case.map.values))
    mean = measure_mean_atom(density, PT)
    noise = measure_noise(density, case.positions, mean.u)
    spread = []
    for known in (noise, without_slow(noise, 0.3, density.grid, mean.u)):
        assert known is not None
        fit = fit_jointly(density, case.positions, mean, PT, noise=known)
        errors = (fit.positions - case.positions) / fit.uncertainty.deviations[:, :3]
        spread.append(float(np.sqrt(np.mean(errors**2))))
        assert fit.chi_square < 0.9
    assert spread[0] > 1.5
    assert 0.4 < spread[1] < 1.3


def test_a_mask_through_a_particle_takes_no_frequency(small: Simulation) -> None:
    """Atoms that it cuts through are lacking in the model."""
    values, grid = small.map.values, small.map.grid
    indices = np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3)
    middle = small.positions.mean(axis=0)
    radius = 0.7 * np.linalg.norm(small.positions - middle, axis=1).max()
    away = np.linalg.norm(grid.positions_of(indices) - middle, axis=1).reshape(grid.shape)
    counted = away < radius
    within = np.linalg.norm(small.positions - middle, axis=1) < radius
    shown = Gaussians(small.positions[within], small.matrices[within], small.amplitudes[within])
    model = render_map(shown, grid)
    masked = DensityMap(np.where(counted, values, 0), grid, counted)
    assert lost_below(masked, model) == 0
