"""Output directories: complete or as they were, and nothing destroyed but an earlier result."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from atomfit.io.manifest import files_of_result
from atomfit.io.outputs import claimed, optional, staged
from atomfit.support.errors import InputError

RECORD = json.dumps({"versions": {"atomfit": "1"}})


def write(directory: Path, files: dict[str, str], overwrite: bool = False, inputs: tuple = ()) -> None:
    """A result of these files and a record."""
    with staged(directory, overwrite, inputs) as stage:
        for name, text in {**files, "run.json": RECORD}.items():
            (stage / name).parent.mkdir(exist_ok=True)
            (stage / name).write_text(text)


def read(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


def test_files_appear_together(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with staged(target) as stage:
        (stage / "one").write_text("1")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert list((tmp_path / "a").iterdir()) == [target]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with staged(tmp_path / "above" / "out") as stage:
            (stage / "one").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_ours_keeps_theirs_and_leaves_no_two_results(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"atoms.csv": "old", "atoms.pdb": "old", "figures/a.png": "old", "figures/b.png": "old"})
    (out / "theirs").write_text("kept")
    (out / "figures" / "theirs.txt").write_text("kept")
    with pytest.raises(InputError, match="--overwrite"):
        write(out, {"atoms.csv": "new"})
    write(out, {"atoms.csv": "new", "figures/a.png": "new"}, overwrite=True)
    kept = {"theirs": "kept", "figures/theirs.txt": "kept"}
    assert read(out) == {"atoms.csv": "new", "figures/a.png": "new", **kept}
    assert files_of_result(out) == {"atoms.csv", "figures/a.png", "run.json"}
    write(out, {"atoms.csv": "newer"}, overwrite=True)
    assert read(out) == {"atoms.csv": "newer", **kept}


@pytest.mark.parametrize("of_ours", [False, True], ids=["no result", "a result"])
@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, what: str, of_ours: bool) -> None:
    out, place = tmp_path / "out", tmp_path / "out" / "atoms.csv"
    if of_ours:
        write(out, {"atoms.cif": "old"})
    out.mkdir(exist_ok=True)
    if what == "file":
        place.write_text("theirs")
    elif what == "directory":
        place.mkdir()
    else:
        (tmp_path / "elsewhere").write_text("theirs")
        place.symlink_to(tmp_path / "elsewhere")
    before = sorted(out.iterdir())
    refused = pytest.raises(InputError, match=r"atoms\.csv is (a directory|no file of an earlier result)")
    with refused, claimed(out, True, ("atoms.csv",)):
        pass
    # Where it was not foreseen it is found out before anything is moved.
    with pytest.raises(InputError, match=r"atoms\.csv is"):
        write(out, {"atoms.csv": "new", "a": "new"}, overwrite=True)
    assert sorted(out.iterdir()) == before
    assert place.is_dir() or place.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("spelling", ["plain", "dots", "symbolic link", "hard link", "directory"])
@pytest.mark.parametrize("name", ["map.mrc", "stale"])
def test_an_input_is_neither_replaced_nor_removed(tmp_path: Path, spelling: str, name: str) -> None:
    out = tmp_path / "out"
    write(out, {"map.mrc": "input", "stale": "input"})
    given = out / name
    match spelling:
        case "dots":
            given = out / ".." / "out" / "." / name
        case "symbolic link":
            given = tmp_path / "link"
            given.symlink_to(out / name)
        case "hard link":
            given = tmp_path / "link"
            os.link(out / name, given)
        case "directory":
            given = out
    refused = pytest.raises(InputError, match="is an input of this run")
    with refused, claimed(out, True, ("map.mrc",), (None, given)):
        pass
    with pytest.raises(InputError, match="is an input of this run"):
        write(out, {"map.mrc": "new"}, True, (given,))
    assert read(out) == {"map.mrc": "input", "stale": "input"}


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for name, words in (
        ("link", "a link to a place that is not there"),
        ("file", "not a directory"),
        ("file/out", "cannot be written"),
    ):
        with pytest.raises(InputError, match=words), claimed(tmp_path / name):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_link_to_a_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    write(tmp_path / "link", {"atoms.csv": "new"})
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "there") == {"atoms.csv": "new"}


def test_a_record_that_names_files_elsewhere_is_not_believed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"atoms.csv": "old"})
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "theirs").write_text("kept")
    (out / "figures").symlink_to(tmp_path / "far")
    listed = ["atoms.csv", "../theirs", str(tmp_path / "theirs"), "figures/theirs"]
    (out / "run.json").write_text(json.dumps({"versions": {"atomfit": "1"}, "files": listed}))
    write(out, {"atoms.csv": "new"}, overwrite=True)
    assert (tmp_path / "theirs").read_text() == (tmp_path / "far" / "theirs").read_text() == "kept"


def test_results_older_than_their_lists_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("atoms.csv", "atoms.pdb", "theirs"):
        (tmp_path / name).write_text("old")
    (tmp_path / "run.json").write_text(RECORD)
    write(tmp_path, {"atoms.csv": "new"}, overwrite=True)
    assert read(tmp_path) == {"atoms.csv": "new", "theirs": "old"}


def test_two_runs_do_not_write_into_one_place(tmp_path: Path) -> None:
    """The other is a process, which tells who it is; one that was killed is no obstacle."""
    program = (
        "import sys, time; from pathlib import Path; from atomfit.io.outputs import claimed\n"
        "with claimed(Path(sys.argv[1])): print('now', flush=True); time.sleep(60)"
    )
    out = tmp_path / "above" / "out"
    other = subprocess.Popen([sys.executable, "-c", program, str(out)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "now\n"
    with pytest.raises(InputError, match=f"another run is writing there \\(process {other.pid}\\)"):
        write(out, {"atoms.csv": "new"})
    other.kill()
    other.communicate(timeout=60)
    (out.parent / ".out.part").mkdir()
    (out.parent / ".out.part" / "half").write_text("")
    write(out, {"atoms.csv": "new"})
    assert read(out) == {"atoms.csv": "new"}
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_signal_waits_until_all_files_are_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fresh: bool
) -> None:
    out, rename, replace = tmp_path / "out", os.rename, os.replace
    if not fresh:
        write(out, {"a": "old", "b": "old", "c": "old"})
    caught: list[int] = []
    before = signal.signal(number, lambda number, frame: caught.append(number))
    seen: list[list[int]] = []

    def interrupted(move):
        def moving(*places) -> None:
            signal.raise_signal(number)
            move(*places)
            seen.append([*caught])

        return moving

    monkeypatch.setattr("os.rename", interrupted(rename))
    monkeypatch.setattr("os.replace", interrupted(replace))
    try:
        write(out, {"a": "new", "b": "new"}, overwrite=True)
    finally:
        signal.signal(number, before)
    assert seen
    assert not any(seen)
    assert caught == [number]
    assert read(out) == {"a": "new", "b": "new"}


def test_a_move_that_is_cut_short_is_known_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each of its steps, as by SIGKILL: what is there is incomplete, ours, and replaced by the next."""
    replace = os.replace
    # The record that says what is ours, two files, and the record of the result.
    for last in range(1, 5):
        out, moves = tmp_path / str(last), iter(range(1, 5))
        write(out, {"a": "old", "stale": "old"})

        def cut(*places, last=last, moves=moves) -> None:
            if next(moves) == last:
                raise OSError(28, "No space left on device")
            replace(*places)

        with monkeypatch.context() as patch:
            patch.setattr("os.replace", cut)
            with pytest.raises(InputError, match="No space left on device"):
                write(out, {"a": "new", "b": "new"}, overwrite=True)
        assert set(read(out)) <= {"a", "b", "stale"}
        assert (read(out) == {"a": "old", "stale": "old"}) or "versions" not in (
            out / "run.json"
        ).read_text()
        write(out, {"c": "newest"}, overwrite=True)
        assert read(out) == {"c": "newest"}


def test_a_part_that_fails_is_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    with optional(tmp_path / "atoms.pdb", warnings) as path:
        path.write_text("half")
        raise ValueError("a thing\nof a library")
    assert warnings == ["atoms.pdb is missing: it could not be written (a thing of a library)"]
    assert not path.exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_an_interruption_are_no_matter_of_a_part(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)), optional(tmp_path / "atoms.pdb", []):
        raise error
