"""What `compare.html` is told of two images: the rows of `compare.csv`, totals, and the registration."""

from typing import Any

import numpy as np

from atomfit.io.column_comparisons import COLUMN_COMPARE_COLUMNS, column_rows
from atomfit.report.described import MOST_SHOWN, described
from atomfit.report.image_pictures import difference_pictures
from atomfit.statistics.column_changes import ColumnComparison
from atomfit.statistics.image_difference import ImageDifference
from atomfit.statistics.registration import typical_spacing
from atomfit.support.palette import COLUMN_STATUSES
from atomfit.verdict.of_column_comparison import column_headline

#: Discs have this part of the distance between neighbours for a radius.
_RADIUS = 0.36


def column_comparison_contents(
    c: ColumnComparison,
    found: dict[str, Any],
    record: dict[str, Any],
    difference: ImageDifference | None = None,
) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `c`: the comparison.
    - `found`: its summary.
    - `record`: how it was made.
    - `difference`: of the images, if it is known.
    """
    table, words = column_rows(c), column_headline(c, found)
    # What changed first, then others at random: a browser can hold so many.
    order = np.random.default_rng(0).permutation(len(c))
    common = table["status"][order] == "common"
    which = np.sort(order[np.argsort(common, kind="stable")][:MOST_SHOWN])
    if len(which) < len(c):
        few = f"This page shows {len(which)} of {len(c)} rows, all changes first; compare.csv has all."
        words["warnings"] = [*words["warnings"], few]
    numbers = {
        column.name: np.asarray(table[column.name], None if column.format == "s" else np.float64)
        for column in COLUMN_COMPARE_COLUMNS
    }
    return {
        "headline": words,
        "things": "columns",
        "columns": described({name: x[which] for name, x in numbers.items()}, COLUMN_COMPARE_COLUMNS),
        "kinds": {"status": COLUMN_STATUSES},
        "radius": _RADIUS * float(np.nan_to_num(typical_spacing(c.a.positions), nan=2.0)),
        "names": {"a": c.a.name, "b": c.b.name},
        "counted": c.atoms is not None,
        "difference": None if difference is None else difference_pictures(difference),
        "found": found,
        "run": record,
    }
