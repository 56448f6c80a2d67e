"""Images in the files of microscopes and their programs (dm4, emd, ser, hspy, tif, ...), by rosettasciio.

It is an extra (`pip install 'atomfit[microscopes]'`): MRC stacks and numpy arrays need nothing. What a file
says of its pixels is taken if both axes of an image agree and their unit is a length.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.errors import InputError

#: Ends of names of such files; whatever else there is may be an MRC file.
_ENDINGS = frozenset(
    (".dm3", ".dm4", ".emd", ".ser", ".emi", ".hspy", ".zspy", ".tif", ".tiff", ".rpl", ".blo", ".mib")
    + (".h5", ".hdf5", ".nxs", ".prz", ".unf", ".de5")
)
#: Units of length, in Å.
_UNITS = {"a": 1.0, "å": 1.0, "angstrom": 1.0, "nm": 10.0, "pm": 0.01, "um": 1e4, "µm": 1e4, "m": 1e10}


def is_of_a_microscope(path: Path) -> bool:
    """Whether the name's end is that of a file which only rosettasciio reads."""
    return path.suffix.lower() in _ENDINGS


def read_microscope_file(path: Path) -> tuple[np.ndarray, float | None]:
    """Images [view, row, column] of a file, and the edge of their pixels (Å) if it says that.

    **Raises:** `InputError` if rosettasciio is lacking or cannot read it, or if it holds no images.
    """
    ending = path.suffix.lower()
    try:
        plugins: list[dict[str, Any]] = importlib.import_module("rsciio").IO_PLUGINS
    except ImportError:
        raise InputError(
            f"a {ending} file is none that atomfit reads alone",
            "give an MRC stack, or pip install 'atomfit[microscopes]'",
        ) from None
    able = [p for p in plugins if ending[1:] in {name.lower() for name in p["file_extensions"]}]
    problem = f"no program of rosettasciio reads {ending}"
    for plugin in able:
        try:
            signals = importlib.import_module(plugin["api"]).file_reader(str(path))
        except Exception as error:  # whatever a reader of another's format raises
            problem = f"{type(error).__name__}: {error}"
            continue
        stacks = [signal for signal in signals if np.ndim(signal["data"]) == 3]
        if stacks:
            return np.asarray(stacks[0]["data"]), _pixel(stacks[0]["axes"])
        problem = "it holds no stack of images"
    raise InputError(f"the file cannot be read ({problem})", "give an MRC stack [view, row, column]")


def _pixel(axes: list[dict[str, Any]]) -> float | None:
    """Edge of a pixel (Å), if rows and columns agree; None if nothing is said of it."""
    edges = []
    for axis in sorted(axes, key=lambda axis: axis["index_in_array"])[-2:]:
        unit = str(axis.get("units") or "").strip().lower()
        if unit not in _UNITS or not axis.get("scale"):
            return None
        edges.append(abs(float(axis["scale"])) * _UNITS[unit])
    if abs(edges[0] - edges[1]) > 1e-3 * edges[0]:
        raise InputError(
            f"pixels are {edges[0]:g} by {edges[1]:g} Å", "make them square, or say --pixel-size"
        )
    return edges[0]
