"""Commands: `atomfit build`, `check`, `simulate`, `tilt`, `columns`, `heights`, `compare` and `series`.

Thin on purpose: a module for each command turns words into the options of its Python function, shows
progress, and turns an `InputError` into one sentence and exit code 2. Options are the fields of that
function's dataclass (`fields`). Everything heavy is imported when a command runs, so that `--help` and
completion are instant. It stands on top and imports whatever a command needs; nothing imports it.
"""

from typing import Annotated

import typer

from atomfit.cli import build, check, columns, compare, heights, series, simulate, tilt
from atomfit.cli.help import Command, Group
from atomfit.cli.terminal import refusals
from atomfit.support import process

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="From an atomic-resolution 3D map of a nanoparticle to a jointly refined atomic model.",
)
for _command in (build, check, simulate, tilt, columns, heights, compare, series):
    app.command(_command.__name__.rpartition(".")[2], cls=Command, epilog=_command.EXAMPLES)(_command.run)


def _version(show: bool | None) -> None:
    if show:
        from atomfit.support.release import __version__

        typer.echo(f"atomfit {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = None,
) -> None:
    pass


def main() -> None:
    """Entry point of the command `atomfit`."""
    process.have_streams()
    process.collect_garbage_rarely()
    process.replace_what_cannot_be_written()
    process.have_a_home()
    try:
        # Commands refuse for themselves; this is for what goes wrong before they begin.
        with refusals():
            app()
    except SystemExit as end:
        process.leave(end.code)
    except typer.Exit as end:
        process.leave(end.exit_code)
