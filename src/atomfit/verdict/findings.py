"""What a verdict is: a level, the findings that it rests on, and the figures that were looked at.

A fit always ends with numbers, whatever it was given: a map of nothing has atoms with four decimals, too.
So every result carries a verdict beside its numbers, made of figures that can be measured on the result
itself. Each finding names its figure, what it should have been, the likely causes, and what to do.

**good**: nothing that was looked at speaks against the result. **doubtful**: parts of it may be wrong, as
the findings say. **bad**: this is hardly a model of the specimen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["good", "doubtful", "bad"]
LEVELS: tuple[Level, ...] = ("good", "doubtful", "bad")


@dataclass(frozen=True)
class Finding:
    """Something that speaks against a result.

    **Fields:**

    - `code`: what it is, in a word or two that do not change ("no-atoms").
    - `level`: "doubtful" or "bad".
    - `problem`: what was measured and what it should have been; a sentence without its end.
    - `remedy`: what to do; the same.
    """

    code: str
    level: Level
    problem: str
    remedy: str

    @property
    def sentence(self) -> str:
        """Problem and remedy."""
        return f"{self.problem}; {self.remedy}"


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a result.

    **Fields:**

    - `findings`: what speaks against it, the worst first.
    - `measures`: the figures that were looked at, by name; NaN where one is not known.
    """

    findings: tuple[Finding, ...]
    measures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, findings: list[Finding], measures: dict[str, float]) -> "Verdict":
        """With the worst findings first."""
        ordered = sorted(findings, key=lambda finding: -LEVELS.index(finding.level))
        return cls(tuple(ordered), measures)

    @property
    def level(self) -> Level:
        """That of the worst finding."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default="good")

    @property
    def bad(self) -> bool:
        """Whether this is hardly a model of the specimen."""
        return self.level == "bad"

    @property
    def codes(self) -> tuple[str, ...]:
        """Of the findings."""
        return tuple(finding.code for finding in self.findings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The findings as sentences."""
        return tuple(finding.sentence for finding in self.findings)

    def beside(self, told: Iterable[str]) -> list[str]:
        """The findings as sentences, but for those whose problem has been told (`told`: in which words)."""
        words = " ".join(told)
        return [finding.sentence for finding in self.findings if finding.problem not in words]

    def describe(self) -> str:
        """The verdict in one line."""
        if not self.findings:
            return "verdict: good (nothing that was looked at speaks against this result)"
        return f"verdict: {self.level} ({', '.join(self.codes)})"

    def told(self) -> dict[str, Any]:
        """As `summary.json` and the page have it."""
        findings = [
            {"code": f.code, "level": f.level, "problem": f.problem, "remedy": f.remedy}
            for f in self.findings
        ]
        return {"level": self.level, "findings": findings, "measures": self.measures}
