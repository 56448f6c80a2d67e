"""A plane wave in, the wave that leaves a specimen out: slice after slice, by Cowley and Moodie's method.

    ψ_{s+1} = P ∗ (t_s ψ_s),    t_s = exp(iφ_s (1 + iκ)),    P(k) = exp(-iπλ Δz (k² + 2 k·θ/λ))

with φ_s the phase of a slice (`potentials`), κ the absorption and θ the beam's tilt. A slice acts in its
middle: half a thickness is propagated before it and half behind, so that the plane of focus does not depend
on how thick slices are. Transmission functions and waves are limited to 2/3 of the grid's frequencies, so
that products are not aliased; without absorption the intensity that the band keeps is conserved.

The exit wave is that in the plane of the last slice's lower surface, as its transform, cropped to where it
is not zero if asked for. Waves go as exp(2πi k z): propagating on has the sign of a positive C1 (`optics`).
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from atomfit.waves.electrons import wavelength
from atomfit.waves.field import Field, Sampling
from atomfit.waves.potentials import PhasePlan
from atomfit.waves.slices import Leaf, SlicedAtoms


class Beam(eqx.Module):
    """The illumination.

    **Fields:**

    - `voltage`: of acceleration (kV).
    - `tilt`: of the beam against the slices' normal, along x and y (rad); small angles. The optics look
        along the tilted beam, as if the specimen were tilted the other way.
    """

    voltage: float = eqx.field(static=True)
    tilt: Float[Leaf, " 2"] = eqx.field(default_factory=lambda: np.zeros(2, np.float32))

    @property
    def wavelength(self) -> float:
        """Of its electrons (Å)."""
        return wavelength(self.voltage)


def exit_wave(atoms: SlicedAtoms, field: Field, beam: Beam) -> Complex[Array, "rows columns"]:
    """The transform of the wave behind a specimen, on the wave's grid, of a wave of unit intensity.

    **Arguments:**

    - `atoms`: what the wave passes.
    - `field`: on which grid.
    - `beam`: the illumination.

    **Raises:** `InputError` if the form factor of an element is not known.
    """
    slices, grid = atoms.slices, field.wave
    positions, occupancies = jnp.asarray(atoms.positions), jnp.asarray(atoms.occupancies)
    plan = PhasePlan(field, slices.elements, beam.voltage)
    band = grid.in_band()
    half = propagator(grid, beam, 0.5 * slices.thickness) * band
    whole = half * half

    def step(
        spectrum: Complex[Array, "rows columns"], layer: tuple[tuple[Leaf, ...], tuple[Leaf, ...]]
    ) -> tuple[Complex[Array, "rows columns"], None]:
        numbers, present = layer
        weights = tuple(occupancies[n] * p for n, p in zip(numbers, present, strict=True))
        places = tuple(positions[n] for n in numbers)
        phase = plan.phase(places, weights, atoms.b_factors)
        passed = band * jnp.fft.fft2(jnp.exp((1j - atoms.absorption) * phase).astype(jnp.complex64))
        behind = jnp.fft.fft2(jnp.fft.ifft2(spectrum) * jnp.fft.ifft2(passed))
        return behind * whole, None

    plane = jnp.zeros(grid.shape, jnp.complex64).at[0, 0].set(grid.shape[0] * grid.shape[1])
    # Of what the last step propagated, the half that is below the specimen is taken back.
    spectrum, _ = lax.scan(step, plane, (slices.atoms, slices.present))
    return spectrum * jnp.conj(half)


def propagator(
    grid: Sampling, beam: Beam, distance: Float[Leaf, ""] | float
) -> Complex[Array, "rows columns"]:
    """What a wave's transform is multiplied by over a distance of nothing.

    **Arguments:**

    - `grid`: of the wave.
    - `beam`: the illumination.
    - `distance`: along the normal of the slices (Å).
    """
    ky, kx = grid.frequencies()
    path = beam.wavelength * (kx**2 + ky**2) + 2 * (beam.tilt[0] * kx + beam.tilt[1] * ky)
    return jnp.exp(-1j * np.pi * distance * path).astype(jnp.complex64)
