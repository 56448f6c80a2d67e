"""The electron probe: what a point looks like in an image, by its depth in the specimen.

In a scanning microscope an atom is seen through the probe, and the probe is not the same at all depths: it
is narrowest in focus and spreads to both sides. Conventional tomography takes it to be the same, which
costs accuracy as soon as the particle is as thick as the focus is deep (local-orbital tomography, Ma & Yu,
equations 4 and 10).

Here a probe is a sum of a few Gaussians whose widths are the same at all depths and whose weights are not:

    p(r; w) = Σ_k c_k(w) N(r; s_k)

so that an atom seen through it is again a sum of Gaussians, of variances U + s_k, at its own depth: no
slices, no Fourier transforms, and derivatives of everything. Weights are a table over depth with straight
lines between its knots. Some are negative; a probe has rings.

One class stands for all that is known of a probe:

- *direct*: one Gaussian of no width. The atom's own width stands for everything.
- *fixed*: several, the same at all depths; the control that shows what depth adds.
- *rigid*: weights of a Fresnel-propagated probe, kept.
- *adaptive*: the same, refined.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.options.tilt import ProbeKind
from atomfit.structure.atoms import Leaf
from atomfit.waves.electrons import wavelength

#: Variances of the Gaussians (Å²). Seen by an atom of 0.03 Å² they reproduce probes of 20 to 40 mrad at
#: 300 kV within 1.5 % of their peak over 40 Å of depth.
VARIANCES = (0.01, 0.05, 0.15, 0.4, 1.0)
#: Distance between knots of the table (Å): a probe of 40 mrad changes over 20 Å.
_KNOTS = 2.5
#: How much the integral counts beside the shape.
_WHOLE = 1e3
#: Radii (Å) at which Gaussians are compared with the probe.
_RADII = (np.arange(500) + 0.5) * 0.016


class Probe(eqx.Module):
    """Gaussians with weights that may depend on depth.

    **Fields:**

    - `variances`: of the Gaussians, in each direction of the image (Å²).
    - `table`: weights at the knots, from `-reach` to `reach`; a single row is for all depths.
    - `profile`: what is added to all rows: that of the atoms' own shape which is no Gaussian.
    - `reach`: depth of the last knot, along the beam from the particle's centre (Å).
    """

    variances: Float[Leaf, " k"]
    table: Float[Leaf, "d k"]
    profile: Float[Leaf, " k"]
    reach: Float[Leaf, ""]

    def weights(self, depths: Float[Array, " n"]) -> Float[Array, "n k"]:
        """Weights of the Gaussians at given depths (Å); beyond the last knot those of the last knot."""
        table = jnp.asarray(self.table) + jnp.asarray(self.profile)
        knots = len(table)
        if knots == 1:
            return jnp.broadcast_to(table, (len(depths), table.shape[1]))
        place = jnp.clip((depths / self.reach + 1) * (0.5 * (knots - 1)), 0, knots - 1)
        # A matrix product instead of a gather, whose derivative is a slow scatter.
        hats = jnp.maximum(0.0, 1 - jnp.abs(place[:, None] - jnp.arange(knots, dtype=jnp.float32)))
        return hats @ table


def make_probe(
    kind: ProbeKind,
    reach: float,
    voltage: float = 300.0,
    convergence: float = 25.0,
    defocus: float = 0.0,
    spherical: float = 0.0,
) -> Probe:
    """A probe as it is before it is refined.

    **Arguments:**

    - `kind`: see the module.
    - `reach`: of the particle, along the beam from its centre (Å).
    - `voltage`: acceleration voltage (kV).
    - `convergence`: semi-angle of the probe (mrad).
    - `defocus`: depth of the focus, along the beam from the particle's centre (Å).
    - `spherical`: coefficient of third-order spherical aberration (Å).
    """
    as_leaf = np.float32
    if kind == "direct":
        one, none = np.ones((1, 1), as_leaf), np.zeros(1, as_leaf)
        return Probe(none, one, none, np.asarray(reach, as_leaf))
    knots = 1 if kind == "fixed" else 2 * int(np.ceil(reach / _KNOTS)) + 1
    depths = np.array([defocus]) if kind == "fixed" else np.linspace(-reach, reach, knots)
    variances = np.array(VARIANCES)
    intensity = propagated_intensity(_RADII, depths - defocus, voltage, convergence, spherical)
    gaussians = np.exp(-(_RADII[:, None] ** 2) / (2 * variances)) / (2 * np.pi * variances)
    # A ring of the image has an area that grows with its radius.
    area = np.sqrt(_RADII)[:, None]
    # What lies beyond the widest Gaussian is given to it: all electrons are somewhere.
    whole = np.full((1, len(variances)), _WHOLE)
    equations = np.concatenate([gaussians * area, whole])
    values = np.concatenate([intensity.T * area, np.full((1, knots), _WHOLE)])
    table = np.linalg.lstsq(equations, values, rcond=None)[0].T
    return Probe(
        variances.astype(as_leaf),
        table.astype(as_leaf),
        np.zeros(len(variances), as_leaf),
        np.asarray(reach, as_leaf),
    )


def propagated_intensity(
    radii: Float[np.ndarray, " r"],
    depths: Float[np.ndarray, " d"],
    voltage: float,
    convergence: float,
    spherical: float = 0.0,
) -> Float[np.ndarray, "d r"]:
    """Intensity of a round probe at distances from its axis and from its focus, of integral one (1/Å²).

    The transform of the aperture with the phases of Fresnel propagation and of spherical aberration
    (Ma & Yu, equations 8 to 10; Kirkland 2010, chapter 3), by Hankel transformation.

    **Arguments:** as of `make_probe`, and

    - `radii`, `depths`: distances (Å).
    """
    from scipy.special import j0

    length = wavelength(voltage)
    edge = 1e-3 * convergence / length
    k = (np.arange(1500) + 0.5) / 1500 * edge
    phases = np.pi * length * depths[:, None] * k**2 - 0.5 * np.pi * spherical * length**3 * k**4
    amplitude = np.exp(-1j * phases) * k
    wave = 2 * np.pi * (edge / len(k)) * amplitude @ j0(2 * np.pi * k[:, None] * radii)
    return np.abs(wave) ** 2 / (np.pi * edge**2)
