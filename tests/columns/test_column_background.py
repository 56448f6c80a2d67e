"""Backgrounds of images of columns: how much they bend is found, and what lies on them is not theirs."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import atomfit
from atomfit.fitting.column_fit import FittedColumns, columns_of, drawn
from atomfit.fitting.column_information import ColumnInformation
from atomfit.observation.smoothness import Bending, bending
from atomfit.observation.spline import SplineBackground
from atomfit.selection.column_background import BackgroundEvidence
from atomfit.structure.grid import DensityMap, Grid

PIXEL, WIDTH, SIZE = 0.5, 0.5, 32
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.zeros(2))


def with_heights(background: SplineBackground, heights: np.ndarray) -> SplineBackground:
    return SplineBackground(heights.reshape(background.heights.shape), background.step)


def test_a_plane_costs_nothing_and_a_bowl_its_curvature() -> None:
    net = SplineBackground.over(GRID, 2.0)
    rows, columns = net.heights.shape
    y, x = np.meshgrid(np.arange(rows) * net.step[1], np.arange(columns) * net.step[0], indexing="ij")
    twisted, bowl = x * y, 0.5 * x**2
    energy = [float(Bending(3.0)(with_heights(net, f))) for f in (2 + x - 3 * y, twisted, bowl)]
    area = net.step[0] * net.step[1]
    # f_xy is one on each cell, and f_xx on each row of knots but at its ends.
    expected = [0.0, 0.5 * 3 * area * 2 * (rows - 1) * (columns - 1), 0.5 * 3 * area * rows * (columns - 2)]
    assert energy == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_what_smoothness_tells_is_the_curvature_of_its_prior() -> None:
    net = SplineBackground.over(GRID, 3.0)
    curved = Bending(2.0).curvature(net)
    units = np.eye(net.heights.size, dtype=np.float32)
    columns = [curved(with_heights(net, unit)).heights for unit in units]
    np.testing.assert_allclose(np.reshape(columns, units.shape), 2 * bending(net).toarray(), atol=1e-4)


def fitted(stiffness: float, seed: int, true: float) -> tuple[FittedColumns, np.ndarray]:
    """Columns on a background that is drawn from the prior, and what is left of white noise of one."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(2.5, 15, 2.4), np.arange(2.5, 15, 2.4)), -1).reshape(-1, 2)
    columns = columns_of(places, np.full(len(places), 20.0), WIDTH)
    net = SplineBackground.over(GRID, 4.0)
    values, vectors = np.linalg.eigh(true * bending(net).toarray())
    free = values > 1e-9 * values.max()
    bends = vectors[:, free] @ (rng.normal(size=free.sum()) / np.sqrt(values[free]))
    noise = rng.normal(size=GRID.shape)
    everywhere, one = np.ones(GRID.shape, bool), np.ones(GRID.shape)
    left = noise + with_heights(net, bends).on(GRID, GRID)
    return FittedColumns(columns, net, stiffness, one, everywhere, "shared"), left.ravel()


def test_evidence_is_that_of_the_data_in_full() -> None:
    state, left = fitted(5.0, 3, 5.0)
    information = ColumnInformation.of(state, GRID)
    evidence = BackgroundEvidence.of(state, information, left, 1.0)
    across, down = state.background.weights_along(GRID)
    splines = np.kron(down, across)
    values, vectors = np.linalg.eigh(bending(state.background).toarray())
    flat = values < 1e-9 * values.max()
    assert information.width is not None
    of_columns = [information.windows.drawn(unit).ravel() for unit in np.eye(3 * len(state))]
    of_width = information.width.ravel()
    unknown = np.column_stack([*of_columns, of_width, splines @ vectors[:, flat]])
    # What is left of the data by all that nothing is known of: the likelihood of contrasts.
    contrasts = np.linalg.svd(unknown, full_matrices=True)[0][:, unknown.shape[1] :]
    seen, bent = contrasts.T @ left, contrasts.T @ splines @ vectors[:, ~flat]

    def in_full(stiffness: float) -> float:
        spread = bent @ np.diag(1 / (stiffness * values[~flat])) @ bent.T + np.eye(len(seen))
        return float(multivariate_normal.logpdf(seen, cov=spread, allow_singular=False))

    gained = [evidence.log_evidence(s) - evidence.log_evidence(5.0) for s in (0.5, 50.0)]
    assert gained == pytest.approx([in_full(s) - in_full(5.0) for s in (0.5, 50.0)], abs=0.02)


@pytest.mark.parametrize("true", [0.3, 30.0])
def test_stiffness_is_found(true: float) -> None:
    found = []
    for seed in range(6):
        state, left = fitted(3.0, seed, true)
        evidence = BackgroundEvidence.of(state, ColumnInformation.of(state, GRID), left, 1.0)
        found.append(evidence.expected(state.stiffness))
    # Stiffnesses are tried in steps of √10.
    assert np.median(found) == pytest.approx(true, rel=1.5)
    assert 0.2 * true < np.exp(np.mean(np.log(found))) < 5 * true


def test_a_bent_support_is_no_part_of_columns() -> None:
    pixel, size, gain = 0.15, 128, 0.004
    grid = Grid((size, size), np.full(2, pixel), np.zeros(2))
    index = np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)), axis=-1).reshape(-1, 2)
    places = index @ np.array([[2.4, 0.1], [1.1, 2.2]])
    places = places[np.linalg.norm(places, axis=1) < 7.2] + grid.centre + 0.03
    sizes = np.random.default_rng(1).uniform(0.3, 1.0, len(places))
    x = np.arange(size) * pixel
    support = 0.1 + 0.05 * np.cos(2 * np.pi * x[None] / 25) * np.cos(2 * np.pi * x[:, None] / 25)
    clean = drawn(grid, columns_of(places, sizes, WIDTH)) + support
    counts = gain * np.random.default_rng(0).poisson(clean / gain)
    result = atomfit.columns(DensityMap(counts.astype(np.float32), grid), "Pt", counts="off")
    assert len(result) == len(places)
    which = np.argmin(np.linalg.norm(result.positions - places[:, None], axis=2), axis=1)
    wrong = result.cross_sections[which] - sizes
    assert abs(wrong.sum() / sizes.sum()) < 0.01
    assert np.sqrt(np.mean((wrong / result.cross_section_esds[which]) ** 2)) == pytest.approx(1, abs=0.3)


def test_tails_of_columns_are_theirs() -> None:
    """Two wide tails of each column add up to a body; beside it there is nothing but a flat support."""
    pixel, size, gain = 0.2, 144, 0.002
    grid = Grid((size, size), np.full(2, pixel), np.zeros(2))
    index = np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)), axis=-1).reshape(-1, 2)
    places = index @ np.array([[2.4, 0.1], [1.1, 2.2]])
    places = places[np.linalg.norm(places, axis=1) < 7.2] + grid.centre + 0.03
    sizes = np.full(len(places), 0.7)
    clean = 0.05 + drawn(grid, columns_of(places, 0.6 * sizes, WIDTH))
    clean += drawn(grid, columns_of(places, 0.4 * sizes, 1.2))
    counts = gain * np.random.default_rng(0).poisson(clean / gain)
    result = atomfit.columns(DensityMap(counts.astype(np.float32), grid), "Pt", counts="off")
    inner = np.linalg.norm(result.positions - grid.centre, axis=1) < 4.5
    assert np.mean(result.cross_sections[inner]) / 0.7 > 0.85
