"""Text as editors, spreadsheets and other systems leave it."""

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.io.models import read_model
from atomfit.io.text import number
from atomfit.io.tilts import read_tilts
from atomfit.io.views import read_views
from atomfit.support.errors import InputError

ANGLES = [-60.0, -1.5, 0.0, 30.0, 60.25]
WAYS = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "windows": lambda text: text.replace("\n", "\r\n").encode(),
    "old mac": lambda text: text.replace("\n", "\r").encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 of the other order": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "latin-1": lambda text: ("# in \xc5 and \xb0\n" + text).encode("latin-1"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "bzip2": lambda text: bz2.compress(text.encode()),
    "blank lines": lambda text: ("\n \n# angles\n" + text + "\n\n").encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_angles_views_and_tables_in_any_encoding(way: str, tmp_path: Path) -> None:
    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_bytes(WAYS[way](text))
        return tmp_path / name

    tlt = written("a.tlt", "".join(f"{angle:8.2f}\n" for angle in ANGLES))
    np.testing.assert_array_equal(read_tilts(tlt).angles, ANGLES)
    assert len(read_views(tlt, (8, 8)).views) == len(ANGLES)
    euler = written("e.csv", "rot,tilt,psi\n1,2,3\n4,5,6\n")
    assert len(read_views(euler, (8, 8), convention="ZYZ").views) == 2
    for separator in ",;\t":
        table = written("m.csv", "X,y,z,element\n1,2,3.5,Pt\n4,5,6,Fe\n".replace(",", separator))
        model = read_model(table, "m")
        np.testing.assert_array_equal(model.positions, [[1, 2, 3.5], [4, 5, 6]])
        assert model.symbols == ("Pt", "Fe")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0\n1,5\n3\n", "line 2.*comma"),
        ("0 1\n2 3\n", "line 1"),
        ("#\n", "no angles"),
        ("1\n\0\n", "not a text"),
    ],
)
def test_angles_that_are_none(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.tlt").write_text(text)
    with pytest.raises(InputError, match=expected):
        read_tilts(tmp_path / "a.tlt")


def test_packed_text_that_is_damaged(tmp_path: Path) -> None:
    for packed in (gzip.compress(b"1\n" * 99), bz2.compress(b"1\n" * 99)):
        (tmp_path / "a.tlt").write_bytes(packed[:20])
        with pytest.raises(InputError, match="cannot be read"):
            read_tilts(tmp_path / "a.tlt")


@settings(max_examples=200)
@given(st.floats(allow_nan=False))
def test_numbers_are_read_as_they_are_written(value: float) -> None:
    for text in (repr(value), f" {value!r}\t", repr(value).replace("e", "D")):
        assert number(text) == value
    assert number(repr(value) + "x") is None
    assert number("1_000") is None
