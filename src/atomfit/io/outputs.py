"""The output directory: complete, or as it was.

Before any work is done a run claims its place: whether it can be written to, whether another run is
writing there, and whether anything would be replaced that is not of an earlier result (`io.manifest`), or
is one of the inputs, by whatever name or link. Files are then written into a hidden directory beside the
final one and moved into place at the end, so that a run that is interrupted, fails or is killed leaves
nothing that looks like a result. The record of the result is moved last; until then the one that is there
says that the directory is not complete, and which files are ours.

A claim is a lock that the system takes back when the process ends, however it does.
"""

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atomfit.io.json_files import write_json
from atomfit.io.manifest import RECORDS, files_of_result, matching
from atomfit.support.errors import InputError
from atomfit.support.signals import uninterrupted

log = logging.getLogger("atomfit")

Inputs = Iterable[str | Path | None]

#: Claims of this process, by lock file.
_claimed: set[Path] = set()
#: Errors of a file system that is of no use: no part of a result can be written there.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ENODEV, None}


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
def claimed(
    directory: Path, overwrite: bool = False, names: tuple[str, ...] = (), inputs: Inputs = ()
) -> Iterator[None]:
    """A block in which no other run writes into a directory.

    **Arguments:**

    - `directory`: where files will be written.
    - `overwrite`: whether those of an earlier result may be replaced.
    - `names`: of what will be written, as patterns.
    - `inputs`: files and directories that are read.

    **Raises:** `InputError` if the directory holds something and may not be overwritten, if what would be
    replaced is no file of an earlier result or is an input, if it is no directory, if it cannot be created
    or written to, or if another run has claimed it.
    """
    real = _real(directory)
    made: list[Path] = []
    try:
        try:
            made += _make_parents(real)
            home = _home(real)
        except OSError as error:
            raise _unwritable(directory, error) from None
        with _locked(home / f".{real.name[:50]}.lock", directory):
            _require_free(directory, real, overwrite, names, tuple(inputs))
            try:
                stage = _stage(real)
                os.rmdir(_emptied(stage))
            except OSError as error:
                raise _unwritable(directory, error) from None
            yield
    finally:
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()


@contextmanager
def staged(directory: Path, overwrite: bool = False, inputs: Inputs = ()) -> Iterator[Path]:
    """A temporary directory whose files move to `directory` when the block ends without an error.

    **Arguments:** those of `claimed`.

    **Raises:** `InputError` as `claimed` does, or if files cannot be written.
    """
    with claimed(directory, overwrite, inputs=inputs):
        real = _real(directory)
        stage = _stage(real)
        try:
            try:
                yield _emptied(stage)
                _list_files(stage)
                with uninterrupted():
                    _move(stage, real, tuple(inputs))
            except OSError as error:
                raise InputError(
                    f"the files cannot be written ({error.strerror or error})",
                    "make room or choose another --out",
                    directory,
                    goes_on=(),
                ) from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def optional(path: Path, warnings: list[str]) -> Iterator[Path]:
    """A block that writes a part which a result can do without: if it fails, that is a warning.

    **Arguments:**

    - `path`: a file, or a directory of files that are written one by one.
    - `warnings`: of the result; one is added.
    """
    try:
        yield path
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        if path.is_file():
            path.unlink()
        why = " ".join(str(error).split())[:200] or type(error).__name__
        state = "not complete" if path.is_dir() else "missing"
        warnings.append(f"{path.name} is {state}: it could not be written ({why})")
        log.warning(warnings[-1])


def _real(directory: Path) -> Path:
    """The directory itself, where a link leads to one.

    **Raises:** `InputError` if it is something else.
    """
    if os.path.lexists(directory) and not directory.is_dir():
        if directory.is_symlink() and not directory.exists():
            raise InputError(
                "the output is a link to a place that is not there", "choose another --out", directory, ()
            )
        raise InputError("the output exists and is not a directory", "choose another --out", directory, ())
    return Path(os.path.realpath(directory))


def _make_parents(real: Path) -> list[Path]:
    """Make the directories above a path; those that were not there."""
    made: list[Path] = []
    for parent in reversed(real.parents):
        if not parent.is_dir():
            parent.mkdir()
            made.append(parent)
    return made


def _home(real: Path) -> Path:
    """Where files are made that are then moved to a directory: beside it, or in it if that is elsewhere."""
    if real.is_dir() and (
        real.stat().st_dev != real.parent.stat().st_dev or not os.access(real.parent, os.W_OK)
    ):
        return real
    return real.parent


def _stage(real: Path) -> Path:
    return _home(real) / f".{real.name[:50]}.part"


def _emptied(stage: Path) -> Path:
    """A directory without what a process that was killed has left in it."""
    if stage.is_dir() and not stage.is_symlink():
        shutil.rmtree(stage)
    stage.mkdir()
    return stage


def _unwritable(directory: Path, error: OSError) -> InputError:
    return InputError(
        f"the output directory cannot be written ({error.strerror})", "choose another --out", directory, ()
    )


@contextmanager
def _locked(path: Path, directory: Path) -> Iterator[None]:
    if path in _claimed:
        yield
        return
    try:
        file = _lock(path, directory)
    except OSError as error:
        raise _unwritable(directory, error) from None
    _claimed.add(path)
    try:
        yield
    finally:
        _claimed.discard(path)
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(file)


def _lock(path: Path, directory: Path) -> int:
    """An open lock file.

    **Raises:** `InputError` if a process that lives has it.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _take(file):
            owner = os.read(file, 20).decode("ascii", "replace").strip()
            os.close(file)
            raise InputError(
                "another run is writing there" + (f" (process {owner})" if owner else ""),
                "wait for it, or choose another --out",
                directory,
                goes_on=(),
            )
        try:
            # Whoever had it may have removed it between the two calls.
            if os.path.samestat(os.fstat(file), os.stat(path)):
                os.ftruncate(file, 0)
                os.write(file, f"{os.getpid()}\n".encode())
                return file
        except FileNotFoundError:
            pass
        except OSError:
            # A full disk: the lock is held all the same.
            return file
        os.close(file)


def _take(file: int) -> bool:
    """Lock an open file; False if another process has. Where a file system has no locks all goes on."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _require_free(
    directory: Path,
    real: Path,
    overwrite: bool,
    names: tuple[str, ...],
    inputs: tuple[str | Path | None, ...],
) -> None:
    """**Raises:** `InputError` if something would be replaced that may not be."""
    if not real.is_dir():
        return
    hidden = {f".{real.name[:50]}.lock", f".{real.name[:50]}.part"}
    if not overwrite and any(path.name not in hidden for path in real.iterdir()):
        raise InputError(
            "the output directory exists and is not empty",
            "choose another --out, or add --overwrite",
            directory,
            goes_on=(),
        )
    ours = files_of_result(real)
    there = matching(real, names)
    _require_no_input(directory, real, there | ours, inputs)
    if any(name.startswith("figures/") for name in names) and (
        (real / "figures").is_symlink() or (real / "figures").is_file()
    ):
        there.add("figures")
    _require_ours(directory, there, ours)


def _require_ours(directory: Path, there: set[str], ours: set[str]) -> None:
    for name in sorted(there - ours):
        what = "a directory" if (directory / name).is_dir() else "no file of an earlier result of atomfit"
        raise InputError(
            f"{name} is {what}, and would be replaced", "move it, or choose another --out", directory, ()
        )


def _require_no_input(
    directory: Path, real: Path, replaced: set[str], inputs: tuple[str | Path | None, ...]
) -> None:
    files = [Path(path) for path in inputs if path is not None]
    files += [file for path in files if path.is_dir() for file in path.iterdir()]
    for file in files:
        for name in sorted(replaced):
            with contextlib.suppress(OSError):
                if file.is_file() and os.path.samefile(file, real / name):
                    raise InputError(
                        f"{name} is an input of this run, and would be replaced or removed",
                        "choose another --out",
                        directory,
                        goes_on=(),
                    )


def _list_files(stage: Path) -> None:
    """Write into a result's record which files it has."""
    files = _files(stage)
    for record in (stage / name for name in RECORDS if name in files):
        content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        write_json(record, content | {"files": files})


def _files(stage: Path) -> list[str]:
    return sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())


def _move(stage: Path, real: Path, inputs: tuple[str | Path | None, ...]) -> None:
    """Put all files into place, and take away those of an earlier result that are not among them."""
    if not real.exists():
        os.rename(stage, real)
        return
    files, ours = _files(stage), files_of_result(real)
    there = {name for name in files if os.path.lexists(real / name)}
    _require_ours(real, there, ours)
    _require_no_input(real, real, there | ours, inputs)
    records = [name for name in files if name in RECORDS]
    for name in records:
        known = {"atomfit": "incomplete", "files": sorted({*files, *ours})}
        write_json(stage / f".{name}", known)
        os.replace(stage / f".{name}", real / name)
    for name in (name for name in files if name not in records):
        (real / name).parent.mkdir(exist_ok=True)
        os.replace(stage / name, real / name)
    for name in ours.difference(files):
        with contextlib.suppress(FileNotFoundError):
            (real / name).unlink()
    with contextlib.suppress(OSError):
        (real / "figures").rmdir()
    for name in records:
        os.replace(stage / name, real / name)
