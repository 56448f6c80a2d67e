"""What is to be thought of the counts and the crystals of columns.

Who gives a library or names an ordered phase relies on what comes of it: what is then to be doubted is a
finding. Otherwise these are told beside columns that may be right without, and are remarks.
"""

from collections.abc import Iterator

import numpy as np

from atomfit.statistics.image_columns import ColumnStatistics
from atomfit.statistics.limits import LIMITS
from atomfit.verdict.findings import Finding, Verdict

_LOOK = "look at counts.csv and at the law of cross-sections in it"


def with_statistics(verdict: Verdict, statistics: ColumnStatistics, ordered: bool) -> Verdict:
    """A verdict on columns, with what their statistics add.

    **Arguments:**

    - `verdict`: on the columns.
    - `statistics`: of these.
    - `ordered`: whether order was asked for.
    """
    if not len(statistics.surface):
        return verdict
    findings = [*verdict.findings, *_of_counts(statistics), *(_of_order(statistics) if ordered else ())]
    return Verdict.of(findings, verdict.measures)


def remarks(statistics: ColumnStatistics, ordered: bool) -> Iterator[str]:
    """What a user should know of them that is no finding.

    **Arguments:** those of `with_statistics`.
    """
    if statistics.counts is not None and statistics.library is None:
        yield from (f"counts without a library: {note}" for note in statistics.counts.notes)
    full = int(np.sum(statistics.vacant > LIMITS.vacancy_left))
    if full:
        yield (
            f"{full} of {len(statistics.vacant)} vacancies are none: the image has more than "
            f"{LIMITS.vacancy_left:g} of a column there, which was not fitted; look at residual.mrc"
        )
    if len(statistics.surface) >= LIMITS.plane_columns and not statistics.domains.lattices and not ordered:
        yield "the columns have no lattice: no strain, domains, defects or facets are given"


def _of_counts(statistics: ColumnStatistics) -> Iterator[Finding]:
    if statistics.library is None:
        return
    if statistics.counts is None:
        yield Finding("not-counted", "doubtful", *_parted(statistics.uncounted))
        return
    for note in statistics.counts.notes:
        yield Finding("counts", "doubtful", note, _LOOK)


def _of_order(statistics: ColumnStatistics) -> Iterator[Finding]:
    if any(one is not None for one in statistics.order):
        return
    yield Finding(
        "no-order",
        "doubtful",
        "order could not be judged: there is no lattice of enough columns, one or two in its cell",
        "look at the lattices in particle.json, or leave out --order",
    )


def _parted(sentence: str) -> tuple[str, str]:
    """What is wrong, and what to do."""
    problem, _, remedy = sentence.partition("; ")
    return f"columns were not counted: {problem}", remedy or "leave out --library"
