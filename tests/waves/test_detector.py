"""Counts: what is expected, and how it errs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.waves import Detector, Field
from atomfit.waves.detector import lorentzian

FIELD = Field((64, 64), 0.2)
PIXELS, FINE = FIELD.pixels, FIELD.wave


def wave_of(frequency: int) -> np.ndarray:
    """1 and a cosine along x."""
    x = np.arange(FINE.shape[1]) / FINE.shape[1]
    return np.broadcast_to(1 + 0.5 * np.cos(2 * np.pi * frequency * x), FINE.shape).astype(np.float32)


@pytest.mark.parametrize("frequency", [3, 16, 30])
@pytest.mark.parametrize("mtf", [1.0, 0.4])
@pytest.mark.parametrize("blur", [0.0, 0.15])
def test_a_cosine_is_damped_by_pixel_mtf_and_blur(frequency: int, mtf: float, blur: float) -> None:
    detector = Detector(1000.0, gain=2.0, background=3.0, blur=blur, mtf=mtf)
    found = np.asarray(detector.expected(jnp.asarray(wave_of(frequency)), FINE, PIXELS))
    k = frequency / 12.8
    damping = np.sin(np.pi * k * 0.2) / (np.pi * k * 0.2) * np.exp(-2 * (np.pi * blur * k) ** 2)
    damping /= 1 + (1 / mtf - 1) * (k / 2.5) ** 2
    x = np.arange(64) / 64
    expected = 2 * (1000 * 0.04 * (1 + 0.5 * damping * np.cos(2 * np.pi * frequency * x)) + 3)
    np.testing.assert_allclose(found, np.broadcast_to(expected, (64, 64)), rtol=1e-4)


def test_a_pixel_is_the_mean_over_its_area() -> None:
    """The first pixel's centre is the first point."""
    fine = Field((64, 64), 0.2, refinement=16).wave
    x = fine.spacing * np.arange(fine.shape[1])
    smooth = np.exp(-0.5 * ((x - 6.03) / 0.3) ** 2)
    image = np.broadcast_to(smooth, fine.shape).astype(np.float32)
    found = np.asarray(Detector(1.0).expected(jnp.asarray(image), fine, PIXELS))[0] / 0.04
    edges = 0.2 * (np.arange(65) - 0.5)
    many = np.linspace(edges[:-1], edges[1:], 201)
    expected = np.exp(-0.5 * ((many - 6.03) / 0.3) ** 2).mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("noise_mtf", [1.0, 0.5])
def test_noise_has_the_spectrum_that_was_asked_for(noise_mtf: float) -> None:
    detector = Detector(500.0, gain=3.0, noise_mtf=noise_mtf)
    mean = jnp.full(PIXELS.shape, 3.0 * 20.0)
    keys = jax.random.split(jax.random.key(4), 200)
    counts = np.asarray(jax.vmap(lambda key: detector.sample(mean, PIXELS, key))(keys))
    assert counts.mean() == pytest.approx(60, rel=5e-3)
    power = np.mean(np.abs(np.fft.fft2(counts - 60)) ** 2, axis=0) / 64**2
    ky, kx = PIXELS.frequencies()
    expected = 9 * 20 * np.asarray(lorentzian(noise_mtf, kx**2 + ky**2, 0.2)) ** 2
    ratio = power / expected
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    k = np.hypot(kx, ky)
    for low, high in ((0.1, 0.8), (0.8, 1.6), (1.6, 2.4), (2.4, 3.5)):
        assert ratio[(k >= low) & (k < high)].mean() == pytest.approx(1, abs=0.03)
    whole = np.allclose(counts / 3, np.rint(counts / 3), atol=1e-4)
    assert whole == (noise_mtf == 1)


def test_counts_of_single_electrons_are_poisson_s() -> None:
    detector = Detector(25.0)
    mean = jnp.full((200, 200), 1.0)
    counts = np.asarray(detector.sample(mean, Field((200, 200), 0.2).pixels, jax.random.key(1)))
    shares = np.bincount(np.rint(counts).astype(int).ravel(), minlength=4)[:4] / counts.size
    np.testing.assert_allclose(shares, np.exp(-1) / np.array([1, 1, 2, 6]), atol=0.01)
