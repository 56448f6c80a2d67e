"""What `compare.html` is told: two models compared, or a series of them.

The page of two models shows the rows of `compare.csv`, and beside them what these do not hold: the depth
and coordination of each atom in A, known or counted here, and the displacement in its standard
uncertainties. A series has a page that follows the atoms through it and leads to a page of each two models.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from atomfit.io.comparisons import COMPARE_COLUMNS, columns, track_columns, tracks_table
from atomfit.io.tables import Column
from atomfit.report.described import MOST_SHOWN, RADIUS, Table, described
from atomfit.statistics.comparison import Comparison, Model
from atomfit.statistics.depth import measure_depths
from atomfit.statistics.registration import typical_spacing
from atomfit.structure.neighbours import find_neighbours
from atomfit.support.palette import STATUSES
from atomfit.verdict.comparison_words import headline

PAGE_COLUMNS: tuple[Column, ...] = (
    Column("distance_common", "Å", ".5f", "distance, of common pairs alone"),
    Column("distance_z", "", ".3f", "displacement in its standard uncertainties: the root of chi_square"),
    Column("cn_a", "", "d", "coordination number in A"),
    Column("cn_b", "", "d", "coordination number in B"),
    Column("radial_depth_a", "Å", ".4f", "half the diameter of A less the distance from its centre"),
    Column("hull_depth_a", "Å", ".4f", "distance from the convex hull of the atoms of A"),
)


def page_name(c: Comparison) -> str:
    """Of the page of two models of a series."""
    return f"compare_{c.a.name}_{c.b.name}.html"


def comparison_contents(c: Comparison, found: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """All that the page of two models shows.

    **Arguments:**

    - `c`: the comparison.
    - `found`: its `summary`.
    - `record`: how it was made.
    """
    words = headline(c, found)
    which = rows_shown(c)
    if len(which) < len(c):
        few = f"This page shows {len(which)} of {len(c)} rows, all changes first; compare.csv has all."
        words["warnings"] = [*words["warnings"], few]
    table = page_table(c)
    return {
        "headline": words,
        "columns": described(
            {name: values[which] for name, values in table.items()}, (*COMPARE_COLUMNS, *PAGE_COLUMNS)
        ),
        "kinds": {"status": STATUSES},
        "radius": RADIUS * float(np.nan_to_num(typical_spacing(c.a.positions), nan=2.5)),
        "names": {"a": c.a.name, "b": c.b.name},
        "found": found,
        "run": record,
    }


def page_table(c: Comparison) -> Table:
    """The columns of `compare.csv`, numbers as numbers, and those of `PAGE_COLUMNS`."""
    values = columns(c)
    table = {
        column.name: np.asarray(values[column.name], None if column.format == "s" else np.float64)
        for column in COMPARE_COLUMNS
    }
    depths = measure_depths(c.a.positions)
    return table | {
        "distance_common": np.where(table["status"] == "common", table["distance"], np.nan),
        "distance_z": np.sqrt(c.squares),
        "cn_a": _picked(_coordination(c.a), c.first),
        "cn_b": _picked(_coordination(c.b), c.second),
        "radial_depth_a": _picked(depths.radial, c.first),
        "hull_depth_a": _picked(depths.hull, c.first),
    }


def rows_shown(c: Comparison, most: int = MOST_SHOWN) -> Int[np.ndarray, " k"]:
    """Rows that a browser can hold, in their order: what changed, then common atoms at random."""
    order = np.random.default_rng(0).permutation(len(c))
    common = np.array(c.statuses, dtype=object)[order] == "common"
    return np.sort(order[np.argsort(common, kind="stable")][:most])


def series_contents(
    models: Sequence[Model],
    comparisons: Sequence[tuple[Comparison, dict[str, Any]]],
    tracks: Int[np.ndarray, "atoms models"],
    record: dict[str, Any],
    verdict: dict[str, Any],
) -> dict[str, Any]:
    """All that the page of a series shows.

    **Arguments:**

    - `models`: in their order.
    - `comparisons`: of two of them each, with their `summary`.
    - `tracks`: index of each atom in every model; -1 where it is not.
    - `record`: how it was made.
    - `verdict`: on all of them.
    """
    always = int(np.sum(np.all(tracks >= 0, axis=1)))
    names = [model.name for model in models]
    rows = tracks_table(models, tracks[:MOST_SHOWN])
    return {
        "headline": {
            "title": f"{len(models)} models of one particle",
            "source": ", ".join(f"{model.name} ({len(model):,} atoms)" for model in models),
            "verdict": [
                f"{always:,} atoms are in every model, {100 * always / len(models[0]):.1f}\u00a0% of those "
                f"in the first; {len(tracks):,} were seen in all."
            ],
            "warnings": [
                f"{c.a.name} and {c.b.name}: {warning}"
                for c, found in comparisons
                for warning in found["warnings"]
            ],
            "judged": verdict,
        },
        "columns": described(
            {name: np.array(values, np.float64) for name, values in rows.items()}, track_columns(models)
        ),
        "names": names,
        "atoms": [len(model) for model in models],
        "pairs": [placed(c, found, names) | {"page": page_name(c)} for c, found in comparisons],
        "run": record,
    }


def placed(c: Comparison, found: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A summary, with the `places` of its two models in a series."""
    return found | {"places": [names.index(c.a.name), names.index(c.b.name)]}


def _coordination(model: Model) -> Float[np.ndarray, " n"]:
    """The model's own coordination numbers, or those counted in it."""
    known = model.numbers.get("cn")
    if known is not None:
        return known
    counted = find_neighbours(model.positions, typical=typical_spacing(model.positions))
    return counted.coordination_numbers.astype(np.float64)


def _picked(values: Float[np.ndarray, " n"], which: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Values at indices; NaN where an index is -1."""
    return np.where(which >= 0, values[np.maximum(which, 0)], np.nan)
