"""One image in: MRC, TIFF, PNG, a numpy array, or a file of a microscope; and its pixel size, judged.

A stack has one image if it is said which (`frame`). What a file says of its pixels is taken if columns can
be seen in such pixels, and is never one that programs write when nobody has told them: a pixel of exactly
1 Å, dots an inch, nanometres that are taken for ångströms. Otherwise it has to be given.

Positions are measured from the middle of the first pixel (index 0), to which the file's origin is added.
"""

import hashlib
import os
import warnings as python_warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.microscope_files import is_of_a_microscope, read_microscope_file
from atomfit.io.mrc import Admit, is_numpy, read_numpy, read_stored, require_file, room_to_hold
from atomfit.io.mrc_header import parse_stack_header
from atomfit.io.record import hash_of
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.arrays import AnyArray, told_of_offset, without_offset
from atomfit.support.errors import InputError

#: Which image of a stack: its number, from 0, or the mean of all.
Frame = int | str

#: Edges of pixels (Å) that columns can be seen in, and that may be given.
_PIXELS, _GIVEN = (0.015, 0.6), (0.005, 1.0)
#: Edge of an image at least (pixels).
_SMALLEST = 16
#: Part of the pixels that may have the highest value of all, where that is no accident.
_SATURATED = 5e-4
_PNG = b"\x89PNG\r\n\x1a\n"
#: Of a BMP file, of which two bytes of its size follow; those of an MRC file with 19,778 columns are zero.
_BMP = b"BM"
_REMEDY = "write it as one grey image (TIFF, MRC or .npy)"


class SeveralImagesError(InputError):
    """A stack, of which no image was chosen."""


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image and what was learned while it was read.

    **Fields:**

    - `image`: values, and where their pixels are.
    - `path`, `sha256`: which file, and the hash of its bytes (of the array's for an array).
    - `notes`, `warnings`: the rules by which it was read, and what looks odd.
    - `offset`: taken off all values, that differences keep their digits.
    - `left_out`: pixels of each kind that have numbers but were not measured, if that was looked for.
    """

    image: DensityMap
    path: Path | None
    sha256: str
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    offset: float = 0.0
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Found:
    """What a reader found: images, the edge of their pixels (Å; None if not said), and where they begin."""

    images: AnyArray
    pixel: float | None
    origin: Float[np.ndarray, " 2"] = field(default_factory=lambda: np.zeros(2))
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_image(
    path: str | Path,
    pixel_size: float | None = None,
    frame: Frame | None = None,
    admit: Admit = room_to_hold,
) -> ImageFile:
    """Read one image.

    **Arguments:**

    - `path`: the file.
    - `pixel_size`: replaces the file's (Å).
    - `frame`: which image of a stack, counted from 0, or "mean".
    - `admit`: called with the number of pixels before any of them is read.

    **Raises:** `InputError` for what is no image with a pixel size.
    """
    path = Path(path)
    try:
        if not (is_of_a_microscope(path) and path.is_dir()):
            require_file(path)
        found = _read(path, pixel_size, admit)
        result = _image(found, pixel_size, frame)
        return replace(result, path=path, sha256=hash_of(path))
    except InputError as error:
        raise error.at(path) from None
    except OSError as error:
        raise InputError(error.strerror or str(error), "check the path and its permissions", path) from None


def image_of(
    given: AnyArray | DensityMap, pixel_size: float | None = None, frame: Frame | None = None
) -> ImageFile:
    """An image that is an array, [row, column] or [frame, row, column], or a map of two dimensions.

    **Arguments:** those of `read_image`.

    **Raises:** `InputError` unless it is one image of real numbers with a pixel size.
    """
    if isinstance(given, DensityMap):
        if given.grid.ndim != 2 or pixel_size is not None:
            problem = "is no image" if pixel_size is None else "has a pixel size"
            raise InputError(f"a map of {given.grid.ndim} dimensions {problem}", "give an image", "image")
        found = _Found(given.values, float(given.grid.spacing[0]), given.grid.origin)
        result = _image(found, None, frame)
        return (
            result
            if given.counted is None
            else replace(result, image=replace(result.image, counted=result.image.measured(given.counted)))
        )
    return _image(_Found(given, None), pixel_size, frame)


def _read(path: Path, pixel_size: float | None, admit: Admit) -> _Found:
    with open(path, "rb") if path.is_file() else open(os.devnull, "rb") as file:
        begin = file.read(len(_PNG))
    if begin == _PNG:
        return _of_png(path, admit)
    if begin.startswith(_BMP) and begin[2:4] != bytes(2):
        raise InputError("this is a BMP image, not one of measured values", _REMEDY)
    if is_of_a_microscope(path):
        stack = read_microscope_file(path, admit, single=True)
        return _Found(stack.images, stack.pixel, notes=stack.notes)
    if is_numpy(path):
        return _Found(read_numpy(path, admit), None)
    header, stored = read_stored(path, lambda raw: parse_stack_header(raw, pixel_size, single=True), admit)
    # A size that was never set is asked for below.
    told = [w for w in header.warnings if "exactly 1 Å" not in w]
    return _Found(stored, float(header.spacing[0]), header.origin[:2], header.notes, told)


def _of_png(path: Path, admit: Admit) -> _Found:
    from PIL import Image

    try:
        with python_warnings.catch_warnings():
            # Pillow warns of images so large that they may be an attack; what fits into memory is read.
            python_warnings.simplefilter("ignore")
            with Image.open(path) as file:
                admit(file.width * file.height)
                # What a palette has is what is seen.
                mode = {"1": "L", "P": "RGB"}.get(file.mode)
                values = np.asarray(file.convert(mode) if mode else file)
    except InputError:
        raise
    except Exception as error:  # Pillow's own, zlib's, of a file that is cut short
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"the PNG file cannot be read ({told})", _REMEDY) from None
    if values.ndim == 3:
        colours = values[..., :3] if values.shape[2] > 2 else values[..., :1]
        if np.any(colours != colours[..., :1]):
            raise InputError(f"it is a picture in colours ({values.shape[2]} channels)", _REMEDY)
        return _Found(colours[..., 0], None, notes=["colours: all channels are alike, one is taken"])
    return _Found(values, None)


def _image(found: _Found, pixel_size: float | None, frame: Frame | None) -> ImageFile:
    """One image of what was found, judged."""
    given = (
        np.ma.filled(found.images, np.nan) if isinstance(found.images, np.ma.MaskedArray) else found.images
    )
    dtype = getattr(given, "dtype", np.asarray(given).dtype)
    if dtype.kind == "c":
        raise InputError("its values are complex numbers", "give their modulus, or their phase")
    values = np.asarray(given)
    values = values.squeeze() if values.ndim > 2 else values
    if values.ndim == 3 and values.shape[-1] in (3, 4) and values.shape[0] > 4:
        raise InputError(f"an array of shape {values.shape} is a picture in colours", _REMEDY)
    if values.ndim not in (2, 3):
        raise InputError(f"an array of shape {values.shape} is no image", "give one of [row, column]")
    notes, warnings = [*found.notes], [*found.warnings]
    values, told = _chosen(values, frame)
    notes += told
    if min(values.shape) < _SMALLEST:
        raise InputError(
            f"an image of {values.shape[1]} x {values.shape[0]} pixels shows no columns",
            "give a larger one",
        )
    edge = pixel_edge(found.pixel, pixel_size, notes)
    warnings += _of_digits(values)
    # Of a kind that marks what was not measured.
    held, offset = without_offset(values, np.nan)
    measured = np.isfinite(held)
    if not measured.any():
        raise InputError("no pixel is a number", "give the image as it was recorded")
    if held[measured].min() == held[measured].max():
        raise InputError(
            f"all pixels are {float(held[measured][0]) + offset:g}", "give an image of something"
        )
    lost = int(np.sum(~measured))
    if lost:
        warnings.append(f"{lost} pixels are no numbers, and do not count")
    held = np.where(measured, held, np.float32(np.median(held[measured])))
    grid = Grid(held.shape, np.full(2, edge), np.asarray(found.origin, np.float64))
    counted = None if measured.all() else measured
    digest = hashlib.sha256(held.tobytes()).hexdigest()
    notes += told_of_offset(offset)
    return ImageFile(DensityMap(held, grid, counted), None, digest, notes, warnings, offset)


def _chosen(values: np.ndarray, frame: Frame | None) -> tuple[np.ndarray, list[str]]:
    """The image that is meant."""
    if values.ndim == 2:
        if frame is not None:
            raise InputError("there is one image only", "leave out --frame", "--frame")
        return values, []
    count = len(values)
    if frame is None:
        raise SeveralImagesError(
            f"there are {count} images", "say which with --frame, from 0, or --frame mean", "--frame"
        )
    if frame == "mean":
        return _mean_of(values)
    if not isinstance(frame, int) or not 0 <= frame < count:
        raise InputError(f"there is no frame {frame}", f"give 0 to {count - 1}, or mean", "--frame")
    return values[frame], [f"frame: {frame} of {count}"]


def _mean_of(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Mean of the images that are some: not of one number, nor without any; and a note."""
    total, times, used = np.zeros(values.shape[1:]), np.zeros(values.shape[1:], int), 0
    for frame in values:
        held = np.ma.filled(np.ma.asarray(frame).astype(np.float64), np.nan)
        known = np.isfinite(held)
        if not known.any() or np.ptp(held[known]) == 0:
            continue
        total += np.where(known, held, 0)
        times += known
        used += 1
    left = f"; {len(values) - used} that are blank are left out" if used < len(values) else ""
    mean = np.divide(total, times, out=np.full(total.shape, np.nan), where=times > 0)
    return mean, [f"frame: the mean of {used}{left}"]


def pixel_edge(said: float | None, given: float | None, notes: list[str]) -> float:
    """Edge of a pixel (Å)."""
    if given is not None:
        low, high = _GIVEN
        if not low <= given <= high:
            raise InputError(
                f"columns cannot be seen in pixels of {given:g} Å", "give it in Å, as 0.1", "--pixel-size"
            )
        if not any(note.startswith("pixel size") for note in notes):
            notes.append(f"pixel size: {given:g} Å, as given")
        return given
    remedy = "give it with --pixel-size, in Å"
    if said is None:
        raise InputError("the file does not say how large a pixel is", remedy)
    low, high = _PIXELS
    if said == 1:
        raise InputError("the file says that a pixel is 1 Å, as those do that were told nothing", remedy)
    if said < low:
        raise InputError(f"the file says that a pixel is {said:g} Å; that may be nm", remedy)
    if said > high:
        raise InputError(f"the file says that a pixel is {said:g} Å, which shows no columns", remedy)
    if not any(note.startswith("pixel size") for note in notes):
        notes.append(f"pixel size: {said:g} Å, from the file")
    return said


def _of_digits(values: np.ndarray) -> list[str]:
    """What is lost of brightness."""
    told = []
    if values.dtype.kind in "iu" and values.dtype.itemsize == 1:
        told.append("the image has 8 bits: brightness may have been changed, and cross-sections with it")
    if values.dtype.kind in "iu":
        highest = values.max()
        part = float(np.mean(values == highest))
        if part > _SATURATED:
            told.append(
                f"{100 * part:.2g} % of the pixels have the highest value, {highest}: bright columns are "
                "cut off"
            )
    return told
