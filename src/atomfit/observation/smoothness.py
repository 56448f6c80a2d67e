"""A background on splines is smooth: minus the logarithm of how likely its bends are, for any strength.

    -log p = ½ λ ∫ (f_xx² + 2 f_xy² + f_yy²) dx dy

is a thin plate's energy, λ its stiffness (Duchon 1977; Wahba 1990, Spline Models for Observational Data).
Planes cost nothing, so that a support that leans is as likely as a flat one; knots may be as dense as
anybody likes, for it is λ that says how much the plate bends. The integral is the sum of second differences
of the splines' heights (Eilers & Marx 1996, Stat. Sci. 11, 89), which is sparse. How stiff the plate is,
data say (`selection.column_background`).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree
from scipy.sparse import csr_array, eye_array, kron

from atomfit.inference.priors import AbstractGaussianPrior
from atomfit.observation.spline import SplineBackground
from atomfit.structure.atoms import Leaf


def itself(nuisance: PyTree) -> Any:
    """A nuisance that is nothing but a background."""
    return nuisance


class Bending(AbstractGaussianPrior):
    """How much a background of splines bends.

    **Fields:**

    - `stiffness`: λ, in Å² over the square of the image's unit; 0 if nothing is known.
    - `of`: where a nuisance has that background; as `lambda own: own.background` of a map's.
    """

    stiffness: Float[Leaf, ""] | float
    of: Callable[[Any], SplineBackground] = eqx.field(static=True, default=itself)

    def away(self, structure: PyTree) -> Float[Array, " m"]:
        background = self.of(structure)
        heights, (across, down) = jnp.asarray(background.heights), background.step
        root = (across * down) ** 0.5
        bends = (
            jnp.diff(heights, 2, axis=1) / across**2,
            jnp.diff(heights, 2, axis=0) / down**2,
            jnp.diff(jnp.diff(heights, axis=0), axis=1) * (2**0.5 / (across * down)),
        )
        return root * jnp.concatenate([bend.ravel() for bend in bends])

    def weighted(self, away: Float[Array, " m"]) -> Float[Array, " m"]:
        return jnp.asarray(self.stiffness) * away


def bending(background: SplineBackground) -> csr_array:
    """What `Bending` of stiffness one tells of the heights, row by row: sparse, and nothing of planes."""
    (rows, columns), (across, down) = background.heights.shape, background.step
    along, upward = _second(columns) / across**2, _second(rows) / down**2
    twist = kron(_first(rows), _first(columns)) * (2**0.5 / (across * down))
    parts = (kron(eye_array(rows), along), kron(upward, eye_array(columns)), twist)
    return csr_array(across * down * sum(part.T @ part for part in parts))


def _first(count: int) -> csr_array:
    """Differences of neighbours."""
    return csr_array(np.diff(np.eye(count), axis=0))


def _second(count: int) -> csr_array:
    """Differences of these."""
    return csr_array(np.diff(np.eye(count), 2, axis=0))
