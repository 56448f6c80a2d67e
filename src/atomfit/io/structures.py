"""Atoms as structure files: mmCIF, PDB and extended XYZ (a core CIF: `io.core_cif`).

mmCIF carries everything and any number of atoms. PDB is for older programs: its numbers are rounded to
0.001 Å and 0.0001 Å², and it counts beyond 99,999 in hybrid-36. It has no cell, for a particle is not
periodic, and 0 where B is not known. Extended XYZ is for OVITO and ase; its columns `aspherical_shape` and
`orientation` make OVITO draw thermal ellipsoids (50 % probability). Neither format knows empty fields: NaN
stands for numbers that are not known, "-" for no flags, and columns in which nothing is known are left out.

Each atom is a residue of its own, which viewers expect of atoms that carry one name, in chains of 9,999.
Atoms without a displacement matrix have no anisotropic record.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.statistics.displacements import principal_displacements
from atomfit.support.units import HALF_PROBABILITY_SCALE, b_from_u

_CHAIN_LENGTH = 9_999
_CHAIN_NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#: The elements of U as files have them: 11, 22, 33, 12, 13, 23.
ELEMENTS_OF_U = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
#: Coordinates that fit the columns of a PDB file (Å).
_PDB_LIMITS = (-999.0, 9999.0)


@dataclass(frozen=True, eq=False)
class Structure:
    """What structure files hold.

    **Fields:**

    - `symbols`: element of each atom.
    - `positions`: in Å.
    - `matrices`: displacement matrices (Å²); NaN where unknown.
    - `u_iso`: isotropic displacements (Å²); NaN where unknown.
    - `columns`: further numbers for each atom, and texts, by name (extended XYZ).
    - `position_esds`, `matrix_esds`, `u_iso_esds`: standard uncertainties (mmCIF), of U's elements 11,
        22, 33, 12, 13, 23; NaN or None where unknown.
    """

    symbols: list[str]
    positions: Float[np.ndarray, "n 3"]
    matrices: Float[np.ndarray, "n 3 3"]
    u_iso: Float[np.ndarray, " n"]
    columns: dict[str, np.ndarray]
    position_esds: Float[np.ndarray, "n 3"] | None = None
    matrix_esds: Float[np.ndarray, "n 6"] | None = None
    u_iso_esds: Float[np.ndarray, " n"] | None = None

    @property
    def anisotropic(self) -> np.ndarray:
        """Which atoms have a displacement matrix."""
        return np.all(np.isfinite(self.matrices), axis=(1, 2))


def write_mmcif(path: Path, structure: Structure) -> None:
    """Write `_atom_site` and `_atom_site_anisotrop`, with the `_esd` items of what has an uncertainty.

    **Arguments:**

    - `path`: the file.
    - `structure`: what is written.
    """
    from gemmi import cif

    document = cif.Document()
    block = document.add_new_block("atomfit")
    block.set_pair("_entry.id", "atomfit")
    block.set_pair("_exptl.entry_id", "atomfit")
    block.set_pair("_exptl.method", "'ELECTRON MICROSCOPY'")
    n = len(structure.symbols)
    serial = [str(i + 1) for i in range(n)]
    names = [symbol.upper() for symbol in structure.symbols]
    chains = [_chain_name(i // _CHAIN_LENGTH) for i in range(n)]
    residues = [str(i % _CHAIN_LENGTH + 1) for i in range(n)]
    x, y, z = (_fixed(axis, 5) for axis in structure.positions.T)
    esds: dict[str, list[str]] = {}
    if structure.position_esds is not None:
        esds |= {
            f"Cartn_{k}_esd": _known(v, 5) for k, v in zip("xyz", structure.position_esds.T, strict=True)
        }
    if structure.u_iso_esds is not None:
        esds["B_iso_or_equiv_esd"] = _known(b_from_u(structure.u_iso_esds), 4)
    add_loop(
        block,
        "_atom_site.",
        {
            "group_PDB": ["HETATM"] * n,
            "id": serial,
            "type_symbol": names,
            "label_atom_id": names,
            "label_alt_id": ["."] * n,
            "label_comp_id": names,
            "label_asym_id": chains,
            "label_entity_id": ["1"] * n,
            "label_seq_id": ["."] * n,
            "Cartn_x": x,
            "Cartn_y": y,
            "Cartn_z": z,
            "occupancy": ["1.0"] * n,
            "B_iso_or_equiv": _known(b_from_u(structure.u_iso), 4),
            **esds,
            "auth_seq_id": residues,
            "auth_asym_id": chains,
            "pdbx_PDB_model_num": ["1"] * n,
        },
    )
    which = np.flatnonzero(structure.anisotropic)
    columns = {"id": [serial[i] for i in which], "type_symbol": [names[i] for i in which]}
    for k, (i, j) in enumerate(ELEMENTS_OF_U):
        columns[f"U[{i + 1}][{j + 1}]"] = _fixed(structure.matrices[which, i, j], 6)
        if structure.matrix_esds is not None:
            columns[f"U[{i + 1}][{j + 1}]_esd"] = _known(structure.matrix_esds[which, k], 6)
    add_loop(block, "_atom_site_anisotrop.", columns)
    # Not by gemmi, which takes no path that is not UTF-8.
    path.write_text(document.as_string(), encoding="utf-8")


def write_pdb(path: Path, structure: Structure) -> bool:
    """Write ATOM and ANISOU records; false, and no file, if coordinates do not fit the format.

    **Arguments:**

    - `path`: the file.
    - `structure`: what is written.
    """
    import gemmi

    low, high = _PDB_LIMITS
    if len(structure.symbols) and not (
        structure.positions.min() > low and structure.positions.max() < high
    ):
        return False
    model = gemmi.Model(1)
    chain = gemmi.Chain("A")
    anisotropic = structure.anisotropic
    for i, symbol in enumerate(structure.symbols):
        if i and i % _CHAIN_LENGTH == 0:
            model.add_chain(chain)
            chain = gemmi.Chain(_chain_name(i // _CHAIN_LENGTH))
        atom = gemmi.Atom()
        atom.name = symbol.upper()
        atom.element = gemmi.Element(symbol)
        atom.pos = gemmi.Position(*structure.positions[i])
        atom.b_iso = b_from_u(float(structure.u_iso[i])) if np.isfinite(structure.u_iso[i]) else 0.0
        if anisotropic[i]:
            u = structure.matrices[i]
            atom.aniso = gemmi.SMat33f(u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
        residue = gemmi.Residue()
        residue.name = symbol.upper()
        residue.seqid = gemmi.SeqId(i % _CHAIN_LENGTH + 1, " ")
        residue.het_flag = "H"
        residue.add_atom(atom)
        chain.add_residue(residue)
    model.add_chain(chain)
    whole = gemmi.Structure()
    whole.name = "atomfit"
    whole.add_model(model)
    options = gemmi.PdbWriteOptions(minimal=True)
    # A cell of 1 Å, which the format has for those without, is taken at its word by ase.
    options.cryst1_record = False
    # No atoms are no file at all to gemmi.
    path.write_text(whole.make_pdb_string(options) or "END\n", encoding="utf-8")
    return True


def write_xyz(path: Path, structure: Structure) -> None:
    """Write extended XYZ with thermal ellipsoids and all columns.

    **Arguments:**

    - `path`: the file.
    - `structure`: what is written.
    """
    from ase import Atoms
    from ase.io import write
    from scipy.spatial.transform import Rotation

    atoms = Atoms(structure.symbols, structure.positions)
    for name, values in structure.columns.items():
        if values.dtype.kind == "O":
            words = ["_".join(str(value).split()) or "-" for value in values]
            atoms.set_array(name, np.array(words, dtype=str))
        elif np.any(np.isfinite(values)):
            atoms.set_array(
                name, np.where(np.isfinite(values), values, np.nan) if values.dtype.kind == "f" else values
            )
    principal = principal_displacements(structure.matrices)
    variances = np.where(structure.anisotropic[:, None], principal.values, structure.u_iso[:, None])
    if len(atoms):
        radii = np.sqrt(np.where(np.isfinite(variances), variances, 0.0))
        atoms.set_array("aspherical_shape", HALF_PROBABILITY_SCALE * radii)
        # Columns of the rotation are the principal axes: it takes the ellipsoid's frame to the map's.
        turn = Rotation.from_matrix(np.swapaxes(principal.axes, 1, 2))
        atoms.set_array("orientation", turn.as_quat())
    write(str(path), atoms, format="extxyz")


def add_loop(block: object, prefix: str, columns: dict[str, list[str]]) -> None:
    """Add a loop to a block of a CIF, unless it has no rows."""
    if not any(columns.values()):
        return  # CIF has no empty loops
    loop = block.init_loop(prefix, list(columns))  # type: ignore[attr-defined]
    loop.set_all_values(list(columns.values()))


def _known(values: np.ndarray, digits: int) -> list[str]:
    """Fixed-point numbers, with the CIF's question mark for those that are not known."""
    return [
        text if np.isfinite(value) else "?"
        for value, text in zip(values, _fixed(values, digits), strict=True)
    ]


def _fixed(values: Float[np.ndarray, " n"], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values.tolist()]


def _chain_name(k: int) -> str:
    name = ""
    k += 1
    while k:
        k, letter = divmod(k - 1, len(_CHAIN_NAMES))
        name = _CHAIN_NAMES[letter] + name
    return name
