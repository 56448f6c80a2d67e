"""Maps in and out: MRC, packed or not (known by its first bytes, not by its name), and numpy arrays.

Reading is done here rather than by `mrcfile` because a file has to be refused before it costs
memory or time: the header is compared with the size of the file first, then with the memory that there
is, and a gzip stream is never unpacked further than the header says. Writing is `mrcfile`'s.

What was understood of the header is part of the result, because a map that is read with the wrong
voxel size or the wrong hand looks just as good.
"""

import bz2
import gzip
import hashlib
import os
import warnings as python_warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Shaped

from atomfit.io.mrc_header import HEADER_BYTES, MapHeader, parse_header
from atomfit.io.record import hash_of
from atomfit.options.build import BuildOptions
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.arrays import AnyArray, told_of_offset, without_offset
from atomfit.support.errors import InputError
from atomfit.support.memory import require_memory

_CHUNK = 16 * 2**20
_NUMPY_MAGIC = b"\x93NUMPY"
_GZIP_MAGIC, _BZIP_MAGIC = b"\x1f\x8b", b"BZh"


#: Refuses so many voxels if there is no memory for what is to be done with them.
Admit = Callable[[int], None]


def room_to_hold(voxels: int) -> None:
    """**Raises:** `InputError` if so many voxels cannot be held, as stored and as 32-bit floats."""
    require_memory(8.0 * voxels, f"holding {voxels} voxels", "cut out the particle, or bin the map")


@runtime_checkable
class _Readable(Protocol):
    """An open file, or what unpacks one."""

    def read(self, n: int, /) -> bytes: ...


@dataclass(frozen=True, eq=False)
class MapFile:
    """A map and what was learned while it was read.

    **Fields:**

    - `map`: values in z, y, x order, and their grid.
    - `path`, `sha256`: which file, and the hash of its bytes (of the array's for an array).
    - `notes`: the rules by which voxel size, axes and origin were found.
    - `warnings`: what looks odd but does not prevent a fit.
    - `offset`: what was taken off all values (map units).
    """

    map: DensityMap
    path: Path | None
    sha256: str
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    offset: float = 0.0


def read_map(
    path: str | Path,
    voxel_size: float | tuple[float, ...] | None = None,
    admit: Admit = room_to_hold,
) -> MapFile:
    """Read a map from an MRC file, packed by gzip or bzip2 or not, or from a .npy file.

    **Arguments:**

    - `path`: the file.
    - `voxel_size`: replaces the header's: one edge, or one each along x, y, z (Å).
    - `admit`: called with the number of voxels before any of them is read.

    **Raises:** `InputError` for whatever is not a complete 3D map with a voxel size.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a {type(path).__name__} is no name of a file", "give its path")
    path = Path(path)
    try:
        return _read(path, checked_voxel_size(voxel_size), admit)
    except InputError as error:
        raise error.at(path) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(reason, "check the path and its permissions", path) from None


def from_array(given: AnyArray, voxel_size: float | tuple[float, ...] | None) -> MapFile:
    """A map from an array in [z, y, x] order and its voxel size (Å).

    **Raises:** `InputError` unless it is a 3D array of real numbers with a voxel size.
    """
    size = checked_voxel_size(voxel_size)
    values, offset = without_offset(given)
    if values.ndim != 3 or 1 in values.shape:
        raise InputError(
            f"an array of shape {values.shape} is not a 3D map", "give the reconstructed volume"
        )
    if size is None:
        raise InputError("an array has no voxel size", "give it with --voxel-size, in Å")
    density = DensityMap.from_array(values, size)
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    notes = [f"voxel size: {', '.join(f'{edge:g}' for edge in size)} Å, as given", *told_of_offset(offset)]
    return MapFile(density, None, digest, notes, offset=offset)


def write_labels(path: Path, labels: Int[np.ndarray, "z y x"], grid: Grid) -> None:
    """Write numbers of atoms in the smallest of MRC's types that holds them.

    **Arguments:**

    - `path`: the file.
    - `labels`: numbers of atoms, 0 where there is none.
    - `grid`: where the voxels are.
    """
    largest = int(labels.max(initial=0))
    kind = next((k for k in (np.int8, np.int16, np.uint16) if largest <= np.iinfo(k).max), np.float32)
    _write(path, labels.astype(kind), grid)


def write_map(path: Path, density: DensityMap) -> None:
    """Write a map as 32-bit floats, with voxel size and origin, axes in x, y, z order.

    **Arguments:**

    - `path`: the file.
    - `density`: what is written.
    """
    _write(path, np.asarray(density.values, np.float32), density.grid)


def write_image(path: Path, values: Float[np.ndarray, "rows columns"], grid: Grid) -> None:
    """One image as MRC: a map of one section, so that programs find its pixel size and origin.

    **Arguments:**

    - `path`: where to.
    - `values`: of the pixels.
    - `grid`: where they are.
    """
    depth = Grid((1, *grid.shape), np.append(grid.spacing, grid.spacing[0]), np.append(grid.origin, 0.0))
    write_map(path, DensityMap(values[None].astype(np.float32), depth))


def _write(path: Path, values: Shaped[np.ndarray, "z y x"], grid: Grid) -> None:
    import mrcfile

    with python_warnings.catch_warnings():
        # mrcfile warns of NaN, which a residual of a masked map may hold on purpose.
        python_warnings.simplefilter("ignore", RuntimeWarning)
        with mrcfile.new(path, data=values) as file:
            file.voxel_size = tuple(grid.spacing)
            file.header.origin = tuple(grid.origin)


def checked_voxel_size(
    voxel_size: float | tuple[float, ...] | None,
) -> tuple[float, float, float] | None:
    """One edge or three, as three.

    **Raises:** `InputError` unless they are positive lengths.
    """
    if voxel_size is None:
        return None
    edges = BuildOptions(voxel_size=voxel_size).voxel_size  # type: ignore[arg-type]
    return edges if isinstance(edges, tuple) else (edges, edges, edges)  # type: ignore[return-value]


def _read(path: Path, voxel_size: tuple[float, float, float] | None, admit: Admit) -> MapFile:
    require_file(path)
    if is_numpy(path):
        result = from_array(read_numpy(path, admit), voxel_size)
        return replace(result, path=path, sha256=hash_of(path))
    header, stored = read_stored(path, lambda raw: parse_header(raw, voxel_size), admit)
    values, offset = without_offset(stored.transpose(header.to_zyx))
    grid = Grid(values.shape, header.spacing, header.origin)
    notes = [*header.notes, *told_of_offset(offset)]
    return MapFile(DensityMap(values, grid), path, hash_of(path), notes, header.warnings, offset)


def require_file(path: Path) -> None:
    """**Raises:** `InputError` unless there is a file that holds something."""
    if path.is_dir():
        raise InputError("this is a directory", "give the file in it")
    if not path.exists():
        raise InputError("there is no such file", "check the path")
    if path.stat().st_size == 0:
        raise InputError("the file is empty", "write it again, or give another")


def is_numpy(path: Path) -> bool:
    """Whether a file is an array as `numpy.save` writes it, by its first bytes."""
    with open(path, "rb") as file:
        return file.read(len(_NUMPY_MAGIC)) == _NUMPY_MAGIC


def read_numpy(path: Path, admit: Admit = room_to_hold) -> np.ndarray:
    """An array in a .npy file.

    **Arguments:**

    - `path`: the file.
    - `admit`: called with the number of values before any of them is read.

    **Raises:** `InputError` if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            size, expected = int(np.prod(shape, dtype=object)), path.stat().st_size - file.tell()
        if not dtype.hasobject and size * dtype.itemsize > expected:
            raise InputError(
                f"the file holds {expected} bytes of values, but its header promises "
                f"{size * dtype.itemsize} (an array of shape {shape})",
                "save the array again with numpy.save",
            )
        admit(size)
        return np.load(path, allow_pickle=False)
    except InputError:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"the .npy file cannot be read ({error})", "save the array again with numpy.save"
        ) from None


def read_stored(
    path: Path, judge: Callable[[bytes], MapHeader], admit: Admit = room_to_hold
) -> tuple[MapHeader, Shaped[np.ndarray, "sections rows columns"]]:
    """The header of an MRC file, packed or not, and its numbers as they are stored.

    **Arguments:**

    - `path`: the file.
    - `judge`: turns the first bytes into a header, or refuses them.
    - `admit`: called with the number of voxels before any of them is read.

    **Raises:** `InputError` if the header is refused or the file does not hold what it promises.
    """
    with open(path, "rb") as file:
        magic = file.read(len(_BZIP_MAGIC))
        file.seek(0)
        if magic.startswith(_GZIP_MAGIC):
            return _read_mrc(gzip.GzipFile(fileobj=file), None, judge, admit)
        if magic == _BZIP_MAGIC:
            return _read_mrc(bz2.BZ2File(file), None, judge, admit)
        return _read_mrc(file, path.stat().st_size, judge, admit)


def _read_mrc(
    file: _Readable,
    size: int | None,
    judge: Callable[[bytes], MapHeader],
    admit: Admit,
) -> tuple[MapHeader, Shaped[np.ndarray, "sections rows columns"]]:
    """Read an MRC stream of known size, or of unknown size if it is compressed."""
    try:
        raw = bytes(_read_up_to(file, HEADER_BYTES))
        header = judge(raw)
        expected = header.data_offset + header.data_bytes
        if size is not None and size < expected:
            _refuse_truncated(size, expected, header)
        admit(int(np.prod(header.stored_shape, dtype=object)))
        extended = header.data_offset - HEADER_BYTES
        if len(_read_up_to(file, extended)) < extended:
            _refuse_truncated(HEADER_BYTES, expected, header)
        data = _read_up_to(file, header.data_bytes)
        if len(data) < header.data_bytes:
            _refuse_truncated(header.data_offset + len(data), expected, header)
        trailing = len(_read_up_to(file, _CHUNK))
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        if size is not None:
            raise
        raise InputError(
            f"the packed file (gzip, bzip2) is truncated or damaged ({error})", "compress or copy it again"
        ) from None
    if trailing:
        more = "at least " if trailing == _CHUNK else ""
        header.warnings.append(f"{more}{trailing} bytes after the data are ignored")
    return header, header.numbers(data)


def _read_up_to(file: _Readable, n: int) -> bytearray:
    """At most n bytes, in chunks, so that a junk header cannot ask for memory that the file lacks."""
    data = bytearray()
    while len(data) < n:
        chunk = file.read(min(_CHUNK, n - len(data)))
        if not chunk:
            break
        data += chunk
    return data


def _refuse_truncated(size: int, expected: int, header: MapHeader) -> None:
    sections, rows, columns = header.stored_shape
    raise InputError(
        f"the file holds {size} bytes, but its header promises {expected} "
        f"({columns} x {rows} x {sections} voxels of {header.dtype.itemsize} bytes, "
        f"after {header.data_offset})",
        "copy it again, or write it again with the program that made it",
    )
