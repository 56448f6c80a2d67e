"""The page of models followed in time: what it says, and that a browser shows every number of it."""

import json
import re
from typing import Any

import numpy as np
import pytest
from browsing import parsed, require_layout, shown_without_complaint

from atomfit.report.followed import followed_contents, notes_of
from atomfit.report.page import TIME_SLIDER, page
from atomfit.simulation.followed import Planted, planted_models
from atomfit.simulation.particles import particle
from atomfit.statistics.followed_models import FollowedModels, follow_models
from atomfit.verdict.of_followed import judge_followed

RECORD = {
    "versions": {"atomfit": "0"},
    "command": ["atomfit", "series"],
    "machine": {"cores": 2},
    "options": {"fdr": 0.05},
    "files": [{"name": "a", "path": "a.csv", "sha256": "0"}],
}


def found(rise: float, factor: float = 1.0, times: int = 6) -> FollowedModels:
    sites = particle("sphere", "Pt", 100, 2)
    planted = Planted(rise=rise, lost=0.05, missed=0.01, factor=factor, turned=False)
    truth = planted_models(sites, times, 906, planted)
    return follow_models(truth.models.__getitem__, np.arange(float(times)))


@pytest.fixture(scope="module")
def followed() -> FollowedModels:
    return found(0.6)


def contents(followed: FollowedModels) -> dict[str, Any]:
    return followed_contents(followed, judge_followed(followed), 0.05, notes_of(followed), RECORD)


def test_it_says_what_changes_and_what_does_not(followed: FollowedModels) -> None:
    said = " ".join(contents(followed)["headline"]["verdict"])
    assert "displacement U_iso of the group “surface” rises by" in said
    assert "amplitude" not in said
    assert "have in common in a model is taken for the model's own" in said
    quiet = " ".join(contents(found(0.0))["headline"]["verdict"])
    assert "No number of any atom or group changes" in quiet


def test_error_bars_that_are_wrong_are_told() -> None:
    wrong = found(0.0, factor=3.0)
    assert wrong.trends["u_iso"].scatter == pytest.approx(3, rel=0.2)
    assert any("scatter otherwise than their error bars say (u_iso by" in note for note in notes_of(wrong))
    assert notes_of(found(0.0)) == []


def test_numbers_are_shown_without_what_their_model_shares(followed: FollowedModels) -> None:
    data = json.loads(parsed(page(contents(followed), TIME_SLIDER)).scripts[0], parse_constant=pytest.fail)
    names = [one["name"] for one in data["course"]["quantities"]]
    assert names[:2] == ["u_iso_own", "relative_amplitude_own"]
    assert {"u_iso", "amplitude", "cn"} <= set(names)
    assert data["lines"]["u_iso_own"] == ["u_iso", "u_iso_slope"]
    assert set(data["course"]["groups"]) == {"surface", "inside"}
    assert [table["title"] for table in data["tables"]] == ["Trends of groups", "Common trends", "Models"]


def test_it_fits_a_desk_and_a_phone(browser: Any, followed: FollowedModels, tmp_path: Any) -> None:
    require_layout(browser, page(contents(followed), TIME_SLIDER), tmp_path / "series.html")


def test_an_atom_has_a_line(browser: Any, followed: FollowedModels, tmp_path: Any) -> None:
    text = page(contents(followed), TIME_SLIDER)
    for shown in shown_without_complaint(browser, text, tmp_path / "series.html"):
        shown.locator("#atoms-table tbody tr:not([hidden])").nth(2).click()
        assert shown.locator("#one .guide").count() == 1
        # It goes through the middle of its points.
        ends = shown.get_attribute("#one .guide", "points").split()
        line = np.mean([float(end.split(",")[1]) for end in ends])
        dots = re.findall(r"M[\d.]+ ([\d.]+)h0", shown.get_attribute("#one .dots", "d"))
        assert len(dots) >= 5
        assert abs(line - np.mean([float(y) for y in dots])) < 25
        shown.select_option("#quantity", "u_iso")
        assert shown.locator("#one .guide").count() == 0
        shown.select_option("#colour", "place")
        assert "inside" in shown.inner_text("#colour-bar")
