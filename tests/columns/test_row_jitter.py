"""Lines of a scan that are offset: planted offsets are measured, with what is not known of them."""

from dataclasses import replace

import numpy as np
import pytest

import atomfit
from atomfit.fitting.column_fit import FittedColumns, columns_of
from atomfit.observation.row_offsets import RowOffsets
from atomfit.observation.spline import SplineBackground
from atomfit.selection.column_judgement import judge
from atomfit.structure.grid import DensityMap, Grid

PIXEL, WIDTH, SIZE, GAIN, JITTER = 0.16, 0.45, 190, 4e-4, 0.1
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.zeros(2))


def planted(seed: int) -> tuple[FittedColumns, DensityMap]:
    rng = np.random.default_rng(seed)
    steps = 2.5 * (np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2) - 4.0)
    # Turned, as lines that columns have together cannot be told from columns that lie elsewhere.
    c, s = np.cos(0.35), np.sin(0.35)
    places = steps @ np.array([[c, s], [-s, c]]) + 0.5 * SIZE * PIXEL + rng.normal(0, 0.03, steps.shape)
    offsets = RowOffsets(rng.normal(0, JITTER, SIZE), np.zeros(SIZE), JITTER, 1.0, GRID)
    state = FittedColumns(
        columns_of(places, rng.uniform(0.5, 1.5, len(places)), WIDTH),
        SplineBackground.over(GRID, 10.0, 0.1),
        np.full(GRID.shape, 0.01),
        np.ones(GRID.shape, bool),
        "shared",
        rows=offsets,
    )
    counts = np.random.default_rng([seed, 1]).poisson((state.drawn(GRID) + 0.1) / GAIN)
    return state, DensityMap((GAIN * counts).astype(np.float32), GRID)


def silent(iteration: int, value: float) -> None:
    """Nobody is told."""


def test_planted_offsets_are_measured() -> None:
    z, along, plain, still = [], [], [], []
    for seed in (1, 2, 3):
        truth, image = planted(seed)
        places = np.asarray(truth.columns.positions)
        start = replace(truth, rows=RowOffsets.none(GRID))
        found = judge(image, start, 60, silent)
        rows = found.fitted.rows
        assert rows is not None
        assert truth.rows is not None
        assert rows.deviation == pytest.approx(JITTER, rel=0.25)
        # Where columns are: their offsets are told, but for what columns themselves follow.
        there = rows.variances < 0.5 * JITTER**2
        assert np.corrcoef(rows.values[there], truth.rows.values[there])[0, 1] > 0.9
        assert np.median(found.factors) < 1.2
        errors = np.asarray(found.fitted.columns.positions) - places
        z.append(errors / found.uncertainty.esd)
        along.append(errors[:, 0])
        plain.append(judge(image, replace(truth, rows=None), 60, silent))
        still.append((np.asarray(plain[-1].fitted.columns.positions) - places)[:, 0])
    along_x, along_y = np.sqrt(np.mean(np.concatenate(z) ** 2, axis=0))
    assert along_y == pytest.approx(1, abs=0.25)
    # Most of it is one shift of all columns of an image, which is drawn three times.
    assert 0.4 < along_x < 1.6
    assert np.std(np.concatenate(along)) < 0.8 * np.std(np.concatenate(still))
    assert all(np.median(one.factors) > 1.3 for one in plain)


def test_without_jitter_offsets_are_small() -> None:
    truth, _ = planted(4)
    still = replace(truth, rows=None)
    counts = np.random.default_rng(4).poisson((still.drawn(GRID) + 0.1) / GAIN)
    image = DensityMap((GAIN * counts).astype(np.float32), GRID)
    found = judge(image, replace(still, rows=RowOffsets.none(GRID)), 60, silent)
    assert found.fitted.rows is not None
    assert found.fitted.rows.deviation < 0.25 * JITTER


def test_what_wanders_within_lines_makes_their_offsets_less_known() -> None:
    truth, _ = planted(6)
    places = np.asarray(truth.columns.positions)
    rng, parts, wandering = np.random.default_rng(6), 8, np.zeros(GRID.shape)
    for edge in np.array_split(np.arange(SIZE), parts):
        offsets = replace(RowOffsets.none(GRID), values=rng.normal(0, JITTER, SIZE))
        wandering[:, edge] = replace(truth, rows=offsets).drawn(GRID)[:, edge]
    counts = rng.poisson((wandering + 0.1) / GAIN)
    image = DensityMap((GAIN * counts).astype(np.float32), GRID)
    found = judge(image, replace(truth, rows=RowOffsets.none(GRID)), 60, silent)
    assert found.fitted.rows is not None
    # Lines have next to nothing in common; what pixels' own noise says of them is far too sure.
    assert found.fitted.rows.excess > 10
    assert found.fitted.rows.deviation < 0.6 * JITTER
    assert np.abs(np.asarray(found.fitted.columns.positions) - places).max() < 0.15


def test_the_option_measures_what_was_simulated() -> None:
    truth, image = planted(5)
    result = atomfit.columns(image, "Pt", counts="off", row_jitter=True)
    rows = result.fitted.rows
    assert rows is not None
    assert len(result) == len(truth)
    assert rows.deviation == pytest.approx(JITTER, rel=0.25)
    assert result.verdict.level == "good"


def test_rows_of_another_net_have_that_of_the_nearest() -> None:
    offsets = RowOffsets(np.arange(4.0), np.ones(4), 1.0, 1.0, Grid((4, 4), np.full(2, 0.2), np.zeros(2)))
    fine = Grid((10, 4), np.full(2, 0.1), np.array([0.0, -0.11]))
    assert offsets.on(fine).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
