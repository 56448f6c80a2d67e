import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ive, j1

from atomfit.projection.probe import Probe, make_probe, propagated_intensity, wavelength


def test_wavelengths_are_those_of_tables() -> None:
    # Reimer & Kohl 2008, table 2.2.
    assert wavelength(100) == pytest.approx(0.03701, abs=1e-5)
    assert wavelength(300) == pytest.approx(0.01969, abs=1e-5)


def test_in_focus_a_probe_is_the_airy_disc() -> None:
    radii = np.linspace(0.01, 3, 50)
    edge = 25e-3 / wavelength(300)
    x = 2 * np.pi * edge * radii
    airy = np.pi * edge**2 * (2 * j1(x) / x) ** 2
    found = propagated_intensity(radii, np.zeros(1), 300, 25)[0]
    np.testing.assert_allclose(found, airy, atol=1e-4 * airy.max())


@pytest.mark.parametrize("depth", [0.0, 15.0, -30.0])
def test_electrons_are_not_lost_with_depth(depth: float) -> None:
    radii = (np.arange(8000) + 0.5) * 0.01
    intensity = propagated_intensity(radii, np.array([depth]), 300, 25)[0]
    assert np.sum(2 * np.pi * radii * intensity) * 0.01 == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("convergence", [20.0, 25.0, 40.0])
def test_gaussians_reproduce_a_propagated_probe(convergence: float) -> None:
    probe = make_probe("rigid", 20.0, 300, convergence)
    depths = np.array([-20.0, -5.0, 0.0, 10.0])
    radii = (np.arange(400) + 0.5) * 0.02
    weights = np.asarray(probe.weights(jnp.asarray(depths, jnp.float32)), np.float64)
    variances = np.asarray(probe.variances, np.float64) + 0.03
    shapes = np.exp(-(radii[:, None] ** 2) / (2 * variances)) / (2 * np.pi * variances)
    # Convolution of round functions with a Gaussian of 0.03 Å², an atom's own width.
    apart = np.exp(-((radii[:, None] - radii) ** 2) / 0.06)
    blur = apart * ive(0, radii[:, None] * radii / 0.03) / 0.03 * radii * 0.02
    wanted = propagated_intensity(radii, depths, 300, convergence) @ blur.T
    assert np.all(np.abs(weights @ shapes.T - wanted).max(axis=1) < 0.015 * wanted.max(axis=1))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-3)


def test_defocus_moves_the_focus() -> None:
    depths = jnp.asarray([-10.0, 0.0, 5.0])
    here = make_probe("rigid", 30.0, defocus=0.0).weights(depths)
    there = make_probe("rigid", 30.0, defocus=10.0).weights(depths + 10)
    np.testing.assert_allclose(here, there, atol=0.02)


def test_a_fixed_probe_is_the_same_at_all_depths() -> None:
    weights = make_probe("fixed", 30.0).weights(jnp.asarray([-30.0, 0.0, 12.0]))
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])


def test_between_knots_weights_are_straight_lines() -> None:
    table = np.array([[0.0, 1.0], [2.0, 3.0], [1.0, -1.0]], np.float32)
    probe = Probe(np.ones(2, np.float32), table, np.zeros(2, np.float32), np.asarray(4, np.float32))
    depths = np.array([-9.0, -4.0, -1.0, 0.0, 3.0, 8.0], np.float32)
    wanted = np.stack([np.interp(depths, [-4, 0, 4], column) for column in table.T], axis=1)
    np.testing.assert_allclose(probe.weights(jnp.asarray(depths)), wanted, atol=1e-5)
