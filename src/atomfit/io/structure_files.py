"""Structure files as other programs write them: PDB, and XYZ plain and extended (CIF: `io.cif`).

Of several models or frames in one file the first is read. What the fields of a PDB file mean is for gemmi
to know; whether they hold numbers is asked here, since what it cannot read is 0 to it.
"""

import logging

import numpy as np
from jaxtyping import Float

from atomfit.io.text import lines_of, not_a_number, number
from atomfit.statistics.comparison import Model
from atomfit.structure.elements import UNKNOWN, symbols_in
from atomfit.support.errors import InputError

log = logging.getLogger("atomfit")

#: Names of the column of elements in extended XYZ files, the better ones first.
_SPECIES = ("species", "element", "symbol", "z", "numbers", "atomic_numbers", "type", "name")


def plain_model(name: str, symbols: tuple[str, ...], positions: Float[np.ndarray, "n 3"]) -> Model:
    """A model of elements and positions (Å) alone."""
    n = len(positions)
    return Model(name, np.arange(1, n + 1), symbols, positions, np.full((n, 3), np.nan), numbers={})


def from_xyz(text: str, name: str) -> Model:
    """A model of an XYZ file's first frame.

    **Raises:** `InputError`, by line, for what is none.
    """
    lines = lines_of(text)
    n = _count(lines[0])
    if n is None:
        raise InputError("the first line is not a number of atoms", "is this an XYZ file? write it again")
    if n < 1 or len(lines) < n + 2:
        raise InputError(
            f"the first line promises {n} atoms and {max(len(lines) - 2, 0)} lines follow the second",
            "write the file again",
        )
    _require_end(lines, n)
    label, first = _xyz_columns(lines[1])
    labels, positions = [], np.zeros((n, 3))
    for i, line in enumerate(lines[2 : n + 2]):
        words = line.split()
        values = [number(word) for word in words[first : first + 3]]
        if len(values) < 3 or None in values or (label is not None and label >= len(words)):
            wrong = next((word for word in words[first : first + 3] if number(word) is None), None)
            why = "" if wrong is None else f" ({not_a_number(wrong)})"
            raise InputError(
                f"line {i + 3}: {line.strip()[:60]!r} is not an element and three coordinates{why}",
                "correct it",
            )
        positions[i] = values
        labels.append(UNKNOWN if label is None else words[label])
    return plain_model(name, symbols_in(labels, lambda i: f"line {i + 3}"), positions)


def from_pdb(text: str, name: str) -> Model:
    """A model of a PDB file's first model.

    **Raises:** `InputError`, by line, for what is none.
    """
    import gemmi

    for i, line in enumerate(lines_of(text), start=1):
        if line[:6] in ("ATOM  ", "HETATM"):
            for k, axis in enumerate("xyz"):
                field = line[30 + 8 * k : 38 + 8 * k]
                if number(field) is None:
                    raise InputError(f"line {i}: {axis}: {not_a_number(field)}", "write the file again")
        elif line.startswith("ENDMDL"):
            break
    try:
        structure = gemmi.read_pdb_string(text)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the structure cannot be read ({str(error).splitlines()[0].rstrip(':.')})",
            "write the file again",
        ) from None
    atoms = [site.atom for site in structure[0].all()] if len(structure) else []
    if len(structure) > 1:
        log.warning("the file has %d models, of which the first is read", len(structure))
    labels = [atom.element.name if atom.element.name != UNKNOWN else atom.name for atom in atoms]
    positions = np.array([atom.pos.tolist() for atom in atoms]).reshape(-1, 3)
    return plain_model(name, symbols_in(labels, lambda i: f"atom {i + 1}"), positions)


def _count(line: str) -> int | None:
    word = line.strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None


def _require_end(lines: list[str], n: int) -> None:
    """**Raises:** `InputError` if lines follow the atoms that are not another frame."""
    for i, line in enumerate(lines[n + 2 :], start=n + 3):
        if _count(line) is not None:
            log.warning("the file has several frames, of which the first is read")
            return
        if line.strip():
            raise InputError(
                f"line {i} follows after the {n} atoms that the first line promises",
                "correct the number of atoms",
            )


def _xyz_columns(comment: str) -> tuple[int | None, int]:
    """Where an XYZ file has the element, None if it has none, and the position; 0 and 1 if it is plain."""
    words = comment.split("Properties=")
    if len(words) < 2 or not words[1].strip():
        return 0, 1
    fields = words[1].split()[0].strip("\"'").split(":")
    starts: dict[str, int] = {}
    column = 0
    for title, width in zip(fields[::3], fields[2::3], strict=False):
        starts.setdefault(title.lower(), column)
        column += int(width) if width.isdigit() else 1
    label = next((starts[title] for title in _SPECIES if title in starts), None)
    return label, starts.get("pos", starts.get("position", 1))
