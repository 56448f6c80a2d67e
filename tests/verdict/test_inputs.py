"""Comparisons of results that something speaks against by themselves say so."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomfit.io.image_columns import image_columns_of
from atomfit.io.models import read_model
from atomfit.simulation.changed_columns import changed_columns
from atomfit.statistics.column_changes import compare_columns
from atomfit.statistics.own_findings import OwnFinding
from atomfit.verdict.of_column_comparison import judge_column_comparison

NOISE = {"code": "noise", "level": "bad", "problem": "nothing stands out", "remedy": "look at it"}
SCALE = {"code": "scale", "level": "doubtful", "problem": "the scale is open", "remedy": "give it"}


@pytest.mark.parametrize(
    ("own", "level"),
    [
        ((), "good"),
        ((OwnFinding("doubtful", "the scale is open"),), "doubtful"),
        ((OwnFinding("bad", "x"),), "bad"),
    ],
)
def test_a_comparison_is_no_better_than_its_images(own: tuple[OwnFinding, ...], level: str) -> None:
    case = changed_columns(3, 200, 1e4)
    verdict = judge_column_comparison(compare_columns(replace(case.a, own_findings=own), case.b))
    assert verdict.level == level
    assert [f.code for f in verdict.findings] == ["input"] * len(own)
    assert all(case.a.name in f.problem and own[0].problem in f.problem for f in verdict.findings)


@pytest.mark.parametrize(
    ("summary", "found"),
    [
        (json.dumps({"verdict": {"level": "bad", "findings": [NOISE, SCALE]}}), ("bad", "doubtful")),
        (json.dumps({"verdict": {"level": "bad", "findings": None}}), ("bad",)),
        (json.dumps({"verdict": {"level": "good", "findings": None}}), ()),
        (json.dumps({"verdict": {"level": "bad", "findings": [NOISE | {"code": "no-model"}]}}), ()),
        (json.dumps({"verdict": None}), ()),
        ("[]", ()),
        ("{", ()),
        (None, ()),
    ],
)
def test_findings_are_read_beside_tables(
    tmp_path: Path, summary: str | None, found: tuple[str, ...]
) -> None:
    (tmp_path / "atoms.csv").write_text("id,element,x,y,z\n1,Pt,0,0,0\n2,Pt,2.8,0,0\n")
    if summary is not None:
        (tmp_path / "summary.json").write_text(summary)
    assert tuple(one.level for one in read_model(tmp_path, "a").own_findings) == found
    # Another's table in the same place is not that result's.
    (tmp_path / "mine.csv").write_text("element,x,y,z\nPt,0,0,0\nPt,2.8,0,0\n")
    assert read_model(tmp_path / "mine.csv", "b").own_findings == ()


def test_columns_have_those_of_their_summary() -> None:
    table = {"id": np.array([1]), "element": np.array(["Pt"]), "x": np.zeros(1), "y": np.zeros(1)}
    seen = image_columns_of("a", table, None, {"verdict": {"findings": [SCALE]}})
    assert seen.own_findings == (OwnFinding("doubtful", "the scale is open"),)


@pytest.mark.parametrize("digits", [5, 15])
def test_two_results_of_one_image_are_told_from_two_that_agree(digits: int) -> None:
    case = changed_columns(3, 200, 1e4)
    same = replace(case.a, name="again", positions=np.round(case.a.positions, digits))
    verdict = judge_column_comparison(compare_columns(case.a, same))
    assert verdict.codes == ("copy",)
    assert "copy" not in judge_column_comparison(compare_columns(case.a, case.b)).codes
