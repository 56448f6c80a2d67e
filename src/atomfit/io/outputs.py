"""The output directory: complete, or not there.

Files are written into a hidden directory beside the final one and moved into place at the end, so that
an interrupted or failed run leaves nothing that looks like a result, and a crash leaves an older result
as it was. A directory that holds something is only written to if that was asked for, and files that are
not ours are never touched.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atomfit.errors import InputError


def require_writable(directory: Path, overwrite: bool) -> None:
    """Find out before any work is done whether results can be written.

    **Raises:** `InputError` if the directory holds something and may not be overwritten, if it is a
    file, or if it cannot be created.
    """
    try:
        if directory.exists() and not directory.is_dir():
            raise InputError("the output exists and is not a directory", "choose another --out", directory)
        if directory.is_dir() and any(directory.iterdir()) and not overwrite:
            raise InputError(
                "the output directory exists and is not empty",
                "choose another --out, or add --overwrite",
                directory,
            )
        # Permissions do not tell everything (root, full or read-only disks); an attempt does.
        os.rmdir(_temporary_beside(directory))
    except OSError as error:
        raise InputError(
            f"the output directory cannot be written ({error.strerror})",
            "choose another --out",
            directory,
        ) from None


def checkpoint_beside(directory: Path) -> Path:
    """The file that keeps an interrupted fit, beside the output directory."""
    return Path(os.path.abspath(directory) + ".checkpoint")


def require_checkpoint(path: Path) -> None:
    """Find out whether there is anything to resume from.

    **Raises:** `InputError` if there is not.
    """
    if not path.is_file():
        raise InputError("there is no checkpoint to resume from", "start without --resume", path)


@contextmanager
def staged(directory: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary directory whose files move to `directory` when the block ends without an error."""
    require_writable(directory, overwrite)
    temporary = _temporary_beside(directory)
    try:
        yield temporary
        directory.mkdir(parents=True, exist_ok=True)
        # File by file, so that those of a directory within that are not ours stay as well.
        for path in sorted(path for path in temporary.rglob("*") if path.is_file()):
            target = directory / path.relative_to(temporary)
            target.parent.mkdir(exist_ok=True)
            os.replace(path, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_beside(directory: Path) -> Path:
    parent = _existing_parent(directory)
    return Path(tempfile.mkdtemp(prefix=f".{directory.name[:50]}-", dir=parent))


def _existing_parent(directory: Path) -> Path:
    """The nearest directory that exists, at or above a path."""
    parent = directory.absolute()
    while not parent.exists():
        parent = parent.parent
    return parent
