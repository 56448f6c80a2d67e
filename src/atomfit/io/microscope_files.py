"""Images in the files of microscopes and their programs: HDF5 of all kinds, dm4, ser, ... and TIFF.

Most are read by rosettasciio, an extra (`pip install 'atomfit[microscopes]'`); TIFF (`io.tiff`), MRC stacks
and numpy arrays need nothing. A reader gives its axes in any order and names them as it likes, so what an
axis is follows from what is said of it (`oriented`); what a file says of its pixels is taken if both axes
of an image agree and their unit is a length. No reader is called that could run code from a file.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.io.mrc import Admit, room_to_hold
from atomfit.io.tiff import Stack, length_in_angstrom, read_tiff
from atomfit.support.errors import InputError

_TIFF = frozenset((".tif", ".tiff", ".btf", ".tf8"))
_HDF5 = frozenset((".h5", ".hdf5", ".hdf", ".he5", ".nxs", ".emd", ".de5", ".hspy"))
#: Ends of names of other such files; whatever else there is may be an MRC file.
_OTHERS = frozenset((".dm3", ".dm4", ".ser", ".emi", ".zspy", ".rpl", ".blo", ".mib", ".prz", ".unf"))
#: Plain HDF5 is read by these if their programs have written it, which they know.
_HDF5_READERS = ("HSPY", "EMD", "NeXus")
#: Names of an image's axes: along its rows, and from row to row.
_ALONG, _DOWN = ("x", "width", "columns", "u"), ("y", "height", "rows", "v")
_STACK = "give an MRC stack [view, row, column]"
#: The axis of a stack of one.
_OF_ONE = {"name": "view", "units": "", "scale": 0.0, "navigate": True}


@dataclass(frozen=True)
class Axis:
    """What a reader says of an axis; `scale` is the step along it, in its unit."""

    name: str
    unit: str
    scale: float
    navigates: bool


def is_of_a_microscope(path: Path) -> bool:
    """Whether the name's end is that of a file which is read here."""
    return path.suffix.lower() in _TIFF | _HDF5 | _OTHERS


def read_microscope_file(path: Path, admit: Admit = room_to_hold, single: bool = False) -> Stack:
    """Images of a file, as far as it holds one stack of them.

    **Arguments:**

    - `path`: the file.
    - `admit`: called with the number of pixels before they are read, if the reader can say it.
    - `single`: whether it may be one image, which is then a stack of one.

    **Raises:** `InputError` if what reads it is lacking or cannot, or if it holds not one stack.
    """
    ending = path.suffix.lower()
    if ending in _TIFF:
        return read_tiff(path, admit, single)
    problems, remedy = [], _STACK
    for name in _readers(ending):
        try:
            reader = importlib.import_module(name).file_reader
            _admit_lazily(reader, path, admit)
            found = _stacks(reader(str(path)), single)
        except InputError:
            raise
        except ImportError as error:
            problems.append(f"that takes {error.name or error}")
            remedy = f"pip install {error.name or 'what it names'}, or {_STACK}"
        except Exception as error:  # whatever a reader of another's format raises
            problems.append(" ".join(f"{type(error).__name__}: {error}".split())[:200])
        else:
            if found:
                return _only(found)
            problems.append("it holds no stack of images")
    if ending in _HDF5:
        return _from_hdf5(path, admit, single)
    raise InputError(f"the file cannot be read ({problems[-1]})", remedy)


def oriented(data: np.ndarray, axes: Sequence[Axis]) -> tuple[np.ndarray, float | None, list[str]]:
    """Data with the axes view, row, column, whatever their order was, and the edge of a pixel.

    The views are along the axis that is said to navigate; failing that, along the only one whose unit is no
    length; failing that, along the only one that is not as long as another (images are square as a rule),
    and else along the first.

    **Returns:** the images, the edge of their pixels (Å) if it is known, and what is to be said of them.

    **Raises:** `InputError` if pixels are not square.
    """
    lengths = [length_in_angstrom(axis.scale, axis.unit) for axis in axes]
    sizes = data.shape
    rules = (
        [axis.navigates for axis in axes],
        [length is None for length in lengths],
        [sizes.count(size) == 1 for size in sizes],
    )
    view = next((rule.index(True) for rule in rules if rule.count(True) == 1), 0)
    row, column = (k for k in range(3) if k != view)
    if axes[row].name.lower() in _ALONG and axes[column].name.lower() in _DOWN:
        row, column = column, row
    notes = []
    if (view, row, column) != (0, 1, 2):
        notes.append(
            f"axes: views, rows and columns are axes {view}, {row} and {column} of the file's array"
        )
    down, along = lengths[row], lengths[column]
    if down is None or along is None:
        return data.transpose(view, row, column), None, notes
    if abs(down / along - 1) > 1e-3:
        raise InputError(
            f"pixels are {along:g} by {down:g} Å",
            "resample the images on square pixels, or say --pixel-size",
        )
    return data.transpose(view, row, column), along, notes


def _readers(ending: str) -> list[str]:
    """Modules of rosettasciio that read files of this ending, and run nothing that is in them.

    **Raises:** `InputError` if there is none.
    """
    try:
        plugins: list[dict[str, Any]] = importlib.import_module("rsciio").IO_PLUGINS
    except ImportError:
        raise InputError(
            f"a {ending} file is none that atomfit reads alone",
            "give an MRC or TIFF stack, or pip install 'atomfit[microscopes]'",
        ) from None
    generic = ending in (".h5", ".hdf5", ".hdf", ".he5")
    able = [
        plugin["api"]
        for plugin in plugins
        if (
            plugin["name"] in _HDF5_READERS
            if generic
            else ending[1:] in {name.lower() for name in plugin["file_extensions"]}
        )
    ]
    if not able:
        raise InputError(f"no program of rosettasciio reads {ending}", _STACK)
    if ending == ".prz":
        reader = importlib.import_module(able[0]).file_reader
        if "allow_restricted_pickle" not in inspect.signature(reader).parameters:
            _refuse_unsafe(ending, "rosettasciio")
    if ending == ".zspy":
        try:
            pickles = importlib.import_module("numcodecs.pickles")
        except ImportError:
            raise InputError(f"reading {ending} takes zarr", f"pip install 'zarr<3', or {_STACK}") from None
        if getattr(pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True):
            _refuse_unsafe(ending, "numcodecs")
    return able


def _admit_lazily(reader: Callable[..., list[dict[str, Any]]], path: Path, admit: Admit) -> None:
    """Ask for the memory of what a reader of rosettasciio can describe without reading it."""
    try:
        signals = reader(str(path), lazy=True)
    except Exception:  # it cannot, or cannot read the file at all, which is told when it is read
        return
    admit(max((int(np.prod(np.shape(signal["data"]), dtype=object)) for signal in signals), default=0))


def _refuse_unsafe(ending: str, library: str) -> None:
    raise InputError(
        f"this {library} would run what a {ending} file tells it to", f"upgrade {library}, or {_STACK}"
    )


def _stacks(signals: list[dict[str, Any]], single: bool) -> list[tuple[str, Stack]]:
    """The stacks of images, or single ones, among what a reader found, by their titles."""
    found: list[tuple[str, Stack]] = []
    for signal in signals:
        data, axes = np.asarray(signal["data"]), signal["axes"]
        if data.ndim != len(axes):
            continue
        # The axes of a TIFF or PRZ are in the array's order, and no index says so.
        order = sorted(range(len(axes)), key=lambda k: axes[k].get("index_in_array", k))
        kept = [k for k in range(data.ndim) if data.shape[k] > 1]
        if single and len(kept) == 2:
            # As if it were a stack of one.
            data = data.squeeze()[None]
            kept, axes, order = [0, 1, 2], [_OF_ONE, *(axes[order[k]] for k in kept)], [0, 1, 2]
        if len(kept) != 3 or data.dtype.kind not in "iuf":
            continue
        described = [axes[order[k]] for k in kept]
        told = [
            Axis(
                str(axis.get("name") or ""),
                str(axis.get("units") or ""),
                float(axis.get("scale") or 0),
                bool(axis.get("navigate")),
            )
            for axis in described
        ]
        title = str(signal.get("metadata", {}).get("General", {}).get("title") or f"no. {len(found) + 1}")
        found.append((title, Stack(*oriented(data if data.ndim == 3 else data.squeeze(), told))))
    return found


def _from_hdf5(path: Path, admit: Admit, single: bool) -> Stack:
    """The only stack of images in an HDF5 file that no known program has written.

    **Raises:** `InputError`, with what there is, if it is not one.
    """
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise InputError("reading HDF5 takes h5py", f"pip install h5py, or {_STACK}") from None
    found: list[str] = []
    wanted = (2, 3) if single else (3,)

    def visit(name: str, item: Any) -> None:
        shape, dtype = getattr(item, "shape", None), getattr(item, "dtype", None)
        if shape and dtype is not None and dtype.kind in "iuf" and sum(n > 1 for n in shape) in wanted:
            found.append(name)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
            if len(found) == 1:
                admit(int(np.prod(file[found[0]].shape, dtype=object)))
                data = np.asarray(file[found[0]]).squeeze()
                data = data[None] if data.ndim == 2 else data
                plain = [Axis("", "", 0.0, False)] * 3
                images, edge, notes = oriented(data, plain)
                return Stack(images, edge, [f"data set: {found[0]}", *notes])
            listed = ", ".join(f"{name} {file[name].shape}" for name in found[:6])
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"the file cannot be read ({str(error).splitlines()[0]})", _STACK) from None
    raise InputError(
        f"it holds {len(found)} stacks of images" + (f" ({listed})" if found else ""),
        f"{_STACK} of its own",
    )


def _only(found: list[tuple[str, Stack]]) -> Stack:
    """**Raises:** `InputError` if there are several stacks, of which none is the one that is meant."""
    if len(found) > 1:
        listed = ", ".join(f"{title} {stack.images.shape}" for title, stack in found[:6])
        raise InputError(f"it holds {len(found)} stacks of images ({listed})", f"{_STACK} of its own")
    return found[0][1]
