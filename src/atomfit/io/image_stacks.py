"""Stacks of images in and out: one image a view, as MRC (gzipped or not) or as a numpy array.

The header is judged as that of a map is (`mrc_header`), before anything is read; its pixel size is in Å and
the same along rows and columns, and what it says along the third axis means nothing. Pixels that were not
measured have to be named: programs mark them by NaN or by zero, and a fit that took them for dark would
push its atoms away from them.
"""

import hashlib
import warnings as python_warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from atomfit.io.microscope_files import is_of_a_microscope, read_microscope_file
from atomfit.io.mrc import Admit, is_numpy, read_numpy, read_stored, require_file, room_to_hold
from atomfit.io.mrc_header import parse_stack_header
from atomfit.io.record import hash_of
from atomfit.io.tiff import Stack
from atomfit.support.arrays import AnyArray, told_of_offset, without_offset
from atomfit.support.errors import InputError

#: Lengths that an edge of a pixel may have (Å).
_PIXELS = (1e-3, 10.0)


@dataclass(frozen=True, eq=False)
class ImageStack:
    """Images and what was learned while they were read.

    **Fields:**

    - `images`: any unit; rows along v, columns along u.
    - `counted`: pixels that were measured.
    - `pixel`: edge of a pixel (Å).
    - `path`, `sha256`: which file, and the hash of its bytes (of the array's for an array).
    - `notes`, `warnings`: the rules by which it was read, and what looks odd.
    """

    images: Float[np.ndarray, "v rows columns"]
    counted: Bool[np.ndarray, "v rows columns"]
    pixel: float
    path: Path | None
    sha256: str
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)


def read_images(
    path: str | Path,
    pixel_size: float | None = None,
    mask_value: float | None = None,
    admit: Admit = room_to_hold,
) -> ImageStack:
    """Read the images of a tilt series.

    **Arguments:**

    - `path`: an MRC stack, packed or not, a .npy or TIFF file, or what rosettasciio reads if it is there.
    - `pixel_size`: replaces the header's (Å).
    - `mask_value`: pixels that are equal to it were not measured; it may be NaN.
    - `admit`: called with the number of pixels before any of them is read.

    **Raises:** `InputError` for what is no complete stack of images with a pixel size.
    """
    path = Path(path)
    try:
        # A .zspy is a directory.
        if not (is_of_a_microscope(path) and path.is_dir()):
            require_file(path)
        if is_of_a_microscope(path):
            return _named(path, read_microscope_file(path, admit), pixel_size, mask_value)
        if is_numpy(path):
            return _named(path, Stack(read_numpy(path, admit), None), pixel_size, mask_value)
        given = _checked(pixel_size)
        header, stored = read_stored(path, lambda raw: parse_stack_header(raw, given), admit)
        values, offset = without_offset(stored, np.nan if mask_value is None else mask_value)
        notes = [*header.notes, *told_of_offset(offset)]
        counted = _counted(values, mask_value, notes)
        return ImageStack(
            values, counted, float(header.spacing[0]), path, hash_of(path), notes, header.warnings
        )
    except InputError as error:
        raise error.at(path) from None
    except OSError as error:
        raise InputError(error.strerror or str(error), "check the path and its permissions", path) from None


def _named(path: Path, found: Stack, pixel_size: float | None, mask_value: float | None) -> ImageStack:
    """A stack that was read by others, with the file's name and what it says of its pixels."""
    low, high = _PIXELS
    edge = found.pixel if pixel_size is None else pixel_size
    if pixel_size is None and edge is not None and not low <= edge <= high:
        raise InputError(
            f"the file says that a pixel is {edge:g} Å, which shows no atoms",
            "give it with --pixel-size, in Å",
        )
    if edge is None:
        raise InputError("the file does not say how large a pixel is", "give it with --pixel-size, in Å")
    stack = stack_of(found.images, edge, mask_value)
    if pixel_size is None:
        stack.notes[0] = f"pixel size: {edge:g} Å, from the file"
    notes = [*found.notes, *stack.notes]
    return replace(stack, path=path, sha256=hash_of(path), notes=notes)


def stack_of(given: AnyArray, pixel_size: float | None, mask_value: float | None = None) -> ImageStack:
    """Images that are an array, [view, row, column], with their pixel size (Å).

    What is masked in an array of `numpy.ma` was not measured.

    **Raises:** `InputError` unless they are several images of real numbers with a pixel size.
    """
    edge = _checked(pixel_size)
    if mask_value is None and isinstance(given, np.ma.MaskedArray):
        mask_value = np.nan
    values, offset = without_offset(given, np.nan if mask_value is None else mask_value)
    if values.ndim != 3 or 1 in values.shape or 0 in values.shape:
        raise InputError(
            f"an array of shape {values.shape} is not several images", "give [view, row, column]"
        )
    if edge is None:
        raise InputError("an array has no pixel size", "give it with --pixel-size, in Å")
    notes = [f"pixel size: {edge:g} Å, as given", *told_of_offset(offset)]
    counted = _counted(values, mask_value, notes)
    return ImageStack(values, counted, edge, None, hashlib.sha256(values.tobytes()).hexdigest(), notes)


def write_images(path: Path, images: Float[np.ndarray, "v rows columns"], pixel: float) -> None:
    """Write a stack of images as 32-bit floats, with the edge of a pixel (Å).

    **Arguments:**

    - `path`: the file.
    - `images`: in any unit.
    - `pixel`: edge of a pixel (Å).
    """
    import mrcfile

    with python_warnings.catch_warnings():
        # mrcfile warns of NaN, which pixels that were not measured may hold.
        python_warnings.simplefilter("ignore", RuntimeWarning)
        with mrcfile.new(path, data=np.asarray(images, np.float32)) as file:
            file.set_image_stack()
            file.voxel_size = pixel


def _checked(pixel_size: float | None) -> float | None:
    low, high = _PIXELS
    if pixel_size is not None and not low <= pixel_size <= high:
        raise InputError(
            f"a pixel of {pixel_size:g} Å is none", "give its edge in Å, as 0.4", "--pixel-size"
        )
    return pixel_size


def _counted(
    images: Float[np.ndarray, "v rows columns"], mask_value: float | None, notes: list[str]
) -> Bool[np.ndarray, "v rows columns"]:
    """Pixels that were measured, where each image has enough of them and all are numbers."""
    if mask_value is None:
        counted = np.ones(images.shape, bool)
    else:
        with np.errstate(over="ignore"):
            value = np.float32(mask_value)
        counted = ~np.isnan(images) if np.isnan(value) else images != value
        part = 100 * float(np.mean(~counted))
        notes.append(f"mask: {part:.1f} % of the pixels are {mask_value:g} and do not count")
    for view, (image, which) in enumerate(zip(images, counted, strict=True)):
        values = image[which]
        if not len(values):
            raise InputError(f"no pixel of image {view} counts", "leave that view out", "--mask-value")
        wrong = int(np.sum(~np.isfinite(values)))
        if wrong:
            raise InputError(
                f"{wrong} pixels of image {view} are no numbers",
                "mend them, or mask those that are NaN with --mask-value nan",
            )
        if values.min() == values.max():
            raise InputError(f"all pixels of image {view} are {values[0]:g}", "leave that view out")
    return counted
