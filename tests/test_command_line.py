"""The command line before anything is computed: help, examples, completion, suggestions, exit codes."""

import os
import shlex
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from atomfit.cli import app, build, check, columns, compare, heights, series, simulate, tilt
from atomfit.cli.help import EXIT_CODES

COMMANDS = {
    "build": build,
    "check": check,
    "simulate": simulate,
    "tilt": tilt,
    "columns": columns,
    "heights": heights,
    "compare": compare,
    "series": series,
}


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_has_a_short_name_and_exit_codes(command: list[str]) -> None:
    long = CliRunner().invoke(app, [*command, "--help"])
    assert long.exit_code == 0
    assert CliRunner().invoke(app, [*command, "-h"]).output == long.output
    # A command without --strict cannot end with 3.
    codes = {code for code, _ in EXIT_CODES} - (
        {"3"} if command and "--strict" not in long.output else set()
    )
    assert all(f"  {code} " in long.output for code in codes)


@pytest.mark.parametrize("columns", ["30", "80", "200"])
def test_help_fits_the_terminal_and_has_no_colours(columns: str) -> None:
    told = (
        CliRunner().invoke(app, ["build", "-h"], env={"COLUMNS": columns, "TERMINAL_WIDTH": columns}).output
    )
    assert "\x1b" not in told
    assert "\nDetection:\n" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_have_options_that_exist(name: str) -> None:
    """Each is taken apart as it would be run; nothing is run."""
    group = get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    lines = COMMANDS[name].EXAMPLES.strip().splitlines()
    assert len(lines) > 1
    for line in lines:
        program, called, *words = shlex.split(line)
        assert (program, called) == ("atomfit", name)
        command.make_context(name, words)
        assert line in CliRunner().invoke(app, [name, "-h"], env={"TERMINAL_WIDTH": "120"}).output


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [(["biuld"], "build"), (["build", "m.mrc", "--elemnt", "Pt"], "--element")],
)
def test_what_is_misspelled_gets_a_suggestion(words: list[str], suggestion: str) -> None:
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 2
    assert suggestion in outcome.stderr


def test_completion_knows_values_and_waits_for_nothing_heavy() -> None:
    program = (
        "import sys, atexit; from atomfit.cli import app;"
        "atexit.register(lambda: print('heavy:', {'jax', 'numpy', 'scipy'} & set(sys.modules)));"
        "app(prog_name='atomfit')"
    )
    env = os.environ | {
        "_ATOMFIT_COMPLETE": "complete_bash",
        "COMP_WORDS": "atomfit build --likelihood ",
        "COMP_CWORD": "3",
    }
    told = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True).stdout
    assert told.split("heavy:")[0].split() == ["gaussian", "poisson", "robust"]
    assert "heavy: set()" in told


@pytest.mark.parametrize("encoding", ["ascii", "cp1251", "cp936"])
def test_letters_that_a_code_page_lacks_are_replaced(encoding: str) -> None:
    program = (
        "from atomfit.support import process; process.replace_what_cannot_be_written()"
        "; print('2.77 Å, 3 σ')"
    )
    for command in (["-m", "atomfit", "tilt", "--help"], ["-c", program]):
        outcome = subprocess.run(
            [sys.executable, *command],
            env=os.environ | {"PYTHONIOENCODING": encoding},
            capture_output=True,
        )
        assert outcome.returncode == 0, outcome.stderr
    assert b"?" in outcome.stdout


def test_only_who_can_end_with_three_says_so() -> None:
    for command in ("check", "simulate", "build", "tilt", "compare"):
        told = CliRunner().invoke(app, [command, "--help"]).output
        assert ("under --strict" in told) == (command not in ("check", "simulate")), command
        assert "an input or option cannot be used" in told
    assert "under --strict" in CliRunner().invoke(app, ["--help"]).output
