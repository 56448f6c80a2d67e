"""Pictures as bytes, which a page holds as text."""

import base64
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

#: Stands for what is not known, in pictures that have such.
UNKNOWN = 255


def in_bytes(values: Float[np.ndarray, "..."], low: float, high: float) -> dict[str, Any]:
    """Bytes in base64, the numbers that 0 and 255 stand for, and the root-mean-square."""
    step = (high - low) / 255 or 1.0
    return {
        "bytes": _text(np.rint((values - low) / step).astype(np.uint8)),
        "low": low,
        "high": high,
        "rms": float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))),
    }


def in_shades(
    values: Float[np.ndarray, "..."], known: Bool[np.ndarray, "..."], low: float, high: float
) -> dict[str, Any]:
    """Bytes in base64 for a picture that shows no more than two numbers and what lies between."""
    return {"bytes": _text(shades(values, known, low, high)), "low": low, "high": high}


def shades(
    values: Float[np.ndarray, "*n"], known: Bool[np.ndarray, "*n"], low: float, high: float
) -> UInt8[np.ndarray, "*n"]:
    """Levels of a picture: `low` is 0, `high` 254, what is not known 255."""
    step = (high - low) / (UNKNOWN - 1) or 1.0
    levels = np.rint((np.clip(values, low, high) - low) / step)
    return np.where(known, levels, UNKNOWN).astype(np.uint8)


def _text(levels: UInt8[np.ndarray, "..."]) -> str:
    return base64.b64encode(levels.tobytes()).decode("ascii")
