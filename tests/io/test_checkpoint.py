"""Jobs that are interrupted, by the keyboard or by a batch system, and go on as if they had not been."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.io.mrc import write_map
from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation
from atomfit.support.errors import InputError
from atomfit.workflows.build import build

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


def same_atoms(one: BuildResult, other: BuildResult) -> None:
    """To the last bit: a resumed job goes through the very numbers of one that was not interrupted."""
    for of in (lambda result: result.positions, lambda result: result.joint.fitted.u_iso):
        np.testing.assert_array_equal(of(one), of(other))
    assert one.joint is not None
    assert other.joint is not None
    assert one.joint.reason == other.joint.reason
    np.testing.assert_array_equal(one.joint.history, other.joint.history)
    assert one.detection.search == other.detection.search
    assert one.discarded.reasons == other.discarded.reasons


def test_a_resumed_fit_is_the_one_that_was_not_interrupted(
    small: Simulation, whole: BuildResult, left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.checkpoint"
    path.write_bytes(left)

    def detect_again(*_: object, **__: object) -> None:
        raise AssertionError("atoms were looked for again")

    monkeypatch.setattr("atomfit.workflows.build.detect", detect_again)
    resumed = build(small.map, "Pt", checkpoint=path, resume=True, **OPTIONS)
    same_atoms(resumed, whole)
    found, again = whole.detection, resumed.detection
    np.testing.assert_array_equal(again.denoised.values, found.denoised.values)
    assert (again.search, again.floor, again.rejected.reasons) == (
        found.search,
        found.floor,
        found.rejected.reasons,
    )


def test_a_job_can_end_at_every_step(
    small: Simulation, whole: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by SIGKILL, each time a little farther: what the last writing has left is enough to go on."""
    monkeypatch.setattr("atomfit.io.checkpoint.PART", 0.0)
    monkeypatch.setattr("atomfit.io.checkpoint._RARELY", 0.0)
    path, replace, ends, found = tmp_path / "c", os.replace, 0, None
    while found is None:
        written: list[Path] = []

        def killed(part: Path, place: Path, written=written) -> None:
            if written:
                raise SystemExit(9)
            written.append(place)
            replace(part, place)

        with monkeypatch.context() as patch:
            patch.setattr("os.replace", killed)
            try:
                found = build(small.map, "Pt", checkpoint=path, resume=path.exists(), **OPTIONS)
            except SystemExit:
                ends += 1
    assert ends > 4
    same_atoms(found, whole)


def test_the_checkpoint_goes_when_the_files_are_in_place(
    small: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.checkpoint"
    result = build(small.map, "Pt", checkpoint=path, **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr("os.rename", full)
        with pytest.raises(InputError, match="the files cannot be written"):
            result.write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]
    with monkeypatch.context() as patch:
        patch.setattr("atomfit.optimisation.solvers._advance", fit_again)
        again = build(small.map, "Pt", checkpoint=path, resume=True, **OPTIONS)
    same_atoms(again, result)
    again.write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def fit_again(*_: object) -> None:
    raise AssertionError("atoms were fitted again")


def test_a_fit_at_its_limit_of_iterations_goes_on(
    small: Simulation, whole: BuildResult, tmp_path: Path
) -> None:
    path = tmp_path / "c"
    build(small.map, "Pt", checkpoint=path, max_iterations=1, **OPTIONS)
    resumed = build(small.map, "Pt", checkpoint=path, resume=True, **OPTIONS)
    same_atoms(resumed, whole)


def test_another_optimizer_goes_on_from_the_same_place(
    small: Simulation, whole: BuildResult, left: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "c"
    path.write_bytes(left)
    way = {"optimizer": "adam", "max_iterations": 8}
    resumed = build(small.map, "Pt", checkpoint=path, resume=True, **way, **OPTIONS)
    assert whole.joint is not None
    assert resumed.joint is not None
    np.testing.assert_array_equal(resumed.joint.history[:3], whole.joint.history[:3])
    assert len(resumed.joint.history) > 8


def test_an_end_before_the_first_iteration_keeps_the_atoms(
    small: Simulation, whole: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    with monkeypatch.context() as patch:
        patch.setattr("atomfit.workflows.refining.fit_jointly", lambda *_, **__: interrupt_at(0)(0, 0.0))
        with pytest.raises(KeyboardInterrupt):
            build(small.map, "Pt", checkpoint=path, **OPTIONS)
    resumed = build(small.map, "Pt", checkpoint=path, resume=True, **OPTIONS)
    same_atoms(resumed, whole)


def test_the_checkpoint_of_another_run_is_set_aside(small: Simulation, left: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c"
    for number in (1, 2):
        path.write_bytes(left)
        build(small.map, "Pt", checkpoint=path, max_iterations=1, **OPTIONS)
        assert (tmp_path / f"c.{number}").read_bytes() == left


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"background": "linear"}, "background constant, not linear"),
        ({"element": "Au"}, r"element \[\['Pt', [\d.]*\]\], not \[\['Au', [\d.]*\]\]"),
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


def archive(**content: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def test_a_checkpoint_of_another_version_is_refused(small: Simulation, left: bytes, tmp_path: Path) -> None:
    with np.load(io.BytesIO(left)) as stored:
        content = {name: stored[name] for name in stored.files}
    about = json.loads(str(content["about"])) | {"layout": 1}
    (tmp_path / "c").write_bytes(archive(**content | {"about": np.array(json.dumps(about))}))
    with pytest.raises(InputError, match="another version of atomfit"):
        build(small.map, "Pt", checkpoint=tmp_path / "c", resume=True, **OPTIONS)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:200] + bytes(64) + raw[264:],
        lambda raw: b"some text",
        lambda raw: archive(map=np.zeros(3)),
        lambda raw: archive(about=np.array({"pickled": 1}, dtype=object)),
    ],
    ids=["empty", "cut", "zeros", "text", "foreign", "pickled"],
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
    small: Simulation,
    whole: BuildResult,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is kept elsewhere, and can be moved back."""
    (tmp_path / "file").write_text("")
    (tmp_path / "room").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "room"))
    result = build(small.map, "Pt", checkpoint=tmp_path / "file" / "c", **OPTIONS)
    same_atoms(result, whole)
    assert caplog.text.count("checkpoint cannot be written") == 1
    (kept,) = tmp_path.glob("room/*/c")
    assert str(kept) in caplog.text
    monkeypatch.setattr("atomfit.optimisation.solvers._advance", fit_again)
    same_atoms(build(small.map, "Pt", checkpoint=kept, resume=True, **OPTIONS), whole)
    result.write(tmp_path / "out")
    assert not list(tmp_path.glob("room/*"))


#: The program, which says when an iteration has ended and waits there for the signal.
PROGRAM = """
import contextlib, time
from atomfit.cli import jobs, main

@contextlib.contextmanager
def waiting(quiet, first):
    def tell(words):
        if "iteration 1," in words:
            print("now", flush=True)
            time.sleep(60)
    yield tell

jobs.spinner = waiting
main()
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
    subprocess.run([sys.executable, "-m", "atomfit", *again], cwd=tmp_path, check=True, capture_output=True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["fit"]["reason"] == "converged"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "out"]
