"""Wings and growth of columns: planted ones are measured, none are seen where there are none."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

import atomfit
from atomfit.fitting.column_fit import FittedColumns, Widths, columns_of, grown
from atomfit.fitting.column_information import ColumnInformation
from atomfit.fitting.column_wings import wings_of
from atomfit.observation.point_spread import PointSpread
from atomfit.observation.spline import SplineBackground
from atomfit.selection.column_judgement import judge
from atomfit.structure.grid import DensityMap, Grid
from atomfit.verdict.of_columns import judge_columns

PIXEL, WIDTH, SIZE, GAIN = 0.16, 0.45, 190, 4e-4
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.zeros(2))
WINGS, GROWTH = 0.15, 0.08


def columns(seed: int) -> tuple[np.ndarray, Float[np.ndarray, " n"]]:
    rng = np.random.default_rng(seed)
    steps = 2.5 * (np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2) - 4.0)
    places = steps + 0.5 * SIZE * PIXEL + rng.normal(0, 0.03, steps.shape)
    return places, rng.uniform(0.15, 1.5, len(places))


def state_of(seed: int, part: float, growth: float) -> FittedColumns:
    places, sizes = columns(seed)
    spread = PointSpread.wings(part, 4 * WIDTH**2) if part else PointSpread.none()
    state = FittedColumns(
        columns_of(places, sizes, WIDTH),
        SplineBackground.over(GRID, 10.0, 0.1),
        np.full(GRID.shape, 0.01),
        np.ones(GRID.shape, bool),
        "shared",
        spread,
    )
    return grown(state, growth)


def image_of(seed: int, part: float, growth: float) -> DensityMap:
    """Counts of a detector with some gain."""
    model = state_of(seed, part, growth).drawn(GRID) + 0.1
    counts = np.random.default_rng([seed, 1]).poisson(model / GAIN)
    return DensityMap((GAIN * counts).astype(np.float32), GRID)


def silent(iteration: int, value: float) -> None:
    """Nobody is told."""


@pytest.mark.parametrize(("part", "growth"), [(WINGS, GROWTH), (WINGS, 0.0), (0.0, GROWTH), (0.0, 0.0)])
def test_planted_shapes_are_measured(part: float, growth: float) -> None:
    places, sizes = columns(3)
    start = replace(state_of(3, 0.0, 0.0), columns=columns_of(places, sizes, 1.1 * WIDTH))
    found = judge(image_of(3, part, growth), start, 60, silent, shapes=6)
    known, fitted = found.uncertainty, found.fitted
    assert (float(fitted.spread.parts.sum()) != 0, fitted.growth != 0) == (part != 0, growth != 0)
    if part:
        assert float(fitted.spread.parts.sum()) == pytest.approx(part, abs=3.5 * known.wings)
        assert 0 < known.wings < 0.03
    if growth:
        assert fitted.growth == pytest.approx(growth, abs=3.5 * known.growth)
        assert 0 < known.growth < 0.02
    z = (np.asarray(fitted.columns.amplitudes) - sizes) / known.amplitudes
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("widths", ["own", "elliptical", "fixed"])
def test_widths_of_their_own_do_not_grow(widths: Widths) -> None:
    sizes = columns(3)[1]
    start = replace(state_of(3, WINGS, GROWTH), widths=widths)
    found = judge(image_of(3, WINGS, GROWTH), start, 60, silent, shapes=2)
    assert found.fitted.growth == found.uncertainty.growth == 0
    assert float(found.fitted.spread.parts.sum()) == pytest.approx(WINGS, abs=0.05)
    assert np.asarray(found.fitted.columns.amplitudes) == pytest.approx(sizes, rel=0.2)


def test_gaussians_that_are_asked_for_have_no_wings() -> None:
    result = atomfit.columns(image_of(4, WINGS, GROWTH), "Pt", counts="off", profile="gaussian")
    assert not len(result.fitted.spread)
    assert result.fitted.growth == 0
    assert np.ptp(result.widths) == pytest.approx(0, abs=1e-6)


def test_derivatives_of_shapes_are_slow_ones() -> None:
    part, growth, step = 0.1, 0.05, 1e-3
    state = state_of(5, part, growth)
    told = ColumnInformation.of(state, GRID).shared
    roots = 10.0
    for k, (wings, power) in enumerate([(step, 0.0), (0.0, step)]):
        more, less = (
            grown(
                replace(state, spread=PointSpread.wings(part + s * wings, 4 * WIDTH**2)), growth + s * power
            ).drawn(GRID)
            for s in (1, -1)
        )
        slow = roots * (more - less) / (2 * step)
        # Windows end where a column has fallen to e^-8.
        np.testing.assert_allclose(told[1 + k], slow, atol=0.02 * np.abs(slow).max())
    assert wings_of(state, np.zeros(0), GRID).shape == (0, SIZE, SIZE)


def test_a_shape_at_its_limit_is_a_finding() -> None:
    excess = np.ones(len(state_of(6, 0.1, 0.05)))
    for part, growth, name in ((0.6, 0.05, "wings"), (0.1, -0.3, "growth"), (0.1, 0.05, None)):
        verdict = judge_columns(state_of(6, part, growth), excess, True, ())
        assert verdict.codes == (() if name is None else ("shape-at-limit",))
        assert all(name is not None and one.problem.startswith(name) for one in verdict.findings)
