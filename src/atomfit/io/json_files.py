"""Results as JSON, for programs and for people: no NaN, and short lists on one line."""

import json
import re
from pathlib import Path
from typing import Any

from atomfit.io.plain import plain


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write what may hold arrays, paths and numbers that are not known (null)."""
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    # Lists of numbers on one line, for those who read the file.
    text = re.sub(r"\[[-+.\deE,\s]+\]", lambda m: " ".join(m.group().split()), text)
    path.write_text(text + "\n", encoding="utf-8")
