"""Counts and crystals of an image's columns for its page: rows of figures, and the law of counts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.report.whole import Row, row_of
from atomfit.statistics.image_columns import ColumnStatistics

#: Lattices that are shown.
_MOST_LATTICES = 5


def statistics_rows(particle: Mapping[str, Any]) -> list[Row]:
    """Rows with name, value, esd and unit.

    **Arguments:**

    - `particle`: what goes into `particle.json`.
    """
    rows: list[Row] = []
    atoms = particle.get("atoms", {})
    if "total" in atoms:
        rows.append(row_of("atoms in all columns", atoms["total"], atoms["total_esd"]))
    if "scale" in atoms:
        rows.append(
            row_of("cross-sections of the image, by the library's", atoms["scale"], atoms["scale_esd"])
        )
    if "ordered_fraction" in particle:
        rows.append(
            row_of(
                "part of the columns that is ordered",
                particle["ordered_fraction"],
                particle["ordered_fraction_esd"],
            )
        )
    for number, domain in enumerate(particle.get("domains", ())[:_MOST_LATTICES], start=1):
        rows += _of_domain(number, domain)
    found = (("vacancies", "vacancies"), ("dislocations", "dislocations"), ("boundaries", "boundaries"))
    rows += [row_of(words, len(particle[name])) for name, words in found if particle.get(name)]
    return rows


def _of_domain(number: int, domain: Mapping[str, Any]) -> list[Row]:
    name = f"domain {number}, {domain['lattice']}, {domain['columns']} columns"
    rows = [
        row_of(f"{name}: {words}", domain[key], domain[f"{key}_esd"], unit)
        for key, words, unit in (("a", "a", "Å"), ("b", "b", "Å"), ("gamma", "γ", "°"))
    ]
    inner = domain["strain"]["inner"]
    if inner.get("columns"):
        spread = {axes: 100 * inner["deviation"][f"e_{axes}"] for axes in ("xx", "yy")}
        rows += [
            row_of(f"{name}: scatter of strain, {ij}", value, None, "%") for ij, value in spread.items()
        ]
    return rows


def counting_cautions(particle: Mapping[str, Any], warnings: Sequence[str]) -> list[str]:
    """What is to be known of counts, in sentences.

    **Arguments:**

    - `particle`: what goes into `particle.json`.
    - `warnings`: what need not be said twice.
    """
    atoms = particle.get("atoms", {})
    if atoms.get("not_counted"):
        return [f"Atoms were not counted: {atoms['not_counted']}."]
    said = " ".join(warnings)
    return [f"Counts: {note}." for note in atoms.get("notes", ()) if note not in said]


def law_of_counts(
    statistics: ColumnStatistics, esds: Float[np.ndarray, " n"]
) -> list[dict[str, float]] | None:
    """How cross-sections of columns of each count should be distributed; None if nothing was counted.

    **Arguments:**

    - `statistics`: of n columns.
    - `esds`: of their cross-sections.

    **Returns:** for each count that a column is expected to have, `count`, how many `columns` have it, and
    `mean` and `deviation` of their cross-sections, as they are measured.
    """
    counts = statistics.counts
    if counts is None:
        return None
    measured = np.asarray(esds, np.float64)[statistics.counted]
    known = np.where(np.isfinite(measured), measured, 0.0)
    weights = counts.probabilities.sum(axis=0)
    # Of the columns that may have the count, as they may.
    variances = known**2 @ counts.probabilities / np.maximum(weights, 1e-300) + counts.scatter**2
    return [
        {"count": k + 1, "columns": float(n), "mean": float(mean), "deviation": float(variance**0.5)}
        for k, (n, mean, variance) in enumerate(zip(weights, counts.law, variances, strict=True))
        if n > 0.05
    ]
