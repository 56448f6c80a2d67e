"""Stacks of images as TIFF, from ImageJ, OME programs or any other, by tifffile.

Few programs write the size of a pixel where TIFF has a place for it, and those that do not say 72 dots an
inch there. So ImageJ's unit of length and OME's physical size are believed, and what the tags say in inches
or centimetres only if an image of atoms can have such pixels.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from atomfit.io.mrc import Admit, room_to_hold
from atomfit.support.errors import InputError

#: Units of length, in Å.
_UNITS = {
    **dict.fromkeys(("a", "å", "ang", "angstrom", "angstroms", "ångström", "ångstrom"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 10.0),
    **dict.fromkeys(("pm", "picometer", "picometre"), 0.01),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer"), 1e4),
    **dict.fromkeys(("mm",), 1e7),
    **dict.fromkeys(("cm",), 1e8),
    **dict.fromkeys(("m", "meter", "metre"), 1e10),
}
#: What TIFF's own units of resolution are (Å), by their codes, and edges of pixels that show atoms (Å).
_CODES = {2: 2.54e8, 3: 1e8}
_PIXELS = (1e-3, 10.0)
_REMEDY = "write the images as one stack of grey values, or as MRC"


@dataclass(frozen=True, eq=False)
class Stack:
    """Images [view, row, column], the edge of their pixels (Å; None if not said), and what was noted."""

    images: np.ndarray
    pixel: float | None
    notes: list[str] = field(default_factory=list)


def length_in_angstrom(value: float, unit: str) -> float | None:
    """A length (Å) of a value and its unit; None if the unit is none of length, or the value nothing."""
    factor = _UNITS.get(unit.strip().lower())
    return None if factor is None or not np.isfinite(value) or value == 0 else abs(value) * factor


def read_tiff(path: Path, admit: Admit = room_to_hold, single: bool = False) -> Stack:
    """Read the images of a TIFF file: a series of pages, or pages that are alike.

    **Arguments:**

    - `path`: the file.
    - `admit`: called with the number of pixels before any of them is read.
    - `single`: whether it may be one image, which is then a stack of one.

    **Raises:** `InputError` if it is no such file.
    """
    import tifffile

    # What it complains of is told in one sentence, below.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        with tifffile.TiffFile(path) as file:
            admit(sum(int(np.prod(one.shape, dtype=object)) for one in file.series))
            images = _images(file, single)
            return Stack(images, _square(file))
    except InputError:
        raise
    except (
        Exception
    ) as error:  # tifffile's own, zlib's, of a codec that is lacking, of a header that is junk
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"the TIFF file cannot be read ({reason})", _REMEDY) from None


def _images(file: Any, single: bool) -> np.ndarray:
    series = list(file.series)
    shapes = {(tuple(one.shape), str(one.dtype)) for one in series}
    if len(series) > 1:
        if len(shapes) > 1 or series[0].axes != "YX":
            listed = ", ".join(" x ".join(map(str, one.shape)) for one in series[:4])
            raise InputError(f"its {len(series)} images are not alike ({listed} pixels, ...)", _REMEDY)
        return np.stack([one.asarray() for one in series])
    axes, shape = series[0].axes, series[0].shape
    kept = [k for k in range(len(shape)) if shape[k] > 1]
    names = "".join(axes[k] for k in kept)
    if single and names == "YX":
        return np.asarray(series[0].asarray()).squeeze()[None]
    if len(names) != 3 or not names.endswith("YX") or names[0] == "S":
        what = "colours" if "S" in names else f"axes {', '.join(names)} of {shape}"
        raise InputError(f"it is no stack of images, but has {what}", _REMEDY)
    return np.asarray(series[0].asarray()).squeeze()


def _square(file: Any) -> float | None:
    """Edge of a pixel (Å), by whoever says it."""
    edges = _of_ome(file.ome_metadata) if file.is_ome else _of_tags(file)
    across, down = (edge for edge in edges or (None, None))
    if across is None or down is None:
        return None
    if abs(across / down - 1) > 1e-3:
        raise InputError(
            f"pixels are {across:g} by {down:g} Å",
            "resample the images on square pixels, or say --pixel-size",
        )
    return across


def _of_tags(file: Any) -> list[float | None]:
    tags: dict[str, Any] = {tag.name: tag.value for tag in file.pages[0].tags.values()}
    sizes = [_inverse(tags.get(name)) for name in ("XResolution", "YResolution")]
    if file.is_imagej:
        unit = str((file.imagej_metadata or {}).get("unit") or "")
        if "\\u" in unit:
            # ImageJ writes what is not ASCII as Java does.
            unit = unit.encode("ascii", "replace").decode("unicode_escape")
        return [length_in_angstrom(size, unit) for size in sizes]
    edges = [size * _CODES.get(int(tags.get("ResolutionUnit") or 0), 0.0) for size in sizes]
    return [edge if _PIXELS[0] <= edge <= _PIXELS[1] else None for edge in edges]


def _of_ome(text: str | None) -> list[float | None] | None:
    if not text:
        return None
    pixels = next((e for e in ElementTree.fromstring(text).iter() if e.tag.endswith("Pixels")), None)
    if pixels is None:
        return None
    return [
        length_in_angstrom(float(pixels.get(name) or 0), pixels.get(f"{name}Unit") or "µm")
        for name in ("PhysicalSizeX", "PhysicalSizeY")
    ]


def _inverse(resolution: Any) -> float:
    """Edge of a pixel in the unit of the resolution; 0 if nothing is said of it."""
    if resolution is None:
        return 0.0
    numerator, denominator = resolution if isinstance(resolution, tuple) else (resolution, 1)
    return denominator / numerator if numerator else 0.0
