"""The reference that `make docs` builds: whole, and without a warning; faults that are planted are told."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from jaxtyping import Array, Float

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(REFERENCE)
    import readable

    return readable


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("pdoc")
    monkeypatch.syspath_prepend(REFERENCE)
    import checks

    return checks


def test_it_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("pdoc")
    out = tmp_path / "site"
    command = [sys.executable, "-W", "error", str(REFERENCE), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    fitting = (out / "atomfit" / "fitting.html").read_text(encoding="utf-8")
    # A name, its module's essay, and a signature that can be read.
    assert 'id="fit_jointly"' in fitting
    assert "All atoms of a map, refined together." in fitting
    assert "jaxlib" not in fitting
    assert "jaxtyping." not in fitting
    for page in ("index.html", "method.html", "files.html"):
        assert "atomfit" in (out / page).read_text(encoding="utf-8")


def test_a_directory_of_others_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("pdoc")
    (tmp_path / "thesis.tex").touch()
    done = subprocess.run([sys.executable, str(REFERENCE), "--out", str(tmp_path)], capture_output=True)
    assert done.returncode == 2
    assert (tmp_path / "thesis.tex").exists()


def test_annotations_can_be_read(readable: ModuleType) -> None:
    def function(
        a: Float[Array | np.ndarray, "n 3"],
        b: "Float[np.ndarray, ' n'] | None" = None,
        c: float | Float[Array, ""] = 1.0,
        *,
        done=lambda: None,
    ) -> None: ...

    told = str(readable.signature(inspect.signature(function, eval_str=True)))
    assert "a: Float[Array | ndarray, 'n 3']" in told
    assert "b: Float[ndarray, 'n'] | None = None" in told
    assert "c: float | Float[Array, ''] = 1.0" in told
    assert "done=..." in told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("Optional[typing.Literal['x', 'y']]", "Literal['x', 'y'] | None"),
        (
            "Union[jaxtyping.Int[jax.Array, 'n'], jaxtyping.Int[numpy.ndarray, 'n']]",
            "Int[Array | ndarray, 'n']",
        ),
        (
            "collections.abc.Callable[[atomfit.a.Known], atomfit.b.Unknown]",
            "Callable[[atomfit.a.Known], Unknown]",
        ),
    ],
)
def test_unions_are_written_as_such(readable: ModuleType, given: str, told: str) -> None:
    assert readable.annotation(given, {"atomfit.a.Known"}) == told


def test_what_is_public_must_have_words(
    checks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pdoc.doc import Module

    (tmp_path / "silence.py").write_text(
        '__all__ = ["silent", "Told"]\n'
        "def silent(): ...\n"
        "class Told:\n"
        '    """Of its fields."""\n'
        "    field: int\n"
        "    def method(self): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    told = list(checks.documented({"silence": Module(importlib.import_module("silence"))}))
    assert told == ["silence.silent has no docstring", "silence.Told.method has no docstring"]


def test_what_is_named_must_exist(checks: ModuleType) -> None:
    texts = {
        "right": "`fitting.pose`, `noise.likelihood.AbstractLoss`, `structure.atoms.Atoms.matrices`",
        "wrong": "`fitting.nothing` and `structure.atoms.Nothing` and `structure.atoms.Atoms.nothing`",
    }
    told = list(checks.names(texts, ["fitting", "structure", "io"]))
    assert len(told) == 3
    assert all(one.startswith("wrong: ") for one in told)


def test_links_must_lead_somewhere(checks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there">b</a><a href="c.html">c</a></p>')
    (tmp_path / "b.html").write_text(
        '<a href="a.html#here">a</a><a href="https://example.org">far</a><img src="c.png">'
    )
    told = sorted(one.partition(" leads")[0] for one in checks.links(tmp_path))
    assert told == ["a.html: b.html#there", "a.html: c.html", "b.html: c.png"]
