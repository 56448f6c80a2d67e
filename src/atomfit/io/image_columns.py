"""Columns of an image as they lie on disk: directories of `atomfit columns`, and their tables.

A table needs the columns x and y (Å), and has no z; `id`, `element`, standard uncertainties,
cross-sections, heights and widths are taken if they are there. What lies beside a `columns.csv` is taken
with it: the probabilities of counts, their law, the extent of the image, and its facets. Each may be
missing.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.io.models import ending_of, table_columns
from atomfit.io.own_verdict import findings_of
from atomfit.io.text import read_text, table_rows
from atomfit.statistics.column_crystals import CRYSTAL_DIFFERENCES, LocalCrystal
from atomfit.statistics.image_columns_seen import ImageColumns
from atomfit.support.errors import InputError

#: What can be given.
KINDS = "give a result of atomfit columns, its columns.csv, or an image (with --element)"
#: Positions beyond this are no columns of an image (Å).
_FARTHEST = 1e6
#: What is known of the crystal around columns.
_CRYSTAL = (*CRYSTAL_DIFFERENCES, *(f"{name}_esd" for name in CRYSTAL_DIFFERENCES))
_PIXELS = ("x_px", "y_px", "x_pixel", "y_pixel")


def holds_columns(path: Path) -> bool:
    """Whether a file or directory holds columns of an image, in two dimensions."""
    if path.is_dir():
        return (path / "columns.csv").is_file() and not (path / "atoms.csv").is_file()
    if ending_of(path) != ".csv":
        return False
    try:
        titles = {title.lower() for title in table_rows(path, read_text(path, KINDS), KINDS)[0]}
    except InputError:
        return False
    return "z" not in titles and (titles >= {"x", "y"} or bool(titles & {*_PIXELS, "x_a"}))


def read_image_columns(path: Path, name: str) -> ImageColumns:
    """Read the columns of an image.

    **Arguments:**

    - `path`: a directory of `atomfit columns`, or a table.
    - `name`: what it is called in results.

    **Raises:** `InputError` for what cannot be used.
    """
    table = path / "columns.csv" if path.is_dir() else path
    text = read_text(table, KINDS)
    titles = [title.lower() for title in table_rows(table, text, KINDS)[0]]
    if not {"x", "y"} <= set(titles):
        given = ", ".join(t for t in titles if t[:1] in "xy")[:40]
        raise InputError(
            f"columns are given as {given}" if given else "there are no columns x and y in this table",
            "give x and y in Å: atomfit columns IMAGE --start FILE makes such a table of this one",
            table,
        )
    try:
        columns = table_columns(table, text, "xy", "columns")
        for axis in "xy":
            wrong = np.flatnonzero(~(np.abs(columns[axis]) < _FARTHEST))
            if len(wrong):
                number, value = columns["id"][wrong[0]], columns[axis][wrong[0]]
                raise InputError(f"column {number}: {axis} is {value:g}", "a position is a number of Å")
        _, which, times = np.unique(
            np.stack([columns[axis] for axis in "xy"], axis=1),
            axis=0,
            return_index=True,
            return_counts=True,
        )
        if (times > 1).any():
            number = columns["id"][which[times > 1][0]]
            raise InputError(f"another column lies where column {number} does", "give each column once")
        beside = table.parent if table.name.startswith("columns.csv") else None
        return image_columns_of(name, columns, *_beside(beside, columns["id"]))
    except InputError as error:
        raise error.at(table) from None


def image_columns_of(
    name: str,
    columns: dict[str, np.ndarray],
    counts: tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " k"]] | None = None,
    summary: dict[str, Any] | None = None,
    particle: dict[str, Any] | None = None,
) -> ImageColumns:
    """Columns of the table and records that `atomfit columns` writes.

    **Arguments:**

    - `name`: what they are called.
    - `columns`: of `columns.csv`, by name.
    - `counts`: probabilities of counts, and the mean cross-section of each count.
    - `summary`, `particle`: of `summary.json` and `particle.json`.
    """
    n, summary, particle = len(columns["x"]), summary or {}, particle or {}

    def numbers(title: str, other: float = np.nan) -> Float[np.ndarray, " n"]:
        values = columns.get(title)
        return np.full(n, other) if values is None else np.asarray(values, np.float64)

    variances = [numbers(title) ** 2 for title in ("x_esd", "y_esd")]
    both = np.nan_to_num(numbers("xy_covariance", 0.0))
    covariances = np.stack([variances[0], both, both, variances[1]], axis=1).reshape(n, 2, 2)
    # Where one is not known, nor is any.
    covariances[~(variances[0] * variances[1] - both**2 > 0)] = np.nan
    facets = particle.get("facets") or []
    rate = (summary.get("selection") or {}).get("fdr")
    probabilities, law = counts if counts is not None else (None, None)
    return ImageColumns(
        name,
        np.asarray(columns["id"], int),
        tuple(str(symbol) for symbol in columns["element"]),
        np.stack([numbers(axis) for axis in "xy"], axis=1),
        covariances,
        numbers("cross_section"),
        numbers("cross_section_esd"),
        numbers("score"),
        numbers("false"),
        numbers("width"),
        np.nan_to_num(numbers("facet", 0.0)).astype(int),
        probabilities,
        law,
        float(rate) if isinstance(rate, float) else 0.05,
        _corners(summary.get("image") or {}),
        tuple(None if one.get("indices") is None else tuple(one["indices"]) for one in facets),
        _crystal({name: numbers(name) for name in _CRYSTAL if name in columns}, n),
        findings_of(summary),
    )


def _crystal(known: dict[str, np.ndarray], n: int) -> LocalCrystal | None:
    """Strain and order of a table, if it has any."""
    if not any(np.isfinite(values).any() for values in known.values()):
        return None
    none = np.full(n, np.nan)
    values, esds = (
        np.stack([known.get(f"{name}{ending}", none) for name in CRYSTAL_DIFFERENCES], axis=1)
        for ending in ("", "_esd")
    )
    # Of a probability the error is that of what it is of.
    ordered = CRYSTAL_DIFFERENCES.index("ordered")
    p = np.clip(values[:, ordered], 0, 1)
    esds[:, ordered] = np.sqrt(p * (1 - p))
    return LocalCrystal(values, esds)


def _corners(image: dict[str, Any]) -> Float[np.ndarray, "2 2"] | None:
    """Lowest and highest x and y of the pixels' borders (Å)."""
    shape, pixel, origin = (image.get(name) for name in ("shape_yx", "pixel_size", "origin"))
    if not shape or not pixel or not origin:
        return None
    low = np.asarray(origin, np.float64) - 0.5 * pixel
    return np.stack([low, low + pixel * np.asarray(shape[::-1], np.float64)])


def _beside(
    directory: Path | None, ids: np.ndarray
) -> tuple[
    tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " k"]] | None,
    dict[str, Any] | None,
    dict[str, Any] | None,
]:
    """Counts, summary and particle of a result; None where there is none."""
    if directory is None:
        return None, None, None
    summary, particle = (_record(directory / f"{one}.json") for one in ("summary", "particle"))
    return _counts(directory, ids), summary, particle


def _counts(
    directory: Path, ids: np.ndarray
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " k"]] | None:
    paths = directory / "count_probabilities.csv", directory / "counts.csv"
    if not all(path.is_file() for path in paths):
        return None
    of_columns, of_counts = (table_columns(p, read_text(p, KINDS), "", "counts", empty=True) for p in paths)
    names = [f"p_{i}" for i in range(1, len(of_columns))]
    names = [name for name in names if name in of_columns]
    if not names or "cross_section" not in of_counts or len(of_counts["cross_section"]) < len(names):
        return None
    places = {int(value): i for i, value in enumerate(ids.tolist())}
    found = np.full((len(ids), len(names)), np.nan)
    for i, number in enumerate(of_columns["id"].tolist()):
        if number in places:
            found[places[number]] = [of_columns[name][i] for name in names]
    law = np.asarray(of_counts["cross_section"][: len(names)], np.float64)
    return (found, law) if np.isfinite(law).all() and np.isfinite(found).any() else None


def _record(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{path.name} beside it cannot be read", "write the result again, or remove it"
        ) from None
    return found if isinstance(found, dict) else None
