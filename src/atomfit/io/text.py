"""Text that people, spreadsheets and other programs write: any encoding, and numbers with their faults.

A file of a few numbers has been through editors: it begins with a byte order mark, is UTF-16, has a Latin-1
Å in its comment, ends its lines as Windows does, or has commas where decimal points belong. All but the
last is read as what it means. A comma is refused, because 1,234 may be one number or two.
"""

import bz2
import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from atomfit.support.errors import InputError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNPACKING: dict[bytes, Callable[..., IO[Any]]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
_COMMENTS = ("#", "%", "//")


def read_text(path: Path, remedy: str, most: int = 1_000_000_000) -> str:
    """What a text file says, packed by gzip or bzip2 or not.

    **Arguments:**

    - `path`: the file.
    - `remedy`: what to give instead.
    - `most`: bytes beyond which it is something else.

    **Raises:** `InputError` if there is no such file, it cannot be read, or it is no text.
    """
    if path.is_dir() or not path.exists():
        raise InputError(
            "this is a directory" if path.is_dir() else "there is no such file", remedy, path
        ) from None
    try:
        with open(path, "rb") as file:
            magic = file.read(2)
        opener = _UNPACKING.get(magic, open)
        with opener(path, "rb") as file:
            raw = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the file cannot be read ({reason})", remedy, path) from None
    if len(raw) > most:
        raise InputError(f"the file has more than {most} bytes", remedy, path)
    mark, encoding = next(((m, e) for m, e in _MARKS if raw.startswith(m)), (b"", "utf-8"))
    try:
        text = raw.removeprefix(mark if encoding == "utf-8" else b"").decode(encoding)
    except UnicodeDecodeError:
        # Any byte is a letter in it: what is no text has zeros as well.
        text = raw.decode("latin-1")
    if "\0" in text:
        raise InputError("this is not a text file", remedy, path)
    return text


def lines_of(text: str) -> list[str]:
    """Lines, however they end; unlike those of `str.splitlines` they end nowhere else."""
    return re.split(r"\r\n|\r|\n", text.removesuffix("\n").removesuffix("\r"))


def number(text: str) -> float | None:
    """A number as C, Python and Fortran write it; None for what is none."""
    try:
        # Python alone takes 1_000.
        return None if "_" in text else float(text.strip().replace("D", "e").replace("d", "e"))
    except ValueError:
        return None


def not_a_number(text: str) -> str:
    """What is wrong with a field that should be a number."""
    whole = text.strip()
    if number(whole.replace(",", ".")) is not None and "," in whole:
        return f"{whole[:20]!r} has a comma where a decimal point belongs"
    return f"{whole[:20]!r} is not a number"


def is_comment(line: str) -> bool:
    """Whether nothing is said in a line but to people."""
    return not line.strip() or line.lstrip().startswith(_COMMENTS)


def table_rows(path: Path, text: str, remedy: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The titles of a table's columns, and its rows with their line numbers.

    Fields are separated by commas, or by semicolons or tabs if the titles are. Lines that are empty, and
    those that begin with "#", do not count.

    **Raises:** `InputError` if it is no table, two columns have one title, or a row has too few fields.
    """
    lines = [(i, line) for i, line in enumerate(lines_of(text), 1) if not is_comment(line)]
    if not lines:
        raise InputError("the table is empty", remedy, path)
    separator = max(",;\t", key=lines[0][1].count)
    try:
        # csv's own line numbers, as a quoted field may go over several.
        rows = list(csv.reader([line for _, line in lines], delimiter=separator))
    except csv.Error as error:
        raise InputError(f"this is no table ({error})", remedy, path) from None
    if len(rows) != len(lines):
        raise InputError("a field in quotes goes over several lines", "write it on one line", path)
    header = [title.strip() for title in rows[0]]
    twice = next((title for title in header if title and header.count(title) > 1), None)
    if twice is not None:
        raise InputError(f"two columns are named {twice!r}", "rename one of them", path)
    for (line, _), row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"row {line} has {len(row)} fields where the first line has {len(header)}",
                "mend that row, or write the table again",
                path,
            )
    return header, [(line, row) for (line, _), row in zip(lines[1:], rows[1:], strict=True)]
