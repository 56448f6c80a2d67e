"""Partial coherence against explicit images of many focuses and directions; slopes against differences."""

from dataclasses import fields

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.waves import (
    Aberrations,
    Beam,
    CoherentSum,
    Detector,
    Envelopes,
    Microscope,
    coherent_sum,
    exit_wave,
)
from atomfit.waves.field import Sampling
from atomfit.waves.microscope import intensity_grid
from atomfit.waves.optics import focuses_needed, gaussian_nodes
from waves.specimens import FIELD, columns

BEAM = Beam(300.0)
LENS = Aberrations(
    40.0,
    np.array([10, 20], np.float32),
    np.array([200, -300], np.float32),
    np.array([-400, 500], np.float32),
    -9e4,
    5e7,
)
WAVE = exit_wave(columns(6), FIELD, BEAM)
GRID = FIELD.wave


def coherent(kx: np.ndarray, ky: np.ndarray, extra: float) -> np.ndarray:
    """Intensity of one focus, of one direction."""
    chi = np.asarray(LENS.phase(kx, ky, BEAM.wavelength), np.float64)
    chi += np.pi * BEAM.wavelength * extra * (kx**2 + ky**2)
    return np.abs(np.fft.ifft2(np.asarray(WAVE) * np.exp(-1j * chi))) ** 2


def frequencies(grid: Sampling = GRID) -> tuple[np.ndarray, np.ndarray]:
    ky, kx = (np.broadcast_to(k, grid.shape).astype(np.float64) for k in grid.frequencies())
    return kx, ky


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(x) ** 2)))


@pytest.mark.parametrize("spread", [15.0, 40.0])
def test_focal_spread_is_the_mean_of_many_focuses(spread: float) -> None:
    """Of 600, one at random in each part of as many; where there are too few nodes, it is not."""
    rng, (kx, ky) = np.random.default_rng(2), frequencies()
    from scipy.special import ndtri

    focuses = spread * ndtri((np.arange(600) + rng.uniform(0, 1, 600)) / 600)
    expected = np.mean([coherent(kx, ky, f) for f in focuses], axis=0)

    def found(count: int) -> np.ndarray:
        summed = CoherentSum(spread, focuses=count)
        return np.asarray(summed.intensity(WAVE, GRID, LENS, BEAM.wavelength))

    enough = focuses_needed(spread, GRID, BEAM.wavelength)
    assert 10 < enough < 45
    assert expected.std() > 0.1
    assert rms(found(enough) - expected) < 1.5e-3
    assert rms(found(7) - expected) > 0.01
    # An envelope is no match for a specimen that is as strong.
    damped = Envelopes(spread).intensity(WAVE, GRID, LENS, BEAM.wavelength)
    assert rms(np.asarray(damped) - expected) > 0.03


@pytest.mark.parametrize("directions", [1, 9])
def test_convergence_is_the_mean_of_many_directions(directions: int) -> None:
    """With nodes it is so at 0.6 mrad; the envelope does at 0.1 mrad."""
    spread = 6e-4 if directions > 1 else 1e-4
    (kx, ky), (nodes, weights) = frequencies(), gaussian_nodes(21)
    step, expected = spread / BEAM.wavelength, np.zeros(GRID.shape)
    for u, of_u in zip(nodes, weights, strict=True):
        for v, of_v in zip(nodes, weights, strict=True):
            expected += of_u * of_v * coherent(kx + step * u, ky + step * v, 0.0)
    summed = CoherentSum(0.0, spread, focuses=1, directions=directions)
    found = np.asarray(summed.intensity(WAVE, GRID, LENS, BEAM.wavelength))
    blurred = rms(coherent(kx, ky, 0.0) - expected)
    assert rms(found - expected) < 0.15 * blurred


def test_a_weak_specimen_has_envelopes() -> None:
    """Both ways are one where there is nothing but interference with the direct beam."""
    weak = jnp.asarray(WAVE) * 1e-3
    weak = weak.at[0, 0].set(GRID.shape[0] * GRID.shape[1])
    found = [
        np.asarray(one.intensity(weak, GRID, LENS, BEAM.wavelength)) - 1
        for one in (CoherentSum(40.0, 1e-4, focuses=41), Envelopes(40.0, 1e-4))
    ]
    assert rms(found[0] - found[1]) < 0.03 * rms(found[1])


def test_the_slope_is_that_of_the_phase() -> None:
    rng = np.random.default_rng(0)
    kx, ky = rng.uniform(-1.5, 1.5, (2, 50)).astype(np.float32)
    found = LENS.slope(kx, ky, BEAM.wavelength)
    for k, (dx, dy) in enumerate(((1e-2, 0), (0, 1e-2))):
        more, less = (
            np.asarray(LENS.phase(kx + s * np.float32(dx), ky + s * np.float32(dy), BEAM.wavelength))
            for s in (1, -1)
        )
        np.testing.assert_allclose(np.asarray(found[k]), (more - less) / 2e-2, atol=0.05, rtol=0.02)


def test_a_coarser_grid_of_intensities_costs_little() -> None:
    """By 1.5 of the pixels an image is right to half a per cent of its contrast, by 1 it is not."""
    found = {}
    for oversampling in (1.0, 1.5, 2.0):
        coherence = coherent_sum(30.0, 0.0, FIELD, BEAM, oversampling)
        microscope = Microscope(LENS, coherence, Detector(1.0), oversampling)
        found[oversampling] = np.asarray(microscope.image(WAVE, FIELD, BEAM))
    assert intensity_grid(FIELD, 1.5).shape == (72, 60)
    assert intensity_grid(FIELD, 2.0).shape == GRID.shape
    exact = found[2.0]
    assert rms(found[1.5] - exact) < 0.005 * exact.std() < rms(found[1.0] - exact)


@pytest.mark.parametrize("name", ["coherence", "lens", "detector"])
def test_what_a_microscope_has_can_be_fitted(name: str) -> None:
    """Derivatives in all of its numbers are those of finite differences."""
    number = jnp.float32
    pairs = {one: jnp.asarray(getattr(LENS, one)) for one in ("a1", "b2", "a2")}
    lens = Aberrations(number(40), c3=number(-9e4), c5=number(5e7), **pairs)
    steps = {
        "coherence": CoherentSum(number(0.5), number(1e-4)),
        "lens": Aberrations(
            number(1), *(jnp.full(2, x) for x in (2.0, 20.0, 20.0)), number(500), number(5e5)
        ),
        "detector": Detector(number(0.5), number(0.05), number(0.5), number(0.02), number(0.02), number(0)),
    }
    detector = Detector(*(number(x) for x in (20, 2, 1.5, 0.2, 0.6, 0.8)))
    start = Microscope(lens, CoherentSum(number(25), number(5e-4), focuses=25), detector, 2.0)
    weights = np.random.default_rng(0).normal(size=FIELD.padded).astype(np.float32)

    @eqx.filter_jit
    def value(microscope: Microscope) -> jnp.ndarray:
        return jnp.sum(microscope.image(WAVE, FIELD, BEAM) * weights)

    slopes = getattr(eqx.filter_grad(value)(start), name)
    for field in fields(steps[name]):
        step, slope = getattr(steps[name], field.name), getattr(slopes, field.name)
        if not isinstance(step, jnp.ndarray) or field.name == "noise_mtf":
            continue
        for which in np.ndindex(step.shape):
            size = float(step[which])
            ends = [
                eqx.tree_at(
                    lambda one, key=field.name: getattr(getattr(one, name), key),
                    start,
                    getattr(getattr(start, name), field.name).at[which].add(sign * size),
                )
                for sign in (1, -1)
            ]
            finite = float(value(ends[0]) - value(ends[1])) / 2
            assert float(slope[which]) * size == pytest.approx(finite, rel=0.03, abs=2e-3), field.name
