"""Commands that end early, by a signal or by a fault: one sentence, and something to go on from."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from atomfit.cli import app
from atomfit.cli.terminal import refusals, say, spinner
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.mrc import write_map
from atomfit.optimisation.journal import current
from atomfit.results.tilt import TiltResult
from atomfit.simulation import Simulation
from atomfit.support.errors import Doubt, InputError, settle
from atomfit.support.signals import as_interrupts
from atomfit.workflows.build import build
from atomfit.workflows.compare import compare
from atomfit.workflows.tilt import tilt
from simulated_series import PIXEL, Planted, planted


@pytest.fixture(scope="module")
def truth() -> Planted:
    return planted()


def refined(truth: Planted, **how: object) -> TiltResult:
    """Atoms of images alone: found, selected and fitted."""
    return tilt(truth.images, truth.views, "Pt", pixel_size=PIXEL, **how)


@pytest.fixture(scope="module")
def whole(truth: Planted) -> TiltResult:
    return refined(truth)


def same(one: TiltResult, other: TiltResult) -> None:
    np.testing.assert_array_equal(one.positions, other.positions)
    np.testing.assert_array_equal(one.fit.images, other.fit.images)
    np.testing.assert_array_equal(one.fit.history, other.fit.history)
    assert one.selection.discarded.reasons == other.selection.discarded.reasons


@pytest.fixture(scope="module")
def left(truth: Planted, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a job that was interrupted in its second stage, and its result said so."""
    path = tmp_path_factory.mktemp("left") / "c"
    stages: list[str] = []

    def interrupt(stage: str, iteration: int, value: float) -> None:
        stages.append(stage)
        if len(set(stages)) > 1 and iteration > 1:
            raise KeyboardInterrupt

    assert refined(truth, checkpoint=path, progress=interrupt).fit.reason == "interrupted"
    return path.read_bytes()


def test_a_resumed_tilt_is_the_one_that_was_not_interrupted(
    truth: Planted, whole: TiltResult, left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    path.write_bytes(left)
    resumed = refined(truth, checkpoint=path, resume=True)
    same(resumed, whole)
    # Nor is it fitted again if its files cannot be written.
    with monkeypatch.context() as patch:
        patch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(InputError, match="No space left on device"):
            resumed.write(tmp_path / "out")
    monkeypatch.setattr("atomfit.optimisation.solvers._advance", None)
    again = refined(truth, checkpoint=path, resume=True)
    same(again, whole)
    again.write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"held_out": 4}, "held_out None, not 4"),
        ({"images": 1.001}, "another image"),
        ({"centre": (0.1, 0.0, 0.0)}, "centre None, not"),
    ],
)
def test_a_tilt_is_not_resumed_with_other_images_or_options(
    truth: Planted, left: bytes, tmp_path: Path, change: dict, words: str
) -> None:
    path = tmp_path / "c"
    path.write_bytes(left)
    how = {"pixel_size": PIXEL, "checkpoint": path, "resume": True, **change}
    images = np.float32(how.pop("images", 1.0)) * truth.images
    with pytest.raises(InputError, match=words):
        tilt(images, truth.views, "Pt", **how)
    assert path.read_bytes() == left


def test_the_checkpoint_of_another_command_is_refused(
    small: Simulation, left: bytes, tmp_path: Path
) -> None:
    (tmp_path / "c").write_bytes(left)
    with pytest.raises(InputError, match="the checkpoint was made with command tilt, not build"):
        build(small.map, "Pt", checkpoint=tmp_path / "c", resume=True)


@pytest.mark.slow
def test_maps_that_are_compared_are_fitted_once(
    small: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = [tmp_path / "one.mrc", tmp_path / "two.mrc"]
    for path in maps:
        write_map(path, small.map)
    path = tmp_path / "c"
    with monkeypatch.context() as patch:
        patch.setattr("atomfit.workflows.compare.compare_two", fault)
        with pytest.raises(RuntimeError):
            compare(maps, element="Pt", checkpoint=path)
    assert path.exists()
    with pytest.raises(InputError, match="another map"):
        compare([maps[0], maps[1], maps[0]], element="Pt", checkpoint=path, resume=True)
    monkeypatch.setattr("atomfit.optimisation.solvers._advance", None)
    # How they are compared may be another way: it is not what takes long.
    resumed = compare(maps, element="Pt", checkpoint=path, resume=True, distance=1.0)
    resumed.write(tmp_path / "out")
    assert not path.exists()


def fault(*_: object, **__: object) -> None:
    raise RuntimeError("as of\na library")


def invoked(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr("sys.argv", ["atomfit", *words])
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize("error", [RuntimeError("as of\na library"), MemoryError(), KeyboardInterrupt()])
def test_a_fault_leaves_a_sentence_its_report_and_a_checkpoint(
    small: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_map(tmp_path / "map.mrc", small.map)
    words = [
        "build",
        str(tmp_path / "map.mrc"),
        "-e",
        "Pt",
        "-o",
        str(tmp_path / "out"),
        "--noise",
        "white",
    ]

    def failing(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("atomfit.workflows.build.measure_atoms", failing)
        outcome = invoked([*words, "-q"], patch)
    assert outcome.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert "Traceback" not in outcome.output
    sentence = outcome.stderr.splitlines()[-2 + isinstance(error, KeyboardInterrupt)]
    assert sentence.startswith("atomfit: ")
    again = outcome.stderr.strip().rpartition("to go on: atomfit ")[2]
    assert shlex.split(again) == [*words, "-q", "--resume"]
    if not isinstance(error, KeyboardInterrupt):
        report = tmp_path / "out.error.txt"
        assert sentence.endswith(f"what there is to report of it is in {report}")
        assert "in failing" in report.read_text()
        assert ("not enough memory" in sentence) == isinstance(error, MemoryError)
        report.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "out.checkpoint"]
    monkeypatch.setattr("atomfit.optimisation.solvers._advance", None)
    outcome = invoked([*words, "-q", "--resume"], monkeypatch)
    assert outcome.exit_code == 0, outcome.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.mrc", "out"]


def test_what_is_no_fault_of_a_run_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of another run is there, and this one is refused: it would not be this one's."""
    (tmp_path / "out.checkpoint").write_text("")
    words = ["build", str(tmp_path / "nowhere.mrc"), "-e", "Pt", "-o", str(tmp_path / "out")]
    outcome = invoked(words, monkeypatch)
    assert outcome.exit_code == 2
    assert "to go on" not in outcome.stderr


@pytest.mark.parametrize(
    ("refusal", "goes_on"),
    [
        (InputError("wrong", "mend it"), None),
        (InputError("no room", "make some", goes_on=()).at("there"), ["--resume"]),
        (None, ["--insist", "--resume"]),
    ],
)
def test_a_refusal_in_the_midst_of_a_job_says_how_to_go_on_only_if_one_can(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refusal: InputError | None,
    goes_on: list[str] | None,
) -> None:
    """As of `tilt` whose map has been built, and whose images then do not agree with it."""
    place = tmp_path / "c"
    kept = Checkpoint(place, lambda: Job.of("tilt", "Pt", None, {}))
    monkeypatch.setattr(sys, "argv", ["atomfit", "tilt", "x"])

    def refused() -> None:
        journal = current()
        journal.keep(journal.step("build", np.zeros((1, 3))), lambda: {"x": np.ones(2)}, ended=True)
        if refusal is not None:
            raise refusal
        settle([Doubt("odd", "look")], insist=False)

    with pytest.raises(typer.Exit) as ended, refusals(place), kept.running():
        refused()
    assert ended.value.exit_code == 2
    told = capsys.readouterr().err.rpartition("to go on: atomfit tilt x ")
    assert (shlex.split(told[2]) if told[1] else None) == goes_on
    # What is of no use to another input is not left behind either.
    assert place.exists() == (goes_on is not None)
    if goes_on is None:
        monkeypatch.setattr("atomfit.io.checkpoint._LONG", 0.0)
        with pytest.raises(InputError), kept.running():
            refused()
        assert place.exists()


@pytest.mark.parametrize("command", ["build", "tilt", "compare", "simulate"])
@pytest.mark.parametrize("trouble", ["link", "directory", "foreign", "input"])
def test_places_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, trouble: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    names = {"build": "atoms.csv", "tilt": "probe.csv", "compare": "a.xyz", "simulate": "truth.csv"}
    place = out / names[command]
    given = str(place) if trouble == "input" else str(tmp_path / "nowhere")
    match trouble:
        case "link":
            out.rmdir()
            out.symlink_to(tmp_path / "nowhere")
        case "directory":
            place.mkdir()
        case _:
            place.write_text("theirs")
    words = {
        "build": ["build", given, "-e", "Pt"],
        "tilt": ["tilt", given, "--views", given, "-e", "Pt"],
        "compare": ["compare", given, given],
        "simulate": ["simulate"],
    }[command]
    outcome = invoked([*words, "--out", str(out), "--overwrite"], monkeypatch)
    assert outcome.exit_code == 2, outcome.output
    assert "choose another --out" in outcome.stderr
    if trouble in ("foreign", "input"):
        assert place.read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_a_process_are_interruptions(number: int) -> None:
    # A shell lets what it runs in the background ignore interrupts.
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)
    try:
        with pytest.raises(typer.Exit) as end, refusals():
            signal.raise_signal(number)
        assert end.value.exit_code == 130
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, before)


def test_nohup_is_obeyed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with as_interrupts():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


class Broken:
    """A stream that nobody reads, or that has no room."""

    encoding = "ascii"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    def fileno(self) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(32, "Broken pipe"),
        OSError(28, "No space left"),
        OSError(5, "gone"),
        ValueError("closed"),
    ],
)
def test_a_terminal_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("sys.stderr", Broken(error))
    monkeypatch.setattr("sys.stdout", Broken(error))
    say("words")
    say("words", err=True)
    with spinner(False, "begin") as tell:
        tell("further")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_streams_that_were_never_there_are_no_matter(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    monkeypatch.setattr(sys, stream, None)
    say("words", err=stream == "stderr")
    with spinner(False, "begin") as tell:
        tell("further")


def test_what_is_no_text_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    say("Kr\udcfcger")
    assert capsys.readouterr().out == "Kr\\xfcger\n"


def test_a_process_ends_as_its_result_did_when_nobody_listens(tmp_path: Path) -> None:
    """Its output is a pipe that is closed, which Python finds out at the very end."""
    words = [
        sys.executable,
        "-m",
        "atomfit",
        "simulate",
        "--size",
        "20",
        "--out",
        str(tmp_path / "out"),
    ]
    read, write = os.pipe()
    os.close(read)
    assert subprocess.run(words, stdout=write, stderr=write, check=False).returncode == 0
    os.close(write)
    assert (tmp_path / "out" / "simulation.json").exists()


def test_a_closed_stream_leaves_its_number_to_nobody(tmp_path: Path) -> None:
    program = (
        "from atomfit.support.process import have_streams; have_streams()\n"
        "with open('a', 'w') as a, open('b', 'w') as b: b.write(str(a.fileno()))"
    )
    shell = 'exec "$0" "$@" <&- >&- 2>&-'
    subprocess.run(["sh", "-c", shell, sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert int((tmp_path / "b").read_text()) > 2
