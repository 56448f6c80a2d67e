"""Two images' columns compared, as files: a table, a summary, columns; see `docs/files.md`.

`COLUMN_COMPARE_COLUMNS` is the list that the documentation is checked against. A field is empty where there
is no column, or a number is not known.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from atomfit.io.comparisons import picked
from atomfit.io.tables import Column, write_columns
from atomfit.statistics.column_changes import COLUMN_STATUSES, ColumnComparison
from atomfit.statistics.column_crystals import summed
from atomfit.statistics.column_totals import Total, Totals
from atomfit.statistics.plane_maps import map_esds
from atomfit.verdict.of_column_comparison import judge_column_comparison, warnings_of_columns

_UNITS = "image units x Å²"
_CRYSTAL = (
    ("e_xx", "", ".6f", "of the strain along A's x"),
    ("e_yy", "", ".6f", "of the strain along A's y"),
    ("e_xy", "", ".6f", "of the shear along A's axes"),
    ("rotation", "°", ".5f", "of the lattice's local rotation"),
    ("ordered", "", ".4f", "of the probability that it is part of the ordered phase"),
    ("contrast", "", ".4f", "of its contrast with its neighbours"),
)
COLUMN_COMPARE_COLUMNS: tuple[Column, ...] = (
    Column("status", "", "s", "common, moved, changed, lost, gained, unseen or outside"),
    Column("probability", "", ".4f", "of that status"),
    Column("id_a", "", "d", "number of the column in A"),
    Column("id_b", "", "d", "number of the column in B"),
    Column("element_a", "", "s", "chemical symbol in A"),
    Column("element_b", "", "s", "chemical symbol in B"),
    *(Column(f"{axis}_a", "Å", ".5f", "position in A") for axis in "xy"),
    *(Column(f"{axis}_b", "Å", ".5f", "position in B, laid on A's frame") for axis in "xy"),
    *(Column(f"d{axis}", "Å", ".5f", "displacement from A to B") for axis in "xy"),
    Column("distance", "Å", ".5f", "length of the displacement"),
    Column("distance_esd", "Å", ".5f", "standard uncertainty of the displacement along itself"),
    Column("p_moved", "", ".4g", "part of unmoved columns that noise would displace as far"),
    Column("moved_probability", "", ".4f", "that the column moved"),
    Column("cross_section_a", _UNITS, ".7g", "in A"),
    Column("cross_section_b", _UNITS, ".7g", "in B, in the units of A"),
    Column("difference", _UNITS, ".7g", "of cross-sections, B less A"),
    Column("difference_esd", _UNITS, ".4g", "its standard uncertainty"),
    Column(
        "p_changed", "", ".4g", "part of unchanged columns whose cross-sections noise makes so different"
    ),
    Column(
        "changed_probability", "", ".4f", "that its count, or without counts its cross-section, changed"
    ),
    Column("count_a", "", "d", "number of atoms in A, the most likely one"),
    Column("count_b", "", "d", "the same in B"),
    Column(
        "atoms_gained", "", "d", "most likely change of the number, from the difference of cross-sections"
    ),
    Column("atoms_gained_expected", "", ".3f", "mean of the probabilities of changes"),
    Column("p_value", "", ".4g", "that an unchanged column looks so, in any way that it was tested"),
    Column("q_value", "", ".4g", "least false-discovery rate at which the column has changed"),
    Column("moved", "", "s", "1 if it changed at --fdr and has moved, 0 if not"),
    Column("changed", "", "s", "1 if it changed at --fdr in cross-section, 0 if not"),
    Column("facet", "", "d", "number of A's facet that it is in or beside; 0 for none"),
    *(
        column
        for name, unit, how, what in _CRYSTAL
        for column in (
            Column(f"{name}_difference", unit, how, f"{what}, B less A"),
            Column(f"{name}_difference_esd", unit, how, "its standard uncertainty"),
        )
    ),
)


def write_column_comparison(path: Path, comparison: ColumnComparison) -> None:
    """Write one row a pair or single column."""
    write_columns(path, COLUMN_COMPARE_COLUMNS, column_rows(comparison))


def column_rows(comparison: ColumnComparison) -> dict[str, np.ndarray]:
    """The columns of `compare.csv`."""
    c = comparison
    table: dict[str, np.ndarray] = {
        "status": np.array(c.statuses, dtype=object),
        "probability": c.probability,
    }
    for letter, image, places, which, ratio in (
        ("a", c.a, c.a.positions, c.first, 1.0),
        ("b", c.b, c.b_positions, c.second, c.paired.brightness.value),
    ):
        table[f"id_{letter}"] = picked(image.ids, which, None)
        table[f"element_{letter}"] = picked(np.array(image.symbols, dtype=object), which, "")
        for k, axis in enumerate("xy"):
            table[f"{axis}_{letter}"] = picked(places[:, k], which, np.nan)
        table[f"cross_section_{letter}"] = picked(image.cross_sections / ratio, which, np.nan)
        p = image.probabilities
        likeliest = np.full(len(image), np.nan)
        if p is not None:
            likeliest = np.where(image.counted, np.argmax(np.nan_to_num(p), axis=1) + 1.0, np.nan)
        table[f"count_{letter}"] = _whole(picked(likeliest, which, np.nan))
    pairs, atoms, none = c.paired, c.atoms, np.full(len(c), np.nan)
    gained, expected = none, none
    if atoms is not None:
        known = np.isfinite(atoms.expected)
        gained = c.of_pairs(np.where(known, atoms.likeliest, np.nan))
        expected = c.of_pairs(atoms.expected)
    for name, flags in (("moved", c.moved), ("changed", c.changed)):
        table[name] = np.where(c.pairs & np.isfinite(c.p), np.where(flags, "1", "0"), "")
    d = c.displacements
    for ending, values in zip(("", "_esd"), c.crystals, strict=True):
        table |= {
            f"{name}_difference{ending}": one for (name, *_), one in zip(_CRYSTAL, values.T, strict=True)
        }
    return table | {
        "dx": d[:, 0],
        "dy": d[:, 1],
        "distance": np.linalg.norm(d, axis=1),
        "distance_esd": c.esds,
        "p_moved": c.of_pairs(pairs.p_moved),
        "moved_probability": c.of_pairs(pairs.moved_probability),
        "difference": c.of_pairs(pairs.differences),
        "difference_esd": c.of_pairs(pairs.difference_esds),
        "p_changed": c.of_pairs(pairs.p_changed),
        "changed_probability": c.of_pairs(pairs.changed_probability),
        "atoms_gained": _whole(gained),
        "atoms_gained_expected": expected,
        "p_value": c.p,
        "q_value": c.q,
        "facet": Totals(c).facets,
    }


def column_summary(comparison: ColumnComparison, fdr: float, calibrated: bool) -> dict[str, Any]:
    """What was found, in numbers that fit on a page."""
    c, totals = comparison, Totals(comparison)
    motion, pairs = c.registration.motion, c.paired
    errors = c.registration.fitted
    esds = map_esds(errors.covariance)
    return {
        "kind": "columns",
        "a": {"name": c.a.name, "columns": len(c.a)},
        "b": {"name": c.b.name, "columns": len(c.b)},
        "counts": {status: c.count(status) for status in COLUMN_STATUSES},
        "fdr": fdr,
        "calibrated": calibrated,
        "tested": c.tested,
        "reach": c.reach,
        "totals": _totals(totals, None),
        "facets": [
            {"facet": number, "indices": _indices(c, number), **_totals(totals, totals.facets == number)}
            for number in sorted(set(totals.facets.tolist()) - {0})
        ],
        "cross_sections": {
            "ratio": pairs.brightness.value,
            "ratio_esd": pairs.brightness.esd,
            "pairs_fitted": int(pairs.brightness.used.sum()),
            "error_bars_too_small_by": pairs.brightness_scale.value,
            "error_bars_too_small_by_esd": pairs.brightness_scale.esd,
        },
        "displacements": {
            "error_bars_too_small_by": pairs.scale.value,
            "error_bars_too_small_by_esd": pairs.scale.esd,
            "shared_by_neighbours": c.coherence[0],
            "one_factor_probability": c.one_factor,
        },
        "crystal": {
            name: asdict(summed(values, esds, fdr))
            for (name, *_), values, esds in zip(_CRYSTAL, c.crystals[0].T, c.crystals[1].T, strict=True)
        },
        "detection_limits": {
            name: {"cross_section": limit.cross_section, "known": limit.known}
            for name, limit in zip("ab", c.limits, strict=True)
        },
        "registration": {
            "how": c.registration.how,
            "matrix": motion.matrix,
            "translation": motion.translation,
            "rotation": motion.rotation,
            "magnification": motion.magnification,
            "distortion": [motion.distortion.real, motion.distortion.imag],
            "mirrored": motion.mirrored,
            "rotation_esd": esds["rotation"],
            "magnification_esd": esds["magnification"],
            "distortion_esd": [esds["distortion_xx"], esds["distortion_xy"]],
            "centre": errors.centre,
            "centre_esd": np.sqrt(np.diagonal(errors.covariance))[4:],
            "pairs_fitted": len(c.registration.pairs[0]),
            "pairs_near": c.registration.near,
            "equal_orientations": c.registration.equals,
            "alternatives": [
                {
                    "matrix": other.matrix,
                    "translation": other.translation,
                    "rotation": other.rotation,
                    "magnification": other.magnification,
                    "mirrored": other.mirrored,
                }
                for other in c.registration.others
            ],
            "pairs_near_next_best": c.registration.next_best,
        },
        "verdict": judge_column_comparison(c).told(),
        "warnings": warnings_of_columns(c),
    }


def _whole(values: np.ndarray) -> np.ndarray:
    """Numbers that are whole, None where not known."""
    return np.array([int(x) if np.isfinite(x) else None for x in values], dtype=object)


def _totals(totals: Totals, rows: Bool[np.ndarray, " rows"] | None) -> dict[str, Any]:
    def told(total: Total) -> dict[str, float]:
        return {"value": total.value, "esd": total.esd}

    return {
        "columns_lost": told(totals.columns(True, rows)),
        "columns_gained": told(totals.columns(False, rows)),
        "atoms_lost": told(totals.atoms(True, rows)),
        "atoms_gained": told(totals.atoms(False, rows)),
    }


def _indices(c: ColumnComparison, number: int) -> tuple[int, int] | None:
    return c.a.indices[number - 1] if number <= len(c.a.indices) else None


def write_columns_side(path: Path, comparison: ColumnComparison, side: str) -> None:
    """Write one image's columns in the frame of A as extended XYZ at z = 0, with ids and statuses.

    **Arguments:**

    - `side`: "a" or "b".
    """
    from ase import Atoms
    from ase.io import write

    c = comparison
    image, places, which = (c.a, c.a.positions, c.first) if side == "a" else (c.b, c.b_positions, c.second)
    rows = np.flatnonzero(which >= 0)
    rows = rows[np.argsort(which[rows])]
    atoms = Atoms(list(image.symbols), np.pad(places, ((0, 0), (0, 1))))
    atoms.set_array("id", image.ids)
    atoms.set_array("status", np.array([c.statuses[row] for row in rows]))
    atoms.set_array("probability", c.probability[rows])
    write(str(path), atoms, format="extxyz")
