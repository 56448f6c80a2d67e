"""How a result was made: the command, the versions of what computed it, and on what machine."""

import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any


def made_by(libraries: Iterable[str]) -> dict[str, Any]:
    """Versions of libraries and of Python, the command, and the machine."""
    return {
        "versions": {name: version(name) for name in libraries} | {"python": sys.version.split()[0]},
        "command": sys.argv,
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }
