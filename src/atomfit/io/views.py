"""From where each image was taken, as files say it; all of it ends as `projection.views.Views`.

Tilt conventions are where people go wrong, so each is named and none is guessed:

- *Matrices* (CSV): columns `r11` to `r33`, row by row, of (u, v, w) = R (x - centre); u along an image's
  rows, v from row to row, w along the beam. `centre_u_px`, `centre_v_px` is the pixel, counted from 0, at
  which the specimen's centre is seen; the images' middle, size // 2, if there are no such columns.
- *Tilt angles* (.tlt, .rawtlt): degrees, one a line. The specimen is turned right-handedly about an axis of
  the images: about y (v), R = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]].
- *Euler angles* (CSV): three columns named `phi`, `theta`, `psi` (or `rot`, `tilt`, `psi`; `alpha`, `beta`,
  `gamma`), in degrees. The specimen is turned by them in the order in which the columns stand, about the
  axes that the convention's letters name: capitals for axes that turn with it (ZYZ), small ones for axes
  that stay (zyz), as in scipy's `Rotation.from_euler`.

Columns `centre_x`, `centre_y`, `centre_z` (Å, the same in all rows) say which point of the specimen, in its
model's frame, the views turn about. A column `view` says which image a row belongs to, from 0. Where angles
turn the microscope and not the specimen, the inverse rotations are meant.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.tables import Column, write_columns
from atomfit.io.text import not_a_number, number, read_text, table_rows
from atomfit.io.tilts import read_angles
from atomfit.options.tilt import require_axes
from atomfit.projection.views import Views
from atomfit.support.errors import InputError

MATRIX = tuple(f"r{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3))
CENTRE = ("centre_u_px", "centre_v_px")
POINT = ("centre_x", "centre_y", "centre_z")
_EULER = (("phi", "theta", "psi"), ("rot", "tilt", "psi"), ("alpha", "beta", "gamma"))
_KINDS = (
    "give a table with the columns r11 to r33, one with phi, theta, psi and --convention, or angles (.tlt)"
)
_ANGLES = (".tlt", ".rawtlt")
#: How much rows may differ in the point that the views turn about (Å).
_SAME_POINT = 1e-3
#: Angles of a file in which none is larger are in radians, as a rule.
_RADIANS = 3.2
_MOST_BYTES = 20_000_000


@dataclass(frozen=True, eq=False)
class ViewsFile:
    """Views and the convention by which they were read.

    **Fields:**

    - `views`: from where each image was taken.
    - `notes`, `warnings`: what was understood, and what looks odd.
    - `centre`: point of the specimen that they turn about (Å); None if the file does not say.
    - `axis`: of the images, that tilt angles are about; None if they are no tilt angles.
    """

    views: Views
    notes: list[str]
    warnings: list[str]
    centre: tuple[float, float, float] | None = None
    axis: str | None = None

    def inverse(self) -> "ViewsFile":
        """The inverse of each rotation, which is meant where angles turn the microscope."""
        turned = Views(np.swapaxes(self.views.rotations, 1, 2), self.views.centres)
        return replace(
            self, views=turned, notes=[*self.notes, "views: the inverse of each rotation is used"]
        )


def read_views(
    path: str | Path,
    shape: tuple[int, int],
    axis: str | None = None,
    convention: str | None = None,
    inverse: bool = False,
) -> ViewsFile:
    """Read the views of a tilt series.

    **Arguments:**

    - `path`: a table (.csv) or tilt angles (.tlt, .rawtlt).
    - `shape`: rows and columns of the images.
    - `axis`: of the images, "x" or "y", that tilt angles are about; "y" if not given.
    - `convention`: axes that Euler angles are about, as "ZYZ".
    - `inverse`: whether the inverse of each rotation is meant.

    **Raises:** `InputError` for what cannot be understood, by row and column.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in _ANGLES:
            _require_no(convention, "--convention", "tilt angles are about one axis")
            found = _from_angles(path, shape, axis or "y")
        else:
            _require_no(axis, "--tilt-axis", "a table's views have axes of their own")
            found = _from_table(path, shape, convention)
    except InputError as error:
        raise (error if error.where not in (None, "--views") else _moved(error, path)) from None
    return found.inverse() if inverse else found


def write_views(
    path: Path,
    views: Views,
    further: dict[str, np.ndarray] | None = None,
    centre: Float[np.ndarray, " 3"] | None = None,
) -> None:
    """Write a table that `read_views` reads.

    **Arguments:**

    - `path`: the file.
    - `views`: from where each image was taken.
    - `further`: columns by name.
    - `centre`: point of the specimen that they turn about (Å).
    """
    values: dict[str, np.ndarray] = {"view": np.arange(len(views))}
    values |= zip(MATRIX, views.rotations.reshape(-1, 9).T, strict=True)
    values |= zip(CENTRE, views.centres.T, strict=True)
    if centre is not None:
        values |= {name: np.full(len(views), x) for name, x in zip(POINT, centre, strict=True)}
    values |= further or {}
    formats = {np.dtype(bool): "d", np.dtype(int): "d"}
    columns = tuple(
        Column(name, "", formats.get(x.dtype, ".10f" if name in MATRIX else ".9g"), "")
        for name, x in values.items()
    )
    write_columns(path, columns, values)


def _require_no(given: str | None, option: str, why: str) -> None:
    """**Raises:** `InputError` if an option was given that these views do not have."""
    if given is not None:
        raise InputError(f"{why}, and {given} was given", f"leave out {option}", option)


def _moved(error: InputError, path: Path) -> InputError:
    return InputError(error.problem, error.remedy, path)


def _from_angles(path: Path, shape: tuple[int, int], axis: str) -> ViewsFile:
    if axis not in ("x", "y"):
        raise InputError(f"{axis!r} is no axis of an image", "give x or y", "--tilt-axis")
    angles = read_angles(path, "--views")
    wrong = np.flatnonzero(~(np.abs(angles) <= 360))
    if len(wrong):
        raise InputError(f"{angles[wrong[0]]:g} is no tilt angle", "give degrees", path)
    along = "u, along its rows" if axis == "x" else "v, from row to row"
    note = f"views: tilt angles, the specimen turned right-handedly about {axis} of the images ({along})"
    return ViewsFile(Views.from_tilts(angles, axis, shape), [note], _odd(angles), axis=axis)


def _from_table(path: Path, shape: tuple[int, int], convention: str | None) -> ViewsFile:
    rows, columns = _columns(path)
    n = len(rows)
    order = _order(path, rows, columns.get("view", np.arange(n)))
    columns = {name: values[order] for name, values in columns.items()}
    middle = np.array([shape[1] // 2, shape[0] // 2], float)
    given = [name in columns for name in CENTRE]
    if any(given) and not all(given):
        missing = CENTRE[given.index(False)]
        raise InputError(f"the table has no column {missing!r}", "give both centres, or neither", path)
    centres = (
        np.stack([columns[name] for name in CENTRE], axis=1) if all(given) else np.tile(middle, (n, 1))
    )
    point = _point(path, columns)
    if all(name in columns for name in MATRIX):
        rotations = np.stack([columns[name] for name in MATRIX], axis=1).reshape(n, 3, 3)
        _require_no(convention, "--convention", "the views are matrices, which need no convention")
        note = "views: a rotation matrix for each image"
        return ViewsFile(Views(rotations, centres), [note], [], point)
    for triple in _EULER:
        names = tuple(name for name in columns if name in triple)
        if len(names) == len(triple):
            angles = np.stack([columns[name] for name in names], axis=1)
            matrices = _from_euler(angles, names, convention)
            note = (
                f"views: Euler angles {', '.join(names)} about the axes {convention}, turning the specimen"
            )
            return ViewsFile(Views(matrices, centres), [note], _odd(angles), point)
    raise InputError("the table has neither matrices nor angles", _KINDS, path)


def _point(path: Path, columns: dict[str, np.ndarray]) -> tuple[float, float, float] | None:
    """The point that the views turn about (Å), if the table says so."""
    given = [name for name in POINT if name in columns]
    if not given:
        return None
    if len(given) < len(POINT) or any(np.ptp(columns[name]) > _SAME_POINT for name in POINT):
        raise InputError(
            f"the columns {', '.join(POINT)} do not give one point", "give one, the same in all rows", path
        )
    x, y, z = (float(columns[name][0]) for name in POINT)
    return x, y, z


def _from_euler(
    angles: Float[np.ndarray, "v 3"], names: tuple[str, ...], convention: str | None
) -> Float[np.ndarray, "v 3 3"]:
    from scipy.spatial.transform import Rotation

    listed = ", ".join(names)
    if convention is None:
        raise InputError(
            "Euler angles mean nothing without their axes",
            f"give three axes as ZYZ (turning with the specimen) or zyz (fixed), for {listed}",
            "--convention",
        )
    require_axes(convention, listed)
    return Rotation.from_euler(convention, angles, degrees=True).as_matrix()


def _columns(path: Path) -> tuple[list[int], dict[str, np.ndarray]]:
    """Line numbers of the rows, and all columns that tell of views, as they stand in the file."""
    header, lines = table_rows(path, read_text(path, _KINDS, _MOST_BYTES), _KINDS)
    if not lines:
        raise InputError("the table has no views", _KINDS, path)
    wanted = {"view", *MATRIX, *CENTRE, *POINT, *(name for names in _EULER for name in names)}
    found = {
        title: np.array([_number(path, i, title, row[place]) for i, row in lines])
        for place, title in enumerate(header)
        if title in wanted
    }
    return [line for line, _ in lines], found


def _number(path: Path, row: int, title: str, text: str) -> float:
    value = number(text)
    if value is None or not np.isfinite(value):
        raise InputError(f"row {row}, column {title!r}: {not_a_number(text)}", "correct it", path)
    return value


def _order(path: Path, rows: list[int], views: np.ndarray) -> np.ndarray:
    """Rows in the order of the images."""
    n = len(rows)
    seen = np.zeros(n, bool)
    for row, view in zip(rows, views.tolist(), strict=True):
        if view != int(view) or not 0 <= view < n or seen[int(view)]:
            raise InputError(
                f"row {row}, column 'view': {view:g} is not one of 0 to {n - 1}, or is there twice",
                "number the views as the images are, from 0, or leave that column out",
                path,
            )
        seen[int(view)] = True
    return np.argsort(views)


def _odd(angles: Float[np.ndarray, "..."]) -> list[str]:
    if len(angles) > 3 and 0 < np.abs(angles).max() < _RADIANS:
        return [f"no angle is larger than {np.abs(angles).max():.3g} degrees: are they radians?"]
    return []
