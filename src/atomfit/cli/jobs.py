"""What all commands that fit have in common: where their result goes, how they begin, and how they end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from atomfit.cli.terminal import end_with, refusals, say, show_log, spinner, to_go_on
from atomfit.figures import require_matplotlib
from atomfit.optimisation.ended import Ended
from atomfit.support import process
from atomfit.verdict.findings import Verdict


@dataclass(frozen=True)
class FittingJob:
    """A command that fits, and writes a directory.

    **Fields:**

    - `directory`: of the result.
    - `overwrite`, `resume`, `strict`, `quiet`, `figures`: as the options of these names.
    """

    directory: Path
    overwrite: bool
    resume: bool
    strict: bool
    quiet: bool
    figures: bool = False

    @property
    def replacing(self) -> bool:
        """Whether files of an earlier result may be replaced."""
        return self.overwrite or self.resume

    @property
    def checkpoint(self) -> Path:
        """Where an interrupted job is kept."""
        from atomfit.io.outputs import checkpoint_beside

        return checkpoint_beside(self.directory)

    @contextmanager
    def running(self, names: tuple[str, ...], inputs: Sequence[str | Path | None]) -> Iterator[None]:
        """A block that reads, fits and writes; what it raises is told as commands tell it.

        **Arguments:**

        - `names`: of the files that it writes.
        - `inputs`: files that it must not write over.
        """
        from atomfit.io.outputs import claimed, require_checkpoint

        with refusals(self.checkpoint), claimed(self.directory, self.replacing, names, inputs):
            process.one_thread_for_small_matrices()
            if self.figures:
                require_matplotlib()
            if self.resume:
                require_checkpoint(self.checkpoint)
            show_log(self.quiet)
            yield

    @contextmanager
    def fitting(self, first: str) -> Iterator[Callable[[str], None]]:
        """A block that fits: compiled programs are kept, and it can say how far it has come.

        **Arguments:**

        - `first`: what is said at first.
        """
        from atomfit.support import compiled

        compiled.keep_in(process.programs_directory())
        with spinner(self.quiet, first) as tell:
            yield tell

    def end(self, found: str, table: str, reason: str, verdict: Verdict) -> None:
        """Say where the result is and what to think of it.

        **Arguments:**

        - `found`: how many of what.
        - `table`: the file that has them.
        - `reason`: how the fit has ended.
        - `verdict`: on the result.
        """
        say(f"{found}: {self.directory / table}")
        say(f"report: {self.directory / 'report.html'}")
        if self.checkpoint.exists():
            say(f"the fit has not ended; {to_go_on()}", err=True)
        if reason == Ended.INTERRUPTED:
            raise typer.Exit(130)
        end_with(verdict, self.strict)
