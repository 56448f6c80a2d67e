"""Atoms that do not move harmonically: Gaussians with third and fourth cumulants (Gram-Charlier).

An atom in a well that is steeper on one side, or that visits a place with a long tail, has a density that
is no Gaussian, and one that is fitted to it follows the middle of it and not the covariance. The expansion
in derivatives of the Gaussian (Johnson & Levy 1974; Trueblood et al. 1996, eq. 12)

    ρ = A [1 - 1/3! Σ C_jkl ∂_j ∂_k ∂_l + 1/4! Σ D_jklm ∂_j ∂_k ∂_l ∂_m] N(r - x; U)

has mean x, covariance U, third cumulants C and fourth cumulants D. A blur adds to U and leaves C and D as
they are; a projection takes each of their indices to the image. So all data see the same numbers.

It is drawn through `AbstractCanvas.densities` and has no derivative or overlap of its own: as anyone's
displacement model would be.
"""

from itertools import combinations_with_replacement, permutations
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.structure.atoms import AbstractDisplacements, Atoms
from atomfit.structure.canvas import AbstractCanvas, AbstractStructure, Leaf

#: How far atoms are drawn, in standard deviations of the widest: tails are what it is about.
REACH = 4.5


class AnharmonicAtoms(AbstractStructure):
    """n atoms with cumulants up to the fourth.

    **Fields:**

    - `positions`: means of their densities (Å).
    - `displacements`: covariances.
    - `third`: cumulants C (Å³) by sorted indices: 111, 112, 113, 122, ..., 333.
    - `fourth`: cumulants D (Å⁴): 1111, 1112, ..., 3333.
    - `amplitudes`: integrals of their densities.
    - `numbers`: atomic numbers.
    """

    positions: Float[Leaf, "n d"]
    displacements: AbstractDisplacements
    third: Float[Leaf, "n c"]
    fourth: Float[Leaf, "n e"]
    amplitudes: Float[Leaf, " n"]
    numbers: Int[Leaf, " n"]

    @classmethod
    def of(cls, atoms: Atoms) -> "AnharmonicAtoms":
        """Gaussian atoms, to begin with."""
        n, d = atoms.positions.shape
        third, fourth = (np.zeros((n, len(unique_indices(d, order)))) for order in (3, 4))
        return cls(
            atoms.positions,
            displacements=atoms.displacements,
            third=third,
            fourth=fourth,
            amplitudes=atoms.amplitudes,
            numbers=atoms.numbers,
        )

    @property
    def atoms(self) -> Atoms:
        """The same without cumulants: mean, covariance and integral of each atom."""
        return Atoms(
            self.positions,
            displacements=self.displacements,
            amplitudes=self.amplitudes,
            numbers=self.numbers,
        )

    def draw(self, canvas: AbstractCanvas) -> Float[Array, "..."]:
        d = self.positions.shape[1]
        matrices = self.displacements.matrices(d)
        xp = matrices.__array_namespace__()
        reach = REACH * xp.sqrt(xp.max(xp.linalg.diagonal(matrices)))
        numbers = matrices, symmetric(self.third, d, 3), symmetric(self.fourth, d, 4)
        return canvas.densities(self.positions, reach, numbers, gram_charlier, self.amplitudes)


def gram_charlier(
    numbers: Any,
    offsets: Float[Array, "k m"],
    frame: Float[Array, "m d"],
    variance: Float[Array, ""],
) -> Float[Array, " k"]:
    """Density of one atom of integral one.

    **Arguments:**

    - `numbers`: U (Å²), C (Å³) and D (Å⁴), as whole tensors.
    - `offsets`: from its mean (Å).
    - `frame`: axes of the canvas in those of the tensors.
    - `variance`: of a blur (Å²).
    """
    matrix, third, fourth = numbers
    matrix = frame @ matrix @ frame.T + variance * jnp.eye(len(frame))
    third = jnp.einsum("aj,bk,cl,jkl->abc", frame, frame, frame, third)
    fourth = jnp.einsum("aj,bk,cl,em,jklm->abce", frame, frame, frame, frame, fourth)
    precision = jnp.linalg.inv(matrix)
    y = offsets @ precision
    gaussian = jnp.exp(-0.5 * jnp.sum(y * offsets, axis=1)) / jnp.sqrt(jnp.linalg.det(2 * np.pi * matrix))
    # Hermite polynomials contracted with symmetric tensors.
    trace = jnp.einsum("jkl,kl->j", third, precision)
    odd = jnp.einsum("jkl,nj,nk,nl->n", third, y, y, y) - 3 * y @ trace
    traces = jnp.einsum("jklm,lm->jk", fourth, precision)
    even = jnp.einsum("jklm,nj,nk,nl,nm->n", fourth, y, y, y, y) - 6 * jnp.einsum(
        "jk,nj,nk->n", traces, y, y
    )
    even += 3 * jnp.sum(traces * precision)
    return gaussian * (1 + odd / 6 + even / 24)


def unique_indices(d: int, order: int) -> list[tuple[int, ...]]:
    """Sorted indices of a symmetric tensor's elements."""
    return list(combinations_with_replacement(range(d), order))


def symmetric(elements: Float[Leaf, "n c"], d: int, order: int) -> Float[Leaf, "n ..."]:
    """Symmetric tensors by the elements of sorted indices."""
    place = np.zeros((d,) * order, int)
    for i, indices in enumerate(unique_indices(d, order)):
        for other in permutations(indices):
            place[other] = i
    return elements[:, place]
