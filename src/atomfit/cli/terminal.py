"""What every command says and how it ends: refusals, interruptions and the log on standard error."""

import contextlib
import logging
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from atomfit.support.errors import InputError
from atomfit.support.signals import as_interrupts
from atomfit.support.text import writable
from atomfit.verdict.findings import Verdict

Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace an earlier result in the output directory.",
        rich_help_panel="Files",
    ),
]
Figures = Annotated[
    bool,
    typer.Option(
        "--figures",
        help="Draw figures for print too (PNG and PDF), into DIR/figures.",
        rich_help_panel="Files",
    ),
]
Elements = Annotated[
    list[str],
    typer.Option(
        "--element",
        "-e",
        metavar="SYMBOL",
        help="Chemical symbol of the atoms (repeatable).",
        rich_help_panel="Files",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="End with exit code 3 if the verdict on the result is bad.",
        rich_help_panel="Files",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from where an interrupted run of the same command stopped.",
        rich_help_panel="Files",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Only warnings and errors.", rich_help_panel="Files"),
]


@contextmanager
def refusals(checkpoint: Path | None = None) -> Iterator[None]:
    """One sentence and exit code 2 for what a user can mend; 130 for an interruption.

    Whatever else goes wrong is a fault of ours: it ends with 1, and is reported in a file.

    **Arguments:**

    - `checkpoint`: of the command; if it is written meanwhile and going on helps, the command is told.
    """
    before = _state(checkpoint)
    try:
        with as_interrupts():
            yield
    except (typer.Exit, typer.Abort):
        raise
    except InputError as error:
        say(f"atomfit: {error}", err=True)
        if error.goes_on is not None and _state(checkpoint) not in (None, before):
            say(to_go_on(*error.goes_on), err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        kept = _state(checkpoint) not in (None, before) or (before is not None and "--resume" in sys.argv)
        say(f"atomfit: interrupted; {to_go_on() if kept else 'nothing was written'}", err=True)
        raise typer.Exit(130) from None
    except Exception as error:
        say(f"atomfit: {_fault(error)}; {_reported(error, checkpoint)}", err=True)
        if _state(checkpoint) not in (None, before):
            say(to_go_on(), err=True)
        raise typer.Exit(1) from None


def _state(path: Path | None) -> tuple[int, int] | None:
    """By which a file is known to have been written; None if there is none."""
    if path is None or not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _fault(error: Exception) -> str:
    """What went wrong, in words."""
    told = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in told:
        return "there is not enough memory for this: crop or bin the input, or end other programs"
    return f"this should not have happened ({type(error).__name__}: {told[:200]})"


def _reported(error: Exception, checkpoint: Path | None) -> str:
    """Where the report of an error lies: beside the output, or wherever there is room."""
    words = [
        f"atomfit {shlex.join(sys.argv[1:])}",
        f"Python {sys.version}",
        *traceback.format_exception(error),
    ]
    report = writable("\n".join(words))
    places = [] if checkpoint is None else [checkpoint.with_suffix(".error.txt")]
    for place in places:
        try:
            place.write_text(report, encoding="utf-8")
        except OSError:
            continue
        return f"what there is to report of it is in {place}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="atomfit-error-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(report)
        return f"what there is to report of it is in {file.name}"
    except OSError:
        return "its report could not be written"


def end_with(verdict: Verdict, strict: bool) -> None:
    """Tell the verdict; exit code 3 if it is bad and that was asked for."""
    say(verdict.describe())
    if strict and verdict.bad:
        raise typer.Exit(3)


def to_go_on(*more: str) -> str:
    """The command that goes on with an interrupted one, with more options."""
    words = [word for word in sys.argv[1:] if word not in (*more, "--resume")]
    return f"to go on: {shlex.join(['atomfit', *words, *more, '--resume'])}"


def say(words: str, err: bool = False) -> None:
    """A line for the user; nothing is lost but the line if there is nobody, or no room, to tell it to."""
    with contextlib.suppress(OSError, ValueError):
        try:
            typer.echo(writable(words), err=err)
        except UnicodeEncodeError:
            typer.echo(words.encode("ascii", "backslashreplace").decode("ascii"), err=err)


class _Echo(logging.Handler):
    """Log lines on standard error, whatever that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        say(prefix + record.getMessage(), err=True)


def show_log(quiet: bool) -> None:
    """Log lines on standard error; only warnings if `quiet`."""
    logger = logging.getLogger("atomfit")
    if not any(isinstance(handler, _Echo) for handler in logger.handlers):
        logger.addHandler(_Echo())
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


@contextmanager
def spinner(quiet: bool, first: str) -> Iterator[Callable[[str], None]]:
    """How far a fit has come, on standard error: a spinner on a terminal, otherwise nothing.

    **Arguments:**

    - `quiet`: show nothing.
    - `first`: what is said at first.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda words: None
        return
    from rich.console import Console

    status = Console(stderr=True).status(first)

    def tell(words: str) -> None:
        with contextlib.suppress(Exception):
            status.update(words)

    # A terminal that was closed ends no fit, whatever the drawing of it makes of that.
    with contextlib.suppress(Exception):
        status.start()
    try:
        yield tell
    finally:
        with contextlib.suppress(Exception):
            status.stop()
