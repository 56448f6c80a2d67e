"""Structure factors against sums of waves, atom by atom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.waves.gridding import kernel_transform, laid_out


@pytest.mark.parametrize("shape", [(64, 64), (45, 80)])
def test_it_is_the_sum_of_waves(shape: tuple[int, int]) -> None:
    """Up to 2/3 of the frequencies, for atoms anywhere, outside of the grid as well, which is periodic."""
    rng = np.random.default_rng(3)
    places = rng.uniform(-20, 100, (30, 2)).astype(np.float32)
    weights = rng.uniform(-1, 1, 30).astype(np.float32)
    ky, kx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    spectrum = np.asarray(jnp.fft.rfft2(laid_out(places, weights, shape)))
    found = spectrum / np.outer(kernel_transform(ky), kernel_transform(kx))
    x, y = places.astype(np.float64).T
    along_y, along_x = np.exp(-2j * np.pi * np.outer(ky, y)), np.exp(-2j * np.pi * np.outer(x, kx))
    expected = along_y @ (weights[:, None] * along_x)
    inside = ky[:, None] ** 2 + kx**2 <= (1 / 3) ** 2
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-5 * np.abs(weights).sum())


@pytest.mark.parametrize("at", [7.0, 7.25, 7.5, 7.999, 8.0])
def test_derivatives_are_finite_wherever_an_atom_is(at: float) -> None:
    """On a point, between points, and where the kernel ends on one."""
    rng = np.random.default_rng(0)
    low = np.abs(np.fft.fftfreq(32))[:, None] < 0.2
    weighting = np.fft.irfft2(np.where(low, np.fft.rfft2(rng.normal(size=(32, 32))), 0))

    def value(place: jax.Array) -> jax.Array:
        spectrum = jnp.fft.rfft2(laid_out(place[None], jnp.ones(1), (32, 32)))
        kernel = np.outer(kernel_transform(np.fft.fftfreq(32)), kernel_transform(np.fft.rfftfreq(32)))
        smooth = np.exp(-40 * (np.fft.fftfreq(32)[:, None] ** 2 + np.fft.rfftfreq(32) ** 2)) / kernel
        return jnp.sum(jnp.fft.irfft2(spectrum * smooth) * weighting)

    place = jnp.array([at, 11.3], jnp.float32)
    slope = np.asarray(jax.grad(value)(place))
    step = np.eye(2, dtype=np.float32) * 0.02
    finite = [float(value(place + s) - value(place - s)) / 0.04 for s in step]
    np.testing.assert_allclose(slope, finite, atol=5e-3 * np.abs(finite).max() + 1e-4)
