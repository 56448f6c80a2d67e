"""Tilt angles from a file: one angle a line, in degrees (.tlt, .rawtlt)."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.errors import InputError
from atomfit.options import Axis
from atomfit.tilts import TiltAngles

_REMEDY = "give one angle a line, in degrees"
#: Files of tilt angles are small; anything longer is something else.
_MOST_BYTES = 1_000_000


def read_tilts(path: str | Path, axis: Axis = "y", beam: Axis = "z") -> TiltAngles:
    """Read the angles of a tilt series.

    **Arguments:**

    - `path`: the file.
    - `axis`, `beam`: see `TiltAngles`.

    **Raises:** `InputError` if the file does not hold angles, or no series.
    """
    path = Path(path)
    angles = read_angles(path, "--tilts")
    try:
        return TiltAngles(angles, axis, beam)
    except InputError as error:
        where = error.where if error.where == "--beam" else path
        raise InputError(error.problem, error.remedy, where) from None


def read_angles(path: Path, option: str) -> Float[np.ndarray, " n"]:
    """The angles of a file, as they are there (degrees).

    **Arguments:**

    - `path`: the file.
    - `option`: by which it was given.

    **Raises:** `InputError` if the file does not hold angles.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST_BYTES)
    except OSError as error:
        raise InputError(error.strerror or str(error), f"check the path of {option}", path) from None
    angles = []
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        if line.strip():
            try:
                angles.append(float(line))
            except ValueError:
                raise InputError(f"line {number} is no angle ({_short(line)})", _REMEDY, path) from None
    if not angles:
        raise InputError("the file holds no angles", _REMEDY, path)
    return np.array(angles)


def _short(line: str) -> str:
    return repr(line.strip()[:20])
