"""Images of a film beside a sum that is slow and obvious, the law of their noise, and reconstructions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln

from experiments.film.imaging import Tilted, counted, counts_of, denoised, pixels_of, projected
from experiments.film.reconstruction import reconstructed, shadows
from experiments.film.scenes import FILM_PERIOD, TILTS, VOXEL, Imaging

PLAIN = Imaging(electrons=50.0, background=10.0, blur=0.45)
SMALL = (40, 24)


def test_pixels_divide_a_period_evenly() -> None:
    for angle in TILTS:
        count, pixel = pixels_of(angle, FILM_PERIOD)
        np.testing.assert_allclose(count * pixel, FILM_PERIOD[0] * VOXEL * np.cos(np.radians(angle)))
        assert abs(pixel / VOXEL - 1) < 0.01


@pytest.mark.parametrize("angle", [0.0, 40.0, -60.0])
def test_an_image_is_the_sum_of_its_atoms_and_their_copies(angle: float) -> None:
    rng = np.random.default_rng(0)
    lengths = VOXEL * np.array(SMALL)
    atoms = np.column_stack([rng.uniform(0, lengths, (6, 2)), rng.uniform(-5, 5, 6)])
    bright = rng.uniform(0.2, 1, 6)
    image = projected(atoms, bright, angle, SMALL, PLAIN)
    rows, columns = image.values.shape
    du, dv = image.pixels
    u, v = np.meshgrid(du * np.arange(columns), dv * np.arange(rows))
    expected = np.zeros_like(u)
    theta = np.radians(angle)
    for (x, y, z), weight in zip(atoms, bright, strict=True):
        for i in range(-12, 13):
            for j in range(-2, 3):
                off = (u - (x + i * lengths[0]) * np.cos(theta) - z * np.sin(theta)) ** 2
                off = off + (v - y - j * lengths[1]) ** 2
                for part, width in ((1 - PLAIN.tail, PLAIN.blur), (PLAIN.tail, PLAIN.tail_width)):
                    expected += weight * part / (2 * np.pi * width**2) * np.exp(-off / (2 * width**2))
    expected *= PLAIN.electrons * du * dv
    np.testing.assert_allclose(image.values, expected, atol=2e-3 * expected.max())
    # A pixel is as large as the blur: sums are what atoms have altogether.
    np.testing.assert_allclose(image.values.sum(), PLAIN.electrons * bright.sum(), rtol=2e-3)


def test_a_period_farther_is_the_same() -> None:
    atoms = np.array([[1.0, 2.0, 3.0], [9.0, 5.0, -2.0]])
    moved = atoms + VOXEL * np.array([SMALL[0], -SMALL[1], 0])
    one, other = (projected(x, np.ones(2), 37.0, SMALL, PLAIN).values for x in (atoms, moved))
    np.testing.assert_allclose(one, other, atol=1e-3 * one.max())


def test_electrons_are_poisson_and_jitter_keeps_lines() -> None:
    pixels = np.array([VOXEL, VOXEL])
    flat = Tilted(0.0, pixels, np.full((200, 200), 3.0))
    still = replace(PLAIN, jitter=0.0, misaligned=0.0)
    rng = np.random.default_rng(0)
    counts = counted(flat, still, rng).values
    expected = 3 + PLAIN.background * VOXEL**2
    assert abs(counts.mean() / expected - 1) < 0.01
    assert abs(counts.var() / expected - 1) < 0.03
    assert np.all(counts == np.rint(counts))
    # Many electrons of a moved wave: its lines are displaced by what was asked, along u alone.
    u = VOXEL * np.arange(200)
    wave = 1e7 * (1.5 + np.cos(2 * np.pi * 4 * u / (200 * VOXEL)))
    many = counted(Tilted(0.0, pixels, np.tile(wave, (200, 1))), replace(still, jitter=0.2), rng).values
    phases = np.angle(np.fft.rfft(many, axis=1)[:, 4])
    assert abs(np.std(phases / (2 * np.pi * 4) * 200 * VOXEL) / 0.2 - 1) < 0.15
    np.testing.assert_allclose(many.sum(axis=1), wave.sum() + 200 * PLAIN.background * VOXEL**2, rtol=1e-3)


def test_denoised_images_are_nearer_and_not_biased() -> None:
    rng = np.random.default_rng(1)
    atoms = np.column_stack([rng.uniform(0, 12, (40, 2)), np.zeros(40)])
    many = replace(PLAIN, electrons=200.0, jitter=0.0, misaligned=0.0)
    true = projected(atoms, np.ones(40), 0.0, SMALL, many)
    noisy = counted(true, many, rng)
    noisy_values = noisy.values - many.background * VOXEL**2
    smooth = denoised(noisy, many, "non-local means")
    raw_error, error = (np.std(x - true.values) for x in (noisy_values, smooth.values))
    assert error < 0.8 * raw_error
    assert abs(smooth.values.sum() / true.values.sum() - 1) < 0.07


def test_counts_come_back_from_their_mean_levels() -> None:
    n = np.arange(400)
    for mean in (0.5, 2.0, 5.0, 30.0):
        law = np.exp(n * np.log(mean) - mean - gammaln(n + 1))
        level = np.sum(law * 2 * np.sqrt(n + 3 / 8))
        np.testing.assert_allclose(counts_of(np.array(level)), mean, atol=0.03)


def test_shadows_keep_the_volume_of_every_voxel() -> None:
    support = np.ones((15, SMALL[0]), bool)
    support[:3] = False
    tilts = (50.0, 0.0, -30.0)
    matrix = shadows(tilts, SMALL, support)
    assert matrix.shape[1] == support.sum()
    first = 0
    for angle in tilts:
        count, pixel = pixels_of(angle, SMALL)
        part = matrix[first : first + count].sum(axis=0)
        np.testing.assert_allclose(part * pixel * VOXEL, VOXEL**3, rtol=1e-5)
        first += count
    assert first == matrix.shape[0]


def test_a_wedge_makes_a_reconstructed_atom_long() -> None:
    atom = np.array([[20 * VOXEL, 12 * VOXEL, 2 * VOXEL]])
    support = np.ones((31, SMALL[0]), bool)
    support[:5] = False
    widths = {}
    for most in (60, 40):
        tilts = tuple(np.linspace(-most, most, 25))
        images = [projected(atom, np.ones(1), angle, SMALL, PLAIN) for angle in tilts]
        density = reconstructed(images, SMALL, support, 20)
        assert density.shape == (31, SMALL[1], SMALL[0])
        assert density.min() == 0
        assert np.all(density[:5] == 0)
        z, y, x = np.unravel_index(density.argmax(), density.shape)
        assert (z, y, x) == (17, 12, 20)
        # As many electrons as were sent.
        np.testing.assert_allclose(density.sum() * VOXEL**3, PLAIN.electrons, rtol=0.1)
        near = density[11:24, 6:19, 14:27]
        steps = np.arange(-6, 7) * VOXEL
        widths[most] = [
            np.sqrt(np.sum(near.sum(axis=tuple(a for a in range(3) if a != axis)) * steps**2) / near.sum())
            for axis in range(3)
        ]
    assert widths[60][0] > 1.05 * widths[60][1]
    assert widths[40][0] / widths[40][1] > 1.1 * widths[60][0] / widths[60][1]
