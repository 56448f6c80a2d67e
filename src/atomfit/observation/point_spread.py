"""How an image spreads its columns beyond Gaussians: parts and variances in, the terms of every column out.

A probe has wings, and so has whatever else blurs an image. All columns have them alike: the image is one of
Gaussians, convolved with

    (1 - Σ f_k) δ + Σ f_k N(0; β_k 1),

so that a column of variance U and integral A is the sum of Gaussians of U + β_k 1 and f_k A. A is the
column's whole integral, wings and all.
"""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from atomfit.structure.atoms import Leaf


class PointSpread(eqx.Module):
    """What an image is convolved with; nothing without parts.

    **Fields:**

    - `parts`: f_k, of a column's integral.
    - `variances`: β_k (Å²).
    """

    parts: Float[Leaf, " k"]
    variances: Float[Leaf, " k"]

    @classmethod
    def none(cls) -> "PointSpread":
        """Columns are Gaussians."""
        return cls(np.zeros(0), np.zeros(0))

    @classmethod
    def wings(cls, part: float, variance: float) -> "PointSpread":
        """One part of every column's integral is wider by a variance (Å²)."""
        return cls(np.array([part]), np.array([variance]))

    def __len__(self) -> int:
        return self.parts.shape[0]

    @property
    def terms(self) -> list[tuple[Any, Any]]:
        """Part and variance of each Gaussian of a column, the narrow one first."""
        wings = ((self.parts[k], self.variances[k]) for k in range(len(self)))
        return [(1 - self.parts.sum(), 0.0), *wings]
