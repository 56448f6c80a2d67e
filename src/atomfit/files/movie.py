"""All files of a movie: see `docs/files.md` for what they hold."""

from pathlib import Path
from typing import Any


def write_movie(result: Any, directory: Path, overwrite: bool = False) -> Path:
    raise NotImplementedError
