"""A simulated HRTEM image as files: raw counts, a table of columns, and what was asked for."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from atomfit.io.outputs import staged
from atomfit.io.tables import Column, write_columns
from atomfit.simulation.hrtem import SimulatedHrtem
from atomfit.simulation.image_files import write_frames
from atomfit.waves import wavelength

TRUTH_HEIGHTS: tuple[Column, ...] = (
    Column("id", "", "d", "number of the column, from 1, from the top of the image down"),
    Column("element", "", "s", "chemical symbol; the heaviest in a column of several"),
    Column("x", "Å", ".6f", "along rows, from the centre of the first pixel: the mean of its atoms"),
    Column("y", "Å", ".6f", "along columns of pixels, likewise"),
    Column("height", "", "d", "number of atoms of that element; 0 of a column that is vacant"),
    Column("start", "", "d", "places of such atoms that are empty above the first, where the beam enters"),
    Column("missing", "", "d", "atoms that were taken out: all of a vacant column, or one"),
)


def write_hrtem(found: SimulatedHrtem, directory: Path, overwrite: bool = False) -> Path:
    """Write the image, `truth_columns.csv` and `simulation.json`.

    **Raises:** `InputError` if the directory holds something and `overwrite` is false.
    """
    columns, options, specimen = found.columns, found.options, found.specimen
    x, y = columns.positions.T
    truth = {
        "id": np.arange(1, len(columns) + 1),
        "element": columns.elements,
        "x": x,
        "y": y,
        "height": columns.heights,
        "start": columns.starts,
        "missing": columns.missing,
    }
    told = {
        "wavelength": wavelength(options.voltage),
        "electrons_per_pixel": options.dose * options.pixel_size**2,
        "pixel_size": options.pixel_size,
        "crystal": specimen.crystal.name,
        "repeat": specimen.repeat,
        "depth": float(specimen.depth),
        "b_factors": specimen.crystal.b_factors,
        "atoms": len(specimen.positions),
    }
    with staged(directory, overwrite) as stage:
        frames = found.frames[0] if len(found.frames) == 1 else found.frames
        write_frames(stage / f"image.{options.image_format}", frames, options.pixel_size)
        write_columns(stage / "truth_columns.csv", TRUTH_HEIGHTS, truth)
        record = {"atomfit": version("atomfit"), "options": asdict(options), "image": told}
        (stage / "simulation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return directory
