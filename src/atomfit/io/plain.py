"""What JSON knows of numbers: no arrays, and neither NaN nor infinity."""

import math
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Only what JSON knows: arrays as lists, and null for what is not a number."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Path):
        return str(value)
    return value
