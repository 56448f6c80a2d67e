"""The baseline against a per-atom numpy fit written out, and its failures."""

import numpy as np
import pytest

from atomfit.fitting.logfit import fit_logarithms
from atomfit.gaussians.fitted import FittedAtoms, region_correlation
from atomfit.rendering import Gaussians, render_map, render_reference
from atomfit.simulation import Simulation
from atomfit.structure.grid import DensityMap, Grid

GRID = Grid((40, 42, 44), np.array([0.33, 0.36, 0.3]), np.array([2.0, -1.0, 5.0]))
RADIUS = 1.04


def one_atom(matrix: np.ndarray, grid: Grid = GRID) -> tuple[DensityMap, np.ndarray]:
    centre = grid.centre[None] + 0.05
    gaussians = Gaussians(centre, matrix[None], np.array([2.0]))
    return DensityMap(render_reference(gaussians, grid).astype(np.float32), grid), centre


def test_a_perfect_gaussian_is_recovered() -> None:
    matrix = np.array([[0.25, 0.03, -0.02], [0.03, 0.2, 0.04], [-0.02, 0.04, 0.3]])
    density, centre = one_atom(matrix)
    found = fit_logarithms(density, centre, RADIUS).fitted
    np.testing.assert_allclose(found.matrices[0], matrix, rtol=2e-4)
    assert found.amplitudes[0] == pytest.approx(2.0, rel=1e-3)
    density, centre = one_atom(0.21 * np.eye(3))
    assert fit_logarithms(density, centre, RADIUS).fitted.u_iso[0] == pytest.approx(0.21, rel=1e-4)


def test_it_is_the_papers_formula(small: Simulation) -> None:
    """Against numpy's least squares with the paper's regressors, atom by atom."""
    found = fit_logarithms(small.map, small.positions, RADIUS)
    grid = small.map.grid
    places = grid.positions_of(np.stack(np.indices(grid.shape), axis=-1))
    for i in (0, 7, 31):
        x, y, z = np.moveaxis(places - small.positions[i], -1, 0)
        r2 = x**2 + y**2 + z**2
        use = (r2 < RADIUS**2) & (small.map.values > 0)
        x, y, z, r2, intensity = x[use], y[use], z[use], r2[use], small.map.values[use].astype(float)
        root = np.sqrt(intensity)
        design = np.stack([np.ones_like(x), r2], axis=1)
        beta = np.linalg.lstsq(design * root[:, None], np.log(intensity) * root, rcond=None)[0]
        assert found.fitted.u_iso[i] == pytest.approx(-1 / (2 * beta[1]), rel=1e-6)
        design = np.stack([np.ones_like(x), x**2, y**2, z**2, x * y, x * z, y * z], axis=1)
        b = np.linalg.lstsq(design * root[:, None], np.log(intensity) * root, rcond=None)[0]
        inverse = -np.array([[2 * b[1], b[4], b[5]], [b[4], 2 * b[2], b[6]], [b[5], b[6], 2 * b[3]]])
        np.testing.assert_allclose(found.fitted.matrices[i], np.linalg.inv(inverse), rtol=1e-5)


def test_level_is_subtracted_first() -> None:
    density, centre = one_atom(0.21 * np.eye(3))
    raised = density.with_values(density.values + 10)
    found = fit_logarithms(raised, centre, RADIUS, level=10.0)
    assert found.fitted.u_iso[0] == pytest.approx(0.21, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (lambda r2: np.exp(0.5 * r2), "not a peak"),
        (lambda r2: np.full_like(r2, -1.0), "too few voxels"),
        (lambda r2: np.exp(-0.5 * r2 / 30.0), "too wide"),
    ],
)
def test_failures_are_missing_values_with_a_reason(values: object, reason: str) -> None:
    places = GRID.positions_of(np.stack(np.indices(GRID.shape), axis=-1))
    r2 = np.sum((places - GRID.centre) ** 2, axis=-1)
    density = DensityMap(values(r2).astype(np.float32), GRID)  # type: ignore[operator]
    found = fit_logarithms(density, GRID.centre[None], RADIUS)
    assert found.iso_status == found.aniso_status == (reason,)
    assert np.isnan(found.fitted.u_iso[0])
    assert np.all(np.isnan(found.fitted.matrices))
    assert not found.fitted.usable[0]


def test_no_atoms() -> None:
    density, _ = one_atom(0.2 * np.eye(3))
    assert len(fit_logarithms(density, np.zeros((0, 3)), RADIUS).fitted) == 0


def test_fitted_atoms_draw_what_they_know() -> None:
    nan = np.full((3, 3), np.nan)
    fitted = FittedAtoms(
        GRID.centre + np.array([[0.0, 0, 0], [2.5, 0, 0], [0, 2.5, 0]]),
        np.array([1.0, 2.0, np.nan]),
        np.array([0.2, 0.3, np.nan]),
        np.stack([0.2 * np.eye(3), nan, nan]),
    )
    assert fitted.usable.tolist() == [True, True, False]
    expected = render_map(
        Gaussians(fitted.positions[:2], np.stack([0.2 * np.eye(3), 0.3 * np.eye(3)]), np.array([1.0, 2.0])),
        GRID,
    )
    np.testing.assert_allclose(fitted.density(GRID), expected, rtol=1e-5)
    heights = fitted.peak_heights
    assert heights[1] == pytest.approx(2 / (2 * np.pi * 0.3) ** 1.5)
    assert np.isnan(heights[2])


def test_region_correlation() -> None:
    density, centre = one_atom(0.2 * np.eye(3))
    everywhere = np.ones(GRID.shape, bool)
    assert region_correlation(density, 2 * density.values + 1, everywhere) == pytest.approx(1.0)
    assert np.isnan(region_correlation(density, np.zeros(GRID.shape), everywhere))
    assert len(centre) == 1
