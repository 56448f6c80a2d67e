"""What figures of a refined series say: each wrong one is named, and right ones raise no alarm."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.optimisation.ended import Ended
from atomfit.projection.expectations import Expectation
from atomfit.projection.misreadings import Agreement
from atomfit.structure.elements import element
from atomfit.support.errors import Doubt
from atomfit.verdict.of_images import (
    ImageMeasures,
    contradicted,
    judge_images,
)
from atomfit.verdict.of_views import turned, undescribed

PT = element("Pt")
RIGHT = ImageMeasures(55, 0.95, 0.9, 1.02, 0.0, 0.1, 0.0, 0.03, 0.0, 0.1)


@pytest.mark.parametrize(
    ("changes", "excess", "level", "code"),
    [
        ({}, 1.0, "good", None),
        # Few counts: what is left is white, and atoms stand out all the same.
        ({"correlation": 0.3, "explained": 0.1}, 1.05, "good", None),
        # One atom of 7.5 σ in 24,000 pixels, and as many that do not stand out.
        ({"correlation": 0.05, "explained": 0.0, "clear": 1.0}, 1.0, "good", None),
        ({"correlation": 0.05, "explained": 0.0, "clear": 0.5}, 1.0, "bad", "correlation"),
        ({"correlation": 0.05, "explained": 0.0, "clear": 1.0}, 8.0, "bad", "correlation"),
        ({"correlation": 0.5}, 8.0, "doubtful", "correlation"),
        ({"correlation": 0.0}, 8.0, "bad", "correlation"),
        ({"correlation": -0.86}, 1.0, "bad", "correlation"),
        ({"bond_ratio": 0.1}, 1.0, "bad", "bonds"),
        ({"bond_ratio": 2.0}, 1.0, "bad", "bonds"),
        # Two that are far apart may be no neighbours; that are too near they are what they are.
        ({"bond_ratio": 2.0, "atoms": 2}, 1.0, "doubtful", "bonds"),
        ({"bond_ratio": 0.5, "atoms": 2}, 1.0, "bad", "bonds"),
        ({"shell_gap": 0.8}, 1.0, "bad", "disorder"),
        ({"shell_gap": 0.8, "position_esd": 0.2}, 1.0, "doubtful", "disorder"),
        ({"unsupported": 1.0}, 1.0, "bad", "unsupported"),
        ({"removed": 0.95, "clear": 0.5}, 1.0, "bad", "removed"),
        # However many maxima of noise were tried: what noise does not reach is an atom.
        ({"atoms": 1, "removed": 0.97, "clear": 1.0}, 1.0, "good", None),
        ({"undetermined": 0.5}, 1.0, "bad", "undetermined"),
        ({"position_esd": 3.0}, 1.0, "bad", "uncertain-positions"),
        ({"atoms": 0}, 1.0, "bad", "no-atoms"),
    ],
)
def test_each_figure_is_judged(
    changes: dict[str, float], excess: float, level: str, code: str | None
) -> None:
    verdict = judge_images(replace(RIGHT, **changes), (PT,), Ended.CONVERGED, excess)  # type: ignore[arg-type]
    assert verdict.level == level
    assert verdict.codes == (() if code is None else (code,))
    assert verdict.measures["correlation"] == replace(RIGHT, **changes).correlation  # type: ignore[arg-type]


def test_what_a_user_insists_on_is_in_the_verdict() -> None:
    doubt = Doubt("all views are from one direction", "give views from several")
    [found] = judge_images(RIGHT, (PT,), Ended.CONVERGED, 1.0, (doubt,)).findings
    assert (found.code, found.level, found.problem) == ("insisted", "bad", doubt.problem)


def test_a_wrong_gain_and_a_start_that_was_misread_are_told() -> None:
    for chi_square, level in ((100.0, "bad"), (0.01, "bad"), (2.0, "doubtful")):
        measures = replace(RIGHT, chi_square=chi_square)
        [found] = judge_images(measures, (PT,), Ended.CONVERGED, 1.0, gain_given=True).findings
        assert (found.code, found.level) == ("gain", level)
    assert not judge_images(replace(RIGHT, chi_square=2.0), (PT,), Ended.CONVERGED, 1.0).findings
    misread = Agreement(0.7, ("the inverse rotations: --inverse-views", 0.9)).misread
    [found] = judge_images(RIGHT, (PT,), Ended.CONVERGED, 1.0, misread=misread).findings
    assert (found.code, found.level) == ("start", "doubtful")
    assert "by 0.90 with the inverse rotations" in found.problem
    assert Agreement(0.9, None).misread is None


def test_a_low_correlation_names_the_suspects_and_an_early_end_is_told() -> None:
    [correlation, early] = judge_images(
        replace(RIGHT, correlation=0.0), (PT,), Ended.INTERRUPTED, 8.0
    ).findings
    for suspect in ("unit", "pixel size", "centre", "convention", "contrast"):
        assert suspect in correlation.remedy
    assert "did not converge: interrupted" in early.problem


def test_a_view_that_the_model_does_not_describe_is_found() -> None:
    right = np.full(24, 0.9) + np.random.default_rng(0).normal(0, 0.01, 24)
    assert not undescribed(right)
    # Few counts: all are low.
    assert not undescribed(right - 0.85)
    right[7] = 0.003
    [found] = undescribed(right)
    assert (found.code, found.level) == ("views", "doubtful")
    assert (
        "does not describe the images of views 7 (0.003) at all; the median of all is 0.90" in found.problem
    )
    right[7] = 0.6
    [found] = undescribed(right)
    assert "disagrees with the images of views 7 (0.6); the median" in found.problem
    assert judge_images(RIGHT, (PT,), Ended.CONVERGED, 1.0, further=[found]).level == "doubtful"


@pytest.mark.parametrize(("width", "level"), [(0.3, "good"), (0.45, "doubtful"), (1.17, "bad")])
def test_what_is_wider_than_atoms_is_a_body(width: float, level: str) -> None:
    assert judge_images(replace(RIGHT, width=width), (PT,), Ended.CONVERGED, 1.0).level == level


def test_what_was_known_is_held_against_chi_square() -> None:
    rng = np.random.default_rng(3)
    right = [Expectation("positions", rng.chisquare(3, 43), 3) for _ in range(20)]
    assert not contradicted(right)
    [all_of_them] = contradicted([Expectation("positions", 40 * rng.chisquare(3, 43), 3)])
    assert (all_of_them.code, all_of_them.level) == ("known", "bad")
    assert "--known-positions" in all_of_them.remedy
    [of_a_map] = contradicted([Expectation("positions", 40 * rng.chisquare(3, 43), 3)], coupled=True)
    assert "leave out --coupled" in of_a_map.remedy
    [one] = contradicted([Expectation("rotations", np.append(rng.chisquare(3, 42), 60.0), 3)])
    assert one.level == "doubtful"
    assert "--known-turns" in one.remedy
    # None by itself, but all together.
    [together] = contradicted([Expectation("amplitudes", np.full(43, 2.0), 1)])
    assert together.level == "doubtful"
    assert not contradicted([Expectation("positions", np.zeros(0), 3)])


def test_a_view_that_was_turned_to_where_another_is() -> None:
    turns = np.random.default_rng(0).normal(0, 0.8, (24, 3))
    everything = np.ones(24, bool)
    assert not turned(turns, everything)
    assert not turned(np.zeros((24, 3)), everything)
    # A goniometer may be off by some degrees.
    turns[5] = 5.0, 0.0, 0.0
    assert not turned(turns, everything)
    turns[7] = 0.0, 20.0, 0.0
    [found] = turned(turns, everything)
    assert found.code == "views"
    assert "5 (5.0°), 7 (20.0°) were turned" in found.problem
    # What was held out was not turned by a fit.
    assert not turned(turns, np.arange(24) != 7)
