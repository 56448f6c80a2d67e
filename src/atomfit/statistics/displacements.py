"""Displacement matrices in the words of the paper: U_maj, U_med, U_min and the degree of isotropy.

U_maj >= U_med >= U_min are the eigenvalues of U in Å² (the paper's text once calls them square roots of
eigenvalues; its formulas and the published program use the eigenvalues). DOI = U_min / U_maj is one
for isotropic motion and zero in a plane or along a line. What was not fitted is NaN, never one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class PrincipalDisplacements:
    """Displacements along the principal axes of n atoms; NaN where there is no matrix.

    **Fields:**

    - `values`: eigenvalues, largest first (Å²).
    - `axes`: unit eigenvectors as rows, in the order of `values`; right-handed.
    """

    values: Float[np.ndarray, "n d"]
    axes: Float[np.ndarray, "n d d"]

    @property
    def degree_of_isotropy(self) -> Float[np.ndarray, " n"]:
        """DOI: smallest over largest eigenvalue."""
        return self.values[:, -1] / self.values[:, 0]


def principal_displacements(matrices: Float[np.ndarray, "n d d"]) -> PrincipalDisplacements:
    """Decompose displacement matrices (Å²).

    **Arguments:**

    - `matrices`: displacement matrices U (Å²).
    """
    known = np.all(np.isfinite(matrices), axis=(1, 2))
    d = matrices.shape[-1]
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], matrices, np.eye(d)))
    axes = np.swapaxes(vectors, 1, 2)[:, ::-1].copy()
    axes[np.linalg.det(axes) < 0, -1] *= -1
    return PrincipalDisplacements(
        np.where(known[:, None], values[:, ::-1], np.nan),
        axes,
    )
