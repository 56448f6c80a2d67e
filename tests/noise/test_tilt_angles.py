"""Tilt angles: their geometry against the wedge of the simulator, and files that hold none."""

from pathlib import Path

import numpy as np
import pytest

from atomfit.io.tilts import read_tilts
from atomfit.noise.tilt_angles import TiltAngles
from atomfit.options.build import Axis
from atomfit.support.errors import InputError


def axes(n: int = 24) -> list[np.ndarray]:
    """Frequencies along z, y, x; no two alike, so that none lies on an edge by chance."""
    steps = [np.arange(-n, n + 1) * s for s in (0.0101, 0.0093, 0.0107)]
    return list(np.meshgrid(*steps, indexing="ij", sparse=True))


def test_the_wedge_of_a_single_axis_series() -> None:
    """Half a step beyond the last view, as the simulator cuts it: |kx| < tan(a/2) |kz|."""
    kz, _, kx = axes()
    missing = TiltAngles(np.arange(-60.0, 61.0, 2.0)).missing(axes())
    wedge = np.broadcast_to(np.abs(kx) < np.tan(np.radians(29)) * np.abs(kz), missing.shape)
    assert np.mean(missing != wedge) < 1e-3


@pytest.mark.parametrize(
    ("axis", "beam", "inside"),
    [("y", "z", (1, 0, 5)), ("x", "z", (0, -1, 5)), ("z", "x", (5, 1, 0)), ("x", "y", (0, 5, 1))],
)
def test_a_lopsided_range_tells_left_from_right(axis: Axis, beam: Axis, inside: tuple[int, ...]) -> None:
    """Turned right-handedly by up to 80 degrees one way and 50 the other: +79 is seen, -79 is not.

    `inside` is the plane's direction at +79 degrees: cos θ (axis x beam) + sin θ beam.
    """
    series = TiltAngles(np.arange(-50.0, 81.0), axis, beam)
    seen = np.array(inside, float)
    mirrored = np.where(np.array(["x", "y", "z"]) == beam, -seen, seen)
    for k, expected in ((seen, False), (mirrored, True)):
        x, y, z = (np.full((1, 1, 1), part) for part in k)
        assert bool(series.missing([z, y, x])[0, 0, 0]) is expected


def test_views_left_out_and_taken_twice() -> None:
    angles = np.arange(-60.0, 61.0, 2.0)
    assert len(TiltAngles(angles).holes) == 1
    # One bad view is interpolated, five in a row are a hole of their own.
    assert TiltAngles(np.delete(angles, 30)).holes == TiltAngles(angles).holes
    begin, end = TiltAngles(np.delete(angles, slice(28, 33))).holes[1]
    assert end - begin == pytest.approx(10)
    twice = np.sort(np.concatenate([angles, angles + 1e-3]))
    np.testing.assert_allclose(TiltAngles(twice).holes, TiltAngles(angles).holes, atol=0.01)
    assert TiltAngles(np.arange(-90.0, 90.0, 3.0)).holes == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no angles"),
        ("\n \n", "no angles"),
        ("-60\n0\nsixty\n", "line 3"),
        ("-60 0\n0 0\n60 0\n", "line 1"),
        ("-60\n60\n", "2 angles"),
        ("-60\n0\n95\n", "95 is no tilt angle"),
        ("-60\nnan\n60\n", "nan is no tilt angle"),
        ("1\n1\n1\n", "all 3 angles are 1"),
        ("\x00\x01\x02", "not a text file"),
    ],
)
def test_files_without_a_series(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "angles.tlt"
    path.write_text(text)
    with pytest.raises(InputError, match=expected) as refused:
        read_tilts(path)
    assert str(path) in str(refused.value)


def test_axis_and_beam_must_differ(tmp_path: Path) -> None:
    path = tmp_path / "angles.rawtlt"
    path.write_text("  -60.00\r\n\r\n0\n6.0e1\n")
    np.testing.assert_array_equal(read_tilts(path).angles, [-60, 0, 60])
    with pytest.raises(InputError, match="--beam"):
        read_tilts(path, "y", "y")
    with pytest.raises(InputError, match="check the path"):
        read_tilts(tmp_path / "none.tlt")
