"""What atoms are drawn on, and what can draw itself: the meeting place of structures and observations.

An observation knows where its voxels or pixels are and what blurs them; a structure knows what its atoms
look like. Neither needs to know the other: a structure draws itself on a canvas, which an observation
provides.

    image = structure.draw(canvas)

A canvas draws two things. `gaussians` is quick, and has closed forms behind it. `densities` draws whatever
a function of one atom's numbers says, and is differentiated automatically: a displacement model or a form
factor of one's own needs no more than that function.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from atomfit.structure.gram_charlier import gram_charlier

Leaf = Array | np.ndarray

#: Density of one atom of integral one at offsets from its centre (k, d), of its numbers, of the canvas's
#: axes
#: in the specimen's (d, 3) and of a variance (Å²) that blurs it in addition.
AtomDensity = Callable[[Any, Any, Any, Any], Any]


class AbstractCanvas(abc.ABC):
    """A map's voxels, or an image's pixels."""

    @abc.abstractmethod
    def gaussians(
        self,
        centres: Float[Leaf, "n d"],
        spreads: Float[Leaf, " n"] | Float[Leaf, "n d d"],
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        """A sum of Gaussians.

        **Arguments:**

        - `centres`: in the specimen's frame (Å).
        - `spreads`: variances of round ones, or variance matrices (Å²).
        - `weights`: their integrals.
        """

    @abc.abstractmethod
    def densities(
        self,
        centres: Float[Leaf, "n d"],
        reach: Float[Leaf, ""] | float,
        numbers: PyTree,
        density: AtomDensity,
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        """A sum of atoms of any density.

        **Arguments:**

        - `centres`, `weights`: as above.
        - `reach`: how far from their centres atoms are drawn (Å).
        - `numbers`: of the atoms, arrays whose first axis is theirs.
        - `density`: of one atom; see `AtomDensity`.
        """

    def expansions(
        self,
        centres: Float[Leaf, "n d"],
        reach: Float[Leaf, ""] | float,
        numbers: PyTree,
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        """A sum of Gaussians with third and fourth cumulants; see `gram_charlier`.

        **Arguments:**

        - `centres`, `reach`, `weights`: as above.
        - `numbers`: covariances and cumulants of the atoms, as whole tensors.
        """
        return self.densities(centres, reach, numbers, gram_charlier, weights)


class AbstractStructure(eqx.Module):
    """What is in the specimen: atoms that can be drawn.

    A subclass adds what its atoms have beside these, in leaves whose first axis is the atoms'.

    **Fields:**

    - `positions`: in the specimen's frame (Å).
    - `amplitudes`: integral of each atom's density.
    """

    positions: eqx.AbstractVar[Float[Leaf, "n d"]]
    amplitudes: eqx.AbstractVar[Float[Leaf, " n"]]

    def __len__(self) -> int:
        return int(self.positions.shape[0])

    def __getitem__(self, which: Leaf | slice) -> "AbstractStructure":
        """The atoms at the given indices."""
        return jax.tree.map(lambda leaf: leaf[which], self)

    @abc.abstractmethod
    def draw(self, canvas: AbstractCanvas) -> Float[Array, "..."]:
        """The atoms on a canvas."""

    @property
    def at_rest(self) -> Any:
        """What each atom is without what widens it (`gaussians.scatterers`); None for points."""
        return None

    def natural(self) -> Float[Leaf, "n q"] | None:
        """Position (Å), variances (Å²; 11, 22, 33, 12, 13, 23) and amplitude of each atom.

        None where they do not say what is drawn: then nothing of the atoms is known in closed form.
        """
        return None
