"""Fits that are interrupted, by the keyboard or by a batch system, and go on as if they had not been."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.errors import InputError
from atomfit.io.mrc import write_map
from atomfit.pipeline import BuildResult, build
from atomfit.simulation import Simulation

OPTIONS = {"noise": "white", "displacements": "isotropic"}


def interrupt_at(last: int):
    def progress(iteration: int, value: float) -> None:
        if iteration >= last:
            raise KeyboardInterrupt

    return progress


@pytest.fixture(scope="module")
def whole(small: Simulation) -> BuildResult:
    return build(small.map, "Pt", **OPTIONS)


@pytest.fixture(scope="module")
def left(small: Simulation, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a fit that was interrupted after its second iteration."""
    path = tmp_path_factory.mktemp("left") / "out.checkpoint"
    result = build(small.map, "Pt", checkpoint=path, progress=interrupt_at(2), **OPTIONS)
    assert result.joint is not None
    assert (result.joint.reason, len(result.joint.history)) == ("interrupted", 3)
    return path.read_bytes()


def test_a_resumed_fit_ends_where_an_uninterrupted_one_does(
    small: Simulation, whole: BuildResult, left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.checkpoint"
    path.write_bytes(left)

    def detect_again(*_: object, **__: object) -> None:
        raise AssertionError("atoms were looked for again")

    monkeypatch.setattr("atomfit.pipeline.detect", detect_again)
    resumed = build(small.map, "Pt", checkpoint=path, resume=True, **OPTIONS)
    assert whole.joint is not None
    assert resumed.joint is not None
    assert resumed.joint.reason == "converged"
    assert resumed.joint.history[0] == whole.joint.history[0]
    assert resumed.joint.history[-1] == pytest.approx(whole.joint.history[-1], rel=1e-5)
    esd = whole.statistics.uncertainties.positions
    assert np.abs((resumed.positions - whole.positions) / esd).max() < 0.02
    np.testing.assert_allclose(resumed.joint.fitted.u_iso, whole.joint.fitted.u_iso, rtol=1e-3)
    found, again = whole.detection, resumed.detection
    np.testing.assert_array_equal(again.denoised.values, found.denoised.values)
    assert (again.search, again.floor, again.rejected.reasons) == (
        found.search,
        found.floor,
        found.rejected.reasons,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_fit_at_its_limit_of_iterations_goes_on(
    small: Simulation, whole: BuildResult, tmp_path: Path
) -> None:
    path = tmp_path / "c"
    build(small.map, "Pt", checkpoint=path, max_iterations=1, **OPTIONS)
    resumed = build(small.map, "Pt", checkpoint=path, resume=True, **OPTIONS)
    assert whole.joint is not None
    assert resumed.joint is not None
    assert resumed.joint.history[-1] == pytest.approx(whole.joint.history[-1], rel=1e-5)
    assert not path.exists()


def test_an_end_before_the_first_iteration_keeps_the_atoms(
    small: Simulation, whole: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    with monkeypatch.context() as patch:
        patch.setattr("atomfit.refining.fit_jointly", lambda *_, **__: interrupt_at(0)(0, 0.0))
        with pytest.raises(KeyboardInterrupt):
            build(small.map, "Pt", checkpoint=path, **OPTIONS)
    resumed = build(small.map, "Pt", checkpoint=path, resume=True, **OPTIONS)
    np.testing.assert_allclose(resumed.positions, whole.positions, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"background": "linear"}, "background constant, not linear"),
        ({"element": "Au"}, "element Pt, not Au"),
        ({"map": 1.001}, "another map"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    small: Simulation, left: bytes, tmp_path: Path, change: dict, words: str
) -> None:
    path = tmp_path / "c"
    path.write_bytes(left)
    options = OPTIONS | change
    density = small.map.with_values(np.float32(options.pop("map", 1.0)) * small.map.values)
    with pytest.raises(InputError, match=words):
        build(density, options.pop("element", "Pt"), checkpoint=path, resume=True, **options)
    assert path.read_bytes() == left


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:200] + bytes(64) + raw[264:],
        lambda raw: b"some text",
    ],
    ids=["empty", "cut", "zeros", "text"],
)
def test_a_damaged_checkpoint_is_refused(small: Simulation, left: bytes, tmp_path: Path, damage) -> None:
    write_map(tmp_path / "map.mrc", small.map)
    (tmp_path / "out.checkpoint").write_bytes(damage(left))
    words = ["build", str(tmp_path / "map.mrc"), "-e", "Pt", "-o", str(tmp_path / "out"), "--resume"]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 2, outcome.output
    assert "the checkpoint is damaged" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_without_a_checkpoint_nothing_is_resumed(small: Simulation, tmp_path: Path) -> None:
    write_map(tmp_path / "map.mrc", small.map)
    words = ["build", str(tmp_path / "map.mrc"), "-e", "Pt", "-o", str(tmp_path / "out"), "--resume"]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 2
    assert "there is no checkpoint" in outcome.stderr


def test_a_disk_that_cannot_be_written_does_not_end_the_fit(
    small: Simulation, whole: BuildResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    result = build(small.map, "Pt", checkpoint=tmp_path / "file" / "c", **OPTIONS)
    np.testing.assert_allclose(result.positions, whole.positions, atol=1e-6)
    assert "checkpoint cannot be written" in caplog.text


#: The program, which says when an iteration has ended and waits there for the signal.
PROGRAM = """
import contextlib, time
from atomfit import cli

@contextlib.contextmanager
def waiting(quiet, first):
    def tell(words):
        if "iteration 1," in words:
            print("now", flush=True)
            time.sleep(60)
    yield tell

cli.spinner = waiting
cli.main()
"""


def test_a_process_that_is_ended_says_how_to_go_on(small: Simulation, tmp_path: Path) -> None:
    """SIGTERM, as from a batch system; what it prints is what resumes it."""
    write_map(tmp_path / "map.mrc", small.map)
    words = ["build", "map.mrc", "-e", "Pt", "-o", "out", "--noise", "white"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = (line for line in errors.splitlines() if "to go on" in line)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["fit"]["reason"] == "interrupted"
    again = line.split("to go on: atomfit ")[1].split()
    assert again == [*words, "--resume"]
    subprocess.run(
        [sys.executable, "-m", "atomfit.cli", *again], cwd=tmp_path, check=True, capture_output=True
    )
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["fit"]["reason"] == "converged"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "out"]
