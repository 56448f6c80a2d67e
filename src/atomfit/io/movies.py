"""Movies: many images of one specimen, one after the other, read frame by frame.

A movie is one file with a stack of frames, or several files with one image each. MRC stacks that are not
packed and numpy arrays stay on the disk, and only the frame that is looked at is in memory; so do single
images. Of packed files, TIFF and those of microscopes, which are read as a whole, all frames must fit.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from atomfit.io.images import ImageFile, pixel_edge, read_image
from atomfit.io.microscope_files import is_of_a_microscope, read_microscope_file
from atomfit.io.mrc import is_numpy, read_stored, require_file, room_to_hold
from atomfit.io.mrc_header import HEADER_BYTES, parse_stack_header
from atomfit.io.record import hash_of
from atomfit.support.arrays import AnyArray
from atomfit.support.errors import InputError

#: Frames and edges of frames (pixels), at least.
_FEWEST, _SMALLEST = 2, 16
_PACKED = (b"\x1f\x8b", b"BZ")
_REMEDY = "give a stack of images [frame, row, column], or one file for each"


@dataclass(frozen=True, eq=False)
class Movie:
    """Frames that are read when they are asked for.

    **Fields:**

    - `raw`: reads a frame by its number, as it is stored.
    - `shape`: frames, rows, columns.
    - `pixel`: edge of a pixel (Å).
    - `paths`, `sha256`: which files, and the hash of their bytes (of the array's for an array).
    - `notes`, `warnings`: the rules by which it was read, and what looks odd.
    """

    raw: Callable[[int], np.ndarray]
    shape: tuple[int, int, int]
    pixel: float
    paths: tuple[Path, ...]
    sha256: str
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of frames."""
        return self.shape[0]

    def frame(self, k: int) -> tuple[Float[np.ndarray, "rows columns"], Bool[np.ndarray, "rows columns"]]:
        """A frame as 32-bit floats, and which of its pixels are numbers; the others are zero."""
        raw = self.raw(k)
        values = np.ma.filled(raw.astype(np.float32), np.nan) if isinstance(raw, np.ma.MaskedArray) else raw
        values = np.asarray(values, np.float32)
        counted = np.isfinite(values)
        return np.where(counted, values, np.float32(0)), counted


def read_movie(paths: Sequence[str | Path], pixel_size: float | None = None) -> Movie:
    """A movie in one file, or of several images.

    **Arguments:**

    - `paths`: a stack, or images of one size in their order in time.
    - `pixel_size`: replaces the files' (Å).

    **Raises:** `InputError` for what is no movie with a pixel size.
    """
    given = tuple(Path(path) for path in paths)
    if len(given) > 1:
        return _of_images(given, pixel_size)
    (path,) = given
    try:
        if not (is_of_a_microscope(path) and path.is_dir()):
            require_file(path)
        return _of_file(path, pixel_size)
    except InputError as error:
        raise error.at(path) from None
    except OSError as error:
        raise InputError(error.strerror or str(error), "check the path and its permissions", path) from None


def movie_of(given: AnyArray, pixel_size: float | None) -> Movie:
    """A movie that is an array [frame, row, column], also one that lies on the disk, with a pixel size (Å).

    **Raises:** `InputError` unless it is one.
    """
    values = given if isinstance(given, np.ndarray) else np.asarray(given)
    notes: list[str] = []
    edge = pixel_edge(None, pixel_size, notes)
    digest = hashlib.sha256()
    for frame in values if values.ndim == 3 else ():
        digest.update(np.ascontiguousarray(np.ma.getdata(frame)).tobytes())
    return _judged(values, edge, (), digest.hexdigest(), notes, [])


def _of_file(path: Path, pixel_size: float | None) -> Movie:
    notes: list[str] = []
    warnings: list[str] = []
    said: float | None = None
    if is_of_a_microscope(path):
        stack = read_microscope_file(path, room_to_hold, single=True)
        values, said, notes = stack.images, stack.pixel, [*stack.notes]
    elif is_numpy(path):
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(
                f"the .npy file cannot be read ({error})", "save the array again with numpy.save"
            ) from None
    else:
        values, said, notes, warnings = _of_mrc(path, pixel_size)
    edge = pixel_edge(said, pixel_size, notes)
    found = _judged(values, edge, (path,), hash_of(path), notes, warnings)
    return replace(found, raw=_of_map(values)) if isinstance(values, np.memmap) else found


def _of_map(values: np.memmap) -> Callable[[int], np.ndarray]:
    """A reader of frames of a whole file that is mapped, each by a mapping of its own.

    Of a mapping that stays all that was looked at is in memory until it is needed for something else.
    """
    path, kind, begin, shape = str(values.filename), values.dtype, values.offset, values.shape
    order: Literal["C", "F"] = "F" if values.flags.f_contiguous and not values.flags.c_contiguous else "C"
    return lambda k: np.array(np.memmap(path, kind, "r", begin, shape, order)[k])


def _of_mrc(path: Path, pixel_size: float | None) -> tuple[np.ndarray, float, list[str], list[str]]:
    """Frames of an MRC stack: on the disk, or unpacked."""
    with open(path, "rb") as file:
        raw = file.read(HEADER_BYTES)
    header = None if raw[:2] in _PACKED else parse_stack_header(raw, pixel_size, single=True)
    if header is None or header.packed:
        header, values = read_stored(path, lambda raw: parse_stack_header(raw, pixel_size, single=True))
    else:
        promised = header.data_offset + header.data_bytes
        if path.stat().st_size < promised:
            raise InputError(
                f"the file holds {path.stat().st_size} bytes, but its header promises {promised}",
                "copy it again, or write it again with the program that made it",
            )
        values = np.memmap(path, header.dtype, "r", header.data_offset, header.stored_shape)
    # A size that was never set is asked for by its reader.
    told = [w for w in header.warnings if "exactly 1 Å" not in w]
    return values, float(header.spacing[0]), header.notes, told


def _of_images(paths: tuple[Path, ...], pixel_size: float | None) -> Movie:
    first = read_image(paths[0], pixel_size)
    shape, edge = first.image.values.shape, float(first.image.grid.spacing[0])
    digest = hashlib.sha256()

    def read(k: int) -> np.ndarray:
        found: ImageFile = read_image(paths[k], pixel_size)
        if found.image.values.shape != shape or abs(found.image.grid.spacing[0] / edge - 1) > 1e-3:
            rows, columns = found.image.values.shape
            raise InputError(
                f"{columns} x {rows} pixels of {found.image.grid.spacing[0]:g} Å, and the first image has "
                f"{shape[1]} x {shape[0]} of {edge:g} Å",
                "give images of one size",
                paths[k],
            )
        values = np.array(found.image.values, np.float32)
        if found.image.counted is not None:
            values[~found.image.counted] = np.nan
        return values + np.float32(found.offset)

    for k in range(len(paths)):
        read(k)
        digest.update(hash_of(paths[k]).encode())
    notes = [*first.notes, f"frames: {len(paths)} files, in the order in which they were given"]
    return Movie(read, (len(paths), *shape), edge, paths, digest.hexdigest(), notes, first.warnings)


def _judged(
    values: np.ndarray,
    edge: float,
    paths: tuple[Path, ...],
    sha256: str,
    notes: list[str],
    warnings: list[str],
) -> Movie:
    """Frames of an array, if it can be a movie."""
    if values.dtype.kind not in "iuf":
        raise InputError(f"frames of {values.dtype} hold no real numbers", "convert them to 32-bit floats")
    if values.ndim != 3 or values.shape[0] < _FEWEST or min(values.shape[1:]) < _SMALLEST:
        edges = " x ".join(map(str, values.shape))
        raise InputError(f"an array of {edges} is no movie", _REMEDY)
    shape = (int(values.shape[0]), int(values.shape[1]), int(values.shape[2]))
    return Movie(lambda k: values[k], shape, edge, paths, sha256, notes, warnings)
