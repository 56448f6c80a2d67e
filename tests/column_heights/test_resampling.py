"""Images on other pixels, beside what they are of and what noise of electrons does."""

import numpy as np
import pytest

from atomfit.column_heights.resampling import resampled


@pytest.mark.parametrize("wanted", [0.2, 0.13, 0.237, 0.4])
@pytest.mark.parametrize("pixel", [0.11, 0.2, 0.29])
def test_detail_that_both_pixels_hold_stays_where_it_was(pixel: float, wanted: float) -> None:
    def density(shape: tuple[int, int], edge: float) -> np.ndarray:
        y, x = (edge * np.arange(n) for n in shape)
        return 5 + np.cos(2 * np.pi * y / 3.1)[:, None] * np.cos(2 * np.pi * x / 2.3 + 1)

    shape = (101, 88)
    found = resampled(pixel**2 * density(shape, pixel), pixel, wanted) / wanted**2
    assert all((n - 1) * wanted <= (m - 1) * pixel + 1e-9 for n, m in zip(found.shape, shape, strict=True))
    assert all(n * wanted > (m - 1) * pixel - 1e-9 for n, m in zip(found.shape, shape, strict=True))
    inner = (slice(25, -25),) * 2
    np.testing.assert_allclose(found[inner], density(found.shape, wanted)[inner], atol=0.02)


@pytest.mark.parametrize("wanted", [0.2, 0.3, 0.4])
def test_noise_of_electrons_stays_that_of_electrons(wanted: float) -> None:
    counts = np.random.default_rng(0).poisson(4.0, (400, 400)).astype(float)
    found = resampled(counts, 0.1, wanted)
    assert found.mean() == pytest.approx(4.0 * (wanted / 0.1) ** 2, rel=0.01)
    assert found.var() / found.mean() == pytest.approx(1, abs=0.1)


def test_nothing_changes_where_nothing_has_to() -> None:
    counts = np.random.default_rng(1).poisson(3.0, (20, 30)).astype(float)
    np.testing.assert_allclose(resampled(counts, 0.2, 0.2), counts, atol=1e-12)
    # A level has no edge at the border.
    np.testing.assert_allclose(resampled(np.ones((9, 40)), 0.3, 0.2), (0.2 / 0.3) ** 2, rtol=1e-9)
