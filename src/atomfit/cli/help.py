"""What `--help` looks like: options under headings, examples, and what the exit codes mean.

Plain text: it reads the same in a pipe, a narrow terminal and a log, and needs no colour.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup

#: What a command's exit code says.
EXIT_CODES = (
    ("0", "there is a result"),
    ("1", "a fault of atomfit's"),
    ("2", "an input or option cannot be used"),
    ("3", "no atoms, or under --strict a result that is not to be trusted"),
    ("130", "interrupted"),
)
_OTHER = "Other"


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    """Arguments and options, each under its heading, in the order in which these first appear."""
    groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Files": []}
    last: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            groups["Arguments"].append(record)
        else:
            heading = getattr(parameter, "rich_help_panel", None)
            (groups.setdefault(heading, []) if heading else last).append(record)
    headed = [(name, records) for name, records in groups.items() if records]
    for name, records in [*headed, (_OTHER if len(headed) > 1 else "Options", last)]:
        with formatter.section(name):
            formatter.write_dl(records)


def _write_end(command: Any, formatter: Any) -> None:
    """Examples as they are to be typed, and exit codes."""
    if command.epilog:
        with formatter.section("Examples"):
            for line in command.epilog.strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")
    with formatter.section("Exit codes"):
        formatter.write_dl([one for one in EXIT_CODES if one[0] != "3" or _may_be_strict(command)])


def _may_be_strict(command: Any) -> bool:
    """Whether a command, or one of a program's, has a result that it may distrust."""
    commands = getattr(command, "commands", {"": command})
    return any(one.name == "strict" for each in commands.values() for one in each.params)


class Command(TyperCommand):
    """A command whose help has headings, examples and exit codes."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options under their headings."""
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Examples and exit codes."""
        _write_end(self, formatter)


class Group(TyperGroup):
    """The program itself: its help ends with exit codes as well."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Exit codes."""
        _write_end(self, formatter)
