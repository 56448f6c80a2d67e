"""Atoms of a slice in, the phase that they give a wave out: a projected potential, made in Fourier space.

An atom at r adds `λ γ f(k) exp(-2πi k r) / A` to the transform of the phase, with f its electron form
factor (International Tables C, table 4.3.2.2) blurred by exp(-B k²/4), and A the grid's area. So atoms lie
on no grid, and the phase is differentiable in their positions. The sum over atoms is that of `gridding`;
half of the frequencies are made, as the phase is real, and of those what the band limit lets pass.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.structure.scattering import form_factor, is_tabulated
from atomfit.support.errors import InputError
from atomfit.support.units import EIGHT_PI_SQUARED
from atomfit.waves.electrons import relativistic_mass, wavelength
from atomfit.waves.field import Field
from atomfit.waves.gridding import kernel_transform, laid_out
from atomfit.waves.slices import Leaf


class PhasePlan:
    """What the phases of all slices have in common: form factors on the frequencies of a grid.

    **Arguments:**

    - `field`: the grid.
    - `elements`: chemical symbols.
    - `voltage`: of acceleration (kV).

    **Raises:** `InputError` if the form factor of an element is not known.
    """

    def __init__(self, field: Field, elements: tuple[str, ...], voltage: float) -> None:
        grid = field.wave
        rows, columns = grid.shape
        self.shape, self.spacing = grid.shape, np.float32(grid.spacing)
        self.start = np.float32(-field.margin * field.pixel)
        ky, kx = np.fft.fftfreq(rows), np.fft.rfftfreq(columns)
        self.squared = ((ky[:, None] ** 2 + kx**2) / grid.spacing**2).astype(np.float32)
        band = self.squared <= grid.limit**2
        kernel = np.outer(kernel_transform(ky), kernel_transform(kx))
        strength = wavelength(voltage) * relativistic_mass(voltage) / grid.spacing**2
        scale = np.divide(strength, kernel, out=np.zeros_like(kernel), where=band)
        self.factors = [
            (scale * electron_form_factor(symbol, self.squared)).astype(np.float32) for symbol in elements
        ]

    def phase(
        self,
        positions: tuple[Float[Leaf, "_ 2"], ...],
        weights: tuple[Float[Leaf, " _"], ...],
        b_factors: Float[Leaf, " elements"],
    ) -> Float[Array, "rows columns"]:
        """Phase (rad) that a slice gives a wave.

        **Arguments:**

        - `positions`, `weights`: of the atoms of each element (Å).
        - `b_factors`: of each element (Å²).
        """
        total = jnp.zeros((self.shape[0], self.shape[1] // 2 + 1), jnp.complex64)
        for k, factor in enumerate(self.factors):
            places = (positions[k] - self.start) / self.spacing
            spectrum = jnp.fft.rfft2(laid_out(places, weights[k], self.shape))
            total = total + factor * jnp.exp(-0.25 * b_factors[k] * self.squared) * spectrum
        return jnp.fft.irfft2(total, self.shape)


def electron_form_factor(
    symbol: str, frequency_squared: Float[np.ndarray, "*n"], b: float = 0.0
) -> Float[np.ndarray, "*n"]:
    """Electron form factor of an element (Å) at squared spatial frequencies (1/Å²).

    **Arguments:**

    - `symbol`: of the element.
    - `frequency_squared`: k², with k = 2 sin θ / λ.
    - `b`: displacement factor (Å²).

    **Raises:** `InputError` if it is not known.
    """
    import gemmi

    if not is_tabulated(symbol):
        raise InputError(f"no electron form factor of {symbol!r} is known", "give another element")
    total = float(np.sum(gemmi.Element(symbol).c4322.a))
    return total * form_factor(symbol, b).transform(np.asarray(frequency_squared, np.float64))


def projected_potential(
    symbol: str, b: float, distances: Float[np.ndarray, "*n"]
) -> Float[np.ndarray, "*n"]:
    """Projected potential of one atom (V Å) at distances from its axis, as a sum of Gaussians.

    **Arguments:**

    - `symbol`: of the element.
    - `b`: displacement factor (Å²).
    - `distances`: from the axis (Å).
    """
    import gemmi

    table = gemmi.Element(symbol).c4322
    total = np.zeros(np.shape(distances))
    for a, width in zip(table.a, table.b, strict=True):
        variance = (width + b) / EIGHT_PI_SQUARED
        total += a * np.exp(-0.5 * np.asarray(distances) ** 2 / variance) / (2 * np.pi * variance)
    return _VOLT_AREA * total


#: h² / 2π m₀ e (V Å²): the projected potential's integral is that times f(0).
_VOLT_AREA = 47.87801
