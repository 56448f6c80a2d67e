"""What the solvers see: misfit and whatever else is known, as a function of the free numbers.

    objective(free) = data(model) + Σ term(model),    model = parametrisation(free)

`data` is a misfit whose Gauss-Newton matrix is known (`objective`). A term is anything that turns a model
into a number, in the same unit: a prior on displacements, a restraint by an interatomic potential. It
needs no derivatives of its own; those of JAX serve.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.fitting.curvature import Curvature, curvature_of_atoms
from atomfit.fitting.model import MapModel
from atomfit.fitting.objective import AbstractMisfit
from atomfit.fitting.parameters import Free, Parametrisation

Term = Callable[[MapModel], Float[Array, ""]]


class Posterior(eqx.Module):
    """The objective as a function of the free numbers.

    **Fields:**

    - `parametrisation`: from free numbers to a model.
    - `data`: the misfit.
    - `terms`: what else counts.
    - `neighbours`: which atoms overlap, from `neighbour_table`.
    """

    parametrisation: Parametrisation
    data: AbstractMisfit
    terms: tuple[Term, ...]
    neighbours: Int[Array | np.ndarray, "n m"]

    def __call__(self, free: Free) -> Float[Array, ""]:
        model = self.parametrisation(free)
        return sum((term(model) for term in self.terms), self.data(model))

    def information(self, free: Free) -> Curvature:
        """The Gauss-Newton matrix of the misfit alone."""
        border, corner = self._border(free)
        return curvature_of_atoms(
            self.parametrisation,
            free,
            jnp.asarray(self.neighbours),
            self.data.overlap,
            border,
            corner,
            self.data.atoms_at_a_time,
        )

    def curvature(
        self, free: Free
    ) -> tuple[Callable[[Float[Array, " k"]], Float[Array, " k"]], Float[Array, " k"]]:
        """Products with the curvature of the whole objective, and the diagonal of the misfit's."""
        information = self.information(free)
        if not self.terms:
            return information.product, information.diagonal()
        flat, unflat = self.parametrisation.flat, self.parametrisation.unflat
        at = flat(free)

        def others(vector: Float[Array, " k"]) -> Float[Array, ""]:
            model = self.parametrisation(unflat(vector))
            return sum((term(model) for term in self.terms), jnp.zeros(()))

        def product(vector: Float[Array, " k"]) -> Float[Array, " k"]:
            return information.product(vector) + jax.jvp(jax.grad(others), (at,), (vector,))[1]

        return product, information.diagonal()

    def _border(self, free: Free) -> tuple[Float[Array, "n p b"], Float[Array, "b b"]]:
        """What each number of the background shares with the atoms' free numbers, and with the others."""
        flat, unflat = self.parametrisation.flat, self.parametrisation.unflat
        at, (n, p) = flat(free), self.parametrisation.columns
        background = slice(n * p, len(at))
        if n * p == len(at):
            return jnp.zeros((n, p, 0)), jnp.zeros((0, 0))

        def product(column: Array) -> Float[Array, " k"]:
            direction = jnp.zeros_like(at).at[column].set(1.0)
            field = jax.jvp(
                lambda v: self.data.background(self.parametrisation(unflat(v))), (at,), (direction,)
            )
            return self.data.back(lambda v: self.parametrisation(unflat(v)), at, field[1])

        rows = lax.map(product, jnp.arange(n * p, len(at)))
        return jnp.moveaxis(rows[:, : n * p].reshape(-1, n, p), 0, -1), rows[:, background]
