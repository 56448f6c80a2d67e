"""What an interrupted job needs to go on, in one file beside the output.

The file holds the steps of a job that were done, and how far the one has come that was not: as plain
arrays, from which nothing is executed (`optimisation.journal` says why that is enough). It is written when
there is something to go on from, then as often as a fifth of the work so far would be lost, but at least
every half minute and never so often that writing takes much of the time; and at last when a job is
interrupted or fails, and when all its fits have ended, so that a result whose files cannot be written need
not be fitted again. It is deleted when the files of the result are in place.

A checkpoint belongs to one input and one set of options, and is refused for any other, or the result would
be of neither. Only how the minimum is looked for may change: it is the same minimum. The file is written
under another name and moved into place, so that it is never half written. A disk that fills up costs the
checkpoint's place, not the fit: it is kept in the system's temporary directory then, in a private place.
One that an earlier job has left is set aside.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.io.outputs import require_checkpoint
from atomfit.io.record import hash_of
from atomfit.optimisation.journal import Journal, Step, keeping
from atomfit.support.errors import InputError
from atomfit.support.signals import uninterrupted

log = logging.getLogger("atomfit")

#: Seconds of work that are not thrown away, even if a refusal seems to make them useless.
_LONG = 60.0
#: Longest time between two writings (s), and the part of the work so far that it may cost to lose.
EVERY, PART = 30.0, 0.2
#: Time between writings, in times that one takes.
_RARELY = 20.0
#: Of what is written.
_LAYOUT = 2


@dataclass(frozen=True)
class Job:
    """What a checkpoint belongs to.

    **Fields:**

    - `options`: what was asked for, as JSON knows it.
    - `inputs`: digests of what it was asked of, by name.
    """

    options: dict[str, Any]
    inputs: dict[str, str]

    @classmethod
    def of(
        cls,
        command: str,
        elements: Any,
        options: Any,
        inputs: Mapping[str, Iterable[np.ndarray] | str | Path | tuple[str | Path, ...] | None],
        of_the_way: tuple[str, ...] = (),
    ) -> "Job":
        """A job of a command.

        **Arguments:**

        - `command`: its name.
        - `elements`: symbols and whatever else is known of them.
        - `options`: a dataclass; None if there are none.
        - `inputs`: by name, arrays or files; a file's place does not matter, its content does.
        - `of_the_way`: options that may change when it goes on.
        """
        every = {} if options is None else asdict(options)
        chosen = {name: value for name, value in every.items() if name not in (*of_the_way, *inputs)}
        told = {"version": version("atomfit"), "command": command, "element": elements, **chosen}
        digests = {name: _digest(given) for name, given in inputs.items() if given is not None}
        return cls(json.loads(json.dumps(told, default=str)), digests)

    def require_same(self, other: "Job", path: Path) -> None:
        """**Raises:** `InputError` if a checkpoint is of another job than this one."""
        names = other.options.keys() | self.options.keys()
        for name in sorted(names, key=lambda name: (name not in ("version", "command"), name)):
            before, now = (of.options.get(name) for of in (other, self))
            if before != now:
                raise InputError(
                    f"the checkpoint was made with {name} {before}, not {now}",
                    "give what it was made with, or start without --resume",
                    path,
                )
        for name in sorted(other.inputs.keys() | self.inputs.keys()):
            if other.inputs.get(name) != self.inputs.get(name):
                words = name.replace("_", " ")
                raise InputError(
                    f"the checkpoint was made of another {words.removesuffix('s')}"
                    if name in self.inputs
                    else f"the checkpoint was made with {words}",
                    f"give the {words} that it was made of, or start without --resume",
                    path,
                )


class Checkpoint:
    """The checkpoint of a job.

    **Arguments:**

    - `path`: the file; without it nothing is kept, unless a job around this one does.
    - `job`: what it belongs to.
    - `resume`: go on from what is in the file.

    **Raises:** `InputError` if there is nothing to go on from, if it is damaged, or if it belongs to
    something else.
    """

    def __init__(self, path: str | Path | None, job: Callable[[], Job], resume: bool = False) -> None:
        if resume and path is None:
            raise InputError("there is no checkpoint to resume from", "name its file", "checkpoint")
        self._path = None if path is None else Path(os.path.abspath(path))
        self._journal = Journal(written=self._written)
        self._elsewhere: Path | None = None
        self._told = False
        self._ours = self._resumed = resume
        self._begun, self._last, self._took = time.monotonic(), -np.inf, 0.0
        if self._path is None:
            return
        self._job = job()
        if resume:
            before, steps = _read(self._path)
            self._job.require_same(before, self._path)
            self._journal.steps = steps

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """A block whose steps outlive whatever ends it early, but a refusal that makes them useless.

        What took long is kept whatever is thought of it.
        """
        if self._path is None:
            yield
            return
        useful = True
        try:
            with keeping(self._journal):
                yield
        except InputError as error:
            long = time.monotonic() - self._begun > _LONG
            useful = self._resumed or error.goes_on is not None or long
            raise
        finally:
            if useful:
                self._write()
            else:
                self.remove()

    def remove(self) -> None:
        """The files of the result are in place."""
        for path in (self._path if self._ours else None, self._elsewhere):
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink()
        if self._elsewhere is not None:
            with contextlib.suppress(OSError):
                self._elsewhere.parent.rmdir()

    def _written(self, last: bool) -> None:
        now = time.monotonic()
        often = max(min(EVERY, PART * (now - self._begun)), _RARELY * self._took)
        if last or now - self._last > often:
            self._write()

    def _write(self) -> None:
        assert self._path is not None
        kept = [step for step in self._journal.steps if step.arrays is not None]
        if not kept:
            return
        begin = time.monotonic()
        with uninterrupted():
            try:
                if not self._ours:
                    _set_aside(self._path)
                _replace(self._path, self._job, kept)
                self._ours, place = True, None
            except (OSError, MemoryError) as error:
                place = self._somewhere(getattr(error, "strerror", None) or "no memory", kept)
            if self._elsewhere is not None and self._elsewhere != place:
                with contextlib.suppress(OSError):
                    self._elsewhere.unlink()
            self._elsewhere = place
        self._last = time.monotonic()
        self._took = self._last - begin

    def _somewhere(self, why: str, kept: list[Step]) -> Path | None:
        """Where a checkpoint is kept whose own place cannot be written; None if there is no such place."""
        assert self._path is not None
        place = self._elsewhere
        try:
            if place is None:
                # A directory that is ours alone: others can write to the system's.
                place = Path(tempfile.mkdtemp(prefix="atomfit-")) / self._path.name
            _replace(place, self._job, kept)
            remedy = f"; it is kept as {place}: to go on from it, move it there and add --resume"
        except (OSError, MemoryError):
            place, remedy = None, ""
        if not self._told:
            log.warning("%s: the checkpoint cannot be written (%s)%s", self._path, why, remedy)
        self._told = True
        return place


def _set_aside(path: Path) -> None:
    """Give the file of an earlier job another name, if there is one."""
    if not os.path.lexists(path):
        return
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.{number}")):
        number += 1
    os.rename(path, aside)
    log.warning(
        "%s is left of an interrupted job; this one starts anew, and it is now %s", path, aside.name
    )


def _replace(path: Path, job: Job, steps: list[Step]) -> None:
    about = {
        "layout": _LAYOUT,
        "options": job.options,
        "inputs": job.inputs,
        "steps": [{"name": step.name, "ended": step.ended} for step in steps],
    }
    content: dict[str, Any] = {"about": json.dumps(about)}
    for i, step in enumerate(steps):
        assert step.arrays is not None
        content[f"{i}.begin"] = step.about
        content |= {f"{i}:{name}": np.asarray(x) for name, x in step.arrays().items()}
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            np.savez(file, **content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _read(path: Path) -> tuple[Job, list[Step]]:
    """What a file holds.

    **Raises:** `InputError` if there is none, or if it is damaged or of another version.
    """
    require_checkpoint(path)
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            content = {name: stored[name] for name in stored.files}
        about = json.loads(str(content.pop("about")))
        if about.get("layout") != _LAYOUT:
            raise InputError(
                "the checkpoint was made by another version of atomfit",
                "go on with that one, or start without --resume",
                path,
            )
        steps = [_step(i, told, content) for i, told in enumerate(about["steps"])]
        return Job(about["options"], about["inputs"]), steps
    except InputError:
        raise
    except (
        *(OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, MemoryError),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
    ):
        raise InputError(
            "the checkpoint is damaged", "delete it and start without --resume", path
        ) from None


def _step(i: int, told: dict[str, Any], content: dict[str, np.ndarray]) -> Step:
    own = f"{i}:"
    arrays = {name.removeprefix(own): x for name, x in content.items() if name.startswith(own)}
    return Step(str(told["name"]), content[f"{i}.begin"], lambda: arrays, bool(told["ended"]))


def _digest(given: Iterable[np.ndarray] | str | Path | tuple[str | Path, ...]) -> str:
    """Of arrays or of files' content."""
    if isinstance(given, str | Path):
        path = Path(given)
        tables = (path / "atoms.csv", path / "columns.csv") if path.is_dir() else (path,)
        try:
            return hash_of(next((table for table in tables if table.is_file()), tables[0]))
        except OSError as error:
            problem = error.strerror or str(error)
            raise InputError(problem, "check the path and its permissions", path) from None
    digest = hashlib.sha256()
    for part in given:
        if isinstance(part, str | Path):
            digest.update(_digest(part).encode())
        else:
            digest.update(repr((part.shape, part.dtype.str)).encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
