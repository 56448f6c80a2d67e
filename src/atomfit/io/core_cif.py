"""Atoms as a core CIF, which programs for crystals read: ase, pymatgen, VESTA, Olex2.

These need a cell. A particle has none, so it lies in a box with empty space around it, in space group P1.
The box begins at the origin, so that positions mean the same as in the other files, unless atoms lie below
or far from it: then `_atom_sites_Cartn_tran_vector_` says where it begins. Standard uncertainties stand
in parentheses, to two digits, and what is not known is a question mark.
"""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.structures import ELEMENTS_OF_U, Structure, add_loop

#: Empty space around the particle, and how far from the origin the box may still begin there (Å).
_SPACE, _FAR = 10.0, 50.0


def write_core_cif(path: Path, structure: Structure) -> None:
    """Write `_cell_`, `_atom_site_` and `_atom_site_aniso_` of a particle in a box."""
    from gemmi import cif

    document = cif.Document()
    block = document.add_new_block("atomfit")
    corner, edges = box(structure.positions)
    block.set_pair("_audit_creation_method", "atomfit")
    for axis, edge in zip("abc", edges.tolist(), strict=True):
        block.set_pair(f"_cell_length_{axis}", f"{edge:.1f}")
    for angle in ("alpha", "beta", "gamma"):
        block.set_pair(f"_cell_angle_{angle}", "90")
    block.set_pair("_space_group_name_H-M_alt", "'P 1'")
    block.set_pair("_space_group_IT_number", "1")
    add_loop(block, "_space_group_", {"symop_operation_xyz": ["'x, y, z'"]})
    for i in range(3):
        for j, edge in enumerate(edges.tolist()):
            block.set_pair(f"_atom_sites_Cartn_tran_matrix_{i + 1}{j + 1}", f"{edge if i == j else 0:.1f}")
        block.set_pair(f"_atom_sites_Cartn_tran_vector_{i + 1}", f"{corner[i]:.1f}")
    unknown = np.full((len(structure.symbols), 6), np.nan)
    esds = unknown[:, :3] if structure.position_esds is None else structure.position_esds
    u_esds = unknown[:, 0] if structure.u_iso_esds is None else structure.u_iso_esds
    matrix_esds = unknown if structure.matrix_esds is None else structure.matrix_esds
    labels = [f"{symbol}{i}" for i, symbol in enumerate(structure.symbols, start=1)]
    anisotropic = structure.anisotropic
    fractional = (structure.positions - corner) / edges
    sites = {"label": labels, "type_symbol": structure.symbols}
    for k, axis in enumerate("xyz"):
        sites[f"fract_{axis}"] = _with_esds(fractional[:, k], esds[:, k] / edges[k], 8)
    sites["U_iso_or_equiv"] = _with_esds(structure.u_iso, u_esds, 6)
    sites["adp_type"] = np.where(anisotropic, "Uani", "Uiso").tolist()
    sites["occupancy"] = ["1"] * len(labels)
    add_loop(block, "_atom_site_", sites)
    which = np.flatnonzero(anisotropic)
    shapes = {"label": [labels[i] for i in which]}
    for k, (i, j) in enumerate(ELEMENTS_OF_U):
        values, errors = structure.matrices[which, i, j], matrix_esds[which, k]
        shapes[f"U_{i + 1}{j + 1}"] = _with_esds(values, errors, 6)
    add_loop(block, "_atom_site_aniso_", shapes)
    path.write_text(document.as_string(), encoding="utf-8")


def box(positions: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Where a box around atoms begins, and its edges (Å)."""
    if not len(positions):
        return np.zeros(3), np.full(3, _SPACE)
    least, most = np.floor(positions.min(axis=0)), np.ceil(positions.max(axis=0))
    corner = np.where((least >= 0) & (least <= _FAR), 0.0, least - _SPACE / 2)
    return corner, most + _SPACE / 2 - np.minimum(corner, least - _SPACE / 2)


def _with_esds(values: Float[np.ndarray, " n"], esds: Float[np.ndarray, " n"], digits: int) -> list[str]:
    return [with_esd(value, esd, digits) for value, esd in zip(values.tolist(), esds.tolist(), strict=True)]


def with_esd(value: float, esd: float, digits: int) -> str:
    """A number with its standard uncertainty, 1.2345(67).

    **Arguments:**

    - `value`: the number.
    - `esd`: its standard uncertainty; if it is not a positive number, there are no parentheses.
    - `digits`: after the point, if nothing says how many are worth writing.
    """
    if not math.isfinite(value):
        return "?"
    if not (math.isfinite(esd) and esd > 0):
        return f"{value:.{digits}f}"
    decimals = min(max(1 - math.floor(math.log10(esd)), 0), 12)
    return f"{value:.{decimals}f}({max(round(esd * 10**decimals), 1)})"
