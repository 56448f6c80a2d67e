"""README and docs as readers follow them: every block in its order, in a directory that is empty at first.

Lines of shell that install something are not run, and Makefile targets are not; everything else must be a
command of atomfit, whose inputs exist and whose output does not.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.io.models import read_model
from atomfit.structure.matching import match

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
#: What a reader types to install, and not in this chain.
INSTALLATION = ("pip install ", "make ")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Languages and texts of a page's blocks."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) * 2 == len(re.findall(r"^```", text, re.MULTILINE))
    return found


def run_shell(text: str) -> None:
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if not words or line.startswith(INSTALLATION):
            continue
        assert words[0] == "atomfit", line
        if "--out" in words:
            out = Path(words[words.index("--out") + 1])
            assert not out.exists(), f"two commands write to {out}"
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"


def follow(page: Path) -> dict[str, Any]:
    """Run a page's blocks in this directory; the names of its programs."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for language, text in blocks(page):
        if language == "sh":
            run_shell(text)
        elif language == "python":
            exec(compile(text, str(page), "exec"), names)
        else:
            assert language == "text", f"{page.name} has a block of {language or 'nothing'}"
    return names


def test_the_chain_runs_and_its_results_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries what stands there should not be told that it is doubtful."""
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        # Programs for those who write fits of their own take longer to compile; see below, and
        # tests/inference/test_own_parts.py.
        if page.name not in ("method.md", "extend.md"):
            follow(page)
    summaries = sorted(tmp_path.glob("*/summary.json"))
    assert len(summaries) >= 4
    for path in summaries:
        told = json.loads(path.read_text(encoding="utf-8"))
        assert told["verdict"]["level"] == "good", f"{path.parent.name}: {told['verdict']}"
        if "columns" in told:  # rows of the scan jitter, and one column of few atoms may be lost
            assert 79 <= told["columns"] <= 82
        else:
            assert told["atoms"] == 55
    assert (tmp_path / "changes" / "compare.html").is_file()
    # Atoms of a simulated particle move more at its surface, which its images tell.
    chosen = json.loads((tmp_path / "refined" / "run.json").read_text(encoding="utf-8"))["options"]
    assert chosen["displacements"] == "isotropic"
    known = read_model(tmp_path / "refined", "refined").numbers
    assert np.all(known["u_iso_esd"] < 0.3 * known["u_iso"])


@pytest.mark.slow
def test_programs_of_the_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one's derivative is checked against a difference."""
    monkeypatch.chdir(tmp_path)
    names = follow(ROOT / "docs" / "method.md")
    problem, fit, size, case = (names[name] for name in ("problem", "fit", "size", "case"))
    own = names["model"].atoms.positions[: problem.n] + problem.region.grid.origin
    # The loop has no springs, which hold the atoms of `fit`, and ends at the truth.
    assert match(own, case.positions).rmsd < 0.5 * match(fit.atoms.positions, case.positions).rmsd
    values = jnp.asarray(problem.observation.data)
    upper, lower = (float(size(values, strength)) for strength in (10.5, 9.5))
    np.testing.assert_allclose(names["slopes"][1], upper - lower, rtol=0.02)
    assert names["slopes"][0].shape == values.shape


def test_options_that_are_told_of_exist() -> None:
    """In the text as well."""
    group = typer.main.get_command(app)
    known = {"--help", "--version"}
    for command in (group, *group.commands.values()):  # type: ignore[attr-defined]
        known |= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    for page in PAGES:
        told = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text(encoding="utf-8")))
        assert not told - known, f"{page.name}: {told - known}"


def test_links_lead_somewhere() -> None:
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
