"""Warnings about views that disagree, and about fits that describe noise, on made-up correlations."""

import numpy as np
import pytest

from atomfit.projection.verdict import far_below, held_out_drop, view_warnings


def test_views_that_disagree_are_warned_of() -> None:
    good = np.full(20, 0.95) + np.linspace(0, 0.01, 20)
    none = np.zeros(20, bool)
    assert view_warnings(good, none) == []
    odd = good.copy()
    odd[[3, 7]] = 0.5, 0.91
    assert list(far_below(odd)) == [3]
    assert "views 7 (0.91) less well" in view_warnings(odd, none)[0]
    # They may fall with the tilt.
    assert view_warnings(0.95 - 0.2 * np.linspace(-1, 1, 20) ** 2, none) == []
    assert "0.20 only" in view_warnings(np.full(20, 0.2), none)[0]


def test_an_overfit_is_warned_of() -> None:
    rng = np.random.default_rng(0)
    held = np.arange(40) % 5 == 2
    level = 0.9 + 0.05 * np.cos(np.linspace(-1, 1, 40)) + rng.normal(0, 1e-3, 40)
    assert view_warnings(level, held) == []
    drop = held_out_drop(level - 0.02 * held, held)
    assert drop is not None
    assert drop[0] == pytest.approx(0.02, abs=0.002)
    assert "the fit describes noise" in view_warnings(level - 0.02 * held, held)[0]
    assert held_out_drop(level, np.zeros(40, bool)) is None
