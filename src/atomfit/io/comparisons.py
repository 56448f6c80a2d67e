"""Compared models as files: tables, a summary and structures; see `docs/files.md` for what they hold.

`COMPARE_COLUMNS` is the list that the documentation is checked against. A field is empty where there is no
atom, or a number is not known.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from atomfit.io.tables import Column, write_columns
from atomfit.statistics.comparison import STATUSES, Comparison, Model
from atomfit.verdict.comparison_words import warnings
from atomfit.verdict.of_comparison import judge_comparison

COMPARE_COLUMNS: tuple[Column, ...] = (
    Column("status", "", "s", "common, displaced, lost or gained"),
    Column("id_a", "", "d", "number of the atom in A"),
    Column("id_b", "", "d", "number of the atom in B"),
    Column("element_a", "", "s", "chemical symbol in A"),
    Column("element_b", "", "s", "chemical symbol in B"),
    *(Column(f"{axis}_a", "Å", ".5f", "position in A") for axis in "xyz"),
    *(Column(f"{axis}_b", "Å", ".5f", "position in B, laid on A's frame") for axis in "xyz"),
    *(Column(f"d{axis}", "Å", ".5f", "displacement from A to B") for axis in "xyz"),
    Column("distance", "Å", ".5f", "length of the displacement"),
    Column("distance_esd", "Å", ".5f", "standard uncertainty of the displacement along itself"),
    Column("chi_square", "", ".4g", "of the displacement; 3 degrees of freedom"),
    Column(
        "p_value", "", ".4g", "part of unmoved atoms with a larger chi-square, if the error bars are right"
    ),
    Column("q_value", "", ".4g", "least false-discovery rate at which the atom has moved"),
    Column("p_calibrated", "", ".4g", "p_value with error bars multiplied by their scale"),
    Column("q_calibrated", "", ".4g", "q_value of these"),
    Column("moved", "", "s", "1 if q_value (with --calibrate q_calibrated) is below --fdr, 0 if not"),
    Column("u_iso_a", "Å²", ".6f", "u_iso in A"),
    Column("u_iso_b", "Å²", ".6f", "u_iso in B"),
    Column("u_iso_difference", "Å²", ".6f", "u_iso in B less that in A"),
    Column("u_iso_difference_esd", "Å²", ".6f", "standard uncertainty of the difference"),
    Column("u_iso_z", "", ".4f", "the difference in its standard uncertainties"),
)


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write one row a pair or single atom."""
    write_columns(path, COMPARE_COLUMNS, columns(comparison))


def columns(comparison: Comparison) -> dict[str, np.ndarray]:
    """The columns of `compare.csv`."""
    c = comparison
    table: dict[str, np.ndarray] = {"status": np.array(c.statuses, dtype=object)}
    u: list[np.ndarray] = []
    u_esd: list[np.ndarray] = []
    sides = (("a", c.a, c.a.positions, c.first), ("b", c.b, c.b_positions, c.second))
    for letter, model, positions, which in sides:
        table[f"id_{letter}"] = picked(model.ids, which, None)
        table[f"element_{letter}"] = picked(np.array(model.symbols, dtype=object), which, "")
        for k, axis in enumerate("xyz"):
            table[f"{axis}_{letter}"] = picked(positions[:, k], which, np.nan)
        unknown = np.full(len(model), np.nan)
        u.append(np.asarray(picked(model.numbers.get("u_iso", unknown), which, np.nan), float))
        u_esd.append(np.asarray(picked(model.numbers.get("u_iso_esd", unknown), which, np.nan), float))
    known = np.isfinite(c.squares)
    return table | {
        **{f"d{axis}": c.displacements[:, k] for k, axis in enumerate("xyz")},
        "distance": c.distances,
        "distance_esd": c.esds,
        "chi_square": c.squares,
        "p_value": c.p,
        "q_value": c.q,
        "p_calibrated": c.p_calibrated,
        "q_calibrated": c.q_calibrated,
        "moved": np.where(known, np.where(c.moved, "1", "0"), ""),
        "u_iso_a": u[0],
        "u_iso_b": u[1],
        "u_iso_difference": u[1] - u[0],
        "u_iso_difference_esd": np.hypot(*u_esd),
        "u_iso_z": c.z.get("u_iso", np.full(len(c), np.nan)),
    }


def summary(comparison: Comparison, distance: float, fdr: float, calibrated: bool) -> dict[str, Any]:
    """What was found, in numbers that fit on a page."""
    c = comparison
    counts = {status: c.count(status) for status in STATUSES}
    n, m, common = len(c.a), len(c.b), counts["common"]
    apart = c.distances[c.common]
    registration, motion = c.registration, c.registration.motion
    deviations = registration.deviations
    return {
        "a": {"name": c.a.name, "atoms": n},
        "b": {"name": c.b.name, "atoms": m},
        "distance": distance,
        "counts": counts | {"different_in_a": n - common, "different_in_b": m - common},
        "percentages": {
            "common_of_a": 100 * common / n,
            "common_of_b": 100 * common / m,
            "common_of_union": 100 * common / len(c),
            "different_of_a": 100 * (n - common) / n,
            "different_of_b": 100 * (m - common) / m,
        },
        "common_pairs": {
            "rmsd": float(np.sqrt(np.mean(apart**2))) if len(apart) else np.nan,
            "median": float(np.median(apart)) if len(apart) else np.nan,
            "largest": float(apart.max()) if len(apart) else np.nan,
        },
        "displaced_reach": c.reach,
        "by_chance": {
            "common_of_smaller": 100 * c.chance.common,
            "log10_probability": c.chance.log_probability / np.log(10),
        },
        "lengths_of_b_in_those_of_a": {
            "ratio": c.magnification.ratio,
            "esd": c.magnification.esd,
            "common_at_one_size": c.magnification.common,
        },
        "elements": [{"a": one, "b": other, "common": count} for (one, other), count in c.elements.items()],
        "significance": {
            "tested": c.tested,
            "fdr": fdr,
            "calibrated": calibrated,
            "moved": int(c.moved.sum()) if c.tested else None,
            "moved_common": int(np.sum(c.moved & c.common)) if c.tested else None,
            "error_bars_too_small_by": c.scale.value,
            "error_bars_too_small_by_esd": c.scale.esd,
            "shared_by_neighbours": c.coherence[0],
            "one_factor_probability": c.one_factor,
        },
        "z": {name: asdict(agreement) for name, agreement in c.agreements.items()},
        "registration": {
            "how": registration.how,
            "rotation": motion.rotation,
            "angle": motion.angle,
            "rotation_vector": motion.vector,
            "rotation_esd": np.degrees(deviations[:3]),
            "translation": motion.translation,
            "centre": registration.fitted.centre,
            "centre_esd": deviations[3:],
            "pairs_fitted": len(registration.pairs[0]),
            "pairs_near": registration.near,
            "equal_orientations": registration.equals,
            "pairs_near_next_best": registration.next_best,
        },
        "verdict": judge_comparison(c).told(),
        "warnings": warnings(c),
    }


def write_tracks(path: Path, models: Sequence[Model], tracks: Int[np.ndarray, "atoms models"]) -> None:
    """Write `series.csv`: the id of each atom in every model, and in how many it is."""
    write_columns(path, track_columns(models), tracks_table(models, tracks))


def track_columns(models: Sequence[Model]) -> tuple[Column, ...]:
    """The columns of `series.csv`."""
    return (
        Column("track", "", "d", "number of the atom in the series"),
        Column("models", "", "d", "models that have it"),
        *(Column(model.name, "", "d", "id of the atom in this model") for model in models),
    )


def tracks_table(models: Sequence[Model], tracks: Int[np.ndarray, "atoms models"]) -> dict[str, np.ndarray]:
    """What `series.csv` holds."""
    numbers = {"track": np.arange(1, len(tracks) + 1), "models": np.sum(tracks >= 0, axis=1)}
    return numbers | {model.name: picked(model.ids, tracks[:, k], None) for k, model in enumerate(models)}


def write_side(path: Path, comparison: Comparison, side: str) -> None:
    """Write one model in the frame of A as extended XYZ, with ids, statuses and who moved.

    **Arguments:**

    - `side`: "a" or "b".
    """
    from ase import Atoms
    from ase.io import write

    c = comparison
    model, positions, which = (
        (c.a, c.a.positions, c.first) if side == "a" else (c.b, c.b_positions, c.second)
    )
    rows = np.flatnonzero(which >= 0)
    rows = rows[np.argsort(which[rows])]
    atoms = Atoms(list(model.symbols), positions)
    atoms.set_array("id", model.ids)
    atoms.set_array("status", np.array([c.statuses[row] for row in rows]))
    if c.tested:
        # -1 for an atom that could not be tested.
        atoms.set_array("moved", np.where(np.isfinite(c.squares), c.moved, -1)[rows].astype(int))
    write(str(path), atoms, format="extxyz")


def picked(values: np.ndarray, which: Int[np.ndarray, " rows"], other: object) -> np.ndarray:
    """Values at indices; `other` where an index is -1."""
    picked = np.empty(len(which), dtype=object)
    picked[:] = other
    picked[which >= 0] = values[which[which >= 0]]
    return picked
