"""Directories and files that nobody but their owner can write to.

What is read from one may be trusted as much as its owner, which matters for files that are run. Nobody else
may be able to write into the directory, or to put another in its place: so all directories above it count
too, unless they are sticky, as /tmp is, where only owners move what is theirs. The system's administrator
is trusted. Where files have no such modes (Windows), a user's own cache is taken to be private.
"""

import os
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def private_directory(path: Path) -> Path | None:
    """A directory, made if need be for its owner alone; None if others can write to it, or it cannot be."""
    try:
        for missing in reversed([one for one in (path, *path.parents) if not one.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
            missing.chmod(0o700)  # whatever the umask
        path = path.resolve()
        private = os.name != "posix" or (_is_ours(os.stat(path)) and all(map(_is_safe, path.parents)))
    except OSError:
        return None
    return path if private and os.access(path, os.R_OK | os.W_OK | os.X_OK) else None


def read_private(path: Path) -> bytes | None:
    """Content of a file of a private directory; None if it is another's, or no plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if os.name == "posix" and not (stat.S_ISREG(about.st_mode) and _is_ours(about)):
                return None
            return file.read()
    except OSError:
        return None


def _is_ours(about: os.stat_result) -> bool:
    return about.st_uid == os.geteuid() and not about.st_mode & _OTHERS_WRITE


def _is_safe(directory: Path) -> bool:
    """Whether only its owner can move what is in it away, who is this user or the administrator."""
    about = directory.stat()
    kept = not about.st_mode & _OTHERS_WRITE or bool(about.st_mode & stat.S_ISVTX)
    return about.st_uid in (os.geteuid(), 0) and kept
