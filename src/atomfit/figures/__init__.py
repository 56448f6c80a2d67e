"""Figures for print: what the pages show, as PNG and PDF at the widths of a journal's columns.

They are drawn with matplotlib, which is an optional extra and is imported only when figures are asked for.
Its state is left as it is: figures are objects, and the style holds while they are drawn. Nothing here is
for others to rely on. It imports `atomfit.report` and what lies below.
"""

import importlib
import os
from importlib.util import find_spec
from pathlib import Path

from atomfit.support.errors import InputError


def require_matplotlib() -> None:
    """Find out before any work is done whether figures can be drawn.

    **Raises:** `InputError` if matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise InputError(
            "figures are drawn with matplotlib, which is not installed",
            "pip install 'atomfit[figures]'",
            "--figures",
        )


def load_matplotlib() -> None:
    """Import matplotlib even if a user's settings of it cannot be used.

    It reads them when it is imported, and fails with a backend that is not installed (Jupyter names one to
    every program that it starts) or a file that it cannot read. What a figure looks like is settled in
    `style`.
    """
    try:
        importlib.import_module("matplotlib")
        return
    except Exception:
        found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("matplotlib is not installed", name="matplotlib")
    names = {
        "MPLBACKEND": "agg",
        "MATPLOTLIBRC": str(Path(found.origin).parent / "mpl-data" / "matplotlibrc"),
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        importlib.import_module("matplotlib")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
