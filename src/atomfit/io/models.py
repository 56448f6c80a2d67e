"""Models of a particle as they lie on disk: directories of `atomfit build`, tables, structure files.

A table needs the columns x, y, z; `id` and `element` if they are there, and every other column of numbers
is kept, those named `..._esd` as standard uncertainties. Structure files (`io.cif`, `io.structure_files`)
give elements and positions; of them CIF alone may have standard uncertainties.

What is refused is refused by row and column, so that it can be found in the file.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.cif import from_cif
from atomfit.io.own_verdict import findings_beside
from atomfit.io.structure_files import from_pdb, from_xyz
from atomfit.io.text import not_a_number, number, read_text, table_rows
from atomfit.statistics.comparison import Model
from atomfit.structure.elements import UNKNOWN, symbols_in
from atomfit.support.errors import InputError

_KINDS = (
    "give a directory of atomfit build, an atoms.csv, a .cif, .pdb or .xyz file, or a map (to compare with "
    "--element, to tilt with --map)"
)
_READERS: dict[str, Callable[[str, str], Model]] = {
    ".cif": from_cif,
    ".mmcif": from_cif,
    ".mcif": from_cif,
    ".pdb": from_pdb,
    ".ent": from_pdb,
    ".xyz": from_xyz,
    ".extxyz": from_xyz,
}
_TEXTS = {"id", "element", "flags"}
#: Of columns that may be lacking, that with these titles has numbers if it is there.
_IN_NUMBERS = {"cross_section"}
#: Positions beyond this are no atoms of a particle (Å).
_FARTHEST = 1e6
#: Standard uncertainties of a position that are known at all (Å); squares of others are 0 or infinite.
_ESDS = (1e-9, 1e6)


def read_model(path: Path, name: str) -> Model:
    """Read a model.

    **Arguments:**

    - `path`: a directory with `atoms.csv`, a table, or a structure file, packed by gzip or bzip2 or not.
    - `name`: what it is called in results.

    **Raises:** `InputError` for what is none of these or cannot be used.
    """
    if path.is_dir():
        table = path / "atoms.csv"
        if not table.is_file():
            raise InputError("there is no atoms.csv in this directory", _KINDS, path)
        path = table
    ending = ending_of(path)
    if ending != ".csv" and ending not in _READERS:
        if not path.exists():
            raise InputError("there is no such file", _KINDS, path)
        raise InputError(f"files ending in {ending or 'nothing'!r} are no models", _KINDS, path)
    text = read_text(path, _KINDS)
    try:
        model = _from_table(path, text, name) if ending == ".csv" else _READERS[ending](text, name)
        own = findings_beside(path) if path.name.split(".")[0] == "atoms" else ()
        return replace(_sound(model), own_findings=own)
    except InputError as error:
        raise error.at(path) from None


def ending_of(path: Path) -> str:
    """The ending of a file's name that says what is in it, once it is unpacked."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz").removesuffix(".bz2")).suffix


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


def _from_table(path: Path, text: str, name: str) -> Model:
    return model_of_columns(name, table_columns(path, text))


def table_columns(
    path: Path, text: str, axes: str = "xyz", things: str = "atoms", empty: bool = False
) -> dict[str, np.ndarray]:
    """The columns of a table by name: numbers, NaN in empty fields, with `id` and `element` in any case.

    **Arguments:**

    - `path`, `text`: of the table.
    - `axes`: columns that must be there, without empty fields.
    - `things`: what rows are, in words.
    - `empty`: whether there may be no rows.

    **Raises:** `InputError` for what is no such table.
    """
    header, rows = table_rows(path, text, _KINDS)
    # X and Id are what they seem to be, unless there is an x or id as well.
    header = [
        title.lower() if title.lower() in {*_TEXTS, *axes} and title.lower() not in header else title
        for title in header
    ]
    for axis in axes:
        if axis not in header:
            raise InputError(
                f"the table has no column {axis!r}",
                f"name the columns in the first line: id, {', '.join(axes)}",
            )
    if not rows and not empty:
        raise InputError(f"the table has no {things}", f"give one with {things}")
    lines = [line for line, _ in rows]
    texts = {title: tuple(row[k] for _, row in rows) for k, title in enumerate(header)}
    columns: dict[str, np.ndarray] = {}
    for title, fields in texts.items():
        if title in _TEXTS:
            continue
        needed = title in set(axes)
        wanted = needed or title.endswith("_esd") or title in _IN_NUMBERS
        values = _numbers(title, fields, lines, wanted, empty=not needed)
        if values is not None:
            columns[title] = values
    columns["id"] = _ids(texts.get("id"), lines)
    symbols = symbols_in(
        texts.get("element", (UNKNOWN,) * len(rows)), lambda i: f"row {lines[i]}, column 'element'"
    )
    columns["element"] = np.array(symbols, dtype=object)
    return columns


def _numbers(
    title: str, fields: tuple[str, ...], lines: list[int], wanted: bool, empty: bool
) -> Float[np.ndarray, " n"] | None:
    """A column's numbers; None if it has others and is not wanted."""
    values = np.full(len(fields), np.nan)
    esd = title.endswith("_esd")
    for i, text in enumerate(fields):
        if empty and not text.strip():
            continue
        value = number(text)
        if value is None:
            if not wanted:
                return None
            raise InputError(f"row {lines[i]}, column {title!r}: {not_a_number(text)}", "correct it")
        if esd and (value < 0 or value == np.inf):
            what = "negative" if value < 0 else "infinite"
            raise InputError(
                f"row {lines[i]}, column {title!r}: {text.strip()} is {what}",
                "a standard uncertainty is positive, or an empty field where it is not known",
            )
        values[i] = value
    return values


def _ids(fields: tuple[str, ...] | None, lines: list[int]) -> np.ndarray:
    if fields is None:
        return np.arange(1, len(lines) + 1)
    seen: dict[int, int] = {}
    for line, text in zip(lines, fields, strict=True):
        word = text.strip()
        value = (
            int(word) if word.removeprefix("-").isdecimal() and word.isascii() and len(word) < 30 else None
        )
        if value is None or abs(value) >= 2**53:
            many = "has too many digits" if word.removeprefix("-").isdecimal() else "is no whole number"
            raise InputError(f"row {line}, column 'id': {word[:20]!r} {many}", "number the atoms")
        if value in seen:
            raise InputError(
                f"row {line}, column 'id': {value} is the id of row {seen[value]} too",
                "number the atoms apart",
            )
        seen[value] = line
    return np.array(list(seen), int)


def _sound(model: Model) -> Model:
    """The model, if its atoms can be those of a particle."""
    if not len(model):
        raise InputError("there are no atoms in this file", _KINDS)
    wrong = np.argwhere(~(np.abs(model.positions) < _FARTHEST))
    if len(wrong):
        i, axis = wrong[0]
        raise InputError(
            f"atom {model.ids[i]}: {'xyz'[axis]} is {model.positions[i, axis]:g}",
            "a position is a number of Å; correct it or leave the atom out",
        )
    low, high = _ESDS
    wrong = np.argwhere((model.esds != 0) & ((model.esds < low) | (model.esds > high)))
    if len(wrong):
        i, axis = wrong[0]
        raise InputError(
            f"atom {model.ids[i]}: the standard uncertainty of {'xyz'[axis]} is {model.esds[i, axis]:g} Å",
            "leave it empty where it is not known",
        )
    return model
