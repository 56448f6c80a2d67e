"""Columns of few counts: most are found, hardly any other, and none in noise."""

import numpy as np
import pytest

import atomfit
from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match

PIXEL, WIDTH, SIZE = 0.15, 0.5, 96
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.zeros(2))
#: Counts beneath a column, and of it: what is asked of noise without it has a score of 6.9.
BENEATH, OF_COLUMN = 27.0, 36.0


def test_most_columns_of_few_counts_are_found() -> None:
    index = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    places = index @ np.array([[2.5, 0.1], [0.2, 2.4]]) + 2.2
    clean = drawn(GRID, columns_of(places, np.full(25, OF_COLUMN * PIXEL**2), WIDTH))
    image = np.random.default_rng(1).poisson(clean + BENEATH * PIXEL**2 / np.pi)
    result = atomfit.columns(DensityMap(image.astype(np.float32), GRID), "Pt")
    pairs = match(np.asarray(result.positions), places, 0.6)
    assert len(pairs.known) >= 15
    assert pairs.false <= 1


def test_counts_without_columns_have_none() -> None:
    image = np.random.default_rng(2).poisson(BENEATH * PIXEL**2 / np.pi, (96, 96))
    result = atomfit.columns(image.astype(np.float32), pixel_size=PIXEL)
    assert len(result) == 0
    assert result.verdict.codes == ("no-columns",)


def field_of(seed: int, dose: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """25 columns of one to six atoms 2.6 Å apart that fill an image: places, atoms and counts."""
    rng, pixel, width = np.random.default_rng(seed), 0.2, 0.48
    steps = 1.2 + 2.6 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    places, atoms = steps + rng.normal(0, 0.03, steps.shape), rng.integers(1, 7, 25)
    axis = pixel * np.arange(64)
    across, down = (np.exp(-0.5 * ((axis - places[:, k, None]) / width) ** 2) for k in (0, 1))
    drawn = np.einsum("n,nj,ni->ji", 0.025 / (2 * np.pi * width**2) * atoms, down, across)
    return places, atoms, rng.poisson((0.02 + drawn) * dose * pixel**2).astype(np.float32)


def test_a_field_full_of_faint_columns_is_found() -> None:
    for seed in (80, 81):
        places, _, image = field_of(seed, 1e3)
        found = atomfit.columns(image, "Pt", pixel_size=0.2, counts="off")
        matched = match(np.asarray(found.positions), places, 0.6)
        assert len(matched.known) >= 17
        assert matched.false <= 1
        # Detection sees two thirds of it.
        assert found.fitted.width == pytest.approx(0.48, rel=0.12)


def test_a_faint_column_between_bright_ones_is_found() -> None:
    """Where detection shows nothing, pixels count all the same."""
    for seed in (82, 83):
        places, atoms, image = field_of(seed, 1e4)
        found = atomfit.columns(image, "Pt", pixel_size=0.2, counts="off")
        matched = match(np.asarray(found.positions), places, 0.6)
        assert matched.false <= 1
        lacking = np.setdiff1d(np.arange(25), matched.known)
        assert len(lacking) <= 1
        assert (atoms[lacking] == 1).all()


def test_bumps_of_a_film_are_no_columns() -> None:
    """Nine columns on a film of random atoms, louder than noise in a mean over a column."""
    pixel, width, size = 0.2, 0.45, 112
    grid = Grid((size, size), np.full(2, pixel), np.zeros(2))
    places = 8.0 + 2.6 * np.stack(np.meshgrid(np.arange(3), np.arange(3)), axis=-1).reshape(-1, 2)
    false = 0
    for seed in (84, 85):
        rng = np.random.default_rng(seed)
        film = rng.uniform(0, size * pixel, (rng.poisson(5 * (size * pixel) ** 2), 2))
        atoms = np.concatenate([np.full(len(film), (6 / 78) ** 1.7), rng.uniform(3.0, 6.0, 9)])
        clean = drawn(grid, columns_of(np.concatenate([film, places]), atoms, width))
        image = rng.poisson(1e5 * pixel**2 * (0.004 * clean + 1e-4)).astype(np.float32)
        found = atomfit.columns(image, "Pt", pixel_size=pixel, counts="off")
        matched = match(np.asarray(found.positions), places, 0.6)
        assert len(matched.known) == 9
        false += matched.false
    assert false <= 3
