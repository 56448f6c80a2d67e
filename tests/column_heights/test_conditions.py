"""Imaging conditions: their priors, their units, and what they cannot be."""

import numpy as np
import pytest

from atomfit.column_heights.conditions import (
    FREEDOM,
    first_conditions,
    log_prior,
    prior_precision,
    priors,
)

OF = priors(("Ce", "O"), {"Ce": 0.26, "O": 0.47})


def test_priors_are_students_law() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(0, 3, len(OF))
    step = 1e-5
    for k, x in enumerate(numbers):
        up, down = numbers.copy(), numbers.copy()
        up[k], down[k] = x + step, x - step
        slope = (log_prior(up) - log_prior(down)) / (2 * step)
        assert slope == pytest.approx(-prior_precision(numbers)[k] * x, rel=1e-5)
    from scipy.stats import t

    for x in (0.5, 2.0, 8.0):
        wanted = t.logpdf(x, FREEDOM) - t.logpdf(0, FREEDOM)
        assert log_prior(np.array([x])) == pytest.approx(wanted, rel=1e-6)


def test_values_are_middles_and_widths() -> None:
    at = first_conditions(OF, 300.0, 1e3, defocus=4.0, a1_x=-0.5, b_Ce=0.46)
    assert float(at["defocus"]) == pytest.approx(4.0)
    assert float(at.numbers[at.index("defocus")]) == pytest.approx(0.4)
    assert float(at["c3"]) == pytest.approx(-9.0)
    np.testing.assert_allclose(at.pair("a1"), [-0.5, 0])
    np.testing.assert_allclose(at.b_factors(("O", "Ce")), [0.47, 0.46], rtol=1e-5)
    moved = first_conditions(priors(("Ce", "O"), {}, c3=5.0), 300.0, 1e3)
    assert float(moved["c3"]) == pytest.approx(5.0)
    told = {one.name: one for one in at.told(np.full(len(OF), 0.5))}
    assert list(told) == [one.name for one in OF]
    assert (told["defocus"].unit, told["defocus"].prior, told["defocus"].prior_esd) == ("nm", 0.0, 10.0)
    assert told["defocus"].value == pytest.approx(4.0)
    assert told["defocus"].esd == pytest.approx(5.0)
    assert [told[name].unit for name in ("c3", "c5", "mistilt_x", "b_O")] == ["µm", "mm", "mrad", "Å²"]


def test_what_cannot_be_negative_is_not() -> None:
    at = first_conditions(OF, 300.0, 1e3)
    low = at.bounded(np.full(len(OF), -50.0))
    for prior in OF:
        value = float(low[prior.name])
        assert value >= prior.least - 1e-4
        assert (value < prior.middle) == (prior.middle > prior.least)
    high = at.bounded(np.full(len(OF), 2.0))
    np.testing.assert_allclose(high.numbers, 2.0)


def test_lenses_have_their_own_units() -> None:
    at = first_conditions(OF, 300.0, 1e3, defocus=4.0, a1_x=1.0, b2_y=20.0, blur_variance=0.04)
    made = at.microscope(5, 1.5)
    assert float(made.lens.c1) == pytest.approx(40.0)
    np.testing.assert_allclose(made.lens.a1, [10, 0], atol=1e-5)
    np.testing.assert_allclose(made.lens.b2, [0, 200], rtol=1e-5)
    assert float(made.lens.c3) == pytest.approx(-9e4)
    assert float(made.lens.c5) == pytest.approx(5e7)
    assert float(made.detector.blur) == pytest.approx(0.2, abs=1e-3)
    assert float(made.detector.dose) == pytest.approx(1e3)
