"""An exit wave in, the intensity that lenses make of it out: aberrations and partial coherence.

    χ(k) = (2π/λ) Re{ ½ C1 ω ω* + ½ A1 ω*² + B2 ω² ω* + ⅓ A2 ω*³ + ¼ C3 (ω ω*)² + ⅙ C5 (ω ω*)³ }

with ω = λ (kx + i ky), and a coherent image is |F⁻¹[ψ exp(-iχ)]|² (notation of Uhlemann and Haider
1998). C1 is the defocus: positive is overfocus, a plane behind the specimen in the beam's direction. All
lengths are in Å (1 nm is 10 Å, 1 µm 1e4 Å, 1 mm 1e7 Å); a complex aberration is two numbers, its real and
its imaginary part.

Partial coherence is the sum of images, of many focuses (chromatic aberration: `focal_spread`) and of many
directions of the beam (`convergence`). `CoherentSum` adds them up, with Gaussian weights: that is exact for
specimens however strong, where there are nodes enough. `Envelopes` damps the one wave by

    exp(-½ (πλΔ k²)²) exp(-½ (σ |∇χ|)²)

instead: right for what interferes with the direct beam in a weak specimen, wrong for what scattered beams
do among themselves. Of ten atoms of CeO2 [110] its images are off by 0.25 rms, of a contrast of 0.31 (C1
5 nm, C3 -9 µm, C5 5 mm, focal spread 4 nm; `experiments/heights`).
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from atomfit.waves.field import Sampling
from atomfit.waves.slices import Leaf

#: Of the outermost nodes (standard deviations); 5e-4 of the distribution is beyond.
REACH = 3.5


def _none() -> Any:
    return np.zeros((), np.float32)


def _neither() -> Any:
    return np.zeros(2, np.float32)


class Aberrations(eqx.Module):
    """What lenses do wrong, in Å.

    **Fields:**

    - `c1`: defocus; positive is overfocus.
    - `a1`: twofold astigmatism (real and imaginary part).
    - `b2`: axial coma; Krivanek's C21 is the conjugate of 3 B2.
    - `a2`: threefold astigmatism.
    - `c3`: spherical aberration.
    - `c5`: of fifth order.
    """

    c1: Float[Leaf, ""] | float = eqx.field(default_factory=_none)
    a1: Float[Leaf, " 2"] = eqx.field(default_factory=_neither)
    b2: Float[Leaf, " 2"] = eqx.field(default_factory=_neither)
    a2: Float[Leaf, " 2"] = eqx.field(default_factory=_neither)
    c3: Float[Leaf, ""] | float = eqx.field(default_factory=_none)
    c5: Float[Leaf, ""] | float = eqx.field(default_factory=_none)

    def phase(
        self, kx: Float[Leaf, "*grid"], ky: Float[Leaf, "*grid"], wavelength: float
    ) -> Float[Array, "*grid"]:
        """χ (rad) at spatial frequencies (1/Å).

        **Arguments:**

        - `kx`, `ky`: of one shape.
        - `wavelength`: of the electrons (Å).
        """
        x, y = wavelength * kx, wavelength * ky
        r2 = x * x + y * y
        round_ = r2 * (0.5 * self.c1 + r2 * (0.25 * self.c3 + r2 * self.c5 / 6))
        twofold = 0.5 * (self.a1[0] * (x * x - y * y) + 2 * self.a1[1] * x * y)
        coma = r2 * (self.b2[0] * x - self.b2[1] * y)
        threefold = (self.a2[0] * x * (x * x - 3 * y * y) + self.a2[1] * y * (3 * x * x - y * y)) / 3
        return jnp.asarray(2 * np.pi / wavelength * (round_ + twofold + coma + threefold), jnp.float32)

    def slope(
        self, kx: Float[Leaf, "*grid"], ky: Float[Leaf, "*grid"], wavelength: float
    ) -> tuple[Float[Array, "*grid"], Float[Array, "*grid"]]:
        """∇χ (rad Å), along x and y.

        **Arguments:** those of `phase`.
        """
        x, y = wavelength * kx, wavelength * ky
        r2 = x * x + y * y
        round_ = self.c1 + r2 * (self.c3 + r2 * self.c5)
        (p, q), (b, c), (d, e) = self.a1, self.b2, self.a2
        along_x = round_ * x + p * x + q * y + b * (3 * x * x + y * y) - 2 * c * x * y
        along_y = round_ * y - p * y + q * x + 2 * b * x * y - c * (x * x + 3 * y * y)
        along_x = along_x + d * (x * x - y * y) + 2 * e * x * y
        along_y = along_y - 2 * d * x * y + e * (x * x - y * y)
        return jnp.asarray(2 * np.pi * along_x), jnp.asarray(2 * np.pi * along_y)


class AbstractCoherence(eqx.Module):
    """How focuses and directions of the beam that are not all the same make an image."""

    @abc.abstractmethod
    def intensity(
        self, spectrum: Complex[Array, "rows columns"], grid: Sampling, lens: Aberrations, wavelength: float
    ) -> Float[Array, "rows columns"]:
        """Intensity of the image, in parts of the beam's.

        **Arguments:**

        - `spectrum`: of the exit wave, on the grid of the image.
        - `grid`: of the image.
        - `lens`: aberrations.
        - `wavelength`: of the electrons (Å).
        """


class CoherentSum(AbstractCoherence):
    """Images of many focuses and directions, added up: exact for strong specimens.

    Nodes are equally spaced. Two beams' interference is then damped as it should, but that it comes back
    where πλΔ (k₁² - k₂²) is 2π over the spacing; `suited` has so many nodes that no beams of a grid are so
    far apart, and Gauss-Hermite nodes would have to be as many as the square of that. Directions, if
    `directions` is more than 1, are a square of nodes; with 1 the convergence is an envelope of each focus,
    which it is when it is small.

    **Fields:**

    - `focal_spread`: standard deviation of the focus (Å).
    - `convergence`: standard deviation of the beam's direction, along x and along y (rad).
    - `focuses`, `directions`: numbers of nodes, of the latter along x and along y.
    """

    focal_spread: Float[Leaf, ""] | float = eqx.field(default_factory=_none)
    convergence: Float[Leaf, ""] | float = eqx.field(default_factory=_none)
    focuses: int = eqx.field(static=True, default=21)
    directions: int = eqx.field(static=True, default=1)

    @classmethod
    def suited(
        cls, focal_spread: float, convergence: float, grid: Sampling, wavelength: float
    ) -> "CoherentSum":
        """With as many focuses as a grid needs.

        **Arguments:**

        - `focal_spread`, `convergence`: as of the class.
        - `grid`: of the image.
        - `wavelength`: of the electrons (Å).
        """
        return cls(focal_spread, convergence, focuses_needed(focal_spread, grid, wavelength))

    def intensity(
        self, spectrum: Complex[Array, "rows columns"], grid: Sampling, lens: Aberrations, wavelength: float
    ) -> Float[Array, "rows columns"]:
        """Intensity of the image, in parts of the beam's.

        **Arguments:** those of `AbstractCoherence`.
        """
        kx, ky = _frequencies(grid)
        focus, of_focus = gaussian_nodes(self.focuses)
        turn, of_turn = gaussian_nodes(self.directions)
        nodes = np.stack([each.ravel() for each in np.meshgrid(focus, turn, turn, indexing="ij")], axis=1)
        weights = np.einsum("i,j,k->ijk", of_focus, of_turn, of_turn).ravel()
        spread = self.convergence / wavelength
        slopes = lens.slope(kx, ky, wavelength)
        focused = spectrum * jnp.exp(-1j * lens.phase(kx, ky, wavelength))

        def turned(here: Array, u: Array, v: Array) -> Array:
            """The wave of another direction of the beam."""
            at_x, at_y = kx + spread * u, ky + spread * v
            chi = lens.phase(at_x, at_y, wavelength) + here * wavelength * np.pi * (at_x**2 + at_y**2)
            return spectrum * jnp.exp(-1j * chi)

        def damped(here: Array) -> Array:
            """The wave of another focus, with the envelope of all directions."""
            extra = 2 * np.pi * wavelength * here
            steep = (slopes[0] + extra * kx) ** 2 + (slopes[1] + extra * ky) ** 2
            return focused * jnp.exp(-0.5j * extra * (kx**2 + ky**2) - 0.5 * spread**2 * steep)

        def add(total: Array, node: tuple[Array, Array]) -> tuple[Array, None]:
            (f, u, v), weight = node
            here = self.focal_spread * f
            wave = damped(here) if self.directions == 1 else turned(here, u, v)
            return total + weight * _intensity(wave), None

        each = jnp.asarray(nodes, jnp.float32), jnp.asarray(weights, jnp.float32)
        # Waves are made again for the derivative, which is quicker than to keep them.
        return lax.scan(jax.checkpoint(add), jnp.zeros(grid.shape, jnp.float32), each)[0]


class Envelopes(AbstractCoherence):
    """One wave, damped: quick, and right for weak specimens alone.

    **Fields:**

    - `focal_spread`: standard deviation of the focus (Å).
    - `convergence`: standard deviation of the beam's direction, along x and along y (rad).
    """

    focal_spread: Float[Leaf, ""] | float = eqx.field(default_factory=_none)
    convergence: Float[Leaf, ""] | float = eqx.field(default_factory=_none)

    def intensity(
        self, spectrum: Complex[Array, "rows columns"], grid: Sampling, lens: Aberrations, wavelength: float
    ) -> Float[Array, "rows columns"]:
        """Intensity of the image, in parts of the beam's.

        **Arguments:** those of `AbstractCoherence`.
        """
        kx, ky = _frequencies(grid)
        slope_x, slope_y = lens.slope(kx, ky, wavelength)
        temporal = np.pi * wavelength * self.focal_spread * (kx**2 + ky**2)
        spatial = (self.convergence / wavelength) ** 2 * (slope_x**2 + slope_y**2)
        damped = jnp.exp(-1j * lens.phase(kx, ky, wavelength) - 0.5 * (temporal**2 + spatial))
        return _intensity(spectrum * damped)


def focuses_needed(focal_spread: float, grid: Sampling, wavelength: float) -> int:
    """Equally spaced focuses that are enough for all beams that a grid has.

    **Arguments:**

    - `focal_spread`: standard deviation of the focus (Å).
    - `grid`: of the image.
    - `wavelength`: of the electrons (Å).
    """
    if focal_spread == 0:
        return 1
    farthest = math.pi * wavelength * focal_spread * grid.limit**2
    return math.ceil(2 * REACH * (farthest + REACH) / (2 * math.pi)) + 1


def gaussian_nodes(count: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Equally spaced nodes of a normal distribution (in standard deviations), and their weights.

    **Arguments:**

    - `count`: of nodes.
    """
    if count == 1:
        return np.zeros(1), np.ones(1)
    places = np.linspace(-REACH, REACH, count)
    weights = np.exp(-0.5 * places**2)
    return places, weights / weights.sum()


def _intensity(spectrum: Complex[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    wave = jnp.fft.ifft2(spectrum)
    return jnp.real(wave) ** 2 + jnp.imag(wave) ** 2


def _frequencies(grid: Sampling) -> tuple[Float[Array, "rows columns"], Float[Array, "rows columns"]]:
    """Along x and y (1/Å), at all points."""
    ky, kx = grid.frequencies()
    return jnp.broadcast_to(kx, grid.shape), jnp.broadcast_to(ky, grid.shape)
