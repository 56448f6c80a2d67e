"""Whatever is an array to its user, as an array of 32-bit floats.

numpy's of any type, order and byte order, JAX's, lists of lists, and what turns itself into an array when
asked (xarray, dask, hyperspy, torch on the CPU). Always a copy, so that what a user does to the array later
does not change a fit. Values that 32-bit floats do not hold are refused, and so are masked ones where a
value is needed. An offset beside which they, or sums of them, would lose differences is taken off before.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped

from atomfit.support.errors import InputError


@runtime_checkable
class SupportsArray(Protocol):
    """What numpy can make an array of."""

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """Its values."""
        ...


AnyArray = SupportsArray | Sequence[Any]

#: Values that differ by less than this part of their size lose differences as 32-bit floats.
_OFFSET = 1e-3


def real_array(given: Any, masked: float | None = None) -> Float[np.ndarray, "..."]:
    """An array of 32-bit floats in C order: that of `without_offset`."""
    return without_offset(given, masked)[0]


def without_offset(given: Any, masked: float | None = None) -> tuple[Float[np.ndarray, "..."], float]:
    """An array of 32-bit floats in C order, and what was taken off its values that these hold them.

    That is zero but for values that differ by a small part of their size.

    **Arguments:**

    - `given`: an array of any kind.
    - `masked`: stands for values that a masked array masks; these are refused if it is None. It may be more
        than 32-bit floats hold. Values that are equal to it are kept.

    **Raises:** `InputError` if it is no array of real numbers, or of such as 32-bit floats do not hold.
    """
    kind = type(given).__name__
    if not isinstance(given, SupportsArray | Sequence):
        raise InputError(f"a {kind} is no array", "give a file's path or an array of numbers")
    mask = np.ma.getmaskarray(given) if isinstance(given, np.ma.MaskedArray) else None
    try:
        values = np.asarray(given)
    # Ragged lists, tensors of another device or with a gradient, readers of files that were closed.
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"a {kind} is no array here ({told})", "give an array of numbers") from None
    # Short floats of machine learning have no kind of their own in numpy.
    short = values.dtype.kind == "V" and values.dtype.name.startswith(("bfloat", "float"))
    if values.dtype.kind not in "iuf" and not short:
        raise InputError(f"an array of {values.dtype} holds no real numbers", "convert it to 32-bit floats")
    if mask is not None and mask.any() and masked is None:
        raise InputError(
            f"{int(mask.sum())} of {mask.size} values are masked, and each must have one",
            "fill them with the background level (numpy.ma.filled), or cut the measured part out",
        )
    with np.errstate(over="ignore", under="ignore"):
        found = np.array(values, dtype=np.float32, order="C")
    if mask is not None and masked is not None:
        found[mask] = masked
    # Narrower ones lose nothing.
    if short or values.dtype.itemsize < found.dtype.itemsize:
        return found, 0.0
    measured = np.isfinite(values) if mask is None else np.isfinite(values) & ~mask
    if masked is not None:
        measured &= values != masked
    offset = _offset(values[measured])
    if offset:
        kept = values[measured].astype(np.float64) - offset
        if masked is not None:
            # What was measured is not to become what was not.
            kept[kept == masked] += _OFFSET * np.ptp(kept)
        found[measured] = kept
    elif values.dtype.kind == "f" and values.dtype.itemsize > found.dtype.itemsize:
        _require_held(values[measured], found[measured])
    return found, offset


def told_of_offset(offset: float) -> list[str]:
    """A note of what was taken off; none of nothing."""
    if not offset:
        return []
    return [f"values: {offset:g} was taken off all, beside which 32-bit floats would lose differences"]


def _offset(values: Shaped[np.ndarray, " n"]) -> float:
    """One of some finite values, to be taken off that 32-bit floats hold their differences; or zero."""
    if not len(values):
        return 0.0
    low, high = float(values.min()), float(values.max())
    if not 0 < high - low < _OFFSET * max(abs(low), abs(high)):
        return 0.0
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _require_held(values: Float[np.ndarray, " n"], held: Float[np.ndarray, " n"]) -> None:
    """**Raises:** `InputError` if values are none any more as 32-bit floats."""
    remedy = "multiply all by a number that makes atoms about 1"
    lost = np.isinf(held)
    if lost.any():
        raise InputError(
            f"{int(lost.sum())} of {len(values)} values are too large for 32-bit floats (the first is "
            f"{values[lost][0]:.3g})",
            remedy,
        )
    largest = float(np.abs(values).max(initial=0))
    if 0 < largest < np.finfo(np.float32).tiny:
        raise InputError(f"values of {largest:.3g} at most are too small for 32-bit floats", remedy)
