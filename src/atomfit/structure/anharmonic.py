"""Atoms that do not move harmonically: Gaussians with third and fourth cumulants (Gram-Charlier).

An atom in a well that is steeper on one side, or that visits a place with a long tail, has a density that
is no Gaussian, and one that is fitted to it follows the middle of it and not the covariance. The expansion
in derivatives of the Gaussian (Johnson & Levy 1974; Trueblood et al. 1996, eq. 12)

    ρ = A [1 - 1/3! Σ C_jkl ∂_j ∂_k ∂_l + 1/4! Σ D_jklm ∂_j ∂_k ∂_l ∂_m] N(r - x; U)

has mean x, covariance U, third cumulants C and fourth cumulants D. A blur adds to U and leaves C and D as
they are; a projection takes each of their indices to the image. So all data see the same numbers.

It is drawn through `AbstractCanvas.expansions` and has no derivative or overlap of its own.
"""

from itertools import combinations_with_replacement, permutations

import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.structure.atoms import AbstractDisplacements, Atoms
from atomfit.structure.canvas import AbstractCanvas, AbstractStructure, Leaf

#: How far atoms are drawn, in standard deviations of nearly the widest.
REACH = 4.0


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
        # Not of the very widest: all windows would be as large as those of an atom that hops.
        wide = xp.quantile(xp.max(xp.linalg.diagonal(matrices), axis=1), 0.95)
        reach = xp.asarray(REACH * xp.sqrt(wide))
        numbers = matrices, symmetric(self.third, d, 3), symmetric(self.fourth, d, 4)
        return canvas.expansions(self.positions, reach, numbers, self.amplitudes)


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
