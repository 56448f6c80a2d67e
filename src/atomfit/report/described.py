"""Tables as a page is told them.

Columns are taken as they come. A unit and a meaning are added where they are known, and numbers are rounded
as in the file of the same columns, so that the page and the file say the same.
"""

import math
from typing import Any

import numpy as np

from atomfit.io.tables import Column
from atomfit.report.labels import label_of

#: Spheres have this part of the distance between neighbours for a radius: close, and apart.
RADIUS = 0.4
#: Rows, and atoms, beyond which a page would take a browser minutes.
MOST_SHOWN = 10_000

Table = dict[str, np.ndarray]


def described(columns: Table, known: tuple[Column, ...]) -> list[dict[str, Any]]:
    """A table for a page: its columns as they come, each with its unit and meaning if it is known."""
    meanings = {column.name: column for column in known}
    return [
        _column(meanings.get(name, Column(name, "", ".6g", "")), np.asarray(values))
        for name, values in columns.items()
    ]


def _column(column: Column, values: np.ndarray) -> dict[str, Any]:
    numeric = values.dtype.kind in "iuf" and column.format != "s"
    decimals = int(column.format[1:-1]) if column.format.endswith("f") else None
    group, label = label_of(column.name)
    return {
        "name": column.name,
        "group": group,
        "label": label,
        "unit": column.unit,
        "meaning": column.meaning,
        "numeric": numeric,
        "decimals": decimals,
        "values": _rounded(values, column.format) if numeric else [str(value) for value in values],
    }


def _rounded(values: np.ndarray, how: str) -> list[float | int | None]:
    if how == "d":
        return [int(value) if math.isfinite(value) else None for value in values.tolist()]
    return [float(format(value, how)) if math.isfinite(value) else None for value in values.tolist()]
