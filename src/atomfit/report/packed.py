"""Many numbers for a page, packed into text that a browser reads at once.

A hundred thousand numbers are megabytes of JSON that take seconds to read. Here they are 32-bit floats as
base64; where there are very many, 16-bit whole numbers of equal steps between the least and the largest,
1/65,534 of their range, which is finer than a screen. What is not known stays unknown.
"""

import base64
from typing import Any

import numpy as np
from jaxtyping import Float, Int

#: Steps between the least and the largest number; one more value stands for numbers that are not known.
_STEPS = 65_533
_UNKNOWN = -32_768


def packed(values: Float[np.ndarray, "..."], short: bool = False) -> dict[str, Any]:
    """Numbers of any shape, as `packed.js` reads them.

    **Arguments:**

    - `values`: NaN where one is not known.
    - `short`: whether 16 bits are enough.

    **Returns:** `kind` ("f4" or "i2"), `low` and `step` of the latter, and `data`, little-endian.
    """
    flat = np.asarray(values, np.float64).ravel()
    if not short:
        return {"kind": "f4", "data": _text(flat.astype("<f4"))}
    known = np.isfinite(flat)
    low, high = (float(flat[known].min()), float(flat[known].max())) if known.any() else (0.0, 0.0)
    step = (high - low) / _STEPS or 1.0
    whole = np.full(len(flat), _UNKNOWN, "<i2")
    whole[known] = (np.round((flat[known] - low) / step) + _UNKNOWN + 1).astype("<i2")
    return {"kind": "i2", "low": low, "step": step, "data": _text(whole)}


def packed_states(state: Int[np.ndarray, "..."]) -> dict[str, Any]:
    """Indices below 127, or -1, as `packed.js` reads them."""
    return {"kind": "i1", "data": _text(np.asarray(state, "<i1").ravel())}


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
