"""A result of `atomfit columns` in, the image that it is of out, or why that is not known."""

import json
from pathlib import Path

from atomfit.io.images import read_image
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError


def source_image(directory: Path) -> tuple[DensityMap | None, str]:
    """The image that `run.json` names, and why there is none.

    **Arguments:**

    - `directory`: a result, or the `columns.csv` in it.
    """
    record = (directory if directory.is_dir() else directory.parent) / "run.json"
    if directory.is_file() and directory.name != "columns.csv":
        return None, f"{directory.name} is a table, of which no image is known"
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        path, kept = told["input"]["path"], told["input"]["sha256"]
        options = told["options"]
        size, frame = options["pixel_size"], options["frame"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"{directory.name} has no run.json that names its image"
    if path is None:
        return None, f"the image of {directory.name} was no file"
    try:
        found = read_image(path, size, frame)
    except InputError as error:
        return None, f"the image of {directory.name} cannot be read: {error.problem}"
    if found.sha256 != kept:
        return None, f"{path} is another file than the image of {directory.name} was"
    return found.image, ""
