"""Columns of simulated images: found, placed, measured, with error bars that are right."""

import csv
import json
from functools import cache
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

import atomfit
from atomfit.detection.column_filter import BlobFilter, maxima, roundness
from atomfit.detection.column_scale import find_scale
from atomfit.detection.image_brightness import brightness_law
from atomfit.fitting.column_fit import FittedColumns, columns_of, drawn
from atomfit.fitting.column_information import ColumnInformation
from atomfit.io.mrc import read_stored
from atomfit.io.mrc_header import parse_stack_header
from atomfit.observation.column_image import ColumnImage
from atomfit.observation.point_spread import PointSpread
from atomfit.observation.spline import SplineBackground
from atomfit.results.columns import ColumnsResult
from atomfit.structure.grid import DensityMap, Grid

PIXEL, WIDTH, GAIN, SIZE = 0.15, 0.5, 0.02, 128
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.array([2.0, -1.0]))


def lattice() -> np.ndarray:
    """A disc of columns, 2.4 Å apart, off the pixels."""
    index = np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)), axis=-1).reshape(-1, 2)
    places = index @ np.array([[2.4, 0.1], [1.1, 2.2]])
    return places[np.linalg.norm(places, axis=1) < 7.2] + GRID.centre + 0.03


def truth(seed: int) -> tuple[np.ndarray, np.ndarray]:
    places = lattice()
    return places, np.random.default_rng(seed).uniform(0.3, 1.0, len(places))


def simulated(seed: int, dark: bool = False) -> DensityMap:
    """Poisson counts of columns on a support that is thicker on one side."""
    places, sizes = truth(seed)
    support = 0.1 + 0.004 * (np.arange(SIZE) * PIXEL)[None]
    clean = drawn(GRID, columns_of(places, sizes, WIDTH)) + support
    noisy = GAIN * np.random.default_rng(seed + 100).poisson(clean / GAIN)
    return DensityMap((5.0 - noisy if dark else noisy).astype(np.float32), GRID)


@cache
def found(seed: int = 1) -> ColumnsResult:
    return atomfit.columns(simulated(seed), "Pt")


def matched(result: ColumnsResult, places: np.ndarray) -> np.ndarray:
    distances, which = cKDTree(result.positions).query(places)
    assert np.all(distances < 0.5)
    return which


def test_all_columns_are_found_and_no_other() -> None:
    places, sizes = truth(1)
    result = found()
    assert len(result) == len(places)
    which = matched(result, places)
    assert result.positions[which] == pytest.approx(places, abs=0.12)
    assert np.median(result.cross_sections[which] / sizes) == pytest.approx(1, abs=0.02)
    assert result.fitted.width == pytest.approx(WIDTH, rel=0.03)
    assert result.verdict.level == "good"


def test_error_bars_are_right() -> None:
    z, s = [], []
    for seed in range(1, 5):
        places, sizes = truth(seed)
        result = found(seed)
        which = matched(result, places)
        z.append((result.positions[which] - places) / result.uncertainty.esd[which])
        s.append((result.cross_sections[which] - sizes) / result.cross_section_esds[which])
    assert np.std(np.concatenate(z)) == pytest.approx(1, abs=0.15)
    assert np.sqrt(np.mean(np.concatenate(s) ** 2)) == pytest.approx(1, abs=0.25)


def test_dark_columns_have_negative_cross_sections() -> None:
    places, sizes = truth(1)
    result = atomfit.columns(simulated(1, dark=True), "Pt")
    assert not result.scale.bright
    which = matched(result, places)
    assert len(result) == len(places)
    assert np.median(-result.cross_sections[which] / sizes) == pytest.approx(1, abs=0.02)
    seen = result.counted
    assert np.corrcoef(simulated(1, dark=True).values[seen], result.model[seen])[0, 1] > 0.8


def test_noise_has_no_columns() -> None:
    noise = np.random.default_rng(0).normal(1, 0.1, (SIZE, SIZE))
    result = atomfit.columns(noise, pixel_size=PIXEL)
    assert len(result) <= 1
    if not len(result):
        assert result.verdict.codes == ("no-columns",)


def test_files(tmp_path: Path) -> None:
    result = found()
    out = result.write(tmp_path / "out")
    with open(out / "columns.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result)
    assert float(rows[0]["x"]) == pytest.approx(result.positions[0, 0], abs=1e-5)
    assert rows[0]["element"] == "Pt"
    header, model = read_stored(out / "model.mrc", lambda raw: parse_stack_header(raw, single=True))
    np.testing.assert_allclose(header.origin[:2], GRID.origin)
    assert header.spacing[0] == pytest.approx(PIXEL, rel=1e-5)
    np.testing.assert_allclose(model[0], result.model, rtol=1e-5)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["columns"] == len(result)
    assert summary["fit"]["noise"]["gain"] == pytest.approx(GAIN, rel=0.1)
    statstem = np.loadtxt(out / "columns_statstem.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(statstem[:, :2], result.positions - GRID.origin + PIXEL, atol=1e-5)


def test_atoms_are_counted(tmp_path: Path) -> None:
    """Columns of one to four atoms, by a library."""
    places = lattice()
    counts = np.random.default_rng(5).integers(1, 5, len(places))
    clean = drawn(GRID, columns_of(places, 0.25 * counts, WIDTH)) + 0.1
    noisy = GAIN * np.random.default_rng(6).poisson(clean / GAIN)
    library = tmp_path / "library.csv"
    rows = [f"{k},{0.25 * k}" for k in range(1, 8)]
    library.write_text("\n".join(["count,cross_section", *rows]) + "\n", encoding="utf-8")
    result = atomfit.columns(DensityMap(noisy.astype(np.float32), GRID), "Pt", library=library)
    assert result.counts is not None
    which = matched(result, places)
    assert np.mean(result.counts.most_likely[which] == counts) > 0.9
    assert abs(result.counts.total - counts.sum()) < 4 * result.counts.total_esd
    out = result.write(tmp_path / "out")
    with open(out / "columns.csv", encoding="utf-8") as file:
        assert {row["count"] for row in csv.DictReader(file)} <= {"1", "2", "3", "4", "5"}
    assert (out / "counts.csv").exists()


def test_a_job_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    first = atomfit.columns(simulated(1), "Pt", checkpoint=tmp_path / "c")
    assert (tmp_path / "c").exists()
    again = atomfit.columns(simulated(1), "Pt", checkpoint=tmp_path / "c", resume=True)
    np.testing.assert_array_equal(again.positions, first.positions)


def test_information_is_that_of_slow_derivatives() -> None:
    places, sizes = lattice()[:5], np.full(5, 0.5)
    fitted = FittedColumns(
        columns_of(places, sizes, WIDTH),
        SplineBackground.over(GRID, 10.0),
        np.full(GRID.shape, 0.01),
        np.ones(GRID.shape, bool),
        "own",
    )
    information = ColumnInformation.of(fitted, GRID).matrix.todense()

    def image(numbers: np.ndarray) -> np.ndarray:
        x, y, a, w = numbers.reshape(5, 4).T
        total = np.zeros(GRID.shape)
        for one in zip(x, y, a, w, strict=True):
            columns = columns_of(np.array([one[:2]]), np.array([one[2]]), WIDTH * np.exp(one[3]))
            total += drawn(GRID, columns)
        return total.ravel()

    at = np.column_stack([places, sizes, np.zeros(5)]).ravel()
    step = 1e-4
    slopes = np.array([(image(at + step * e) - image(at - step * e)) / (2 * step) for e in np.eye(20)])
    np.testing.assert_allclose(information, slopes @ slopes.T / 0.01, atol=2e-3 * np.abs(information).max())


def test_the_shared_width_is_told_by_slow_derivatives() -> None:
    places, sizes = lattice()[:5], np.full(5, 0.5)
    # Pixels that do not count, and a window over the edge.
    counted = np.arange(SIZE)[None] * np.ones((SIZE, 1)) > 60
    state = FittedColumns(
        columns_of(places, sizes, WIDTH),
        SplineBackground.over(GRID, 10.0),
        np.full(GRID.shape, 0.01),
        counted,
        "shared",
    )
    step = 1e-4
    wide, narrow = (drawn(GRID, columns_of(places, sizes, WIDTH * np.exp(s))) for s in (step, -step))
    slope = np.where(counted, 10 * (wide - narrow) / (2 * step), 0)
    told = ColumnInformation.of(state, GRID).shared[0]
    np.testing.assert_allclose(told, slope, atol=0.01 * np.abs(slope).max())


def test_steps_follow_about_the_information() -> None:
    places, sizes = lattice(), truth(1)[1]
    columns = columns_of(places, sizes, WIDTH)
    background = SplineBackground.over(GRID, 8.0, 0.1)
    variance = GAIN * (drawn(GRID, columns) + 0.1)
    image = ColumnImage.of(simulated(1), variance, background, PointSpread.none())
    image = image.planned(columns, background)
    rng = np.random.default_rng(0)
    changes = columns_of(rng.normal(size=places.shape), rng.normal(size=len(sizes)), 1.0)
    below = SplineBackground(0.1 * rng.normal(size=background.heights.shape), background.step)
    there, along = (
        jax.tree.map(lambda x: jnp.asarray(x, jnp.float32) if x.dtype.kind == "f" else x, both)
        for both in ((columns, background), (changes, below))
    )
    moves = eqx.filter(along, eqx.is_inexact_array)
    products = (
        eqx.filter_jit(lambda m, of=of: of(*there)(m)) for of in (image.information, image.steepness)
    )
    exact, near = (product(moves) for product in products)
    for part in ("positions", "amplitudes"):
        a, b = (np.asarray(getattr(x[0], part)) for x in (exact, near))
        assert np.linalg.norm(a - b) < 0.2 * np.linalg.norm(a)


def test_the_law_of_brightness() -> None:
    m = np.random.default_rng(0).uniform(0, 3, 50_000)
    left = np.random.default_rng(1).normal(0, np.sqrt(0.2 + 0.5 * m))
    law = brightness_law(m, left)
    assert (law.level, law.gain) == pytest.approx((0.2, 0.5), rel=0.05)


def test_scale_and_sign_of_blobs() -> None:
    for sign in (1, -1):
        values = sign * drawn(GRID, columns_of(lattice(), np.ones(len(lattice())), WIDTH))
        scale = find_scale(values, PIXEL, np.full(GRID.shape, 1e-4))
        assert scale.bright == (sign > 0)
        assert scale.width == pytest.approx(WIDTH, rel=0.2)


def test_fringes_are_not_round() -> None:
    x = np.arange(SIZE) * PIXEL
    fringes = np.cos(2 * np.pi * x / 2.4)[None] + 1e-3 * np.random.default_rng(0).normal(size=(SIZE, SIZE))
    smooth = BlobFilter(fringes, PIXEL).smooth(WIDTH)
    places, _ = maxima(smooth, 0.0, 3)
    assert np.median(roundness(smooth, places, 3)) < 0.1
