"""The verdict as data, on the page, in summary.json, and in the exit code."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from atomfit.cli.terminal import end_with
from atomfit.report.page import _headline
from atomfit.results.build import BuildResult
from atomfit.verdict.findings import Finding, Verdict

FAINT = Finding("faint", "doubtful", "it is faint", "look again")
WRONG = Finding("wrong", "bad", "it is <wrong>", "throw it away")


def test_the_worst_finding_decides_and_comes_first() -> None:
    assert Verdict(()).level == "good"
    assert not Verdict(()).bad
    assert Verdict.of([FAINT], {}).level == "doubtful"
    assert not Verdict.of([FAINT], {}).bad
    both = Verdict.of([FAINT, WRONG], {"figure": 1.0})
    assert both.bad
    assert both.codes == ("wrong", "faint")
    assert both.warnings == ("it is <wrong>; throw it away", "it is faint; look again")
    assert "bad (wrong, faint)" in both.describe()


def test_only_a_bad_verdict_changes_the_exit_code() -> None:
    end_with(Verdict.of([FAINT], {}), strict=True)
    end_with(Verdict.of([WRONG], {}), strict=False)
    with pytest.raises(typer.Exit) as end:
        end_with(Verdict.of([WRONG], {}), strict=True)
    assert end.value.exit_code == 3


def test_the_page_tells_each_finding_once_and_first() -> None:
    verdict = Verdict.of([WRONG], {})
    warnings = [*verdict.warnings, "something else"]
    words = {
        "title": "t",
        "source": "s",
        "verdict": ["fine"],
        "warnings": warnings,
        "judged": verdict.told(),
    }
    shown = _headline(words)
    assert shown.count("It is &lt;wrong&gt;.") == 1
    assert "Throw it away." in shown
    assert shown.index("Verdict: bad.") < shown.index("fine") < shown.index("something else")
    assert "<wrong>" not in shown


def test_a_result_carries_its_verdict_into_its_files(small_result: BuildResult, tmp_path: Path) -> None:
    assert small_result.verdict.level == "good"
    assert not small_result.warnings
    out = replace(small_result, verdict=Verdict.of([WRONG], {"atoms": 55.0})).write(tmp_path / "out")
    told = json.loads((out / "summary.json").read_text(encoding="utf-8"))["verdict"]
    assert told["level"] == "bad"
    assert told["measures"] == {"atoms": 55.0}
    assert told["findings"] == [
        {"code": "wrong", "level": "bad", "problem": "it is <wrong>", "remedy": "throw it away"}
    ]
    assert "Verdict: bad." in (out / "report.html").read_text(encoding="utf-8")


def test_every_code_is_documented() -> None:
    root = Path(__file__).parents[2]
    sources = (root / "src" / "atomfit").rglob("*.py")
    codes = {
        code
        for path in sources
        for code in re.findall(r'Finding\(\s*"([a-z-]+)"', path.read_text(encoding="utf-8"))
    }
    assert {"no-columns", "bonds", "views", "not-counted", "chance"} <= codes
    documented = (root / "docs" / "files.md").read_text(encoding="utf-8")
    table = documented[documented.index("| `code` |") :].split("\n\n")[0]
    told = {code for row in table.splitlines()[2:] for code in re.findall("`([a-z-]+)`", row.split("|")[1])}
    assert codes - told == set()
    # Of doubts about maps, which name their own.
    assert told - codes == {"no-shape"}
