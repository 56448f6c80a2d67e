"""Whether columns can be counted at all, and up to how many atoms: numbers that are none are refused.

A library in other units than the image is the error that happens (nm² and Å², a beam that is one or a
hundred per cent, counts): then the columns are a small part of an atom, or hundreds of them.
"""

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.count_law import Library
from atomfit.statistics.limits import LIMITS
from atomfit.support.errors import InputError

_UNITS = "give the library and the image in the same units (cross-sections are intensity x Å²)"


def check_columns(
    cross_sections: Float[np.ndarray, " n"],
    esds: Float[np.ndarray, " m"],
    positions: np.ndarray | None,
    library: Library | None,
) -> None:
    """Look at what is to be counted.

    **Raises:** `InputError` for what cannot be.
    """
    n = len(cross_sections)
    if len(esds) != n or (positions is not None and positions.shape != (n, 2)):
        raise InputError(
            f"{n} cross-sections have {len(esds)} uncertainties"
            + ("" if positions is None else f" and positions of shape {positions.shape}"),
            "give one of each for each column",
            "columns",
        )
    if not n:
        raise InputError("there is no column to count", "give at least one", "columns")
    _refuse(~(cross_sections > 0) | ~np.isfinite(cross_sections), cross_sections, "cross-section")
    _refuse(~(esds > 0) | ~np.isfinite(esds), esds, "standard uncertainty")
    if positions is not None:
        lost = ~np.isfinite(positions).all(axis=1)
        _refuse(lost, np.where(lost, np.nan, 0.0), "position")
        if len(np.unique(positions, axis=0)) < n:
            raise InputError("two columns lie in one place", "give each column once", "columns")
    if library is None and n < LIMITS.count_columns:
        raise InputError(
            f"{n} columns do not say what one atom scatters",
            f"give a library (--library), or {LIMITS.count_columns} columns",
            "columns",
        )


def _refuse(wrong: Bool[np.ndarray, " n"], values: Float[np.ndarray, " n"], what: str) -> None:
    if not wrong.any():
        return
    first, others = int(np.argmax(wrong)), int(wrong.sum()) - 1
    more = f" (and those of {others} more)" if others else ""
    allowed = "finite" if what == "position" else "positive"
    raise InputError(
        f"the {what} of column {first + 1} is {values[first]:.6g}{more}",
        f"leave out columns whose {what} is not {allowed}",
        "columns",
    )


def states(cross_sections: Float[np.ndarray, " n"], library: Library | None) -> int:
    """The largest count that is thought of.

    **Raises:** `InputError` if cross-sections are none of the library's unit.
    """
    if library is None:
        return LIMITS.count_unknown
    known, largest = library.cross_sections, float(cross_sections.max())
    if largest < LIMITS.count_faint * known[0]:
        raise InputError(
            f"the brightest column's {largest:.6g} is less than the library's {known[0]:.6g} of one atom",
            _UNITS,
            "library",
        )
    # Room for a scale, and steps beyond the end, that are off by as much as they can be.
    needed = 1.3 * largest
    steps = np.diff(known, prepend=0.0)
    beyond = max(needed - known[-1], 0.0) / steps[-4:].mean()
    most = int(np.sum(known < needed)) + 2 + int(min(1.2 * beyond, 1e6))
    if most > LIMITS.count_most:
        raise InputError(
            f"the brightest column's {largest:.6g} would be that of {most} atoms",
            _UNITS,
            "library",
        )
    return most
