"""The intensity of an image in, the counts of a detector out: expected ones, and such as err.

A pixel integrates the intensity over its area. Before it does, the image is blurred by whatever moves it
(`blur`) and by the detector, whose modulation transfer function here has one number, its value m at the
Nyquist frequency:

    MTF(q) = 1 / (1 + (1/m - 1) (q / q_N)²)

What is expected is `gain (D a² I + b)`, with D the dose, a the pixel's edge and b a background in
electrons. Electrons come by Poisson's law; a detector spreads each over neighbours, so that noise is
correlated, by a transfer of its own: fewer electrons are needed to make the noise than the signal, and
`noise_mtf` is higher than `mtf` in most detectors. A detector that counts electrons has 1, and what it
gives are whole numbers times the gain.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from atomfit.waves.field import Sampling, resampled
from atomfit.waves.slices import Leaf


class Detector(eqx.Module):
    """What becomes of an image's electrons.

    **Fields:**

    - `dose`: electrons per Å².
    - `gain`: counts that an electron makes.
    - `background`: electrons of a pixel that are everywhere the same.
    - `blur`: standard deviation of an isotropic image spread (Å).
    - `mtf`, `noise_mtf`: transfer of signal and of noise at the Nyquist frequency.
    """

    dose: Float[Leaf, ""] | float
    gain: Float[Leaf, ""] | float = 1.0
    background: Float[Leaf, ""] | float = 0.0
    blur: Float[Leaf, ""] | float = 0.0
    mtf: Float[Leaf, ""] | float = 1.0
    noise_mtf: Float[Leaf, ""] | float = 1.0

    def expected(
        self, intensity: Float[Array, "rows columns"], grid: Sampling, pixels: Sampling
    ) -> Float[Array, "pixel_rows pixel_columns"]:
        """Counts that are expected of the pixels.

        **Arguments:**

        - `intensity`: in parts of the beam's.
        - `grid`: on which it is, as fine as the pixels or finer, of the same extent.
        - `pixels`: of the detector.
        """
        ky, kx = grid.frequencies()
        a = pixels.spacing
        k2 = kx**2 + ky**2
        transfer = np.sinc(kx * a) * np.sinc(ky * a) * lorentzian(self.mtf, k2, a)
        transfer = transfer * jnp.exp(-2 * np.pi**2 * self.blur**2 * k2)
        seen = resampled(jnp.fft.fft2(intensity) * transfer, pixels.shape)
        mean = jnp.real(jnp.fft.ifft2(seen))
        return jnp.asarray(self.gain * (self.dose * a**2 * mean + self.background))

    def sample(
        self, expected: Float[Array, "rows columns"], pixels: Sampling, key: PRNGKeyArray
    ) -> Float[Array, "rows columns"]:
        """Counts as they are measured.

        **Arguments:**

        - `expected`: of the pixels; margins included, as correlated noise is periodic.
        - `pixels`: of the detector.
        - `key`: of the noise.
        """
        mean = jnp.maximum(expected / self.gain, 0)
        noise = jax.random.poisson(key, mean).astype(jnp.float32) - mean
        ky, kx = pixels.frequencies()
        spread = jnp.fft.fft2(noise) * lorentzian(self.noise_mtf, kx**2 + ky**2, pixels.spacing)
        # Whole numbers stay whole where nothing is spread.
        spread_noise = jnp.where(self.noise_mtf == 1, noise, jnp.real(jnp.fft.ifft2(spread)))
        return jnp.asarray(self.gain * (mean + spread_noise))


def lorentzian(
    at_nyquist: Float[Leaf, ""] | float, frequency_squared: Float[Leaf, "*grid"], pixel: float
) -> Float[Leaf, "*grid"]:
    """A modulation transfer function.

    **Arguments:**

    - `at_nyquist`: its value at the Nyquist frequency.
    - `frequency_squared`: squared spatial frequencies (1/Å²).
    - `pixel`: edge of a pixel (Å).
    """
    return 1 / (1 + (1 / at_nyquist - 1) * frequency_squared * (2 * pixel) ** 2)
