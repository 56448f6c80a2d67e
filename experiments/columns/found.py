"""Columns as a program has found them, and `atomfit.columns` as such a program."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float

import atomfit
from atomfit.simulation import SimulatedImage
from atomfit.simulation.image_files import write_image_simulation


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in an image.

    **Fields:**

    - `positions`, `position_esd`: x, y (Å).
    - `integrals`, `integral_esd`: cross-sections (image units x Å²).
    """

    positions: Float[np.ndarray, "n 2"]
    position_esd: Float[np.ndarray, "n 2"]
    integrals: Float[np.ndarray, " n"]
    integral_esd: Float[np.ndarray, " n"]


def in_file(path: Path, **options: object) -> Found:
    """What `atomfit.columns` finds in a file."""
    result = atomfit.columns(path, **options)
    return Found(
        np.asarray(result.positions),
        np.asarray(result.uncertainty.esd),
        np.asarray(result.cross_sections),
        np.asarray(result.cross_section_esds),
    )


def in_image(image: SimulatedImage, **options: object) -> Found:
    """What `atomfit.columns` finds in a simulated image, by way of its file."""
    with TemporaryDirectory() as directory:
        path = write_image_simulation(image, Path(directory) / "image") / "image.mrc"
        return in_file(path, **options)
