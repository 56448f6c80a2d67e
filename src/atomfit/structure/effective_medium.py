"""The effective-medium potential in JAX: distances of an element's atoms in, energies out.

Functional form, parameters and smoothing are those of ase's `EMT` (Jacobsen, Stoltze & Nørskov, Surf. Sci.
366 (1996) 394), which knows Al, Cu, Ag, Au, Ni, Pd and Pt. Each atom lends its neighbours density, and
pairs repel each other:

    E_i = F(Σ_j ρ(r_ij)) + ½ Σ_j φ(r_ij),

counted from an atom in the bulk, where it is 0. Its parts are here by themselves, because on the sites of a
lattice a neighbour's share depends on its shell only (`stacking.lattice_energy`), and together, as a
function of positions that can be differentiated. Arrays keep their type: 64 bits if positions have them.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.support.errors import InputError

Numbers = Float[Array, "..."] | Float[np.ndarray, "..."]
#: Metals that ase's parameters describe; its other elements are there for fun, as it says.
METALS = ("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")


@final
class EffectiveMedium(eqx.Module):
    """The potential of one element; lengths in Å, energies in eV.

    **Fields:**

    - `symbol`: the element's.
    - `cohesion`, `radius`, `strength`: E0, s0 and V0.
    - `softness`, `stiffness`, `decay`: η2, κ and λ (1/Å).
    - `beta`: what `radius` is multiplied by for the distance of neighbours in the bulk.
    - `gammas`: sums over the bulk's shells that density and repulsion are counted in.
    - `midpoint`, `slope`: of the smoothing function (Å, 1/Å).
    - `reach`: beyond which nothing acts (Å).
    """

    symbol: str = eqx.field(static=True)
    cohesion: float = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    strength: float = eqx.field(static=True)
    softness: float = eqx.field(static=True)
    stiffness: float = eqx.field(static=True)
    decay: float = eqx.field(static=True)
    beta: float = eqx.field(static=True)
    gammas: tuple[float, float] = eqx.field(static=True)
    midpoint: float = eqx.field(static=True)
    slope: float = eqx.field(static=True)
    reach: float = eqx.field(static=True)

    @classmethod
    def of(cls, symbol: str) -> "EffectiveMedium":
        """The potential of an element.

        **Arguments:**

        - `symbol`: one of `METALS`.

        **Raises:** `InputError` for any other.
        """
        if symbol not in METALS:
            raise InputError(
                f"the effective-medium potential does not know {symbol}, only {', '.join(METALS)}",
                "give an ase calculator from Python (calculator=)",
            )
        from ase import Atoms
        from ase.calculators.emt import EMT, beta

        ase = EMT()
        ase.initialize(Atoms(symbol))
        of = {name: float(values[0]) for name, values in ase.par.items()}
        gammas = 1 / (12 * of["inv12gamma1"]), -0.5 * of["V0"] / of["neghalfv0overgamma2"]
        return cls(
            symbol,
            of["E0"],
            of["s0"],
            of["V0"],
            of["eta2"],
            of["kappa"],
            of["lambda"],
            beta,
            gammas,
            float(ase.rc),
            float(ase.acut),
            float(ase.rc_list),
        )

    @property
    def neighbour_distance(self) -> float:
        """Of atoms in the bulk of least energy (Å)."""
        return self.beta * self.radius

    def density(self, r: Numbers) -> Float[Array, "..."]:
        """What an atom lends another at a distance (Å)."""
        return jnp.exp(-self.softness * (r - self.neighbour_distance)) * self._window(r)

    def repulsion(self, r: Numbers) -> Float[Array, "..."]:
        """Energy of a pair at a distance (Å)."""
        falling = jnp.exp(-self.stiffness / self.beta * (r - self.neighbour_distance))
        return -self.strength / self.gammas[1] * falling * self._window(r)

    def embedding(self, density: Numbers) -> Float[Array, "..."]:
        """Energy of an atom in a density, counted from the bulk's; that of an atom alone for none."""
        # The logarithm must not see an atom that is alone.
        safe = jnp.maximum(density, 1e-30)
        s = -jnp.log(safe / (12 * self.gammas[0])) / (self.beta * self.softness)
        cohesion = self.cohesion * (1 + self.decay * s) * jnp.exp(-self.decay * s)
        return cohesion + 6 * self.strength * jnp.exp(-self.stiffness * s) - self.cohesion

    def energies(
        self,
        positions: Float[Array, "n 3"] | Float[np.ndarray, "n 3"],
        pairs: Int[Array, "p 2"] | Int[np.ndarray, "p 2"],
    ) -> Float[Array, " n"]:
        """Of each atom (eV).

        **Arguments:**

        - `positions`: in Å.
        - `pairs`: all pairs nearer than `reach`, each once; others do no harm.

            >>> import numpy as np
            >>> dimer = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.5]])
            >>> float(EffectiveMedium.of("Pt").energies(dimer, np.array([[0, 1]])).sum()) > 0
            True
        """
        x = jnp.asarray(positions)
        i, j = jnp.asarray(pairs).T
        squared = jnp.sum((x[j] - x[i]) ** 2, axis=1)
        near = squared < self.reach**2
        # Pairs that do not count must have derivatives as well.
        r = jnp.sqrt(jnp.where(near, squared, self.reach**2))
        density = jnp.where(near, self.density(r), 0)
        half = 0.5 * jnp.where(near, self.repulsion(r), 0)
        zero = jnp.zeros(len(x), x.dtype)
        return self.embedding(zero.at[i].add(density).at[j].add(density)) + zero.at[i].add(half).at[j].add(
            half
        )

    def _window(self, r: Numbers) -> Float[Array, "..."]:
        return jax.nn.sigmoid(self.slope * (self.midpoint - r))
