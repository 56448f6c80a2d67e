"""Shifts and widths that were not refined: none where there are none, and as large as they were planted."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.projection.fitted import FittedSeries
from atomfit.projection.unrefined import shifts_left, widths_left
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians
from atomfit.simulation.series import projected
from atomfit.structure.scattering import GaussianMixture
from atomfit.verdict.of_views import drifted

PIXEL, SHAPE, VIEWS, U, NOISE = 0.35, (70, 70), 24, 0.2, 0.05
GEOMETRY = Views.from_tilts(np.linspace(-70, 70, VIEWS), "y", SHAPE)


def images(positions: np.ndarray, variances: np.ndarray, views: Views) -> np.ndarray:
    n = len(positions)
    atoms = Gaussians(positions, variances[:, None, None] * np.eye(3), np.full(n, 2.0))
    return np.stack(list(projected(atoms, views, np.zeros(3), SHAPE, PIXEL)))


def fitted(spread: float = 0.0, drift: float = 0.0, seed: int = 0) -> tuple[np.ndarray, FittedSeries]:
    """Sixty atoms drawn alike and without drift, and what is left of images where that is not so."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)[:60] - 1.5
    positions = 2.8 * grid + rng.normal(0, 0.1, (60, 3))
    shifts = rng.normal(0, drift, (VIEWS, 2)) / PIXEL
    moved = replace(GEOMETRY, centres=GEOMETRY.centres + shifts)
    drawn = images(positions, np.full(60, U), GEOMETRY)
    measured = images(positions, U + rng.normal(0, spread, 60), moved)
    noise = NOISE * rng.standard_normal(drawn.shape)
    series = TiltSeries(
        (measured + noise).astype(np.float32), np.ones(drawn.shape, bool), PIXEL, GEOMETRY, np.zeros(3)
    )
    return drawn, FittedSeries(
        series,
        (series.images - drawn).astype(np.float32),
        np.full(drawn.shape, NOISE**-2, np.float32),
        np.ones(VIEWS),
        positions,
        np.full(60, 2.0),
        GaussianMixture(np.ones(1), np.array([U])),
    )


def test_noise_is_neither_drift_nor_width() -> None:
    """Chi-square is one for each, over ten series; none is clear."""
    found = [(shifts_left(*fitted(seed=seed)), widths_left(fitted(seed=seed)[1])) for seed in range(10)]
    for each in zip(*found, strict=True):
        assert np.mean([one.chi_square for one in each]) == pytest.approx(1, abs=0.15)
        assert not any(one.clear for one in each)


def test_drift_is_as_large_as_it_was_planted() -> None:
    drawn, left = fitted(drift=0.1)
    found = shifts_left(drawn, left)
    assert found.clear
    assert found.rms == pytest.approx(0.1, rel=0.25)
    (finding,) = drifted(found, VIEWS, 0.02, 2.8)
    assert (finding.code, finding.level) == ("drift", "doubtful")
    # What moves atoms by less than they are known is no matter; what jumbles them is bad.
    assert drifted(found, VIEWS, 0.2, 2.8) == []
    assert drifted(replace(found, rms=0.7), VIEWS, 0.02, 2.8)[0].level == "bad"


def test_widths_differ_by_what_was_planted() -> None:
    found = widths_left(fitted(spread=0.03)[1])
    assert found.worthwhile
    assert found.rms == pytest.approx(0.03, rel=0.35)
    assert not widths_left(fitted(drift=0.0)[1]).worthwhile


def test_few_say_nothing() -> None:
    drawn, left = fitted(drift=0.3)
    few = replace(left, precisions=left.precisions * (np.arange(VIEWS) < 3)[:, None, None])
    assert not shifts_left(drawn, few).clear
    assert not widths_left(
        replace(left, positions=left.positions[:4], amplitudes=left.amplitudes[:4])
    ).clear
