"""What goes wrong while a result is written: it is complete with a warning, or as it was."""

import builtins
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from atomfit.io.manifest import BUILD, MAP_COPY, files_of_result
from atomfit.results.build import BuildResult
from atomfit.support.errors import InputError


def test_files_are_those_that_are_looked_for_beforehand(small_result: BuildResult, tmp_path: Path) -> None:
    small_result.write(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == files_of_result(tmp_path / "out") == {*BUILD, MAP_COPY}


def failing(*_: object, **__: object) -> None:
    raise RuntimeError("as a library would")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("atomfit.io.model_files.write_mmcif", "atoms.cif"),
        ("atomfit.io.model_files.write_pdb", "atoms.pdb"),
        ("atomfit.io.model_files.write_xyz", "atoms.xyz"),
        ("atomfit.files.build.write_chimerax_script", "view.cxc"),
        ("atomfit.files.build.contents", "report.html"),
        ("atomfit.files.build.write_page", "report.html"),
    ],
)
def test_a_part_that_cannot_be_written_is_missing(
    small_result: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    monkeypatch.setattr(place, failing)
    small_result.write(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*BUILD, MAP_COPY} - {name}
    told = json.loads((tmp_path / "out" / "summary.json").read_text())["warnings"]
    assert f"{name} is missing: it could not be written (as a library would)" in told


@pytest.mark.parametrize("failing_import", [False, True])
def test_figures_that_cannot_be_drawn_are_a_warning(
    small_result: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_import: bool
) -> None:
    if failing_import:
        monkeypatch.setattr("atomfit.files.build.load_matplotlib", failing)
    else:
        monkeypatch.setattr("atomfit.figures.build.save_views", failing)
    small_result.write(tmp_path / "out", figures=True)
    assert set(BUILD) < {path.name for path in (tmp_path / "out").iterdir()}
    told = " ".join(json.loads((tmp_path / "out" / "summary.json").read_text())["warnings"])
    assert f"figures is {'missing' if failing_import else 'not complete'}" in told
    assert "as a library would" in (tmp_path / "out" / "report.html").read_text()
    assert files_of_result(tmp_path / "out") >= set(BUILD)


@pytest.mark.parametrize("number", range(1, 14))
def test_a_full_disk_leaves_what_was_there(
    small_result: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """At each file, whatever writes it."""
    (tmp_path / "out").mkdir()
    opened: list[str] = []

    def counted(file: str | bytes | int, mode: str = "r", *args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        if ".out.part" in str(file) and any(letter in mode for letter in "wx"):
            opened.append(str(file))
            if len(opened) == number:
                raise OSError(28, "No space left on device", file)
        return plain(file, mode, *args, **kwargs)  # type: ignore[call-overload]

    plain = builtins.open
    monkeypatch.setattr("builtins.open", counted)
    monkeypatch.setattr("io.open", counted)
    with pytest.raises(InputError, match="the files cannot be written"):
        small_result.write(tmp_path / "out")
    assert len(opened) == number
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


@pytest.mark.parametrize("name", ["Kr\udcfcger.mrc", "\udce4/map.mrc"])
def test_names_that_are_no_text_are_escaped(small_result: BuildResult, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a map")
    named = replace(small_result, source=replace(small_result.source, path=path))
    out = tmp_path / "erg\udce4bnis"
    named.write(out)
    # Viewers are given a copy, because a script can hardly name the map.
    assert files_of_result(out) == {path.name for path in out.iterdir()} == {*BUILD, MAP_COPY}
    assert 'open "map.mrc"' in (out / "view.cxc").read_text(encoding="utf-8")
    for text in ("run.json", "summary.json", "report.html", "atoms.cif", "atoms.xyz"):
        (out / text).read_text(encoding="utf-8")
    told = json.loads((out / "run.json").read_text(encoding="utf-8"))["input"]["path"]
    assert told == os.fsencode(path).decode("utf-8", "backslashreplace")


def test_an_input_in_the_directory_is_not_replaced(small_result: BuildResult, tmp_path: Path) -> None:
    """In Python as from the command line."""
    out = small_result.write(tmp_path / "out")
    named = replace(small_result, source=replace(small_result.source, path=out / "map.mrc"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(InputError, match=r"map\.mrc is an input of this run"):
        named.write(out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_figures_do_not_read_a_users_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    from atomfit.figures.style import save_panels, styled

    def drawn(name: str) -> bytes:
        with styled():
            (tmp_path / name).mkdir()
            save_panels(tmp_path / name, "a", [lambda axes: axes.plot([1, 2], [3, 4]) and None])
        return (tmp_path / name / "a.png").read_bytes()

    plain = drawn("plain")
    own = {"text.usetex": True, "font.size": 30, "axes.facecolor": "black", "savefig.format": "svg"}
    for name, value in own.items():
        monkeypatch.setitem(mpl.rcParams, name, value)
    assert drawn("own") == plain
    assert mpl.rcParams["font.size"] == 30


def test_a_backend_that_is_not_installed_does_not_keep_matplotlib_from_being_imported() -> None:
    program = "from atomfit.figures import load_matplotlib; load_matplotlib(); import matplotlib"
    surroundings = os.environ | {"MPLBACKEND": "module://nowhere.backend"}
    subprocess.run([sys.executable, "-c", program], env=surroundings, check=True)
