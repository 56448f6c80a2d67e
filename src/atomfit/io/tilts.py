"""Tilt angles from a file: one angle a line, in degrees (.tlt, .rawtlt); what follows a # is a comment."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.text import is_comment, lines_of, not_a_number, number, read_text
from atomfit.noise.tilt_angles import TiltAngles
from atomfit.options.build import Axis
from atomfit.support.errors import InputError

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
    text = read_text(path, f"check the path of {option}", _MOST_BYTES)
    angles = []
    for i, line in enumerate(lines_of(text), 1):
        if not is_comment(line):
            angle = number(line.split("#")[0])
            if angle is None:
                raise InputError(f"line {i} is no angle ({not_a_number(line)})", _REMEDY, path)
            angles.append(angle)
    if not angles:
        raise InputError("the file holds no angles", _REMEDY, path)
    return np.array(angles)
