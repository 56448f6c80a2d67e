"""A simulated image as files: the image, a table of its columns, and where frames have drifted to."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.outputs import staged
from atomfit.io.tables import Column, write_columns
from atomfit.simulation.images import SimulatedImage

TRUTH_COLUMNS: tuple[Column, ...] = (
    Column("id", "", "d", "number of the column, from 1, from the top of the image down"),
    Column("element", "", "s", "chemical symbol; with numbers, as Pt5Co4, in a column of several elements"),
    Column("x", "Å", ".6f", "along rows, from the centre of the first pixel, the file's origin added"),
    Column("y", "Å", ".6f", "along columns of pixels, likewise"),
    Column("count", "", "d", "number of atoms"),
    Column(
        "cross_section", "Å²", ".8g", "integral, as a fraction of the beam; negative if columns are dark"
    ),
    Column("width", "Å", ".6f", "standard deviation"),
)
TRUTH_FRAMES: tuple[Column, ...] = (
    Column("frame", "", "d", "number of the frame, from 0"),
    Column("shift_x", "Å", ".6f", "of all columns from where they are in the first frame"),
    Column("shift_y", "Å", ".6f", "likewise"),
)


def write_image_simulation(image: SimulatedImage, directory: Path, overwrite: bool = False) -> Path:
    """Write the image, `truth_columns.csv`, `simulation.json`, and `truth_frames.csv` of a stack.

    **Raises:** `InputError` if the directory holds something and `overwrite` is false.
    """
    columns, options = image.columns, image.options
    x, y = columns.positions.T
    truth = {
        "id": np.arange(1, len(columns) + 1),
        "element": columns.elements,
        "x": x,
        "y": y,
        "count": columns.counts,
        "cross_section": columns.cross_sections,
        "width": columns.widths,
    }
    with staged(directory, overwrite) as stage:
        frames = image.frames[0] if len(image.frames) == 1 else image.frames
        name = f"image.{options.image_format}"
        write_frames(stage / name, frames, options.pixel_size, options.file_origin)
        write_columns(stage / "truth_columns.csv", TRUTH_COLUMNS, truth)
        if options.frames > 1:
            shifts = {"frame": np.arange(options.frames), "shift_x": image.shifts[:, 0]}
            write_columns(
                stage / "truth_frames.csv", TRUTH_FRAMES, shifts | {"shift_y": image.shifts[:, 1]}
            )
        electrons = options.dose * options.pixel_size**2
        counts = {"electrons_per_pixel": electrons, "pixel_size": options.pixel_size}
        record = {"atomfit": version("atomfit"), "options": asdict(options), "image": counts}
        (stage / "simulation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return directory


def write_frames(
    path: Path, frames: Float[np.ndarray, "*frames"], pixel: float, origin: tuple[float, float] = (0.0, 0.0)
) -> None:
    """One frame as an image, several as a stack.

    **Arguments:**

    - `path`: that ends in .mrc, .npy or .tif.
    - `frames`: rows and columns, or a stack of them.
    - `pixel`: its edge (Å).
    - `origin`: of the first pixel's centre, x and y (Å).
    """
    match path.suffix[1:]:
        case "npy":
            np.save(path, frames)
        case "tif":
            import tifffile

            # ImageJ's tags; 8-bit letters only.
            tifffile.imwrite(
                path, frames, imagej=True, resolution=(1 / pixel,) * 2, metadata={"unit": "angstrom"}
            )
        case _:
            import mrcfile

            with mrcfile.new(path, data=frames) as file:
                if frames.ndim == 3:
                    file.set_image_stack()
                file.voxel_size = pixel
                file.header.origin = (*origin, 0.0)
