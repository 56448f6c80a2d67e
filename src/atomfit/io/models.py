"""Models of a particle as they lie on disk: directories of `atomfit build`, tables, structure files.

A table needs the columns x, y, z; `id` and `element` if they are there, and every other column of numbers
is kept, those named `..._esd` as standard uncertainties. Structure files (mmCIF, PDB, XYZ) give elements
and positions and no error bars; of several models in one file the first is read.

What is refused is refused by row and column, so that it can be found in the file.
"""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.errors import InputError
from atomfit.statistics.comparison import Model

STRUCTURE_ENDINGS = (".cif", ".mmcif", ".pdb", ".ent", ".xyz", ".extxyz")
_KINDS = (
    "give a directory of atomfit build, an atoms.csv, a .cif, .pdb or .xyz file, or a map with --element"
)
_TEXTS = {"id", "element", "flags"}
#: Positions beyond this are no atoms of a particle (Å).
_FARTHEST = 1e6


def read_model(path: Path, name: str) -> Model:
    """Read a model.

    **Arguments:**

    - `path`: a directory with `atoms.csv`, a table, or a structure file.
    - `name`: what it is called in results.

    **Raises:** `InputError` for what is none of these or cannot be used.
    """
    if path.is_dir():
        table = path / "atoms.csv"
        if not table.is_file():
            raise InputError("there is no atoms.csv in this directory", _KINDS, path)
        path = table
    if not path.exists():
        raise InputError("no such file", _KINDS, path)
    ending = path.suffix.lower()
    try:
        if ending == ".csv":
            return _from_table(path, name)
        if ending in (".xyz", ".extxyz"):
            return _from_xyz(path, name)
        if ending in STRUCTURE_ENDINGS:
            return _from_structure(path, name)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read ({error})", _KINDS, path) from None
    raise InputError(f"files ending in {ending or 'nothing'!r} are no models", _KINDS, path)


def model_of_columns(name: str, columns: dict[str, np.ndarray]) -> Model:
    """A model of the columns of `atoms.csv`, as a build has them."""
    n = len(columns["x"])
    numbers = {
        key: np.asarray(values, float)
        for key, values in columns.items()
        if key not in {*_TEXTS, *"xyz"} and np.asarray(values).dtype.kind in "biuf"
    }
    unknown = np.full(n, np.nan)
    return Model(
        name,
        np.asarray(columns["id"], int),
        tuple(str(symbol) for symbol in columns["element"]),
        np.stack([np.asarray(columns[axis], float) for axis in "xyz"], axis=1),
        np.stack([numbers.get(f"{axis}_esd", unknown) for axis in "xyz"], axis=1),
        numbers,
    )


def _from_table(path: Path, name: str) -> Model:
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            header, *rows = list(csv.reader(file)) or [[]]
        except csv.Error as error:
            raise InputError(f"this is no table ({error})", _KINDS, path) from None
    header = [title.strip() for title in header]
    for axis in "xyz":
        if axis not in header:
            raise InputError(
                f"the table has no column {axis!r}", "name the columns in the first line: id, x, y, z", path
            )
    if len(set(header)) < len(header):
        twice = next(title for title in header if header.count(title) > 1)
        raise InputError(f"two columns are named {twice!r}", "rename one of them", path)
    rows = [row for row in rows if row]
    if not rows:
        raise InputError("the table has no atoms", "give a model with atoms", path)
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(
                f"row {line} has {len(row)} fields where the first line has {len(header)}",
                "mend that row, or write the table again",
                path,
            )
    texts = dict(zip(header, zip(*rows, strict=True), strict=True))
    columns: dict[str, np.ndarray] = {}
    for title, fields in texts.items():
        if title in _TEXTS:
            continue
        wanted = title in "xyz" or title.endswith("_esd")
        values = _numbers(path, title, fields, wanted, empty=title not in "xyz")
        if values is not None:
            columns[title] = values
    columns["id"] = _ids(path, texts.get("id"), len(rows))
    columns["element"] = np.array([text.strip() for text in texts.get("element", ("X",) * len(rows))])
    return _sound(path, model_of_columns(name, columns))


def _numbers(
    path: Path, title: str, fields: tuple[str, ...], wanted: bool, empty: bool
) -> Float[np.ndarray, " n"] | None:
    """A column's numbers; None if it has others and is not wanted."""
    values = np.full(len(fields), np.nan)
    for i, text in enumerate(fields):
        if empty and not text.strip():
            continue
        try:
            values[i] = float(text)
        except ValueError:
            if not wanted:
                return None
            raise InputError(
                f"row {i + 2}, column {title!r}: {text!r} is not a number", "correct it", path
            ) from None
        if title.endswith("_esd") and values[i] < 0:
            raise InputError(
                f"row {i + 2}, column {title!r}: {text} is negative",
                "a standard uncertainty is positive, or an empty field where it is not known",
                path,
            )
    return values


def _ids(path: Path, fields: tuple[str, ...] | None, n: int) -> np.ndarray:
    if fields is None:
        return np.arange(1, n + 1)
    seen: dict[int, int] = {}
    for line, text in enumerate(fields, start=2):
        try:
            number = int(text)
        except ValueError:
            raise InputError(
                f"row {line}, column 'id': {text!r} is no whole number", "number the atoms", path
            ) from None
        if number in seen:
            raise InputError(
                f"row {line}, column 'id': {number} is the id of row {seen[number]} too",
                "number the atoms apart",
                path,
            )
        seen[number] = line
    return np.array(list(seen), int)


def _from_xyz(path: Path, name: str) -> Model:
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        n = int(lines[0])
    except (IndexError, ValueError):
        raise InputError(
            "the first line is not a number of atoms", "is this an XYZ file? write it again", path
        ) from None
    if n < 1 or len(lines) < n + 2:
        raise InputError(
            f"the first line promises {n} atoms and {max(len(lines) - 2, 0)} lines follow the second",
            "write the file again",
            path,
        )
    symbol, first = _xyz_columns(lines[1])
    symbols, positions = [], np.zeros((n, 3))
    for i, line in enumerate(lines[2 : n + 2]):
        words = line.split()
        try:
            positions[i] = [float(word) for word in words[first : first + 3]]
            symbols.append(words[symbol])
        except (IndexError, ValueError):
            raise InputError(
                f"line {i + 3}: {line!r} is not an element and three coordinates", "correct it", path
            ) from None
    return _sound(path, _plain_model(name, symbols, positions))


def _xyz_columns(comment: str) -> tuple[int, int]:
    """Where an extended XYZ file has the element and the position; 0 and 1 in a plain one."""
    words = comment.split("Properties=")
    if len(words) < 2:
        return 0, 1
    fields = words[1].split()[0].strip("\"'").split(":")
    starts, column = {}, 0
    for title, width in zip(fields[::3], fields[2::3], strict=False):
        starts[title] = column
        column += int(width) if width.isdigit() else 1
    return starts.get("species", 0), starts.get("pos", 1)


def _from_structure(path: Path, name: str) -> Model:
    import gemmi

    try:
        structure = gemmi.read_structure(str(path))
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"the structure cannot be read ({reason})", _KINDS, path) from None
    atoms = [site.atom for site in structure[0].all()] if len(structure) else []
    positions = np.array([atom.pos.tolist() for atom in atoms]).reshape(-1, 3)
    return _sound(path, _plain_model(name, [atom.element.name for atom in atoms], positions))


def _plain_model(name: str, symbols: list[str], positions: Float[np.ndarray, "n 3"]) -> Model:
    n = len(positions)
    return Model(name, np.arange(1, n + 1), tuple(symbols), positions, np.full((n, 3), np.nan), numbers={})


def _sound(path: Path, model: Model) -> Model:
    """The model, if its atoms can be those of a particle."""
    if not len(model):
        raise InputError("there are no atoms in this file", _KINDS, path)
    wrong = np.argwhere(~(np.abs(model.positions) < _FARTHEST))
    if len(wrong):
        i, axis = wrong[0]
        raise InputError(
            f"atom {model.ids[i]}: {'xyz'[axis]} is {model.positions[i, axis]:g}",
            "a position is a number of Å; correct it or leave the atom out",
            path,
        )
    return model
