"""Whatever is an array to its user, as an array of 32-bit floats.

numpy's of any type, order and byte order, JAX's, lists of lists, and what turns itself into an array when
asked (xarray, dask, hyperspy, torch on the CPU). Always a copy, so that what a user does to the array later
does not change a fit. Values that are masked are no numbers here.
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


def real_array(given: Any, masked: float = np.nan) -> Float[np.ndarray, "..."]:
    """An array of 32-bit floats in C order.

    **Arguments:**

    - `given`: an array of any kind.
    - `masked`: stands for values that a masked array masks.

    **Raises:** `InputError` if it is no array of real numbers.
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
    with np.errstate(over="ignore"):
        found = np.array(values, dtype=np.float32, order="C")
    if mask is not None:
        found[mask] = masked
    return found
