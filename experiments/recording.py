"""A table in Markdown, with the versions and the machine that it was made with."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("atomfit", "jax", "equinox", "optax", "numpy", "scipy")


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def record(path: Path, command: str, *parts: str) -> None:
    """Write parts of text to a file, and how they were made; print them too."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    made = (
        f"Made by `{command}` on {date.today()}, {_commit()}, "
        f"Python {platform.python_version()}, {versions}; "
        f"{os.cpu_count()} cores of {_processor()}, {platform.system()}."
    )
    text = "\n\n".join([*parts, made]) + "\n"
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _commit() -> str:
    """The last commit that changed the package, and whether something was changed since."""
    found = []
    for asked in (("log", "-1", "--format=%h"), ("status", "--porcelain")):
        command = ["git", "-C", str(Path(__file__).parents[1]), *asked, "--", "src"]
        try:
            found.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
        except (OSError, subprocess.CalledProcessError):
            return "commit not known"
    return f"commit {found[0]}" + (" with changes" if found[1] else "")


def _processor() -> str:
    try:
        names = re.findall(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
