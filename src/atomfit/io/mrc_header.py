"""The 1024 bytes at the head of an MRC file: what they say, and whether they can be believed.

Junk headers are common and costly: a text file read as MRC asks for terabytes. So the header is
judged before anything is allocated, against the size of the file, and each refusal names the field,
its value and the remedy. The rules (MRC2014, Cheng et al. 2015, and what programs really write):

- Axes: MAPC, MAPR, MAPS say which of x, y, z runs along columns, rows and sections.
- Voxel size: CELLA / M, along x, y, z. Not CELLA / N: a map cut out of a larger cell keeps M.
- Origin: a non-zero ORIGIN wins (Å); otherwise NSTART x voxel size, which is how the CCP4 lineage
  places a map. NSTART runs along columns, rows and sections.
- An image stack (space group 0 and one interval along z) and a volume stack (space group >= 401)
  are not maps. Where a stack of images is asked for, any file of several sections is one, because few
  programs set the space group.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from atomfit.support.errors import InputError

HEADER_BYTES = 1024
ByteOrder = Literal["<", ">"]

_DTYPES: dict[int, np.dtype] = {
    0: np.dtype("i1"),
    1: np.dtype("i2"),
    2: np.dtype("f4"),
    6: np.dtype("u2"),
    12: np.dtype("f2"),
    101: np.dtype("u1"),  # two numbers a byte
}
_FOUR_BITS = 101
_UNSUPPORTED = {
    3: "16-bit complex numbers (a Fourier transform)",
    4: "32-bit complex numbers (a Fourier transform)",
    16: "8-bit colours",
}
_SIGNATURES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"\x89HDF": "an HDF5 file",
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF document",
}
#: What is wanted, and what may be given.
_MAPS = "an MRC map", "give an MRC map or a .npy array"
_IMAGES = (
    "a stack of images",
    "give one as MRC, TIFF (.tif), .npy, or what rosettasciio reads (.dm4, .emd, .ser, .hspy, .h5, ...)",
)
_MAX_EDGE = 65_535
_MAX_EXTENDED_HEADER = 2**31 - 1
_MAX_START = 1_000_000
_MAX_ORIGIN = 1e5
#: How far the edges of a square pixel may differ, as part of their length.
_SQUARE = 1e-3
_IMOD_STAMP = 1146047817
#: IMOD's flags: bytes are signed; bytes hold two numbers, of which the header's NX counts pairs.
_SIGNED, _PAIRS = 1, 16


@dataclass(frozen=True, eq=False)
class MapHeader:
    """What the header says about the data, once it has been believed.

    **Fields:**

    - `dtype`: of the stored numbers, with byte order.
    - `stored_shape`: sections, rows, columns.
    - `to_zyx`: transposition that brings the stored axes into z, y, x order.
    - `data_offset`: bytes before the first number.
    - `spacing`: voxel edges along x, y, z (Å); None where the header has none.
    - `origin`: coordinates of the first voxel (Å), given a spacing.
    - `notes`, `warnings`: which rules applied, and what looks odd.
    - `packed`: whether each byte holds two numbers of 4 bits, the first in its lower half.
    """

    dtype: np.dtype
    stored_shape: tuple[int, int, int]
    to_zyx: tuple[int, int, int]
    data_offset: int
    spacing: Float[np.ndarray, "3"]
    origin: Float[np.ndarray, "3"]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    packed: bool = False

    @property
    def bytes_shape(self) -> tuple[int, int, int]:
        """Sections, rows, and what is stored in a row; a row of packed numbers begins with a new byte."""
        sections, rows, columns = self.stored_shape
        return sections, rows, (columns + 1) // 2 if self.packed else columns

    @property
    def data_bytes(self) -> int:
        return int(np.prod(self.bytes_shape, dtype=object)) * self.dtype.itemsize

    def numbers(self, data: bytes | bytearray) -> Shaped[np.ndarray, "sections rows columns"]:
        """What the bytes after the header say."""
        stored = np.frombuffer(data, self.dtype).reshape(self.bytes_shape)
        if not self.packed:
            return stored
        return np.stack([stored & 15, stored >> 4], axis=-1).reshape(*stored.shape[:2], -1)[
            :, :, : self.stored_shape[2]
        ]


def parse_header(raw: bytes, voxel_size: tuple[float, float, float] | None = None) -> MapHeader:
    """Read and judge a header.

    **Arguments:**

    - `raw`: the first bytes of the (uncompressed) file.
    - `voxel_size`: replaces the header's (Å, along x, y, z).

    **Raises:** `InputError` where the header cannot be that of a map.
    """
    header, byte_order, notes, warnings = _opened(raw, *_MAPS)
    stored_shape = _shape(header)
    if 1 in stored_shape:
        raise InputError(
            f"{' x '.join(str(n) for n in stored_shape[::-1])} voxels are a 2D image, not a 3D map",
            "give the reconstructed volume",
        )
    dtype = _dtype(header, byte_order, stored_shape, notes)
    offset = _data_offset(header)
    to_zyx, axes = _axes(header, notes)
    _refuse_stacks(header, stored_shape)
    spacing = _spacing(header, voxel_size, notes, warnings)
    origin = _origin(header, axes, spacing, notes, warnings)
    packed = int(header["mode"]) == _FOUR_BITS
    return MapHeader(dtype, stored_shape, to_zyx, offset, spacing, origin, notes, warnings, packed)


def parse_stack_header(raw: bytes, pixel_size: float | None = None, single: bool = False) -> MapHeader:
    """Read and judge the header of a stack of images.

    **Arguments:**

    - `raw`: the first bytes of the (uncompressed) file.
    - `pixel_size`: replaces the header's (Å).
    - `single`: whether it may be one image.

    **Returns:** the header; `spacing` is the edge of a pixel, three times, and `origin` that of one image.

    **Raises:** `InputError` where the header cannot be that of images with square pixels.
    """
    header, byte_order, notes, warnings = _opened(raw, *_IMAGES)
    stored_shape = _shape(header)
    sections, rows, columns = stored_shape
    if 1 in (rows, columns) or (sections == 1 and not single):
        wanted = "an image" if single else "several images"
        raise InputError(
            f"{columns} x {rows} x {sections} pixels are not {wanted}",
            "give one of many rows and columns" if single else "give a stack of the images of all views",
        )
    dtype = _dtype(header, byte_order, stored_shape, notes)
    group = int(header["ispg"])
    if 401 <= group <= 630:
        raise InputError(f"ISPG {group} means a stack of volumes", "give a stack of images")
    to_zyx, _ = _axes(header, [])
    if to_zyx != (0, 1, 2):
        raise InputError(
            "MAPC, MAPR, MAPS say that columns, rows and sections are not u, v and the views",
            "write the images again with columns along x and rows along y",
        )
    edge = _pixel(header, pixel_size, notes, warnings)
    offset = _data_offset(header)
    packed = int(header["mode"]) == _FOUR_BITS
    whole = np.full(3, edge)
    # Stacks of a tilt series have the origin of their views.
    origin = _origin(header, (0, 1, 2), whole, notes, warnings) if single else np.zeros(3)
    return MapHeader(dtype, stored_shape, to_zyx, offset, whole, origin, notes, warnings, packed)


def _opened(raw: bytes, what: str, remedy: str) -> tuple[Any, ByteOrder, list[str], list[str]]:
    """The header's fields and byte order, and the beginnings of notes and warnings."""
    _refuse_other_formats(raw, what, remedy)
    if len(raw) < HEADER_BYTES:
        raise InputError(
            f"{len(raw)} bytes are shorter than an MRC header ({HEADER_BYTES} bytes)",
            "give a complete MRC file",
        )
    header, byte_order = _decode(raw)
    warnings = []
    if bytes(header["map"]) != b"MAP ":
        warnings.append("the header lacks the word MAP; reading it as MRC all the same")
    return header, byte_order, [], warnings


def _data_offset(header: Any) -> int:
    extended = int(header["nsymbt"])
    if not 0 <= extended <= _MAX_EXTENDED_HEADER:
        raise InputError(
            f"NSYMBT says that the extended header has {extended} bytes",
            "repair the header, or write the map again with the program that made it",
        )
    return HEADER_BYTES + extended


def _pixel(header: Any, pixel_size: float | None, notes: list[str], warnings: list[str]) -> float:
    """Edge of a pixel (Å). What the header says along the views means nothing."""
    if pixel_size is not None:
        notes.append(f"pixel size: {pixel_size:g} Å, as given (the header's is not used)")
        return pixel_size
    cell = np.array([float(header["cella"][axis]) for axis in "xy"])
    intervals = np.array([int(header[name]) for name in ("mx", "my")])
    if not np.all(np.isfinite(cell)) or np.any(cell <= 0) or np.any(intervals <= 0):
        raise InputError(
            f"the cell (CELLA) is {_triple(cell)} Å of {_triple(intervals)} pixels, so the pixel size is "
            "unknown",
            "give it with --pixel-size, in Å",
        )
    across, down = (cell / intervals).tolist()
    if abs(across / down - 1) > _SQUARE:
        raise InputError(
            f"a pixel is {across:.6g} Å along rows and {down:.6g} Å from row to row",
            "resample the images on square pixels, or give the right size with --pixel-size",
        )
    notes.append(f"pixel size: {across:.6g} Å, from CELLA / M")
    if across == 1:
        warnings.append("a pixel of exactly 1 Å often means that it was never set; --pixel-size")
    return float(across)


def _refuse_other_formats(raw: bytes, what: str, remedy: str) -> None:
    for signature, name in _SIGNATURES.items():
        if raw.startswith(signature):
            raise InputError(f"this is {name}, not {what}", remedy)
    # Before its labels a header is numbers: hardly a byte of it is a printable character.
    numbers = raw[:208]
    printable = sum(byte in b"\t\n\r" or 32 <= byte < 127 for byte in numbers)
    if numbers and printable > 0.9 * len(numbers):
        raise InputError(f"this is a text file, not {what}", remedy)


def _decode(raw: bytes) -> tuple[Any, ByteOrder]:
    """The header's fields, in the byte order in which its mode, axes and size make sense.

    The machine stamp goes first, but is wrong or lacking in old files; a mode of 0 is one in any order.
    """
    from mrcfile.dtypes import HEADER_DTYPE

    stamp = raw[212:214]
    likely: tuple[ByteOrder, ByteOrder] = (">", "<") if stamp == b"\x11\x11" else ("<", ">")
    for order in likely:
        fields = np.frombuffer(raw[:HEADER_BYTES], HEADER_DTYPE.newbyteorder(order))[0]
        sizes = [int(fields[name]) for name in ("nx", "ny", "nz")]
        if 0 <= int(fields["mode"]) <= 127 and all(0 < n <= _MAX_EDGE for n in sizes):
            return fields, order
    return np.frombuffer(raw[:HEADER_BYTES], HEADER_DTYPE.newbyteorder(likely[0]))[0], likely[0]


def _shape(header: Any) -> tuple[int, int, int]:
    columns, rows, sections = (int(header[name]) for name in ("nx", "ny", "nz"))
    for name, n in (("NX", columns), ("NY", rows), ("NZ", sections)):
        if not 1 <= n <= _MAX_EDGE:
            raise InputError(
                f"{name} is {n}, which is no number of voxels",
                "check that this is an MRC map, or write it again with the program that made it",
            )
    return sections, rows, columns


def _dtype(
    header: Any, byte_order: ByteOrder, stored_shape: tuple[int, int, int], notes: list[str]
) -> np.dtype:
    dtype = _kind(header, byte_order, notes)
    notes.insert(
        0,
        f"data: {' x '.join(str(n) for n in stored_shape[::-1])} voxels, {dtype.name}, "
        f"{'big' if byte_order == '>' else 'little'}-endian",
    )
    return dtype


def _kind(header: Any, byte_order: ByteOrder, notes: list[str]) -> np.dtype:
    mode = int(header["mode"])
    if mode in _UNSUPPORTED:
        raise InputError(
            f"MODE {mode} means {_UNSUPPORTED[mode]}", "convert the map to MODE 2 (32-bit floats)"
        )
    if mode not in _DTYPES:
        raise InputError(f"MODE {mode} is unknown", "convert the map to MODE 2 (32-bit floats)")
    dtype = _DTYPES[mode].newbyteorder(byte_order)
    stamp, flags = np.frombuffer(header["extra2"].tobytes()[40:48], f"{byte_order}i4")
    if mode == 0 and stamp == _IMOD_STAMP and flags & _PAIRS:
        raise InputError(
            "its bytes hold two numbers of 4 bits each (IMOD's flag 16)",
            "convert it to bytes of their own (newstack -mode 0)",
        )
    if mode == 0 and stamp == _IMOD_STAMP and not flags & _SIGNED:
        notes.append("bytes are unsigned (IMOD's stamp without its flag for signed bytes)")
        return np.dtype("u1")
    return dtype


def _axes(header: Any, notes: list[str]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Transposition to z, y, x, and the axis (0 is x) along columns, rows, sections."""
    order = tuple(int(header[name]) for name in ("mapc", "mapr", "maps"))
    if sorted(order) != [1, 2, 3]:
        raise InputError(
            f"MAPC, MAPR, MAPS are {order[0]}, {order[1]}, {order[2]}, not an order of 1, 2, 3",
            "set them to 1, 2, 3 if columns, rows and sections run along x, y and z",
        )
    stored = order[::-1]
    to_zyx = tuple(stored.index(axis) for axis in (3, 2, 1))
    names = "".join("xyz"[axis - 1] for axis in order)
    notes.append(
        "axes: columns, rows, sections are x, y, z"
        if names == "xyz"
        else f"axes: columns, rows, sections are {', '.join(names)}; transposed to x, y, z"
    )
    return to_zyx, tuple(axis - 1 for axis in order)  # type: ignore[return-value]


def _refuse_stacks(header: Any, stored_shape: tuple[int, int, int]) -> None:
    group, sections, intervals = int(header["ispg"]), stored_shape[0], int(header["mz"])
    if 401 <= group <= 630:
        raise InputError(
            f"ISPG {group} means a stack of volumes ({sections} sections of {intervals} each)",
            "write the volume to be fitted into a file of its own",
        )
    if group == 0 and intervals == 1 and sections > 1:
        raise InputError(
            f"ISPG 0 with MZ 1 means a stack of {sections} images, not a 3D map",
            "give the reconstructed volume (if it is one, set ISPG to 1 and MZ to NZ)",
        )


def _spacing(
    header: Any,
    voxel_size: tuple[float, float, float] | None,
    notes: list[str],
    warnings: list[str],
) -> Float[np.ndarray, "3"]:
    angles = np.array([float(header["cellb"][name]) for name in ("alpha", "beta", "gamma")])
    # Zeros are written by programs that leave the angles out.
    if not np.all(np.abs(angles - 90) <= 0.01) and np.any(angles != 0):
        listed = ", ".join(f"{angle:g}" for angle in angles)
        raise InputError(
            f"the cell angles are {listed} degrees, but only right angles can be fitted",
            "resample the map onto a rectangular grid",
        )
    if voxel_size is not None:
        notes.append(f"voxel size: {_triple(voxel_size)} Å, as given (the header's is not used)")
        return np.array(voxel_size, np.float64)
    cell = np.array([float(header["cella"][axis]) for axis in "xyz"])
    intervals = np.array([int(header[name]) for name in ("mx", "my", "mz")])
    if not np.all(np.isfinite(cell)) or np.any(cell <= 0):
        raise InputError(
            f"the cell (CELLA) is {_triple(cell)} Å, so the voxel size is unknown",
            "give it with --voxel-size, in Å",
        )
    if np.any(intervals <= 0):
        raise InputError(
            f"MX, MY, MZ are {_triple(intervals)}, so the voxel size is unknown",
            "give it with --voxel-size, in Å",
        )
    spacing = cell / intervals
    notes.append(f"voxel size: {_triple(spacing)} Å, from CELLA / M")
    if np.all(spacing == 1):
        warnings.append("a voxel of exactly 1 Å often means that it was never set; --voxel-size")
    return spacing


def _origin(
    header: Any,
    axes: tuple[int, int, int],
    spacing: Float[np.ndarray, "3"],
    notes: list[str],
    warnings: list[str],
) -> Float[np.ndarray, "3"]:
    origin = np.array([float(header["origin"][axis]) for axis in "xyz"])
    if not np.all(np.isfinite(origin)):
        raise InputError(
            f"ORIGIN is {_triple(origin)} Å",
            "set it to 0, 0, 0 in the header (mrcfile: mrc.header.origin = 0)",
        )
    start = np.zeros(3)
    for axis, name in zip(axes, ("nxstart", "nystart", "nzstart"), strict=True):
        start[axis] = int(header[name])
    if np.any(origin != 0):
        if np.all(np.abs(origin) <= _MAX_ORIGIN):
            notes.append(f"origin: {_triple(origin)} Å, from ORIGIN")
            return origin
        warnings.append(f"ORIGIN {_triple(origin)} Å is not believed; NSTART is used instead")
    if np.any(np.abs(start) > _MAX_START):
        warnings.append(f"NSTART {_triple(start)} is not believed; the origin is set to zero")
        start[:] = 0
    if np.any(start != 0):
        notes.append(f"origin: {_triple(start * spacing)} Å, from NSTART x voxel size")
    else:
        notes.append("origin: 0, 0, 0 (neither ORIGIN nor NSTART is set)")
    return start * spacing


def _triple(values: Any) -> str:
    return ", ".join(f"{float(value):.6g}" for value in values)
