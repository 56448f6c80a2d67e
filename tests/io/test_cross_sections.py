"""Libraries of cross-sections, as people and programs write them."""

from pathlib import Path

import pytest

from atomfit.io.cross_sections import read_cross_sections
from atomfit.support.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "count,cross_section\n1,0.02\n2,0.05\n3,0.08\n",
        "atoms;scs_A2\n1;0.02\n2;0.05\n3;0.08\n",
        "element\tcount\tcross_section\nPt\t1\t0.02\nPt\t2\t0.05\nPt\t3\t0.08\n",
        "count,cross_section\n0,0\n1,0.02\n2,0.05\n3,0.08\n",
        "total_scattering_cross_section_for_1..3_atoms\n2e-02\n5e-02\n8e-02\n",
        "# StatSTEM\n0.02\n0.05\n0.08\n",
        "1 0.02\n2 0.05\n3 0.08\n",
        "1, 0.02\n2, 0.05\n3, 0.08\n",
    ],
)
def test_libraries(tmp_path: Path, text: str) -> None:
    path = tmp_path / "library.csv"
    path.write_text(text)
    assert read_cross_sections(path).cross_sections.tolist() == [0.02, 0.05, 0.08]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the table is empty"),
        ("count,cross_section\n", "the library is empty"),
        ("count,cross_section\n1,0.02\n", "has no step"),
        ("count,cross_section\n1,0.02\n2,abc\n", "'abc' is not a number"),
        ("count,cross_section\n1,0.02\n2,nan\n", "row 3 has nan"),
        ("count,cross_section\n1,0.02\n3,0.08\n", "row 3 is of 3 atoms where 2 would be next"),
        ("count,cross_section\n2,0.02\n3,0.08\n", "row 2 is of 2 atoms where 1 would be next"),
        ("count,cross_section\n1,0.05\n2,0.02\n", "the cross-section of 2 atoms, 0.02, is not larger"),
        (
            "count,cross_section\n1,-1\n2,0.02\n",
            "the cross-section of 1 atoms, -1, is not larger than nothing",
        ),
        ("element,count,cross_section\nPt,1,0.02\nIr,1,0.02\n", "several elements"),
        ("a,b\n1,2\n2,3\n", "is called count"),
        ("count,b\n1,2\n2,3\n", "is called cross_section"),
        ("0.02\n0.05 3\n", "row 2 has 2 fields"),
        ("count,cross_section\n1,0.02,3\n", "row 2 has 3 fields"),
    ],
)
def test_what_is_no_library(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "library.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_cross_sections(path)
    assert caught.value.where == str(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_cross_sections(tmp_path / "none.csv")


def test_a_library_of_another_element_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("element,count,cross_section\nAu,1,0.02\nAu,2,0.04\n", encoding="utf-8")
    with pytest.raises(
        InputError, match="of Au, and the columns are said to be of Pt; give a library of Pt"
    ):
        read_cross_sections(path, symbol="Pt")
    for symbol in ("Au", None):
        assert len(read_cross_sections(path, symbol=symbol).cross_sections) == 2
