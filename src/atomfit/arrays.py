"""Whatever is an array to its user, as an array of 32-bit floats.

numpy's of any type, order and byte order, JAX's, lists of lists, and what turns itself into an array when
asked (xarray, dask, hyperspy, torch on the CPU). Always a copy, so that what a user does to the array later
does not change a fit. Values that 32-bit floats do not hold are refused, and so are masked ones where a
value is needed.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from atomfit.errors import InputError


@runtime_checkable
class SupportsArray(Protocol):
    """What numpy can make an array of."""

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """Its values."""
        ...


AnyArray = SupportsArray | Sequence[Any]


def real_array(given: Any, masked: float | None = None) -> Float[np.ndarray, "..."]:
    """An array of 32-bit floats in C order.

    **Arguments:**

    - `given`: an array of any kind.
    - `masked`: stands for values that a masked array masks; these are refused if it is None. It may be more
        than 32-bit floats hold.

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
    if values.dtype.kind == "f" and values.dtype.itemsize > found.dtype.itemsize:
        measured = np.ones(values.shape, bool) if mask is None else ~mask
        if masked is not None:
            measured &= values != masked
        _require_held(values[measured], found[measured])
    return found


def _require_held(values: Float[np.ndarray, " n"], held: Float[np.ndarray, " n"]) -> None:
    """**Raises:** `InputError` if values are none any more as 32-bit floats."""
    remedy = "multiply all by a number that makes atoms about 1"
    lost = np.isinf(held) & np.isfinite(values)
    if lost.any():
        raise InputError(
            f"{int(lost.sum())} of {len(values)} values are too large for 32-bit floats (the first is "
            f"{values[lost][0]:.3g})",
            remedy,
        )
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max(initial=0))
    if 0 < largest < np.finfo(np.float32).tiny:
        raise InputError(f"values of {largest:.3g} at most are too small for 32-bit floats", remedy)
    if len(finite) and np.ptp(finite) > 0 and np.ptp(held[np.isfinite(values)]) == 0:
        raise InputError(
            f"values differ by {np.ptp(finite):.3g} only beside {largest:.3g}: 32-bit floats lose it",
            "subtract the background level",
        )
