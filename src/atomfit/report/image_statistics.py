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
        rows.append(row_of("columns that were counted", atoms["columns"]))
    elif atoms:
        rows.append(row_of("atoms in all columns", "not counted"))
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


def counted_words(particle: Mapping[str, Any]) -> str:
    """Whether atoms were counted, in a sentence; empty if nothing is known of it.

    **Arguments:**

    - `particle`: what goes into `particle.json`.
    """
    atoms = particle.get("atoms", {})
    if atoms.get("not_counted"):
        return (
            f"Atoms were not counted: {atoms['not_counted']}. Places, lattices, strain and defects do not "
            "depend on that."
        )
    if "total" not in atoms:
        return ""
    by = "by a library" if atoms["library"] else "without a library"
    return (
        f"The columns have {atoms['total']:,.1f} ± {atoms['total_esd']:.1f} atoms (standard uncertainty), "
        f"counted {by}."
    )


def counting_cautions(
    particle: Mapping[str, Any], elements: Sequence[str], dark: bool, warnings: Sequence[str]
) -> list[str]:
    """What is to be known of counts and of elements, in sentences.

    **Arguments:**

    - `particle`: what goes into `particle.json`.
    - `elements`: that were named.
    - `dark`: whether columns are.
    - `warnings`: what need not be said twice.
    """
    atoms, said = particle.get("atoms", {}), " ".join(warnings)
    told = []
    if atoms.get("not_counted"):
        told.append(f"Atoms were not counted: {atoms['not_counted']}.")
    elif atoms:
        of = f"of {elements[0]}" if elements else "of one element (none was named)"
        told.append(
            f"Counts take every column to be {of}, whole and along the beam: one of another element, or "
            "one that is tilted, is counted as a thicker or a thinner one."
        )
        left = particle.get("columns", 0) - atoms.get("columns", 0)
        if left > 0:
            told.append(
                f"Of {left} {'column' if left == 1 else 'columns'} there is no count and they are not in "
                "the total: a cross-section is not positive, or its uncertainty is not known."
            )
    if len(elements) > 1:
        told.append(
            f"Which columns are of {' and which of '.join(elements)} is not told (element is X): a bright "
            "column may be a thick one. --order tells the sublattices of an ordered alloy."
        )
    if dark and "ordered_fraction" in particle:
        told.append(
            "Order was judged by how dark columns are, as if heavier ones were darker, which focus and "
            "thickness can reverse."
        )
    return told + [f"Counts: {note}." for note in atoms.get("notes", ()) if note not in said]


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
