"""`atoms.csv`: one row an atom, every column described here once.

`COLUMNS` is the list that the documentation is checked against. A number that is not known is an empty
field, and `flags` says why.
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Column:
    """A column: its name, unit, how it is written, and what it means."""

    name: str
    unit: str
    format: str
    meaning: str


#: Elements of a symmetric matrix, in the order of all files.
TENSOR = ("xx", "yy", "zz", "xy", "xz", "yz")

COLUMNS: tuple[Column, ...] = (
    Column("id", "", "d", "number of the atom, from 1; the same in all files"),
    Column("element", "", "s", "chemical symbol"),
    Column("x", "Å", ".5f", "refined position in the map's frame"),
    Column("y", "Å", ".5f", "refined position in the map's frame"),
    Column("z", "Å", ".5f", "refined position in the map's frame"),
    Column("amplitude", "map units x Å³", ".6g", "integral of the atom's density"),
    Column("u11", "Å²", ".6f", "displacement matrix U, xx"),
    Column("u22", "Å²", ".6f", "displacement matrix U, yy"),
    Column("u33", "Å²", ".6f", "displacement matrix U, zz"),
    Column("u12", "Å²", ".6f", "displacement matrix U, xy"),
    Column("u13", "Å²", ".6f", "displacement matrix U, xz"),
    Column("u23", "Å²", ".6f", "displacement matrix U, yz"),
    Column("u_iso", "Å²", ".6f", "a third of the trace of U"),
    Column("u_maj", "Å²", ".6f", "largest eigenvalue of U"),
    Column("u_med", "Å²", ".6f", "middle eigenvalue of U"),
    Column("u_min", "Å²", ".6f", "smallest eigenvalue of U"),
    Column("doi", "", ".5f", "degree of isotropy, u_min / u_maj"),
    Column("doi_debiased", "", ".5f", "degree of isotropy without the bias of noise, as all atoms tell it"),
    Column("doi_debiased_esd", "", ".5f", "standard uncertainty of doi_debiased"),
    Column("cn", "", "d", "coordination number: atoms within the cutoff (see summary.json)"),
    Column("nn_distance", "Å", ".5f", "distance to the nearest atom (the paper's bond length)"),
    Column("mean_bond_length", "Å", ".5f", "mean distance to the atoms within the cutoff"),
    Column("peak_intensity", "map units", ".6g", "height of the fitted atom above the background"),
    Column("max_intensity", "map units", ".6g", "highest voxel within the theoretical radius"),
    Column(
        "validation_correlation",
        "",
        ".5f",
        "correlation of the map with identical isotropic atoms within 1.5 theoretical radii",
    ),
    Column("com_x", "Å", ".5f", "centre of mass at detection"),
    Column("com_y", "Å", ".5f", "centre of mass at detection"),
    Column("com_z", "Å", ".5f", "centre of mass at detection"),
    Column("logfit_u_iso", "Å²", ".6f", "baseline: isotropic log-fit about the centre of mass"),
    Column("logfit_u_maj", "Å²", ".6f", "baseline: anisotropic log-fit, largest eigenvalue"),
    Column("logfit_u_med", "Å²", ".6f", "baseline: anisotropic log-fit, middle eigenvalue"),
    Column("logfit_u_min", "Å²", ".6f", "baseline: anisotropic log-fit, smallest eigenvalue"),
    Column("logfit_doi", "", ".5f", "baseline: degree of isotropy"),
    *(
        Column(f"{name}_esd", unit, how, f"standard uncertainty of {name}")
        for names, unit, how in (
            (("x", "y", "z"), "Å", ".5f"),
            (("amplitude",), "map units x Å³", ".4g"),
            (("u11", "u22", "u33", "u12", "u13", "u23"), "Å²", ".6f"),
            (("u_iso", "u_maj", "u_med", "u_min"), "Å²", ".6f"),
            (("doi",), "", ".5f"),
            (("nn_distance",), "Å", ".5f"),
            (("peak_intensity",), "map units", ".4g"),
        )
        for name in names
    ),
    Column("cn_expected", "", ".3f", "cn, each atom counted by its probability to be within the cutoff"),
    Column("cn_esd", "", ".3f", "standard deviation of cn, from the uncertainty of distances"),
    Column("gcn", "", ".3f", "generalised coordination number, by the bulk's (12 in fcc)"),
    Column("gcn_max", "", ".3f", "the same by the largest among the neighbours (the paper's)"),
    Column(
        "structure", "", "s", "local structure: fcc, hcp, fivefold, ..., surface_9 to surface_few, other"
    ),
    Column("grain", "", "d", "number of the grain, the largest first; 0 for none"),
    Column("radius", "Å", ".4f", "distance from the particle's centre"),
    Column("radial_depth", "Å", ".4f", "half the particle's diameter less that (the paper's R_NP - R)"),
    Column("hull_depth", "Å", ".4f", "distance from the convex hull of all atoms"),
    *(
        Column(f"lattice_d{axis}", "Å", ".4f", f"displacement from the ideal crystal, {axis}")
        for axis in "xyz"
    ),
    *(Column(f"strain_{ij}", "", ".5f", f"strain from the fitted ideal crystal, {ij}") for ij in TENSOR),
    *(Column(f"strain_{ij}_esd", "", ".5f", f"standard uncertainty of strain_{ij}") for ij in TENSOR),
    Column("strain_radial", "", ".5f", "the same along the direction from the particle's centre"),
    Column("strain_radial_esd", "", ".5f", "standard uncertainty of strain_radial"),
    Column("strain_radial_bulk", "", ".5f", "radial strain from the bulk's crystal"),
    Column("u_maj_angle", "°", ".2f", "angle of the largest displacement to the direction from the centre"),
    Column("max_intensity_z", "", ".4f", "max_intensity in standard deviations of the atom's own voxels"),
    Column(
        "max_intensity_map_z", "", ".4f", "max_intensity in standard deviations of the voxels of all atoms"
    ),
    Column("score", "σ", ".3f", "by how many standard deviations the atom stands out"),
    Column("evidence", "", ".2f", "by how much chi-square would be larger without the atom"),
    Column("q_value", "", ".3g", "least false-discovery rate at which the atom is taken"),
    Column(
        "element_probability", "", ".4f", "that the atom is of its element, not of another that was given"
    ),
    Column("flags", "", "s", "what to know of this row, in words separated by semicolons"),
)


def write_table(path: Path, values: dict[str, np.ndarray]) -> None:
    """Write one row an atom; `values` must have exactly the columns of `COLUMNS`."""
    write_columns(path, COLUMNS, values)


REJECTED_COLUMNS: tuple[Column, ...] = (
    Column("x", "Å", ".5f", "centre of mass"),
    Column("y", "Å", ".5f", "centre of mass"),
    Column("z", "Å", ".5f", "centre of mass"),
    Column(
        "score", "σ", ".3f", "by how many standard deviations it stands out, if it was fitted or scored"
    ),
    Column("q_value", "", ".3g", "least false-discovery rate at which it would be an atom"),
    Column("reason", "", "s", "why it is none"),
)


def write_rejected(path: Path, values: dict[str, np.ndarray]) -> None:
    """Write the places that are no atoms."""
    write_columns(path, REJECTED_COLUMNS, values)


def write_means(path: Path, values: dict[str, np.ndarray]) -> None:
    """Write means of atoms at one depth, of whichever statistics there are."""
    write_columns(path, tuple(Column(name, "", ".6g", "") for name in values), values)


def write_columns(path: Path, columns: tuple[Column, ...], values: dict[str, np.ndarray]) -> None:
    """Write a CSV file; a value that is None or no finite number is an empty field."""
    written = [cells(values[column.name], column.format) for column in columns]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.name for column in columns])
        writer.writerows(zip(*written, strict=True))


def cells(values: np.ndarray, how: str) -> list[str]:
    """Values as a CSV file has them."""
    if how == "s":
        return [str(value) for value in values]
    return [format(x, how) if x is not None and math.isfinite(x) else "" for x in values.tolist()]
