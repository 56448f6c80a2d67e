"""What positions take of the noise: a model in, what its misfit looks better by than it should out.

Atoms that are free to move follow the noise, and the sharper an atom is, the farther noise can lower the
misfit by moving it. Thousands of atoms doing so vote for a shape that is too narrow: where each is off by
as much as it is wide, a probe of free shape ends as a spike with a ring about it, whose positions are worse
than those of no probe at all, and whose standard uncertainties are a third of what they should be. Widths
and amplitudes that atoms share have the bias that variances have whose means were fitted (Neyman & Scott
1948).

To first order the mean gradient of the misfit at the true shape, positions refitted, is that of

    -¼ Σ log h,    h = (∂ image / ∂ position)²  summed over pixels,

over all coordinates: half of what marginalising positions by Laplace's approximation would add, which
overshoots. Adding the opposite makes the mean gradient zero (an adjusted profile likelihood: McCullagh &
Tibshirani 1990). For a lone atom of amplitude A that is the same in all views

    h ∝ A² Σ_jk c_j c_k / (2 U + s_j + s_k)²

with the weights and variances of the probe, and of what atoms are at rest. It speaks of what atoms share
only; what each has for itself is as it was before the fit.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from atomfit.projection.model import TiltModel, terms_at_rest
from atomfit.structure.atoms import Leaf

#: Part of the logarithm for each coordinate.
_QUARTER, _COORDINATES = 0.25, 3


def adjustment(
    model: TiltModel, shares: Float[Leaf, " n"], rotations: Float[Leaf, "v 3 3"]
) -> Float[Array, ""]:
    """¼ Σ log h, up to a constant.

    **Arguments:**

    - `model`: whose atoms are free to move.
    - `shares`: how far each follows the noise, from 0 (in a place that is known) to 1.
    - `rotations`: of the views.
    """
    atoms, probe, gains = model.atoms, model.probe, jnp.asarray(model.views.gains)
    spreads = jnp.asarray(atoms.displacements.spreads(3))
    widths = spreads if spreads.ndim == 1 else jnp.trace(spreads, axis1=1, axis2=2) / 3
    shares_at_rest, added = (jnp.asarray(x) for x in terms_at_rest(model.scattering, len(atoms)))
    variances = _paired(jnp.asarray(probe.variances) + widths[:, None], added, jnp.add)
    products = 1 / (jnp.pi * (variances[:, :, None] + variances[:, None]) ** 2)

    def sharpness(depths: Float[Array, " n"]) -> Float[Array, " n"]:
        weights = _paired(probe.weights(depths), shares_at_rest, jnp.multiply)
        return jnp.einsum("nj,njk,nk->n", weights, products, weights)

    if len(probe.table) == 1:
        sharp = sharpness(jnp.zeros_like(widths))
    else:
        along = jnp.asarray(rotations, jnp.float32)[:, 2]
        total, _ = lax.scan(
            lambda total, axis: (total + sharpness(jnp.asarray(atoms.positions) @ axis), None),
            jnp.zeros_like(widths),
            along,
        )
        sharp = total / len(along)
    # What all views have in common of their gains is in the amplitudes as well.
    bright = jnp.asarray(atoms.amplitudes) ** 2 * jnp.mean(gains**2)
    whole = jnp.log(jnp.maximum(bright * sharp, 1e-12))
    return _QUARTER * _COORDINATES * jnp.vdot(jnp.asarray(shares), whole)


def _paired(
    seen: Float[Array, "n k"], rest: Float[Array, "n p"], join: Callable[[Array, Array], Array]
) -> Float[Array, "n m"]:
    """Numbers of all Gaussians of each atom: of the probe's, each with each that it is at rest."""
    return join(seen[:, :, None], rest[:, None]).reshape(len(seen), -1)
