"""Runs of `build` and `tilt` that are ended at random moments, and what `--resume` makes of it.

Each is ended by a signal (INT, TERM, HUP, KILL, in turn) at a moment drawn uniformly from the time that
an undisturbed run takes, or its disk is filled at such a moment (a small file system in memory, which only
root can make). Then the same command goes on with `--resume`, or starts again if nothing was kept yet.
Counted are runs whose table of atoms is, to its last digit, that of the undisturbed run, and whatever is
there that is neither a complete result nor a checkpoint.

Runs follow each other in one process, so that they are compiled once, until a signal ends that process.
"""

import argparse
import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.recording import markdown, record

HERE = Path(__file__).parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
#: Size of the file system that is filled (bytes).
DISK = 40_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Interrupt build and tilt, and go on.")
    parser.add_argument("--signals", type=int, default=40, help="of each command")
    parser.add_argument("--disks", type=int, default=10, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.runs:
        obey()
        return
    draw, worker, found = random.Random(given.seed), Worker(), []
    with tempfile.TemporaryDirectory() as home:
        work = Path(home)
        for command, words in commands(worker, work).items():
            worker.run([*words, "--out", str(work / f"{command}-whole")])
            begin = time.monotonic()
            worker.run([*words, "--out", str(work / f"{command}-again")])
            takes = time.monotonic() - begin
            whole = atoms(work / f"{command}-whole")
            for i in range(given.signals):
                by = SIGNALS[i % len(SIGNALS)]
                out = work / f"{command}-{i}" / "out"
                out.parent.mkdir()
                worker.run([*words, "--out", str(out)], draw.uniform(0, takes), by)
                found.append(gone_on(worker, command, by.name, words, out, whole))
            with full_disk(work / "disk") as disk:
                for i in range(given.disks if disk else 0):
                    out = work / "disk" / str(i) / "out"
                    out.parent.mkdir()
                    filler = threading.Timer(draw.uniform(0, takes), fill, [work / "disk" / "filler"])
                    filler.start()
                    worker.run([*words, "--out", str(out)])
                    filler.cancel()
                    filler.join()
                    (work / "disk" / "filler").unlink(missing_ok=True)
                    found.append(gone_on(worker, command, "full disk", words, out, whole))
                    shutil.rmtree(out.parent)
    record(HERE / "table.md", "python -m experiments.interruptions", table(found))


@dataclass(frozen=True)
class Outcome:
    """What became of a run that was ended, and of the one that went on.

    **Fields:**

    - `command`, `by`: what was ended, and by what.
    - `complete`, `kept`: whether the run left a result that says of itself that it is complete, and a
        checkpoint.
    - `same`: whether the atoms are those of an undisturbed run in the end.
    - `half`: whether anything was there in between, or is in the end, that is neither.
    """

    command: str
    by: str
    complete: bool
    kept: bool
    same: bool
    half: bool


def gone_on(
    worker: "Worker", command: str, by: str, words: list[str], out: Path, whole: str | None
) -> Outcome:
    """What a run has left, and what going on makes of it."""
    kept, there = Path(f"{out}.checkpoint").exists(), out.exists()
    complete = there and is_complete(out)
    half = there and not complete
    if kept or not there:
        code = worker.run([*words, "--out", str(out), *(["--resume"] if kept else [])])
        half |= code != 0
    # Names that begin with a dot are those of a run under way.
    half |= [path.name for path in out.parent.iterdir()] != ["out"] or not is_complete(out)
    row = Outcome(command, by, complete, kept, atoms(out) == whole, half)
    sys.stderr.write(f"{row}\n")
    return row


def is_complete(out: Path) -> bool:
    """Whether a directory holds a whole result."""
    told = json.loads((out / "run.json").read_text()) if (out / "run.json").exists() else {}
    return "versions" in told and {path.name for path in out.iterdir()} == set(told["files"])


def atoms(out: Path) -> str | None:
    """The table of atoms."""
    path = out / "atoms.csv"
    return path.read_text() if path.is_file() else None


def commands(worker: "Worker", work: Path) -> dict[str, list[str]]:
    """A map of 55 atoms, and a small series of the same particle."""
    simulated = work / "simulated"
    particle = ["--shape", "icosahedron", "--size", "3", "--rotate", "random", "--tilts", "12"]
    worker.run(["simulate", "--out", str(simulated), *particle])
    series = [str(simulated / "images.mrc"), "--views", str(simulated / "views.csv")]
    return {
        "build": ["build", str(simulated / "map.mrc"), "-e", "Pt"],
        "tilt": ["tilt", *series, "-e", "Pt"],
    }


class Worker:
    """A process that runs commands, one after the other; another one if it was ended."""

    def __init__(self) -> None:
        self._process = self._begin()

    def _begin(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "experiments.interruptions", "--runs"]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def run(self, words: list[str], after: float = 0.0, by: signal.Signals | None = None) -> int:
        """The exit code of a command, which a signal may end after some seconds."""
        if self._process.poll() is not None:
            self._process = self._begin()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
        # From when it has begun, not from when Python has.
        if process.stdout.readline() and by is not None:
            timer = threading.Timer(after, process.send_signal, [by])
            timer.start()
            told = process.stdout.readline()
            timer.cancel()
            timer.join()
        else:
            told = process.stdout.readline()
        return int(told) if told else process.wait()


def obey() -> None:
    """Run the commands of standard input."""
    import os

    from atomfit.cli import app

    # What commands print is not what is answered.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        sys.argv = ["atomfit", *json.loads(line)]
        code = 0
        with contextlib.suppress(KeyboardInterrupt):
            print("begun", file=answers, flush=True)
            try:
                app(sys.argv[1:])
            except SystemExit as end:
                code = int(end.code or 0)
        print(code, file=answers, flush=True)


@contextlib.contextmanager
def full_disk(place: Path) -> Iterator[bool]:
    """A small file system; false if it cannot be made."""
    place.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    made = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", str(place)], check=True)


def fill(path: Path) -> None:
    """Take all the room that there is."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))


def table(found: list[Outcome]) -> str:
    """Counts, by what ended the runs."""
    header = ["command", "ended by", "runs", "complete", "checkpoint", "same atoms", "half written"]
    rows = []
    for command, by in dict.fromkeys((row.command, row.by) for row in found):
        of = [row for row in found if (row.command, row.by) == (command, by)]
        counts = [sum(getattr(row, name) for row in of) for name in ("complete", "kept", "same", "half")]
        rows.append([command, by, len(of), *counts])
    return markdown(header, rows)


if __name__ == "__main__":
    main()
