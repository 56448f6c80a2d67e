"""Gains of planted electrons: found where noise tells them, refused where it does not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from atomfit.column_heights import find_gain
from atomfit.support.errors import InputError
from atomfit.verdict.limits import LIMITS


def electrons(mean: float, size: int = 192, seed: int = 0) -> np.ndarray:
    """Counts of columns 3 Å apart, with detail down to three pixels."""
    x = np.arange(size)
    wave = 1 + 0.5 * np.outer(np.cos(2 * np.pi * x / 15.3), np.cos(2 * np.pi * x / 14.1))
    wave += 0.1 * np.cos(2 * np.pi * (x[:, None] + x) / 4.5)
    return np.random.default_rng(seed).poisson(mean * wave).astype(np.float64)


@pytest.mark.parametrize("mean", [0.5, 4.0, 40.0, 1200.0])
@pytest.mark.parametrize("gain", [0.02, 0.4, 1.0, 7.3, 80.0])
def test_a_gain_is_found_from_the_noise(mean: float, gain: float) -> None:
    # A little that is no electron's, or whole numbers would be told.
    found = find_gain(gain * electrons(mean) + 1e-7)
    assert found.how == "noise"
    assert abs(found.value - gain) < 4 * found.noise_esd
    assert found.noise_esd < 0.1 * gain
    assert abs(found.white - 1) < 4 * found.white_esd


@pytest.mark.parametrize("size", [48, 64, 192])
def test_errors_of_gains_are_as_large_as_they_say(size: int) -> None:
    found = [find_gain(3.5 * electrons(9.0, size, seed)) for seed in range(40)]
    scatter = np.std([one.noise for one in found])
    assert 0.7 < scatter / np.mean([one.noise_esd for one in found]) < 1.4
    assert np.mean([one.noise for one in found]) == pytest.approx(3.5, rel=0.06)


def test_whole_numbers_that_scatter_as_electrons_are_electrons() -> None:
    assert (find_gain(electrons(10.0)).how, find_gain(electrons(10.0)).value) == ("whole", 1.0)
    assert find_gain(3 * electrons(10.0)).value == pytest.approx(3, rel=0.2)
    given = find_gain(electrons(10.0), 2.5)
    assert (given.how, given.value) == ("given", 2.5)
    assert given.noise == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (zoom(2.5 * electrons(40.0, 96), 2, order=1), "filtered or interpolated|no noise"),
        (gaussian_filter(2.5 * electrons(40.0), 1.5), "filtered or interpolated|no noise"),
        (np.ones((64, 64)) + 1e-6 * np.eye(64), "no noise"),
        (electrons(40.0) - 41, "no counts of electrons"),
        (electrons(40.0) - electrons(40.0).mean(), "no counts of electrons"),
    ],
    ids=["interpolated", "smoothed", "noiseless", "below zero", "without mean"],
)
def test_what_does_not_tell_its_gain_is_refused(image: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_gain(image)


def test_noise_through_a_detector_is_not_white() -> None:
    counts = electrons(40.0) - 40
    v, u = np.fft.fftfreq(192)[:, None], np.fft.rfftfreq(192)
    blurred = np.fft.irfft2(np.fft.rfft2(counts) / (1 + (1 / 0.5 - 1) * 4 * (u**2 + v**2)), counts.shape)
    found = find_gain(3 * (blurred + 40))
    assert found.value < 0.5 * 3
    assert found.white - 2 * found.white_esd > LIMITS.white_doubtful


def test_pixels_that_were_filled_tell_no_gain() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    image = 37.0 * rng.poisson(40 * (1 + 0.4 * np.sin(2 * np.pi * x / 15) * np.sin(2 * np.pi * y / 13)))
    counted = np.ones(image.shape, bool)
    counted[40:80, 30:85] = False
    filled = np.where(counted, image, image[counted].mean())
    assert find_gain(filled).noise < 0.75 * 37
    assert find_gain(filled, counted=counted).noise == pytest.approx(37, rel=0.15)
