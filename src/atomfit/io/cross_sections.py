"""Mean cross-sections of columns of 1, 2, 3, ... atoms from a file: `--library cross_sections.csv`.

A table with a column of counts and one of cross-sections, under the names below, or without names. Programs
also write one number a line, the cross-section of one atom first, with or without a title; that is read as
what it means. Counts begin with 1 and do not skip: what lies between would be a guess. Of 0 atoms there
may be a row, which says nothing.
"""

from pathlib import Path

import numpy as np

from atomfit.io.text import is_comment, lines_of, not_a_number, number, read_text, table_rows
from atomfit.statistics.count_law import Library
from atomfit.structure.elements import UNKNOWN, symbol_in
from atomfit.support.errors import InputError

#: Titles by which columns are known, in small letters.
_COUNTS = ("count", "counts", "atoms", "n", "thickness")
_VALUES = ("cross_section", "cross_section_a2", "cross_sections", "scs", "scs_a2", "scs_a^2")
_REMEDY = "give a table with the columns count, cross_section: 1, 2, 3, ... atoms (--library)"
_MOST_BYTES = 1_000_000


def read_cross_sections(path: str | Path, scale_esd: float = 0.02, symbol: str | None = None) -> Library:
    """Read a library of cross-sections.

    **Arguments:**

    - `path`: the file.
    - `scale_esd`: standard deviation of the logarithm of what its scale is off by (0.02 is 2 %).
    - `symbol`: of the element that is to be counted, if it is known.

    **Raises:** `InputError` if the file holds none, or those of another element.
    """
    path = Path(path)
    header, rows = _table(path)
    i, j = _chosen(path, header)
    kinds = {row[header.index("element")].strip() for _, row in rows if "element" in header}
    if len(kinds) > 1:
        raise InputError(
            f"the table has several elements ({', '.join(sorted(kinds))})",
            "give one element's: columns of one element are counted",
            path,
        )
    for other in (symbol_in(kind) for kind in kinds):
        if symbol is not None and other not in (None, UNKNOWN, symbol):
            raise InputError(
                f"these are cross-sections of {other}, and the columns are said to be of {symbol}",
                f"give a library of {symbol}, or --element {other}",
                path,
            )
    if not rows:
        raise InputError("the library is empty", _REMEDY, path)
    values = [_number(path, line, row[j]) for line, row in rows]
    lines = [line for line, _ in rows]
    counts = [_number(path, line, row[i]) for line, row in rows] if i is not None else None
    if counts and counts[0] == 0 and values[0] == 0:
        counts, values, lines = counts[1:], values[1:], lines[1:]
    for expected, count in enumerate(counts or (), 1):
        if count != expected:
            raise InputError(
                f"row {lines[expected - 1]} is of {count:g} atoms where {expected} would be next",
                "give all counts from 1 on, in order",
                path,
            )
    try:
        return Library(np.array(values), scale_esd)
    except InputError as error:
        raise InputError(error.problem, error.remedy, path) from None


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Titles in small letters, and rows; a table without titles has those of its fields."""
    text = read_text(path, "check the path of --library", _MOST_BYTES)
    first = next((line for line in lines_of(text) if not is_comment(line)), "")
    fields = first.replace(",", " ").replace(";", " ").split()
    if fields and all(number(field) is not None for field in fields) and len(fields) <= 2:
        rows = [
            (i, line.split("#")[0].replace(",", " ").replace(";", " ").split())
            for i, line in enumerate(lines_of(text), 1)
            if not is_comment(line)
        ]
        for i, row in rows:
            if len(row) != len(fields):
                raise InputError(
                    f"row {i} has {len(row)} fields where the first has {len(fields)}", _REMEDY, path
                )
        return ["count", "cross_section"][2 - len(fields) :], rows
    header, rows = table_rows(path, text, _REMEDY)
    return [title.lower() for title in header], rows


def _chosen(path: Path, header: list[str]) -> tuple[int | None, int]:
    """Where counts are, if they are, and cross-sections."""
    if len(header) == 1:
        return None, 0
    counts = [i for i, title in enumerate(header) if title in _COUNTS]
    values = [i for i, title in enumerate(header) if title in _VALUES]
    if len(counts) != 1 or len(values) != 1:
        wanted = "cross_section" if len(counts) == 1 else "count"
        raise InputError(
            f"no column, or more than one, is called {wanted} ({', '.join(header)})", _REMEDY, path
        )
    return counts[0], values[0]


def _number(path: Path, line: int, field: str) -> float:
    value = number(field)
    if value is None or not np.isfinite(value):
        raise InputError(
            f"in row {line} {not_a_number(field)}" if value is None else f"row {line} has {field}",
            _REMEDY,
            path,
        )
    return value
