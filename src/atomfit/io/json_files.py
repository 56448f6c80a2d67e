"""Results as JSON, for programs and for people: no NaN, and short lists on one line."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.support.text import writable


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write what may hold arrays, paths and numbers that are not known (null)."""
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    # Lists of numbers on one line, for those who read the file.
    text = re.sub(r"\[[-+.\deE,\s]+\]", lambda m: " ".join(m.group().split()), text)
    path.write_text(text + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Only what JSON knows: arrays as lists, null for what is no number, names without what is no text."""
    if isinstance(value, dict):
        return {writable(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, (str, Path)):
        return writable(str(value))
    return value
