"""Counts, lattices and strain of a simulated image's columns, from `columns` to the files."""

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

import atomfit
from atomfit.files.image_columns import IMAGE_COLUMNS
from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.results.columns import ColumnsResult
from atomfit.statistics import Counting, Library, measure_columns
from atomfit.statistics.plane_defects import Vacancy
from atomfit.statistics.vacant_sites import left_at
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError

PIXEL, SIZE, WIDTH, GAIN = 0.15, 128, 0.48, 1e-4 / 0.15**2
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.array([4.0, -2.0]))
BASIS = np.array([[2.3, 0.7], [0.2, 2.2]]).T
STEP = 0.025
STEPS = Library(STEP * np.arange(1.0, 9.0))


def truth() -> tuple[np.ndarray, np.ndarray]:
    """A pyramid of columns with one lacking in it: places, and numbers of atoms."""
    index = np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)), axis=-1).reshape(-1, 2)
    far = np.abs(index).max(axis=1)
    kept = (far < 4) & ~np.all(index == [1, 0], axis=1)
    return index[kept] @ BASIS.T + GRID.centre + 0.02, 9 - 2 * far[kept]


@cache
def image() -> DensityMap:
    places, counts = truth()
    clean = 0.02 + drawn(GRID, columns_of(places, STEP * counts.astype(float), WIDTH))
    return DensityMap((GAIN * np.random.default_rng(3).poisson(clean / GAIN)).astype(np.float32), GRID)


@cache
def library(directory: Path) -> Path:
    path = directory / "library.csv"
    values = 0.98 * STEP * np.arange(1, 9)
    path.write_text("".join(f"{i},{x:.6g}\n" for i, x in enumerate(values, 1)), encoding="utf-8")
    return path


@cache
def found(directory: Path) -> ColumnsResult:
    return atomfit.columns(image(), "Pt", library=library(directory), library_error=0.03, reference="bulk")


def places_of(vacancy: Vacancy) -> np.ndarray:
    return vacancy.position[None]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ColumnsResult:
    return found(tmp_path_factory.getbasetemp())


def test_counts_are_those_of_the_specimen(result: ColumnsResult) -> None:
    places, counts = truth()
    assert len(result) == len(places)
    assert result.counts is not None
    which = cKDTree(places).query(result.positions)[1]
    np.testing.assert_array_equal(result.counts.most_likely, counts[which])
    assert result.counts.total == pytest.approx(counts.sum(), abs=3 * result.counts.total_esd + 0.5)
    assert result.counts.scale == pytest.approx(1 / 0.98, abs=3 * result.counts.scale_esd)
    # One column has nine atoms, the library eight.
    assert "counts" in result.verdict.codes


def test_lattice_vacancy_and_strain(result: ColumnsResult) -> None:
    (lattice,) = result.lattices
    lengths = np.sort(np.linalg.norm(BASIS, axis=0))
    assert np.sort(lattice.cell.lengths) == pytest.approx(lengths, abs=4 * lattice.cell.lengths_esd.max())
    (vacancy,) = result.statistics.vacancies
    assert vacancy.position == pytest.approx(BASIS[:, 0] + GRID.centre + 0.02, abs=0.05)
    # The image is empty there, and a column that the fit lacks would not be.
    assert abs(result.statistics.vacant[0]) < 0.1
    lost = drawn(GRID, columns_of(places_of(vacancy), np.ones(1), WIDTH))
    left = left_at(
        DensityMap(lost, GRID),
        np.ones(GRID.shape, bool),
        places_of(vacancy),
        WIDTH,
        truth()[0],
        np.full(len(truth()[0]), 2.0),
    )
    assert left == pytest.approx(0.5, abs=1e-3)
    z = result.strain.tensors / result.strain.errors
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1, abs=0.3)
    assert result.statistics.surface.sum() >= 24


def test_files_say_the_same(result: ColumnsResult, tmp_path: Path) -> None:
    out = result.write(tmp_path / "out")
    with open(out / "columns.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lead = "id,element,x,y,x_esd,y_esd,cross_section,cross_section_esd,count,count_low,count_high"
    assert ",".join(column.name for column in IMAGE_COLUMNS[:11]) == lead
    assert ",".join(list(rows[0])[:11]) == lead
    assert result.counts is not None
    total = sum(int(row["count"]) for row in rows)
    assert total == result.counts.most_likely.sum()
    lattice = result.lattices[0]
    site = np.array([[float(row["h"]), float(row["k"])] for row in rows])
    place = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    assert np.std(place - site @ lattice.basis.T, axis=0).max() < 0.1
    assert all(row["ordered"] == "" for row in rows)
    with open(out / "counts.csv", encoding="utf-8") as file:
        counted = list(csv.DictReader(file))
    assert sum(int(row["columns"]) * int(row["count"]) for row in counted) == total
    assert sum(float(row["expected"]) for row in counted) == pytest.approx(len(rows), abs=0.02)
    probabilities = np.loadtxt(out / "count_probabilities.csv", delimiter=",", skiprows=1)
    assert probabilities[:, 1:].sum(axis=1) == pytest.approx(1, abs=1e-3)
    whole = json.loads((out / "particle.json").read_text(encoding="utf-8"))
    assert whole["atoms"]["total"] == pytest.approx(result.counts.total)
    assert whole["domains"][0]["columns"] == len(rows)
    assert len(whole["vacancies"]) == 1


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    given = library(tmp_path)
    for elements, changes, where in (
        ("Pt", {"order": "L1_0"}, "--order"),
        ((), {"order": "L1_0"}, "--order"),
        (("Pt", "Co"), {"library": given}, "--library"),
        ("Pt", {"counts": "off", "library": given}, "--library"),
        ("Pt", {"counts": "off", "neighbours": False}, "--neighbours"),
        ("Pt", {"library_error": 0.1}, "--library-error"),
        ("Pt", {"library": tmp_path / "none.csv"}, "none.csv"),
    ):
        with pytest.raises(InputError, match=where):
            atomfit.columns(image(), elements, **changes)  # type: ignore[arg-type]


def test_phase_analysis_sees_the_strain_that_columns_have() -> None:
    """A crystal that is stretched along x, and more so to the right, with no noise."""
    index = np.stack(np.meshgrid(np.arange(18), np.arange(18)), axis=-1).reshape(-1, 2)
    places = 2.4 * index + 8.0
    x = places[:, 0] - places[:, 0].mean()
    places[:, 0] += 0.001 * x**2
    grid = Grid((280, 300), np.full(2, 0.2), np.array([-3.0, 1.0]))
    image = DensityMap(drawn(grid, columns_of(places + grid.origin, np.ones(len(places)), 0.5)), grid)
    n = len(places)
    known = np.tile(1e-6 * np.eye(2), (n, 1, 1))
    found = measure_columns(
        places + grid.origin, known, np.ones(n), np.full(n, 0.01), Counting(reason="no"), image=image
    )
    assert found.phase is not None
    inside = np.abs(index - 8.5).max(axis=1) < 5
    planted = 0.002 * x[inside]
    for tensors in (found.strain.tensors, found.phase.tensors):
        np.testing.assert_allclose(tensors[inside, 0] - tensors[inside, 0].mean(), planted, atol=2e-3)
        assert np.abs(tensors[inside, 1:]).max() < 2e-3


def numbered(n: int) -> tuple[np.ndarray, ...]:
    """Columns at random, with their covariances, cross-sections and uncertainties."""
    places = np.random.default_rng(n).uniform(0, 20, (n, 2))
    return places, np.tile(1e-4 * np.eye(2), (n, 1, 1)), np.full(n, 0.1), np.full(n, 0.004)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 40])
def test_columns_that_say_little_say_it(n: int) -> None:
    """None, a few, or many without a lattice."""
    statistics = measure_columns(*numbered(n), Counting(), "L1_0")
    counted = measure_columns(*numbered(n), Counting(STEPS))
    assert not statistics.domains.lattices
    assert np.isnan(statistics.strain.tensors).all()
    # Nothing says that these are more than single atoms, but a library.
    assert statistics.counts is None
    assert statistics.uncounted
    assert (counted.counts is None) == bool(counted.uncounted) == (n == 0)
    assert np.isnan(statistics.ordered).all()


def test_columns_without_a_use_are_left_out() -> None:
    """A cross-section that is negative is not counted; a covariance that is none is not known."""
    places, covariances, sizes, esds = numbered(40)
    sizes[3], esds[5], covariances[7] = -0.1, np.nan, -np.eye(2)
    statistics = measure_columns(places, covariances, sizes, esds, Counting(STEPS))
    assert set(range(40)) - set(statistics.counted.tolist()) == {3, 5}


def test_rows_of_columns_have_no_facets() -> None:
    line = np.column_stack([np.arange(20) * 2.4, np.zeros(20)])
    statistics = measure_columns(line, *numbered(20)[1:], Counting(reason="no"))
    assert statistics.uncounted == "no"
    assert not statistics.facets
