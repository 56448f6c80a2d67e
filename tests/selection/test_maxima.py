"""How many maxima noise has above a height, against fields of noise in which they are counted."""

import numpy as np
import pytest
from scipy.integrate import quad

from atomfit.selection import maxima
from atomfit.selection.evidence import Decoys
from atomfit.selection.limits import LIMITS
from noise_maxima import EDGE, heights_of_maxima

#: Width of the filter, and how far apart atoms are, in voxels that miss little of the tops.
WIDTH, APART = 2.5, 9.0
FIELDS = 24


@pytest.fixture(scope="module")
def heights() -> np.ndarray:
    """Of maxima above t₀ in fields of white noise behind a Gaussian filter."""
    return np.concatenate([heights_of_maxima(seed, WIDTH, APART, LIMITS.lowest) for seed in range(FIELDS)])


@pytest.mark.parametrize("height", [0.5, 1.5, 2.5, 3.5])
def test_as_many_maxima_as_fields_have(height: float) -> None:
    """In absolute numbers, however near to each other."""
    found = np.concatenate([heights_of_maxima(seed, 3.0, 0.1, height) for seed in range(8)])
    # Of both signs. The variance of a gradient is 1 / 2 width² (Worsley et al. 1992, eq. 1).
    volume = 16 * (EDGE - 2) ** 3
    expected = volume / (2 * 3.0**2) ** 1.5 / (2 * np.pi) ** 2 * np.exp(maxima.log_number(height))
    assert len(found) == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("source", ["all", "none"])
def test_what_is_low_tells_of_maxima_far_up(heights: np.ndarray, source: str) -> None:
    """At 4.25, above 98 of 100 decoys: with a scale from these, and with that of noise.

    A tail of exp(-t²/2s²) has 1.6 times as many with the scale that fits it best, and 0.4 times with s = 1.
    """
    count = len(heights)
    decoys = Decoys.of_hollows(heights if source == "all" else np.zeros(0), count)
    assert float(decoys.expected(4.25)) / np.sum(heights > 4.25) == pytest.approx(1.1, abs=0.25)
    assert np.mean(heights > 4.25) < 0.02


def test_noise_has_the_scale_of_noise(heights: np.ndarray) -> None:
    excess = float(np.mean(heights**2 - LIMITS.lowest**2)) / 2
    assert maxima.scale(excess, LIMITS.lowest) == pytest.approx(1.0, abs=0.03)
    # Were the number exp(-t²/2s²), s would be the root of that.
    assert excess > 1.2


@pytest.mark.parametrize("s", [0.4, 1.0, 3.0, 20.0])
def test_the_scale_of_an_excess_has_that_excess(s: float) -> None:
    excess = s**2 * float(maxima.mean_excess(LIMITS.lowest / s))
    assert maxima.scale(excess, LIMITS.lowest) == pytest.approx(s, rel=1e-3)


@pytest.mark.parametrize("u", [0.3, 2.0, 4.6, 5.0, 7.0])
def test_number_density_and_excess_belong_together(u: float) -> None:
    number, h = float(np.exp(maxima.log_number(u))), 0.01
    down = (maxima.log_number(u - h) - maxima.log_number(u + h)) / (2 * h)
    assert float(np.exp(maxima.log_density(u))) / number == pytest.approx(float(down), rel=2e-3)
    above = quad(lambda v: v * float(np.exp(maxima.log_number(v))), u, u + 8, limit=200)[0]
    assert float(maxima.mean_excess(u)) == pytest.approx(above / number, rel=1e-3)


def test_far_up_it_is_the_euler_characteristic() -> None:
    u = np.array([5.0, 8.0, 200.0])
    np.testing.assert_allclose(maxima.log_number(u), np.log(u**2 - 1) - u**2 / 2, rtol=1e-12)
    # Where that takes over there is no step.
    assert float(maxima.log_number(5.0 - 1e-9) - maxima.log_number(5.0)) == pytest.approx(0, abs=1e-3)
