"""Figures for print: what the pages show, as PNG and PDF at the widths of a journal's columns.

They are drawn with matplotlib, which is an optional extra and is imported only when figures are asked for.
Its state is left as it is: figures are objects, and the style holds while they are drawn.
"""

from importlib.util import find_spec

from atomfit.errors import InputError


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
