"""Facets and defects on the page of an image: planted ones, from places of columns to words."""

import re
from typing import Any

import numpy as np

from atomfit.files.image_column_tables import statistics_table
from atomfit.files.image_particle import particle_statistics
from atomfit.report.image_crystal import crystal_shown
from atomfit.statistics.image_columns import ColumnStatistics, Counting, measure_columns

ESD = 0.01
CELL = np.array([2.8, 2.4])


def measured(places: np.ndarray, seed: int = 0, **more: Any) -> ColumnStatistics:
    n = len(places)
    noisy = places + np.random.default_rng(seed).normal(0, ESD, places.shape)
    known = np.tile(ESD**2 * np.eye(2), (n, 1, 1))
    return measure_columns(noisy, known, np.ones(n), np.full(n, 0.01), Counting(reason="not asked"), **more)


def shown(statistics: ColumnStatistics) -> dict[str, Any]:
    return crystal_shown(particle_statistics(statistics))


def block(width: int = 11, height: int = 9) -> tuple[np.ndarray, np.ndarray]:
    index = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
    return index, CELL * index


def test_a_layer_that_has_moved_and_a_vacancy_are_told() -> None:
    index, places = block()
    last = index[:, 1] == 8
    places[last, 1] += 0.09
    hole = np.all(index == [4, 3], axis=1)
    statistics = measured(places[~hole])
    told = shown(statistics)
    assert len(told["facets"]["rows"]) == 4
    moved = [row for row in told["facets"]["rows"] if float(row[4]) > 25 and row[6].startswith("+")]
    (facet,) = [row for row in moved if abs(float(row[6].split()[0]) - 9) < 3]
    value, esd, part = (float(x) for x in re.findall(r"[+−]?[\d.]+", facet[6].replace("−", "-")))
    assert abs(value - 9) < 3 * esd
    assert 0.2 < esd < 1
    assert abs(part - value / 2.4) < 0.06
    assert abs(float(facet[3]) - 2.4) < 0.005
    assert facet[5] == 11
    # The layer beneath has not.
    assert abs(float(facet[7].split()[0].replace("−", "-"))) < 1.5
    assert (
        "outermost layer lies farther out than the inner columns' lattice has it in 1,"
        in (told["facets"]["words"])
    )
    (defect,) = told["defects"]["rows"]
    assert defect[0] == "vacancy"
    assert np.abs(np.array([float(x) for x in defect[1:3]]) - CELL * [4, 3]).max() < 0.03
    assert "neighbours' places alone" in defect[4]
    (mark,) = told["marks"]
    assert mark["kind"] == "vacancy"
    assert "no dislocation and no boundary" in told["defects"]["words"]
    # The file has the facet of each column: the moved ones are all of one.
    of = statistics_table(statistics)["facet"]
    assert (of[(statistics.surface) & ~_near(statistics, CELL * [4, 3])] > 0).all()
    assert set(of[last[~hole]][1:-1]) == {facet[0]}
    assert (of[~statistics.surface] == 0).all()


def _near(statistics: ColumnStatistics, place: np.ndarray) -> np.ndarray:
    """Columns around a place, in the frame of the domain's sites."""
    lattice = statistics.domains.lattices[0]
    return np.asarray(np.linalg.norm(lattice.ideal() - place, axis=1) < 4.5)


def test_a_stacking_fault_is_told_with_its_shift() -> None:
    index, places = block(14, 10)
    places[index[:, 0] > 6, 1] += 0.4 * 2.4
    told = shown(measured(places))
    (row,) = [row for row in told["defects"]["rows"] if row[0] == "stacking fault"]
    assert row[3] == "1 and 2"
    shifts = [abs(float(x)) for x in re.findall(r"([\d.]+) ± ", row[4])]
    assert abs(max(shifts) - 0.4) < 0.02
    assert min(shifts) < 0.02
    assert not told["marks"]


def test_what_is_left_says_whether_a_site_is_empty() -> None:
    site = {"domain": 1, "position": (1.0, 2.0)}
    words = [
        crystal_shown({"domains": [{}], "vacancies": [site | {"left": left}]})["defects"]["rows"][0][4]
        for left in (0.02, 0.7, None)
    ]
    assert words[0].startswith("empty: the image has 0.02")
    assert words[1].startswith("no vacancy: the image has 0.70")
    assert words[2].startswith("known from its neighbours")


def test_antisites_are_told_or_why_not() -> None:
    """Two of a checkerboard's columns have the other's brightness."""
    index = np.stack(np.meshgrid(np.arange(12), np.arange(12)), axis=-1).reshape(-1, 2)
    bright = index.sum(axis=1) % 2 == 0
    wrong = np.all(index == [5, 4], axis=1) | np.all(index == [7, 8], axis=1)
    sizes = np.where(bright ^ wrong, 1.3, 0.7) + np.random.default_rng(2).normal(0, 0.02, len(index))
    known = np.tile(ESD**2 * np.eye(2), (len(index), 1, 1))
    given = 1.93 * index + np.random.default_rng(1).normal(0, ESD, index.shape), known, sizes
    counting = Counting(reason="two elements")
    told = shown(measure_columns(*given, np.full(len(index), 0.02), counting, "L1_0"))
    found = re.search(r"Of (\d+) columns ([\d.]+) are expected", told["defects"]["words"])
    assert found is not None
    assert int(found[1]) == 144
    assert abs(float(found[2]) - 2) < 0.6
    without = shown(measure_columns(*given, np.full(len(index), 0.02), counting))
    assert "Antisites were not looked for" in without["defects"]["words"]


def test_columns_without_a_lattice_have_no_facets_and_it_is_said() -> None:
    told = shown(measured(np.random.default_rng(3).uniform(0, 30, (25, 2))))
    assert not told["facets"]["rows"]
    assert "no lattice" in told["facets"]["words"]
    assert "no lattice" in told["defects"]["words"]
