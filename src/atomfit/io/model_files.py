"""The atoms of a result as structure files: all formats, each of which may fail without the others."""

from pathlib import Path

from atomfit.io.core_cif import write_core_cif
from atomfit.io.outputs import optional
from atomfit.io.structures import Structure, write_mmcif, write_pdb, write_xyz


def write_structures(directory: Path, structure: Structure, warnings: list[str]) -> None:
    """Write `atoms.cif`, `atoms_core.cif`, `atoms.pdb` and `atoms.xyz`, or warn of those that cannot be."""
    with optional(directory / "atoms.cif", warnings) as path:
        write_mmcif(path, structure)
    with optional(directory / "atoms_core.cif", warnings) as path:
        write_core_cif(path, structure)
    with optional(directory / "atoms.pdb", warnings) as path:
        if not write_pdb(path, structure):
            warnings.append("atoms.pdb is missing: its columns cannot hold these coordinates")
    with optional(directory / "atoms.xyz", warnings) as path:
        write_xyz(path, structure)
