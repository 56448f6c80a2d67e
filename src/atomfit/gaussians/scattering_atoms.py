"""Atoms that are more than points at rest: what is drawn of each is its own scattering, widened.

Any observation may see them: a map, where they are bounded or not, and images from any direction. They are
`Atoms` whose displacements are all that widens what `AbstractScattering` says of them at rest.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from atomfit.gaussians.scatterers import AbstractScattering
from atomfit.structure.atoms import AbstractDisplacements, Atoms
from atomfit.structure.canvas import AbstractCanvas, AbstractStructure, Leaf


class ScatteringAtoms(AbstractStructure):
    """Atoms as their elements scatter, say.

    In a `Problem` what they are at rest is refined like all else, unless it is frozen:
    `inference.frozen(atoms, lambda atoms: atoms.scattering)`.

    **Fields:**

    - `positions`, `amplitudes`, `numbers`: as of `Atoms`.
    - `displacements`: all that widens them.
    - `scattering`: what they are at rest.
    """

    positions: Float[Leaf, "n d"]
    displacements: AbstractDisplacements
    amplitudes: Float[Leaf, " n"]
    numbers: Int[Leaf, " n"]
    scattering: AbstractScattering

    @classmethod
    def of(cls, atoms: Atoms, scattering: AbstractScattering) -> "ScatteringAtoms":
        """Atoms, and what each of them is at rest.

        **Arguments:**

        - `atoms`: their displacements are all that widens them.
        - `scattering`: of as many atoms.
        """
        return cls(
            atoms.positions,
            displacements=atoms.displacements,
            amplitudes=atoms.amplitudes,
            numbers=atoms.numbers,
            scattering=scattering,
        )

    @property
    def atoms(self) -> Atoms:
        """Without what they are at rest."""
        return Atoms(
            self.positions,
            displacements=self.displacements,
            amplitudes=self.amplitudes,
            numbers=self.numbers,
        )

    @property
    def at_rest(self) -> AbstractScattering:
        return self.scattering

    def natural(self) -> Float[Leaf, "n q"]:
        return self.atoms.natural()

    def draw(self, canvas: AbstractCanvas) -> Float[Array, "..."]:
        return canvas.gaussians(*self.gaussians())

    def gaussians(
        self,
    ) -> tuple[Float[Array, "m d"], Float[Array, " m"] | Float[Array, "m d d"], Float[Array, " m"]]:
        """Centres, variances (of round ones) or variance matrices, and integrals, atom by atom."""
        d = self.positions.shape[1]
        spreads = jnp.asarray(self.displacements.spreads(d))
        alike = spreads.ndim == 1
        # A round atom is one in any number of dimensions.
        weights, shapes = self.scattering.terms(spreads[:, None, None] if alike else spreads)
        weights, shapes = jnp.asarray(weights, jnp.float32), jnp.asarray(shapes, jnp.float32)
        centres = jnp.broadcast_to(jnp.asarray(self.positions)[:, None], (*weights.shape, d))
        each = jnp.asarray(self.amplitudes)[:, None] * weights
        return centres.reshape(-1, d), shapes.reshape((-1,) if alike else (-1, d, d)), each.ravel()

    def __getitem__(self, which: Leaf | slice) -> "ScatteringAtoms":
        """The atoms at the given indices."""
        return ScatteringAtoms.of(self.atoms[which], self.scattering[which])
