"""Noise of images that is not white: frequencies count by its power, in the fit and in what it tells."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.problem import Problem
from atomfit.observation.series import SeriesObservation
from atomfit.options.tilt import TiltOptions
from atomfit.projection.colour import noise_colour
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import ImageUncertainty, measure_uncertainty
from atomfit.projection.views import TiltSeries
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.structure.scattering import GaussianMixture
from atomfit.support.errors import InputError
from atomfit.tilt_series.refinement import refine_against
from simulated_series import AMPLITUDE, PIXEL, Planted, U, planted

PEAK = AMPLITUDE / (2 * np.pi * U)


def smooth(shape: tuple[int, ...], seed: int, width: float = 0.8) -> np.ndarray:
    """Noise as of images that were smoothed by so many pixels, of deviation one."""
    noise = np.random.default_rng(seed).normal(size=shape)
    noise = gaussian_filter(noise, (0, width, width), mode="wrap")
    return noise / noise.std()


@pytest.fixture(scope="module")
def truth() -> Planted:
    return planted(noise=0.0)


def fitted(truth: Planted, seed: int, noise: str) -> tuple[TiltFit, ImageUncertainty]:
    images = (truth.images + 0.05 * PEAK * smooth(truth.images.shape, seed)).astype(np.float32)
    series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, truth.views, np.zeros(3))
    start = truth.positions + np.random.default_rng(5).normal(0, 0.1, truth.positions.shape)
    views = ("backgrounds", "gains")
    fit = refine_against(series, start, np.full(43, 78), 2.77, noise=noise, anneal=False, free_views=views)
    return fit, measure_uncertainty(FittedSeries.of(series, fit), False, parts=views)


def test_positions_are_better_and_known_to_be(truth: Planted) -> None:
    errors: dict[str, list[np.ndarray]] = {"residual": [], "spectral": []}
    bars: dict[str, list[np.ndarray]] = {"residual": [], "spectral": []}
    for seed in (20, 21, 22):
        for noise in errors:
            fit, known = fitted(truth, seed, noise)
            errors[noise].append(fit.positions - truth.positions)
            bars[noise].append(known.positions)
    rms = {noise: float(np.sqrt(np.mean(np.square(of)))) for noise, of in errors.items()}
    assert rms["spectral"] < 0.65 * rms["residual"]
    for noise, of in errors.items():
        z = np.concatenate(of) / np.concatenate(bars[noise])
        # Of 387 coordinates.
        assert 0.88 < float(np.sqrt(np.mean(z**2))) < 1.12


def test_the_power_is_that_of_the_noise() -> None:
    noise = np.random.default_rng(3).normal(size=(40, 48, 48))
    square = np.fft.fftfreq(48, PIXEL)[:, None] ** 2 + np.fft.rfftfreq(48, PIXEL) ** 2
    root = np.exp(-2 * np.pi**2 * (0.6 * PIXEL) ** 2 * square)
    noise = np.fft.irfft2(root * np.fft.rfft2(noise), (48, 48))
    found = noise_colour(noise / noise.std(), PIXEL, GaussianMixture(np.ones(1), np.full(1, U)))
    assert found is not None
    wanted = np.exp(-4 * np.pi**2 * (0.6 * PIXEL) ** 2 * found.frequencies**2)
    wanted *= found.power[3] / wanted[3]
    within = (found.frequencies > 0.1) & (found.frequencies < 0.45 / PIXEL)
    np.testing.assert_allclose(found.power[within], wanted[within], rtol=0.12)
    assert np.all(found.shares[found.frequencies < 0.45 / PIXEL] > 0.8)
    assert found.shares[-1] < 0.3


def test_what_images_tell_is_that_of_their_derivatives(truth: Planted) -> None:
    """Images of each atom's changes, weighed frequency by frequency."""
    fit, _ = fitted(truth, 1, "spectral")
    assert fit.colour is not None
    images = np.zeros(truth.images.shape, np.float32)
    series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, truth.views, np.zeros(3))
    left = FittedSeries.of(series, fit).chosen(np.arange(43) < 4)
    sigma = 0.05 * PEAK
    left = replace(left, precisions=np.full(images.shape, sigma**-2, np.float32))
    known = measure_uncertainty(left, own_amplitudes=True)
    variance = float(left.spot.variances[0])
    v, u = np.indices(images.shape[1:]) * PIXEL
    derivatives = []
    for place, amplitude in zip(left.positions, left.amplitudes, strict=True):
        columns = []
        for rotation, centre in zip(left.series.views.rotations, left.series.views.centres, strict=True):
            at = rotation[:2] @ place + centre * PIXEL
            du, dv = u - at[0], v - at[1]
            shape = np.exp(-(du**2 + dv**2) / (2 * variance)) / (2 * np.pi * variance)
            along = du[..., None] * rotation[0] + dv[..., None] * rotation[1]
            slopes = np.moveaxis(amplitude / variance * shape[..., None] * along, -1, 0)
            columns.append(np.concatenate([slopes, shape[None]]))
        derivatives.append(left.gains[None, :, None, None] * np.stack(columns, axis=1))
    every = np.concatenate(derivatives)
    power = fit.colour.on(images.shape[1:], PIXEL)
    weighed = np.fft.irfft2(np.fft.rfft2(every) / power, images.shape[1:]) / sigma**2
    information = np.einsum("avrc,bvrc->ab", every, weighed)
    deviations = np.sqrt(np.diagonal(np.linalg.inv(information))).reshape(4, 4)

    def typical(of: np.ndarray) -> np.ndarray:
        # Where between pixels an atom lies matters by some per cent at frequencies near half of one.
        return np.sqrt(np.mean(of**2, axis=0))

    np.testing.assert_allclose(typical(known.positions), typical(deviations[:, :3]), rtol=0.03)
    assert typical(known.amplitudes) == pytest.approx(typical(deviations[:, 3]), rel=0.05)


def test_views_one_by_one_are_all_of_them(truth: Planted) -> None:
    images = truth.images[:3]
    few = TiltSeries(images, np.ones(images.shape, bool), PIXEL, truth.views[:3], np.zeros(3))
    atoms = Atoms(
        truth.positions.astype(np.float32),
        IsotropicDisplacements(np.full((43, 1), 0.5 * np.log(1.1 * U), np.float32)),
        np.full(43, AMPLITUDE, np.float32),
        np.full(43, 78),
    )
    rng = np.random.default_rng(2)
    half = (few.shape[0], few.shape[1] // 2 + 1)
    noise = SpectralNoise(rng.uniform(0.5, 2, half), rng.uniform(0.5, 1, few.images.shape), 0.3)
    seen = SeriesObservation.of(few, atoms, noise=noise, free=("backgrounds", "gains"))
    objective = Problem(atoms, (seen,)).objective()
    free = objective.parametrisation.zeros()
    plain = jax.jit(jax.value_and_grad(lambda free: objective(free)))
    value, gradient = plain(free)
    at_once = objective.evaluate(free)
    assert float(at_once.value) == pytest.approx(float(value), rel=1e-5)
    flat = np.asarray(objective.parametrisation.flat(gradient))
    np.testing.assert_allclose(np.asarray(at_once.gradient), flat, atol=1e-4 * np.abs(flat).max())


def test_what_counts_pixel_by_pixel_has_no_frequencies() -> None:
    with pytest.raises(InputError, match="weighs pixels, not spatial frequencies"):
        TiltOptions(noise="spectral", likelihood="poisson")
