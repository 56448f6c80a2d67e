"""Atoms of a slice in, the phase that they give a wave out: a projected potential, made in Fourier space.

An atom at r adds `λ γ f(k) exp(-2πi k r) / A` to the transform of the phase, with f its electron form
factor (International Tables C, table 4.3.2.2) blurred by exp(-B k²/4), and A the grid's area. So atoms lie
on no grid, and the phase is differentiable in their positions. The sum over atoms is a product of two
matrices, exp(-2πi ky y) by exp(-2πi kx x), of half the frequencies as the phase is real, and of those alone
that the band limit lets pass.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from atomfit.structure.scattering import form_factor, is_tabulated
from atomfit.support.errors import InputError
from atomfit.support.units import EIGHT_PI_SQUARED
from atomfit.waves.electrons import relativistic_mass, wavelength
from atomfit.waves.field import Field
from atomfit.waves.slices import Leaf


class PhasePlan:
    """What the phases of all slices have in common: frequencies within the band, and form factors there.

    **Arguments:**

    - `field`: the grid.
    - `elements`: chemical symbols.
    - `voltage`: of acceleration (kV).

    **Raises:** `InputError` if the form factor of an element is not known.
    """

    def __init__(self, field: Field, elements: tuple[str, ...], voltage: float) -> None:
        grid = field.wave
        self.shape = grid.shape
        rows, columns = grid.shape
        # Whole frequencies: of y both signs, of x those that a real transform keeps.
        most_y, most_x = (int(np.floor(grid.limit * n * grid.spacing)) for n in (rows, columns))
        self.rows = np.concatenate([np.arange(most_y + 1), np.arange(-most_y, 0)])
        self.columns = np.arange(most_x + 1)
        self.ky = (self.rows / (rows * grid.spacing)).astype(np.float32)
        self.kx = (self.columns / (columns * grid.spacing)).astype(np.float32)
        self.squared = self.ky[:, None] ** 2 + self.kx**2
        self.start = np.float32(-field.margin * field.pixel)
        strength = (
            wavelength(voltage) * relativistic_mass(voltage) * grid.shape[0] * grid.shape[1] / grid.area
        )
        band = self.squared <= grid.limit**2
        self.factors = [
            (strength * band * electron_form_factor(symbol, self.squared)).astype(np.float32)
            for symbol in elements
        ]

    def structure_factor(
        self, positions: Float[Leaf, "n 2"], weights: Float[Leaf, " n"]
    ) -> Complex[Array, "ky kx"]:
        """Sum over atoms of `weights` exp(-2πi k r)."""
        x, y = (positions[:, k] - self.start for k in (0, 1))
        along_y = jnp.exp(-2j * np.pi * self.ky[:, None] * y).astype(jnp.complex64)
        along_x = weights[:, None] * jnp.exp(-2j * np.pi * x[:, None] * self.kx).astype(jnp.complex64)
        return jnp.matmul(along_y, along_x, precision="highest")

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
        total: Array | float = 0.0
        for k, factor in enumerate(self.factors):
            blurred = factor * jnp.exp(-0.25 * b_factors[k] * self.squared)
            total = total + blurred * self.structure_factor(positions[k], weights[k])
        half = jnp.zeros((self.shape[0], self.shape[1] // 2 + 1), jnp.complex64)
        return jnp.fft.irfft2(half.at[self.rows[:, None], self.columns].set(total), self.shape)


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
