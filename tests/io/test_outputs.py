from pathlib import Path

import pytest

from atomfit.errors import InputError
from atomfit.io.outputs import require_writable, staged


def test_files_appear_together(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with staged(target) as stage:
        (stage / "one").write_text("1")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with staged(tmp_path / "out") as stage:
            (stage / "one").write_text("1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_ours_and_keeps_theirs(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("old")
    (tmp_path / "theirs").write_text("kept")
    with pytest.raises(InputError, match="--overwrite"), staged(tmp_path):
        pass
    with staged(tmp_path, overwrite=True) as stage:
        (stage / "one").write_text("new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"one": "new", "theirs": "kept"}


def test_an_empty_directory_may_be_used(tmp_path: Path) -> None:
    require_writable(tmp_path, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_within_keeps_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "figures" / "theirs").write_text("kept")
    for text in ("old", "new"):
        with staged(tmp_path / "out", overwrite=True) as stage:
            (stage / "figures").mkdir()
            (stage / "figures" / "ours").write_text(text)
    found = {path.name: path.read_text() for path in (tmp_path / "out" / "figures").iterdir()}
    assert found == {"ours": "new", "theirs": "kept"}
