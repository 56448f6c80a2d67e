"""What every command says and how it ends: refusals, interruptions and the log on standard error."""

import logging
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from atomfit.errors import InputError
from atomfit.verdict.findings import Verdict

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write into a directory that is not empty.")]
Figures = Annotated[
    bool, typer.Option("--figures", help="Draw figures for print too (PNG and PDF), into DIR/figures.")
]
Elements = Annotated[
    list[str],
    typer.Option("--element", "-e", metavar="SYMBOL", help="Chemical symbol of the atoms (repeatable)."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="End with exit code 3 if the verdict on the result is bad.")
]
Insist = Annotated[
    bool, typer.Option("--insist", help="Go on, with warnings, where the input is wrong as a rule.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")]


@contextmanager
def refusals(checkpoint: Path | None = None) -> Iterator[None]:
    """One sentence and exit code 2 for what a user can mend; 130 for Ctrl-C.

    A batch system ends jobs by SIGTERM, which is taken as Ctrl-C.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except InputError as error:
        typer.echo(f"atomfit: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        kept = checkpoint is not None and checkpoint.exists()
        typer.echo(f"atomfit: interrupted; {to_go_on() if kept else 'nothing was written'}", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with(verdict: Verdict, strict: bool) -> None:
    """Tell the verdict; exit code 3 if it is bad and that was asked for."""
    typer.echo(verdict.describe())
    if strict and verdict.bad:
        raise typer.Exit(3)


def to_go_on() -> str:
    """The command that goes on with an interrupted one."""
    words = [word for word in sys.argv[1:] if word != "--resume"]
    return f"to go on: {shlex.join(['atomfit', *words, '--resume'])}"


class _Echo(logging.Handler):
    """Log lines on standard error, whatever that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        typer.echo(prefix + record.getMessage(), err=True)


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
    if quiet or not sys.stderr.isatty():
        yield lambda words: None
        return
    from rich.console import Console

    with Console(stderr=True).status(first) as status:
        yield status.update
