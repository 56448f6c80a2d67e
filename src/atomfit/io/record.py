"""How a result was made: the command, the versions of what computed it, and on what machine."""

import hashlib
import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: What a fit is computed with.
LIBRARIES = ("atomfit", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "gemmi")


def made_by(libraries: Iterable[str]) -> dict[str, Any]:
    """Versions of libraries and of Python, the command, and the machine."""
    return {
        "versions": {name: version(name) for name in libraries} | {"python": sys.version.split()[0]},
        "command": sys.argv,
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes; of a directory that is one to its program, of all its files' hashes."""
    if path.is_dir():
        whole = hashlib.sha256()
        for part in sorted(part for part in path.rglob("*") if part.is_file()):
            whole.update(f"{part.relative_to(path).as_posix()} {hash_of(part)}\n".encode())
        return whole.hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
