"""What the solvers see: misfit and whatever else is known, as a function of the free numbers.

    objective(free) = data(model) + prior(model) + Σ term(model),    model = parametrisation(free)

`data` is a misfit whose Gauss-Newton matrix is known (`objective`), `prior` is quadratic in each atom's
natural parameters (`prior`). A term is anything that turns a model into a number, in the same unit: a
restraint by an interatomic potential, say. It needs no derivatives of its own; those of JAX serve.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.fitting.curvature import Curvature, curvature_of_atoms, natural_of
from atomfit.fitting.model import MapModel
from atomfit.fitting.objective import AbstractLeastSquares, AbstractMisfit, Pointwise
from atomfit.fitting.parameters import Free, Parametrisation
from atomfit.fitting.prior import AtomPrior

Term = Callable[[MapModel], Float[Array, ""]]


class Evaluation(NamedTuple):
    """What the objective is at one place.

    **Fields:**

    - `value`, `gradient`: of the objective; the gradient in the order of `Parametrisation.flat`.
    - `border`, `corner`: what the background's numbers share with the atoms', and with each other.
    """

    value: Float[Array, ""]
    gradient: Float[Array, " k"]
    border: Float[Array, "n p b"]
    corner: Float[Array, "b b"]


class Posterior(eqx.Module):
    """The objective as a function of the free numbers.

    **Fields:**

    - `parametrisation`: from free numbers to a model.
    - `data`: the misfit.
    - `prior`: of each atom's numbers.
    - `terms`: what else counts.
    - `neighbours`: which atoms overlap, from `neighbour_table`.
    """

    parametrisation: Parametrisation
    data: AbstractMisfit
    prior: AtomPrior
    terms: tuple[Term, ...]
    neighbours: Int[Array | np.ndarray, "n m"]

    def __call__(self, free: Free) -> Float[Array, ""]:
        model = self.parametrisation(free)
        return self.data(model) + self.others(model)

    def evaluate(self, free: Free) -> Evaluation:
        """Objective, gradient, and the background's part of the Gauss-Newton matrix, in one go.

        The background shares with the atoms what its weighted density becomes when it is projected onto
        their numbers, as the gradient is what the weighted residual becomes: one more turn of a loop.
        """
        at, (n, p) = self.parametrisation.flat(free), self.parametrisation.columns

        def seen(vector: Float[Array, " k"]) -> tuple[Float[Array, "..."], Float[Array, ""]]:
            model = self.parametrisation(self.parametrisation.unflat(vector))
            return model.density(self.data.plan, self.data.spacing), self.others(model)

        (density, more), pull = jax.vjp(seen, at)
        value, slope = self.data.value_and_slope(density)
        fields = self._fields_of_background()
        weighted = jax.vmap(lambda field: self.data.weighted(field, density))(fields)
        densities = jnp.concatenate([slope[None], weighted])
        # The background's fields have no share in anything but the misfit.
        misfit_only = jnp.arange(len(densities)) > 0
        rows = lax.map(lambda each: pull(each)[0], (densities, jnp.where(misfit_only, 0.0, 1.0)))
        border = jnp.moveaxis(rows[1:, : n * p].reshape(len(fields), n, p), 0, -1)
        return Evaluation(value + more, rows[0], border, rows[1:, n * p :])

    def _fields_of_background(self) -> Float[Array, "b ..."]:
        """What each of its free numbers does to the region, which is the same wherever a fit stands."""
        background, data = self.parametrisation.start.background, self.data
        if "background" not in self.parametrisation.steps:
            return jnp.zeros((0, *data.plan.shape))
        steps = jnp.asarray(self.parametrisation.steps["background"])

        def density(changes: Float[Array, " b"]) -> Float[Array, "..."]:
            changed = background.plus(changes).density(data.plan.shape, data.spacing)
            return jnp.broadcast_to(changed, data.plan.shape)

        def along(direction: Float[Array, " b"]) -> Float[Array, "..."]:
            return jax.jvp(density, (jnp.zeros_like(steps),), (direction,))[1]

        return jax.vmap(along)(jnp.diag(steps))

    def information(self, free: Free, evaluation: Evaluation) -> Curvature:
        """The Gauss-Newton matrix of the misfit alone, where it was evaluated."""
        assert isinstance(self.data, AbstractLeastSquares)
        return curvature_of_atoms(
            self.parametrisation,
            free,
            jnp.asarray(self.neighbours),
            self.data.overlap,
            evaluation.border,
            evaluation.corner,
            self.data.atoms_at_a_time,
        )

    def curvature(
        self, free: Free, evaluation: Evaluation
    ) -> tuple[Callable[[Float[Array, " k"]], Float[Array, " k"]], Float[Array, " k"]]:
        """Products with the curvature of the whole objective, and the diagonal without that of terms."""
        if isinstance(self.data, Pointwise):
            products, diagonal = self._drawn(self.data, free, evaluation)
        else:
            information = self.information(free, evaluation)
            quadratic = information.plus(jnp.asarray(self.prior.precisions))
            products, diagonal = quadratic.product, quadratic.diagonal()
        if not self.terms:
            return products, diagonal
        at = self.parametrisation.flat(free)

        def of_terms(vector: Float[Array, " k"]) -> Float[Array, ""]:
            model = self.parametrisation(self.parametrisation.unflat(vector))
            return sum((term(model) for term in self.terms), jnp.zeros(()))

        def product(vector: Float[Array, " k"]) -> Float[Array, " k"]:
            return products(vector) + jax.jvp(jax.grad(of_terms), (at,), (vector,))[1]

        return product, diagonal

    def _drawn(
        self, data: Pointwise, free: Free, evaluation: Evaluation
    ) -> tuple[Callable[[Float[Array, " k"]], Float[Array, " k"]], Float[Array, " k"]]:
        """The same where no closed form is known: each product draws a change of the density.

        In the parametrisation's units a lone atom has unit curvature for unit weights.
        """
        at, (_, p) = self.parametrisation.flat(free), self.parametrisation.columns

        def seen(vector: Float[Array, " k"]) -> tuple[Float[Array, "..."], Float[Array, "n q"]]:
            model = self.parametrisation(self.parametrisation.unflat(vector))
            return model.density(data.plan, data.spacing), natural_of(model)

        (there, _), push = jax.linearize(seen, at)
        pull = jax.linear_transpose(push, at)

        def product(vector: Float[Array, " k"]) -> Float[Array, " k"]:
            density, natural = push(vector)
            drawn = jnp.sum(jnp.asarray(self.prior.precisions) * natural[:, None, :], axis=2)
            return pull((data.weighted(density, there), drawn))[0]

        diagonal = jnp.repeat(data.around(self.parametrisation(free)), p)
        return product, jnp.concatenate([diagonal, jnp.diagonal(evaluation.corner)])

    def others(self, model: MapModel) -> Float[Array, ""]:
        """All of the objective but the misfit."""
        return sum((term(model) for term in self.terms), self.prior(natural_of(model)))
