"""Images of which single counts are seen: their law, the width of their columns, tails of their noise."""

import numpy as np
import pytest
from scipy.stats import norm

from atomfit.detection.column_candidates import noise_variance
from atomfit.detection.column_filter import BlobFilter, maxima, noise_of_spots, roughness_of_spots
from atomfit.detection.column_scale import find_scale
from atomfit.detection.counts import empty_counts, halves
from atomfit.detection.image_brightness import counting_law
from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.inference.selection import maxima_of_noise
from atomfit.inference.tails import gaussian_heights
from atomfit.selection.column_evidence import heights_of_spots
from atomfit.structure.grid import Grid

PIXEL, WIDTH, SIZE = 0.15, 0.5, 192
GRID = Grid((SIZE, SIZE), np.full(2, PIXEL), np.zeros(2))


def counts(seed: int, gain: float) -> np.ndarray:
    """Columns of about 30 counts on as many beneath each, in units of the gain."""
    index = np.stack(np.meshgrid(np.arange(2, 10), np.arange(2, 10)), axis=-1).reshape(-1, 2)
    places = index @ np.array([[2.5, 0.1], [0.2, 2.4]])
    clean = drawn(GRID, columns_of(places, np.full(64, 30 * PIXEL**2), WIDTH)) + 30 * PIXEL**2 / np.pi
    return gain * np.random.default_rng(seed).poisson(clean)


def test_the_worth_of_a_count_is_found() -> None:
    for gain in (0.01, 7.0):
        law = counting_law(5.0 * gain + counts(1, gain))
        assert law is not None
        assert law.gain == pytest.approx(gain, rel=0.05)
        assert law.dark == pytest.approx(5 * gain)
        assert law.level == 0


def test_what_is_no_counts_has_no_such_law() -> None:
    rng = np.random.default_rng(2)
    assert counting_law(rng.normal(1, 0.1, (SIZE, SIZE))) is None
    assert counting_law(np.ones((SIZE, SIZE))) is None
    # Counts of which noise was averaged are as bright, and not as noisy.
    assert counting_law(BlobFilter(counts(2, 1.0), PIXEL).smooth(0.3)) is None


def test_halves_are_independent() -> None:
    image = np.random.default_rng(3).poisson(0.3, (400, 400)).astype(float)
    law = counting_law(image)
    assert law is not None
    one, other = halves(image, law, np.random.default_rng(4))
    np.testing.assert_allclose(0.5 * (one + other), image, atol=1e-9)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03
    # Neither do squares of one tell of the other.
    assert abs(np.corrcoef(one.ravel() ** 2, other.ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_width_is_that_of_columns_and_not_of_noise(seed: int) -> None:
    image = counts(seed, 1.0)
    scale = find_scale(image, PIXEL, noise_variance(image, PIXEL))
    assert scale.bright
    assert scale.width == pytest.approx(WIDTH, rel=0.2)


@pytest.mark.parametrize("mean", [0.005, 0.05, 1.0])
def test_sums_of_counts_exceed_heights_as_often_as_a_gaussian(mean: float) -> None:
    y, x = np.mgrid[-10:11, -10:11] * PIXEL
    one, other = (np.exp(-0.5 * (x**2 + y**2) / s**2) for s in (0.5, 1.2))
    weights = (one - 0.2 * other).ravel()
    drawn_counts = np.random.default_rng(5).poisson(mean, (40_000, weights.size))
    sums = (drawn_counts - mean) @ weights
    n = len(sums)
    each = np.broadcast_to(weights, drawn_counts.shape)
    heights = np.concatenate(
        [
            gaussian_heights(
                part, each[: len(part)], np.full((len(part), weights.size), mean), 1.0, 0 * part
            )
            for part in np.array_split(sums, 8)
        ]
    )
    for height in (2.0, 3.0):
        expected = n * norm.sf(height)
        assert np.sum(heights > height) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    if mean < 0.1:
        # Not as often by the variance alone.
        plain = sums / np.sqrt(mean * np.sum(weights**2))
        assert np.sum(plain > 3) > 1.5 * n * norm.sf(3)


@pytest.mark.parametrize("mean", [0.02, 0.5])
def test_noise_has_as_many_maxima_as_are_expected(mean: float) -> None:
    """Over many small images without columns."""
    broader, step, found, expected = 3.0, WIDTH / PIXEL, 0, 0.0
    rng, height = np.random.default_rng(6), 3.2
    variance = np.full((128, 128), mean)
    for _ in range(40):
        noise = empty_counts(variance, 1.0, rng)
        response = BlobFilter(noise, PIXEL).spots(WIDTH, broader)
        score = response / (noise_of_spots(WIDTH, PIXEL, broader) * mean**0.5)
        places, _ = maxima(score, 2.5, step)
        at = np.clip(np.rint(places).astype(int), 0, 127)
        heights = heights_of_spots(response[tuple(at.T)], at, variance, step, broader, 1.0)
        # The filter sees mirrored noise at the edges.
        inside = np.all((at >= 14) & (at < 114), axis=1)
        found += int(np.sum((heights > height) & inside))
        area = (100 * PIXEL) ** 2
        expected += maxima_of_noise(np.array([height]), 2, area * roughness_of_spots(WIDTH, broader))[0]
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected) + 0.15 * expected)
