"""Columns of an image as other programs and people leave them: `atomfit columns IMAGE --start FILE`.

A result of `columns`, a table, or the HDF5 file of Atomap. What a table's numbers mean follows from its
titles where they say so: `x_A` and `y_A` are StatSTEM's (the middle of the first pixel is at one pixel),
`x_px` and `y_px` are pixels from the middle of the first, and so are `x` and `y` beside Atomap's `sigma_x`.
Plain `x` and `y` may be Å, from the middle of the first pixel with the file's origin added, as `columns`
writes them, or pixels, as people mark them: there are two readings then, between which the image decides.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.io.text import not_a_number, number, read_text, table_rows
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError

#: What a file may mean, each in words and as positions in the image's frame (Å).
Readings = dict[str, Float[np.ndarray, "n 2"]]

_REMEDY = "give a result of atomfit columns, a table with the columns x, y, or Atomap's .hdf5 (--start)"
_HDF5 = (".hdf5", ".h5", ".hdf")
_STATSTEM, _PIXELS, _ATOMAP = ("x_a", "y_a"), (("x_px", "y_px"), ("x_pixel", "y_pixel")), "sigma_x"
_MOST_BYTES = 300_000_000
_IN_PIXELS = "in pixels from the middle of the first one"


def read_columns(path: str | Path, grid: Grid, frame: int | str | None = None) -> Readings:
    """Where a file has columns, in each way that it may be meant.

    **Arguments:**

    - `path`: the file, or the directory of a result.
    - `grid`: of the image.
    - `frame`: which one of a stack it is; rows of a table with a column `frame` are chosen by it.

    **Raises:** `InputError` if the file holds no columns of such an image.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "columns.csv").is_file():
            raise InputError("there is no columns.csv in this directory", _REMEDY, path)
        path = path / "columns.csv"
    try:
        found = _of_atomap(path, grid) if path.suffix.lower() in _HDF5 else _of_table(path, grid, frame)
    except InputError as error:
        raise error.at(path) from None
    if not len(next(iter(found.values()))):
        raise InputError("there are no columns in this file", _REMEDY, path)
    return found


def _of_table(path: Path, grid: Grid, frame: int | str | None) -> Readings:
    titles, rows = table_rows(path, read_text(path, _REMEDY, _MOST_BYTES), _REMEDY)
    titles = [title.lower() for title in titles]
    if "frame" in titles:
        rows = _of_frame(rows, titles.index("frame"), frame)
    named = next((pair for pair in (_STATSTEM, *_PIXELS, ("x", "y")) if set(pair) <= set(titles)), None)
    if named is None:
        raise InputError(f"no columns x and y ({', '.join(titles)[:80]})", "name them in the first line")
    places = np.array(
        [[_number(line, row, titles.index(name), name) for name in named] for line, row in rows]
    )
    places = places.reshape(-1, 2)
    in_pixels = grid.origin + places * grid.spacing
    if named == _STATSTEM:
        return {"in Å, the first pixel's middle at one pixel": grid.origin + places - grid.spacing}
    if named in _PIXELS or _ATOMAP in titles:
        return {_IN_PIXELS: in_pixels}
    if "x_esd" in titles or "cross_section" in titles:
        return {"in Å": places}
    return {"in Å": places, _IN_PIXELS: in_pixels}


def _of_frame(rows: list[tuple[int, list[str]]], k: int, frame: int | str | None) -> list[Any]:
    """Rows of a table of several frames."""
    frames = [number(row[k]) for _, row in rows]
    if len(set(frames)) < 2:
        return rows
    if not isinstance(frame, int):
        raise InputError("the table has columns of several frames", "say which with --frame N")
    return [row for row, of in zip(rows, frames, strict=True) if of == frame]


def _number(line: int, row: list[str], k: int, name: str) -> float:
    value = number(row[k])
    if value is None or not np.isfinite(value):
        wrong = not_a_number(row[k]) if value is None else f"it is {value}"
        raise InputError(f"row {line}, column {name!r}: {wrong}", "correct it, or leave the row out")
    return value


def _of_atomap(path: Path, grid: Grid) -> Readings:
    """All sublattices of Atomap's file."""
    if not path.is_file():
        raise InputError("there is no such file", _REMEDY)
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError:
        raise InputError("reading HDF5 takes h5py", "pip install 'atomfit[microscopes]'") from None
    found = []
    try:
        with h5py.File(path, "r") as file:
            for group in (one for one in file.values() if isinstance(one, h5py.Group)):
                if "atom_positions" not in group:
                    continue
                found.append(np.asarray(group["atom_positions"], np.float64).reshape(-1, 2))
                for name in ("original_image_data", "modified_image_data"):
                    if name in group:
                        _require_shape(group[name].shape, grid)
    except (OSError, TypeError, ValueError, KeyError) as error:
        told = " ".join(str(error).split())[:120]
        raise InputError(f"the file cannot be read as Atomap's ({told})", _REMEDY) from None
    if not found:
        raise InputError("the file has no sublattice of Atomap (atom_positions)", _REMEDY)
    places = np.concatenate(found)
    if not np.isfinite(places).all():
        raise InputError("a position is no number", "leave that atom out of the sublattice")
    return {_IN_PIXELS: grid.origin + places * grid.spacing}


def _require_shape(shape: tuple[int, ...], grid: Grid) -> None:
    if tuple(shape) != tuple(grid.shape):
        (r, c), (rows, columns) = shape, grid.shape
        raise InputError(
            f"its columns are those of an image of {c} x {r} pixels; this one has {columns} x {rows}",
            "give the image that they were found in",
        )
