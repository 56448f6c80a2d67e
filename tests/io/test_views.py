"""Views from files: written and read back, conventions against turns one by one, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from atomfit.io.views import CENTRE, MATRIX, read_views, write_views
from atomfit.projection.views import Views
from atomfit.support.errors import InputError

SHAPE = (40, 50)
UNIT = "1,0,0,0,1,0,0,0,1"
HEADER = ",".join(MATRIX)


@given(
    st.lists(st.tuples(*[st.floats(-180, 180)] * 3, *[st.floats(-1e4, 1e4)] * 2), min_size=1, max_size=9)
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_views_are_read_back(tmp_path: Path, numbers: list[tuple[float, ...]]) -> None:
    table = np.array(numbers)
    rotations = Rotation.from_euler("ZYZ", table[:, :3], degrees=True).as_matrix()
    views = Views(rotations, table[:, 3:])
    write_views(tmp_path / "views.csv", views, {"gain": np.ones(len(views))})
    found = read_views(tmp_path / "views.csv", SHAPE).views
    np.testing.assert_allclose(found.rotations, rotations, atol=1e-9)
    np.testing.assert_allclose(found.centres, views.centres, rtol=1e-8)


def test_tilt_angles_turn_the_specimen_right_handedly(tmp_path: Path) -> None:
    """At +90 degrees about y, z of the specimen is seen along u; about x, y along the beam."""
    (tmp_path / "a.tlt").write_text("  0.00\n 90.00\n\n")
    about_y = read_views(tmp_path / "a.tlt", SHAPE).views
    np.testing.assert_allclose(about_y.rotations[1] @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(about_y.centres, [[25, 20]] * 2)
    about_x = read_views(tmp_path / "a.tlt", SHAPE, "x").views
    np.testing.assert_allclose(about_x.rotations[1] @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    inverse = read_views(tmp_path / "a.tlt", SHAPE, inverse=True).views
    np.testing.assert_allclose(inverse.rotations[1] @ [0, 0, 1], [-1, 0, 0], atol=1e-12)


@pytest.mark.parametrize("convention", ["ZYZ", "zyz", "xyz", "ZXZ"])
def test_euler_angles_are_about_the_axes_of_their_columns(convention: str, tmp_path: Path) -> None:
    angles = np.array([[10.0, 20.0, 30.0], [-40.0, 50.0, 160.0]])
    (tmp_path / "e.csv").write_text("psi,theta,phi\n10,20,30\n-40,50,160\n")
    found = read_views(tmp_path / "e.csv", SHAPE, convention=convention).views.rotations
    for matrix, three in zip(found, angles, strict=True):
        turns = [
            Rotation.from_euler(axis.lower(), angle, degrees=True).as_matrix()
            for axis, angle in zip(convention, three, strict=True)
        ]
        first, second, third = turns
        fixed = convention.islower()
        expected = third @ second @ first if fixed else first @ second @ third
        np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_rows_are_put_in_the_order_of_the_images(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text(f"view,{HEADER}\n1,0,1,0,-1,0,0,0,0,1\n0,{UNIT}\n")
    found = read_views(tmp_path / "v.csv", SHAPE).views.rotations
    np.testing.assert_array_equal(found[0], np.eye(3))


BAD_TABLES = {
    "empty": ("", "the table is empty"),
    "only a header": (HEADER, "no views"),
    "no matrices": ("a,b\n1,2", "neither matrices nor angles"),
    "a word": (f"{HEADER}\n{UNIT}\n1,0,0,0,x,0,0,0,1", "row 3, column 'r22': 'x' is not a number"),
    "not a number": (f"{HEADER}\nnan,0,0,0,1,0,0,0,1", "row 2, column 'r11'"),
    "a short row": (f"{HEADER}\n{UNIT}\n1,2", "row 3 has 2 fields"),
    "no rotation": (f"{HEADER}\n{UNIT}\n2,0,0,0,1,0,0,0,1", "view 1 is no rotation"),
    "a mirror": (f"{HEADER}\n-1,0,0,0,1,0,0,0,1", "no rotation"),
    "one centre": (f"{HEADER},{CENTRE[0]}\n{UNIT},3", "no column 'centre_v_px'"),
    "views twice": (f"view,{HEADER}\n0,{UNIT}\n0,{UNIT}", "row 3, column 'view'"),
    "views from one": (f"view,{HEADER}\n1,{UNIT}\n2,{UNIT}", "not one of 0 to 1"),
    "a column twice": (f"{HEADER},r11\n{UNIT},1", "two columns are named 'r11'"),
    "angles without axes": ("phi,theta,psi\n1,2,3", "mean nothing without their axes"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_tables_that_are_refused(case: str, tmp_path: Path) -> None:
    text, expected = BAD_TABLES[case]
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(InputError, match=expected):
        read_views(tmp_path / "v.csv", SHAPE)


@pytest.mark.parametrize("convention", ["abc", "xx", "xxz", "xYz", "xyzx", ""])
def test_conventions_that_are_none(convention: str, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("rot,tilt,psi\n1,2,3\n")
    with pytest.raises(InputError, match="names no axes"):
        read_views(tmp_path / "e.csv", SHAPE, convention=convention)


def test_what_these_views_do_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tlt").write_text("1\n2\n")
    (tmp_path / "e.csv").write_text("rot,tilt,psi\n1,2,3\n")
    with pytest.raises(InputError, match="tilt angles are about one axis, and ZYZ was given"):
        read_views(tmp_path / "a.tlt", SHAPE, convention="ZYZ")
    with pytest.raises(InputError, match="axes of their own, and x was given; leave out --tilt-axis"):
        read_views(tmp_path / "e.csv", SHAPE, axis="x", convention="ZYZ")
    assert read_views(tmp_path / "a.tlt", SHAPE).axis == "y"
    assert read_views(tmp_path / "e.csv", SHAPE, convention="ZYZ").axis is None


@pytest.mark.parametrize(
    ("text", "expected"), [("1\nx\n", "line 2"), ("\n", "no angles"), ("1\nnan\n", "nan"), ("900\n", "900")]
)
def test_angles_that_are_refused(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.tlt").write_text(text)
    with pytest.raises(InputError, match=expected):
        read_views(tmp_path / "a.tlt", SHAPE)


def test_radians_are_suspected(tmp_path: Path) -> None:
    (tmp_path / "a.tlt").write_text("\n".join(str(x) for x in np.linspace(-1, 1, 9)))
    assert "radians" in read_views(tmp_path / "a.tlt", SHAPE).warnings[0]
