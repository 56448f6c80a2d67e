"""Atoms as equinox modules: what is refined, and nothing else.

`Atoms` is a pytree whose leaves can be handed to any optimiser. Positions and amplitudes are plain
arrays; displacement matrices are kept in coordinates in which every value is allowed, so that U is
positive definite by construction and no step can make an impossible atom:

    U = L Lᵀ,    L = diag(w) (1 + lower(s)),    w = exp(log_widths)

For an isotropic atom `w` is the standard deviation of its density; `s` are dimensionless shears.

Two final classes share the abstract `AbstractDisplacements`. Isotropic atoms cost one number each,
anisotropic ones d(d+1)/2. Nothing assumes three dimensions.

Leaves are float32 jax arrays while they are traced, and float64 numpy arrays once they are results,
where an origin far from zero must not cost digits; both kinds go through the same lines.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.structure.canvas import AbstractCanvas, AbstractStructure, Leaf
from atomfit.support.errors import InputError


def elements_of_matrices(matrices: Float[Leaf, "... d d"]) -> Float[Leaf, "... s"]:
    """Elements of symmetric matrices: the diagonal, then the upper triangle (11, 22, 33, 12, 13, 23).

    **Arguments:**

    - `matrices`: symmetric, in any number of dimensions.
    """
    d = matrices.shape[-1]
    row, column = np.triu_indices(d, 1)
    return matrices[..., np.r_[np.arange(d), row], np.r_[np.arange(d), column]]


def matrices_of_elements(elements: Float[Leaf, "... s"]) -> Float[Leaf, "... d d"]:
    """The inverse of `elements_of_matrices`.

    **Arguments:**

    - `elements`: in the order 11, 22, 33, 12, 13, 23.

        >>> matrices_of_elements(np.array([1, 2, 3, 0.1, 0.2, 0.3])).tolist()
        [[1.0, 0.1, 0.2], [0.1, 2.0, 0.3], [0.2, 0.3, 3.0]]
    """
    d = int((np.sqrt(8 * elements.shape[-1] + 1) - 1) / 2)
    place = np.diag(np.arange(d))
    place[np.triu_indices(d, 1)] = d + np.arange(d * (d - 1) // 2)
    return elements[..., np.maximum(place, place.T)]


def namespace(*arrays: Leaf) -> Any:
    """The functions for arrays of which some may be jax's: what is frozen stays one of numpy."""
    return next((x.__array_namespace__() for x in arrays if not isinstance(x, np.ndarray)), np)


class AbstractDisplacements(eqx.Module):
    """Displacement matrices of n atoms in d dimensions."""

    @abc.abstractmethod
    def matrices(self, dimensions: int) -> Float[Leaf, "n d d"]:
        """Displacement matrices U (Å²), rows and columns in x, y, z order."""

    def spreads(self, dimensions: int) -> Float[Leaf, " n"] | Float[Leaf, "n d d"]:
        """Variances of round atoms (Å²), or matrices: what a renderer needs to know."""
        return self.matrices(dimensions)


class IsotropicDisplacements(AbstractDisplacements):
    """One standard deviation an atom: U = w² 1.

    **Fields:**

    - `log_widths`: natural logarithm of w (w in Å).
    """

    log_widths: Float[Leaf, "n 1"]

    @classmethod
    def from_variances(cls, u: Float[np.ndarray, " n"]) -> "IsotropicDisplacements":
        """From isotropic displacements U (Å²)."""
        return cls(0.5 * np.log(np.asarray(u, np.float64))[:, None])

    def matrices(self, dimensions: int) -> Float[Leaf, "n d d"]:
        xp = self.log_widths.__array_namespace__()
        return xp.exp(2 * self.log_widths)[..., None] * xp.eye(dimensions, dtype=xp.float32)

    def spreads(self, dimensions: int) -> Float[Leaf, " n"] | Float[Leaf, "n d d"]:
        return self.log_widths.__array_namespace__().exp(2 * self.log_widths[:, 0])


class AnisotropicDisplacements(AbstractDisplacements):
    """A full symmetric matrix an atom: U = L Lᵀ.

    **Fields:**

    - `log_widths`: natural logarithms of the diagonal of L (L in Å).
    - `shears`: the rows of L below the diagonal, each divided by its diagonal element.

        >>> displacements = AnisotropicDisplacements.from_matrices(np.diag([0.04, 0.09, 0.16])[None])
        >>> displacements.matrices(3).round(6).tolist()
        [[[0.04, 0.0, 0.0], [0.0, 0.09, 0.0], [0.0, 0.0, 0.16]]]
    """

    log_widths: Float[Leaf, "n d"]
    shears: Float[Leaf, "n s"]

    @classmethod
    def from_matrices(cls, u: Float[np.ndarray, "n d d"]) -> "AnisotropicDisplacements":
        """From displacement matrices U (Å²).

        **Raises:** `InputError` if one is not positive definite.
        """
        try:
            factor = np.linalg.cholesky(np.asarray(u, np.float64))
        except np.linalg.LinAlgError:
            raise InputError(
                "a displacement matrix is not positive definite", "give one with positive eigenvalues", "u"
            ) from None
        widths = np.diagonal(factor, axis1=1, axis2=2)
        row, column = np.tril_indices(u.shape[-1], -1)
        return cls(np.log(widths), factor[:, row, column] / widths[:, row])

    @classmethod
    def from_variances(cls, u: Float[np.ndarray, " n"], dimensions: int = 3) -> "AnisotropicDisplacements":
        """From isotropic displacements U (Å²)."""
        return cls.from_matrices(np.asarray(u)[:, None, None] * np.eye(dimensions))

    def matrices(self, dimensions: int) -> Float[Leaf, "n d d"]:
        xp = self.log_widths.__array_namespace__()
        widths, shears = xp.exp(self.log_widths), iter(xp.moveaxis(self.shears, -1, 0))
        one, zero = xp.ones_like(widths[:, 0]), xp.zeros_like(widths[:, 0])
        rows = [
            [*(next(shears) for _ in range(i)), one, *[zero] * (dimensions - i - 1)]
            for i in range(dimensions)
        ]
        unit = xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
        factor = widths[..., None] * unit
        # Written out, because XLA compiles a batched product of small matrices slowly on a CPU.
        return xp.sum(factor[..., :, None, :] * factor[..., None, :, :], axis=-1)


def _floating(x: Any) -> Any:
    """Whole numbers, and lists, as arrays that can be refined."""
    return np.asarray(x, np.float64) if isinstance(x, list | tuple) or _whole(x) else x


def _whole(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "iu"


class Atoms(AbstractStructure):
    """n atoms in d dimensions, each a Gaussian.

    **Fields:**

    - `positions`: in the map's frame (Å).
    - `displacements`: their displacement matrices.
    - `amplitudes`: integral of each atom's density (map units x Å³).
    - `numbers`: atomic numbers.
    """

    positions: Float[Leaf, "n d"] = eqx.field(converter=_floating)
    displacements: AbstractDisplacements
    amplitudes: Float[Leaf, " n"] = eqx.field(converter=_floating)
    numbers: Int[Leaf, " n"]

    def draw(self, canvas: AbstractCanvas) -> Float[Array, "..."]:
        return canvas.gaussians(self.positions, self.displacements.spreads(self.ndim), self.amplitudes)

    def natural(self) -> Float[Leaf, "n q"]:
        elements = elements_of_matrices(self.matrices())
        xp = namespace(self.positions, elements, self.amplitudes)
        return xp.concatenate([self.positions, elements, self.amplitudes[:, None]], axis=1)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.positions.shape[1]

    def matrices(self) -> Float[Leaf, "n d d"]:
        """Displacement matrices U (Å²)."""
        return self.displacements.matrices(self.ndim)

    def __getitem__(self, which: Leaf | slice) -> "Atoms":
        """The atoms at the given indices, or where a mask is true."""
        return jax.tree.map(lambda leaf: leaf[which], self)

    def shifted(self, shift: Float[np.ndarray, " d"]) -> "Atoms":
        """All atoms moved by a vector (Å), in float64."""
        moved = np.asarray(self.positions, np.float64) + np.asarray(shift, np.float64)
        return eqx.tree_at(lambda atoms: atoms.positions, self, moved)
