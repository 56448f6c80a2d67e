"""Counts and crystals of an image's columns as tables: see `docs/files.md` for what they hold."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from atomfit.io.tables import Column
from atomfit.statistics.plane_order import PlaneOrder

if TYPE_CHECKING:
    from atomfit.statistics.image_columns import ColumnStatistics

#: The columns of `columns.csv` that counting makes.
COUNT_COLUMNS: tuple[Column, ...] = (
    Column("count", "", "d", "number of atoms, the most likely one"),
    Column("count_low", "", "d", "first count of the credible set of 95 %"),
    Column("count_high", "", "d", "its last count"),
    Column("count_probability", "", ".4f", "of the count"),
    Column("count_low_68", "", "d", "first count of the credible set of 68 %"),
    Column("count_high_68", "", "d", "its last count"),
    Column("count_expected", "", ".3f", "mean of the probabilities of counts"),
)
_ERRORS = (
    ("dx", "Å", ".5f"),
    ("dy", "Å", ".5f"),
    ("e_xx", "", ".6f"),
    ("e_yy", "", ".6f"),
    ("e_xy", "", ".6f"),
    ("rotation", "°", ".5f"),
    ("cell_a", "Å", ".5f"),
    ("cell_b", "Å", ".5f"),
    ("cell_gamma", "°", ".4f"),
)
#: And those of lattices, of strain and of order.
CRYSTAL_COLUMNS: tuple[Column, ...] = (
    Column("domain", "", "d", "number of the domain, the largest first; 0 for none"),
    Column("h", "", "d", "of its site h a + k b in the domain's lattice"),
    Column("k", "", "d", "the same"),
    Column("sublattice", "", "d", "of the domain's, from 1"),
    Column("dx", "Å", ".5f", "from its site in the reference lattice, along x"),
    Column("dy", "Å", ".5f", "the same along y"),
    Column("e_xx", "", ".6f", "strain of the lattice around it from the reference, along x"),
    Column("e_yy", "", ".6f", "the same along y"),
    Column("e_xy", "", ".6f", "shear (tensor component)"),
    Column("rotation", "°", ".5f", "of the lattice around it from the reference, from x to y"),
    Column("cell_a", "Å", ".5f", "a of the lattice around it"),
    Column("cell_b", "Å", ".5f", "b"),
    Column("cell_gamma", "°", ".4f", "γ"),
    *(Column(f"{name}_esd", unit, how, f"standard uncertainty of {name}") for name, unit, how in _ERRORS),
    Column(
        "facet", "", "d", "number of the facet whose outermost layer it is in (particle.json); 0 for none"
    ),
    Column("gpa_xx", "", ".6f", "e_xx by geometric phase analysis of the largest domain, with its trap"),
    Column("gpa_yy", "", ".6f", "e_yy by the same"),
    Column("gpa_xy", "", ".6f", "e_xy by the same"),
    Column("gpa_rotation", "°", ".5f", "rotation by the same"),
)
ORDER_COLUMNS: tuple[Column, ...] = (
    Column("ordered", "", ".4f", "probability that it is part of the ordered phase (--order)"),
    Column("variant", "", "d", "the likeliest variant of order, from 1; 0 for disorder"),
    Column("variant_probability", "", ".4f", "of it"),
    Column(
        "brighter", "", ".4f", "probability that it is ordered and its site one of the brighter element"
    ),
    Column("antisite", "", ".4f", "probability that it has what its variant has elsewhere"),
    Column("order_domain", "", "d", "number of the connected part of one variant, from 1; 0 for disorder"),
    Column("contrast", "", ".4f", "cross-section beside what its neighbours have on average, less 1"),
    Column("contrast_esd", "", ".4f", "its standard uncertainty, without composition's"),
)
#: The columns of `counts.csv`.
COUNTS: tuple[Column, ...] = (
    Column("count", "", "d", "number of atoms"),
    Column("columns", "", "d", "columns of which it is the most likely count"),
    Column("expected", "", ".3f", "number of columns that have so many atoms, expected"),
    Column("expected_esd", "", ".3f", "its standard uncertainty"),
    Column("cross_section", "image units x Å²", ".7g", "mean of columns of so many atoms, as found"),
    Column("cross_section_esd", "image units x Å²", ".4g", "its standard uncertainty"),
    Column("library", "image units x Å²", ".7g", "the same as the library has it"),
)


def statistics_table(statistics: "ColumnStatistics") -> dict[str, np.ndarray]:
    """What `columns.csv` has of counts and crystals, by name."""
    return _counts(statistics) | _crystal(statistics) | _order(statistics)


def counts_table(statistics: "ColumnStatistics") -> dict[str, np.ndarray]:
    """The columns of `counts.csv`, no rows if nothing was counted."""
    counts = statistics.counts
    if counts is None:
        return {column.name: np.zeros(0) for column in COUNTS}
    k = len(counts.law)
    known = np.zeros(0) if statistics.library is None else statistics.library.cross_sections[:k]
    return {
        "count": np.arange(1, k + 1),
        "columns": np.bincount(counts.most_likely, minlength=k + 1)[1:],
        "expected": counts.numbers,
        "expected_esd": counts.numbers_esd,
        "cross_section": counts.law,
        "cross_section_esd": counts.law_esd,
        "library": np.concatenate([known, np.full(k - len(known), np.nan)]),
    }


def probabilities_table(statistics: "ColumnStatistics") -> tuple[tuple[Column, ...], dict[str, np.ndarray]]:
    """One row a column that was counted: the probability of each count."""
    counts = statistics.counts
    values = np.zeros((0, 0)) if counts is None else counts.probabilities
    names = [f"p_{i}" for i in range(1, values.shape[1] + 1)]
    columns = (Column("id", "", "d", ""), *(Column(name, "", ".5f", "") for name in names))
    return columns, {"id": statistics.counted + 1, **dict(zip(names, values.T, strict=True))}


def _counts(statistics: "ColumnStatistics") -> dict[str, np.ndarray]:
    n, counts, which = len(statistics.surface), statistics.counts, statistics.counted
    names = [column.name for column in COUNT_COLUMNS]
    if counts is None:
        return {name: np.full(n, np.nan) for name in names}
    wide, narrow, p = counts.sets_95, counts.sets_68, counts.probabilities
    expected = p @ np.arange(1, p.shape[1] + 1)
    parts: tuple[np.ndarray, ...] = (
        *(counts.most_likely, wide.low, wide.high, counts.probability),
        *(narrow.low, narrow.high, expected),
    )
    return {name: _spread(n, which, values) for name, values in zip(names, parts, strict=True)}


def _spread(n: int, which: Int[np.ndarray, " m"], values: np.ndarray) -> np.ndarray:
    """Values of some columns, as those of all; None elsewhere."""
    found = np.full(n, None, dtype=object)
    found[which] = values.tolist()
    return found


def _crystal(statistics: "ColumnStatistics") -> dict[str, np.ndarray]:
    domains, strain = statistics.domains, statistics.strain
    n, inside = len(domains.membership), np.flatnonzero(domains.membership >= 0)
    values = np.column_stack([strain.displacements, strain.tensors, strain.rotations, strain.cells])
    variances = np.einsum("nii->ni", strain.displacement_covariances)
    errors = np.column_stack(
        [np.sqrt(np.maximum(variances, 0)), strain.errors, strain.rotation_errors, strain.cell_errors]
    )
    names = [name for name, _, _ in _ERRORS]
    unknown, phase = np.full((n, 4), np.nan), statistics.phase
    others = unknown if phase is None else np.column_stack([phase.tensors, phase.rotations])
    return {
        "domain": domains.membership + 1,
        "h": _spread(n, inside, domains.sites[inside, 0]),
        "k": _spread(n, inside, domains.sites[inside, 1]),
        "sublattice": _spread(n, inside, domains.sublattices[inside] + 1),
        **dict(zip(names, values.T, strict=True)),
        **dict(zip([f"{name}_esd" for name in names], errors.T, strict=True)),
        "facet": _facets(statistics),
        **dict(zip(("gpa_xx", "gpa_yy", "gpa_xy", "gpa_rotation"), others.T, strict=True)),
    }


def _facets(statistics: "ColumnStatistics") -> Int[np.ndarray, " n"]:
    """Of corners the first."""
    found = np.zeros(len(statistics.surface), int)
    for number in range(len(statistics.facets), 0, -1):
        found[statistics.facets[number - 1].columns] = number
    return found


def _order(statistics: "ColumnStatistics") -> dict[str, np.ndarray]:
    n = len(statistics.surface)
    found: dict[str, np.ndarray] = {column.name: np.full(n, None, dtype=object) for column in ORDER_COLUMNS}
    begun = 0
    for one in statistics.order:
        if one is None:
            continue
        for name, values in _order_of(one, begun).items():
            found[name][one.columns] = values.tolist()
        begun += int(one.domains.max(initial=-1)) + 1
    return found


def _order_of(order: PlaneOrder, begun: int) -> dict[str, Any]:
    """Of the columns of one domain; `begun`: parts of one variant in those before."""
    p, which = order.probabilities, order.variants
    bright = which.excess[:, which.classes].T * order.contrast > 0
    return {
        "ordered": 1 - p[:, 0],
        "variant": order.states,
        "variant_probability": p.max(axis=1),
        "brighter": np.sum(p[:, 1:] * bright, axis=1),
        "antisite": order.antisite,
        "order_domain": np.where(order.domains < 0, 0, order.domains + 1 + begun),
        "contrast": order.contrasts,
        "contrast_esd": order.contrast_errors,
    }
