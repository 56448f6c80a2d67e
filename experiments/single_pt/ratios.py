"""The question that the paper turns on, as tables: how do surface and core atoms differ?"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from atomfit.files.columns import Table
from experiments.recording import markdown
from experiments.single_pt.measures import alike, surface_to_core
from experiments.single_pt.procedures import NAMES, Study

#: Statistics, and the columns in which who has them.
COLUMNS = {
    "U_iso": (("u_iso", "atomfit"), ("u_iso", "paper")),
    "DOI": (("doi_debiased", "atomfit"), ("doi", "atomfit"), ("doi", "paper")),
}
PARTS = ("all frames", "part 1", "part 2")

Sides = Callable[[Study, str, int], tuple[Table, Table]]


def ratios(studies: Sequence[Study]) -> Iterator[str]:
    """Surface atoms through core atoms."""
    for title, columns in COLUMNS.items():
        for whose, sides in (("all atoms, as each procedure has them", _as_found), ("alike atoms", _alike)):
            rows = []
            for study in studies:
                for part, when in enumerate(PARTS):
                    cells = [_cell(*sides(study, name, part), column) for column, name in columns]
                    rows.append((study.case.name, when, *(text for cell in cells for text in cell)))
            header = ["particle", "of"]
            for column, name in columns:
                header += [f"truth, {name} {column}", "z by S/√N", "z propagated"]
            yield f"**Surface-to-core ratio of {title}**, {whose}."
            yield markdown(header, rows)
            yield markdown(
                ("all frames; parts", "z by S/√N: mean / RMS", "within 1.96")
                + ("z propagated: mean / RMS", "within 1.96"),
                [_judged(studies, sides, column, name) for column, name in columns],
            )


def _as_found(study: Study, name: str, part: int) -> tuple[Table, Table]:
    return study.tables[name][part], study.tables["truth"][part]


def _alike(study: Study, name: str, part: int) -> tuple[Table, Table]:
    others = [study.tables[other][part] for other in NAMES[1:]]
    return alike(*_as_found(study, name, part), study.case.truths[part], others)


def _cell(found: Table, true: Table, column: str) -> tuple[str, str, str]:
    """Both ratios, and the error of the found one in either of its standard uncertainties."""
    ratio, other = surface_to_core(found, column), surface_to_core(true, column)
    quotients = _quotients(found, true, column)
    texts = (f"{z:+.1f}" if np.isfinite(z) else "" for z in quotients)
    return (f"{other.value:.3f}, {ratio.value:.3f} ± {ratio.scatter:.3f}", *texts)  # type: ignore[return-value]


def _quotients(found: Table, true: Table, column: str) -> tuple[float, float]:
    ratio = surface_to_core(found, column)
    away = ratio.value - surface_to_core(true, column).value
    return away / ratio.scatter, away / ratio.propagated


def _judged(studies: Sequence[Study], sides: Sides, column: str, name: str) -> tuple[str, ...]:
    """Errors of a ratio over all particles, of the whole time series and of either part."""
    cells = [f"{name} {column}"]
    z = np.array([[_quotients(*sides(s, name, part), column) for part in range(3)] for s in studies])
    for one in np.moveaxis(z, 2, 0):
        groups = [one[:, :1].ravel(), one[:, 1:].ravel()] if np.isfinite(one).all() else []
        cells.append("; ".join(f"{g.mean():+.1f} / {np.sqrt(np.mean(g**2)):.1f}" for g in groups))
        cells.append("; ".join(f"{np.sum(np.abs(g) < 1.96)} of {len(g)}" for g in groups))
    return tuple(cells)
