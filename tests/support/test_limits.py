"""Thresholds of the stages: all are recorded and told of, and an experiment can change one for a while."""

import re
from dataclasses import FrozenInstanceError, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atomfit
from atomfit.detection import limits as detection
from atomfit.detection.validation import least_correlation
from atomfit.files.thresholds import STAGES, thresholds
from atomfit.support.limits import changed

LIMITS = detection.LIMITS


def test_thresholds_are_other_for_a_while() -> None:
    correlations = np.array([0.1, 0.8, 0.81, 0.82, 0.9])
    before = asdict(LIMITS), least_correlation(correlations, "auto")
    with changed(LIMITS, automatic_limit=0.05):
        assert least_correlation(correlations, "auto") == 0.05
        assert thresholds()["detection"]["automatic_limit"] == 0.05
    assert (asdict(LIMITS), least_correlation(correlations, "auto")) == before


def test_no_threshold_is_made_up_or_changed_otherwise() -> None:
    with pytest.raises(AttributeError), changed(LIMITS, expected_false=1.0, of_nothing=2.0):
        pass
    assert not hasattr(LIMITS, "of_nothing")
    with pytest.raises(FrozenInstanceError):
        LIMITS.closest = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("stage", STAGES)
def test_each_threshold_is_told_of_and_read(stage: str) -> None:
    limits: Any = STAGES[stage]
    names = {field.name for field in fields(limits)}
    told = re.findall(r"^ *- ((?:`\w+`(?:, )?)+):", type(limits).__doc__ or "", re.MULTILINE)
    assert {name for line in told for name in re.findall(r"\w+", line)} == names
    assert thresholds()[stage] == asdict(type(limits)())
    root = Path(atomfit.__path__[0])
    text = "\n".join(path.read_text(encoding="utf-8") for path in root.rglob("*.py"))
    assert names == {name for name in names if re.search(rf"\b[A-Z]+\.{name}\b", text)}
