"""Times of a series as a user gives them: numbers, words with commas, or a file with a number a line.

A file may have comments behind `#`, empty lines, and commas, blanks or tabs between numbers. Times must be
as many as what they are of, and rise.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.text import not_a_number, number, read_text
from atomfit.support.errors import InputError

_WHERE = "--times"
_GIVE = "give one for each input, rising, as 0,10,20, or a file with one a line"


def read_times(given: str | Path | Sequence[float] | None, count: int) -> Float[np.ndarray, " t"]:
    """Times of so many inputs; 0, 1, 2, ... if none are given.

    **Arguments:**

    - `given`: numbers, words, or a file.
    - `count`: how many there must be.

    **Raises:** `InputError` if they are not so many, do not rise, or cannot be read.

        >>> read_times("0, 2.5, 7", 3).tolist()
        [0.0, 2.5, 7.0]
    """
    if given is None:
        return np.arange(float(count))
    where = _WHERE if not isinstance(given, Path) and not _is_file(given) else f"{_WHERE} {given}"
    words = _words(given)
    times = []
    for word in words:
        value = number(word) if isinstance(word, str) else float(word)
        if value is None or not math.isfinite(value):
            raise InputError(not_a_number(str(word)), _GIVE, where)
        times.append(value)
    if len(times) != count:
        raise InputError(f"there are {len(times)} times, and {count} inputs", _GIVE, where)
    for before, after in pairwise(times):
        if not after > before:
            raise InputError(f"{after:g} follows {before:g}: times do not rise", _GIVE, where)
    return np.array(times)


def _is_file(given: object) -> bool:
    return isinstance(given, str) and Path(given).is_file()


def _words(given: str | Path | Sequence[float]) -> Sequence[str | float]:
    if not isinstance(given, str | Path):
        return list(given)
    if isinstance(given, Path) or _is_file(given):
        lines = read_text(Path(given), _GIVE).splitlines()
        return " ".join(line.partition("#")[0].replace(",", " ") for line in lines).split()
    parts = [part.strip() for part in given.split(",")]
    if len(parts) == 1 and number(parts[0]) is None:
        # What is neither is a file that is not there.
        raise InputError("there is no such file", _GIVE, f"{_WHERE} {given}")
    return parts
