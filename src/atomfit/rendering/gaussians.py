"""What the renderer draws: centres, variance matrices, weights. Where they come from is not its concern.

Atoms become Gaussians one for one (the paper's model), or several for one where an atom's form
factor is a sum of Gaussians.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from atomfit.structure.atoms import Leaf
from atomfit.structure.scattering import GaussianMixture


class Gaussians(eqx.Module):
    """A sum of n normalised Gaussians in d dimensions.

    **Fields:**

    - `centres`: in Å.
    - `matrices`: variance matrices (Å²).
    - `weights`: integrals (map units x Å³).
    """

    centres: Float[Array | np.ndarray, "n d"]
    matrices: Float[Array | np.ndarray, "n d d"]
    weights: Float[Array | np.ndarray, " n"]

    @classmethod
    def of_simulated(
        cls,
        centres: Float[np.ndarray, "n d"],
        weights: Float[np.ndarray, " n"],
        mixture: GaussianMixture,
    ) -> "Gaussians":
        """Identical simulated atoms of given weights, one Gaussian for each of the mixture's terms.

        **Arguments:**

        - `centres`: of the atoms (Å).
        - `weights`: integrals of their densities.
        - `mixture`: an atom of unit integral.
        """
        n, d = centres.shape
        k = len(mixture.weights)
        variances = np.tile(mixture.variances, n)
        return cls(
            np.repeat(centres, k, axis=0),
            variances[:, None, None] * np.eye(d),
            (weights[:, None] * mixture.weights).reshape(n * k),
        )


def inverse_and_determinant(
    matrices: Float[Leaf, "n d d"],
) -> tuple[Float[Leaf, "n d d"], Float[Leaf, " n"]]:
    """Closed-form inverse and determinant of symmetric matrices of up to three rows.

    Closed form because a batched LAPACK call costs more to compile than the rest of the renderer.
    """
    d, xp = matrices.shape[-1], matrices.__array_namespace__()
    if d == 1:
        return 1 / matrices, matrices[:, 0, 0]
    if d == 2:
        a, b, c = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 1]
        cofactors = xp.stack([xp.stack([c, -b], -1), xp.stack([-b, a], -1)], -2)
        determinant = a * c - b * b
    elif d == 3:
        first, second, third = (matrices[:, i] for i in range(3))
        cross = xp.linalg.cross
        cofactors = xp.stack([cross(second, third), cross(third, first), cross(first, second)], -1)
        determinant = xp.sum(first * cofactors[..., 0], axis=-1)
    else:
        raise NotImplementedError(f"matrices of {d} rows; up to 3 are supported")
    return cofactors / determinant[:, None, None], determinant
