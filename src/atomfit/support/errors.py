"""What atomfit says when an input cannot be used.

A microscopist who hands over a wrong file should read one sentence and know what to do. So every
refusal is an `InputError` made of three parts: what is wrong, where, and the remedy. The command
line prints it and ends with exit code 2; in Python it is a `ValueError` like any other.

Some refusals are judgements: an input that is wrong as a rule, and right now and then. Such a `Doubt` is
refused as well, but a user may insist, and then it is a warning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: The last words of a refusal that a user may insist against.
INSIST = "if it is right, insist (--insist)"


class InputError(ValueError):
    """An input that cannot be used, with the place and the remedy.

    `str(error)` is one sentence: `WHERE: PROBLEM; REMEDY.` What was fitted before is of no use to another
    input. But a full disk, or a doubt, says nothing against it: then `goes_on` has the options that go on
    from there, with `--resume`; it is None if none do.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        where: str | Path | None = None,
        goes_on: tuple[str, ...] | None = None,
    ) -> None:
        self.problem = problem
        self.remedy = remedy
        self.where = None if where is None else str(where)
        self.goes_on = goes_on
        place = "" if where is None else f"{self.where}: "
        super().__init__(f"{place}{problem}; {remedy}.")

    def at(self, where: str | Path) -> "InputError":
        """The same refusal, with the place named (kept if one is named already)."""
        if self.where is not None:
            return self
        return InputError(self.problem, self.remedy, where, self.goes_on)


@dataclass(frozen=True)
class Doubt:
    """What speaks against an input that may be right all the same.

    **Fields:**

    - `problem`, `remedy`: as those of an `InputError`.
    """

    problem: str
    remedy: str


def settle(doubts: Iterable[Doubt], insist: bool) -> list[str]:
    """Warnings, if a user insists on an input that there are doubts about.

    **Raises:** `InputError` for the first doubt if not.
    """
    warnings = []
    for doubt in doubts:
        if not insist:
            raise InputError(doubt.problem, f"{doubt.remedy}; {INSIST}", goes_on=("--insist",))
        warnings.append(f"{doubt.problem} ({doubt.remedy})")
    return warnings
