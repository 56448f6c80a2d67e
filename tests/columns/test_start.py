"""Columns to begin with, as other programs leave them: read as they are meant, refined, none lost."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import atomfit
from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.io.column_files import read_columns
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError

GRID = Grid((96, 80), np.full(2, 0.15), np.array([2.0, -1.0]))


def places() -> np.ndarray:
    index = np.stack(np.meshgrid(np.arange(3), np.arange(4)), axis=-1).reshape(-1, 2)
    return index @ np.array([[2.5, 0.1], [0.3, 2.6]]) + GRID.origin + [2.6, 2.5]


@cache
def image() -> DensityMap:
    clean = drawn(GRID, columns_of(places(), np.linspace(0.5, 1, 12), 0.5)) + 0.1
    return DensityMap((0.01 * np.random.default_rng(1).poisson(clean / 0.01)).astype(np.float32), GRID)


def table(path: Path, titles: str, rows: np.ndarray) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(titles.split(","))
        writer.writerows(rows)
    return path


def atomap(path: Path, pixels: np.ndarray, shape: tuple[int, int] = (96, 80)) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, part in (("a_sublattice", pixels[:5]), ("b_sublattice", pixels[5:])):
            file[f"{name}/atom_positions"] = part
            file[f"{name}/original_image_data"] = np.zeros(shape)
        file["image_data0"] = np.zeros(shape)
    return path


def written(kind: str, folder: Path) -> Path:
    true, pixels = places(), (places() - GRID.origin) / GRID.spacing
    if kind == "atomap":
        return atomap(folder / "lattice.hdf5", pixels)
    titles, rows = {
        "own": ("id,x,y,x_esd,cross_section", np.column_stack([np.arange(12), true, true])),
        "statstem": ("x_A,y_A,type", np.column_stack([(pixels + 1) * 0.15, np.ones(12)])),
        "marks": (" ,X,Y", np.column_stack([np.arange(12), np.rint(pixels)])),
        "pixels": ("x_px,y_px", pixels),
        "plain": ("x,y", true),
        "sublattice": ("x,y,sigma_x,sigma_y", np.column_stack([pixels, pixels])),
        "frames": (
            "frame,x_A,y_A",
            np.vstack([[[1, 3, 3]], np.column_stack([0 * true[:, 0], (pixels + 1) * 0.15])]),
        ),
    }[kind]
    return table(folder / f"{kind}.csv", titles, rows)


@pytest.mark.parametrize(
    "kind", ["own", "statstem", "marks", "pixels", "plain", "sublattice", "frames", "atomap"]
)
def test_each_kind_of_file_is_read_as_it_is_meant(kind: str, tmp_path: Path) -> None:
    readings = read_columns(written(kind, tmp_path), GRID, 0)
    best = min(readings.values(), key=lambda found: float(np.abs(found - places()).max()))
    assert best == pytest.approx(places(), abs=0.08 if kind == "marks" else 1e-6)
    assert len(readings) == (2 if kind in ("marks", "plain") else 1)


def test_a_start_is_refined_with_none_lost_and_none_added(tmp_path: Path) -> None:
    marks = np.rint((places() - GRID.origin) / GRID.spacing)[:-1]
    nowhere = [[4.0, 91.0]]
    start = table(tmp_path / "marks.csv", "x,y", np.vstack([marks, nowhere]))
    result = atomfit.columns(image(), "Pt", start=start)
    assert len(result) == 12
    assert result.positions[:11] == pytest.approx(places()[:11], abs=0.1)
    assert "start" in result.verdict.codes
    assert result.selection.false[11] > 0.1 > result.selection.false[:11].max()


def test_selection_adds_and_removes(tmp_path: Path) -> None:
    rows = np.vstack([places()[:-1], GRID.origin + [[0.6, 13.5]]])
    result = atomfit.columns(
        image(), "Pt", start=table(tmp_path / "start.csv", "x,y", rows), selection="fit"
    )
    assert len(result) == 12
    assert np.sort(result.positions, axis=0) == pytest.approx(np.sort(places(), axis=0), abs=0.1)


def test_a_start_of_another_image_is_refused(tmp_path: Path) -> None:
    off = places() + [1.3, 1.3]
    with pytest.raises(InputError, match="shows no columns where the start has them"):
        atomfit.columns(
            image(), "Pt", start=table(tmp_path / "off.csv", "x_px,y_px", (off - GRID.origin) / 0.15)
        )
    with pytest.raises(InputError, match="none of these columns is in the image"):
        atomfit.columns(image(), "Pt", start=table(tmp_path / "far.csv", "x,y", places() * 1e3))
    with pytest.raises(InputError, match="an image of 64 x 64 pixels; this one has 80 x 96"):
        read_columns(atomap(tmp_path / "crop.hdf5", places(), (64, 64)), GRID)


@pytest.mark.parametrize(
    ("titles", "rows", "problem"),
    [
        ("a,b", [[1, 2]], "no columns x and y"),
        ("x,y", [], "no columns in this file"),
        ("x,y", [[1, "nan"]], "row 2, column 'y'"),
        ("x,y", [["1,5", 2]], "comma"),
        ("frame,x,y", [[0, 1, 2], [1, 1, 2]], "several frames"),
    ],
)
def test_what_is_no_table_of_columns_is_refused(
    titles: str, rows: list[list[object]], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "start.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([titles.split(","), *rows])
    with pytest.raises(InputError, match=problem):
        read_columns(path, GRID)


def test_columns_that_are_given_twice_are_refused(tmp_path: Path) -> None:
    start = table(tmp_path / "twice.csv", "x,y", np.vstack([places(), places()[:1] + 0.01]))
    with pytest.raises(InputError, match="columns 1 and 13"):
        atomfit.columns(image(), "Pt", start=start)


def test_without_a_start_there_is_selection() -> None:
    with pytest.raises(InputError, match="--selection"):
        atomfit.columns(image(), "Pt", selection="off")
