"""What the solvers see: misfit and whatever else is known, as a function of the free numbers.

    objective(free) = data(model) + prior(model) + Σ term(model),    model = parametrisation(free)

`data` is a misfit whose Gauss-Newton matrix is known (`objective`), `prior` is quadratic in each atom's
natural parameters (`prior`). A term is anything that turns a model into a number, in the same unit: a
restraint by an interatomic potential, say. It needs no derivatives of its own; those of JAX serve, for
steps and for standard uncertainties (`term_information`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.fitting.curvature import Curvature, curvature_of_atoms, natural_of
from atomfit.fitting.model import MapModel
from atomfit.fitting.objective import AbstractLeastSquares, AbstractMisfit, Pointwise
from atomfit.fitting.parameters import Parametrisation
from atomfit.fitting.prior import AtomPrior
from atomfit.optimisation.parameters import Free
from atomfit.optimisation.posterior import AbstractPosterior, Evaluation

Term = Callable[[MapModel], Float[Array, ""]]


class Posterior(AbstractPosterior):
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
        """Objective and gradient."""

        def value(vector: Float[Array, " k"]) -> Float[Array, ""]:
            return self(self.parametrisation.unflat(vector))

        return Evaluation(*jax.value_and_grad(value)(self.parametrisation.flat(free)))

    def misfit(self, free: Free, value: Float[Array, ""] | float) -> Float[Array, ""] | float:
        return value - self.others(self.parametrisation(free))

    def _of_background(
        self, model: MapModel, density: Float[Array, "..."]
    ) -> tuple[Float[Array, "b n"], Float[Array, "b b"]]:
        """Weighted density of each of the background's free numbers at the atoms, and its share in others.

        That density is the same wherever a fit stands. Each is drawn when it is needed: memory is that of
        the map, however many there are.
        """
        background, data = self.parametrisation.start.background, self.data
        if "background" not in self.parametrisation.steps:
            return jnp.zeros((0, len(model.atoms))), jnp.zeros((0, 0))
        steps = jnp.asarray(self.parametrisation.steps["background"])

        def drawn(changes: Float[Array, " b"]) -> Float[Array, "..."]:
            changed = background.plus(steps * changes).density(data.plan.shape, data.spacing)
            return jnp.broadcast_to(changed, data.plan.shape)

        _, push = jax.linearize(drawn, jnp.zeros_like(steps))
        pull = jax.linear_transpose(push, steps)
        places = jnp.round(model.atoms.positions / jnp.asarray(data.spacing)).astype(int)[:, ::-1]
        places = jnp.clip(places, 0, np.array(data.plan.shape) - 1)

        def shares(direction: Float[Array, " b"]) -> tuple[Float[Array, " n"], Float[Array, " b"]]:
            weighted = data.weighted(push(direction), density)
            return weighted[tuple(places.T)], pull(weighted)[0]

        return lax.map(shares, jnp.eye(len(steps)))

    def information(self, free: Free) -> Curvature:
        """The Gauss-Newton matrix of the misfit alone."""
        assert isinstance(self.data, AbstractLeastSquares)
        # Gaussian noise has one curvature at all densities.
        anywhere = jnp.zeros(self.data.plan.shape, jnp.float32)
        at_atoms, corner = self._of_background(self.parametrisation(free), anywhere)
        return curvature_of_atoms(
            self.parametrisation,
            free,
            jnp.asarray(self.neighbours),
            self.data.overlap,
            at_atoms.T / jnp.prod(jnp.asarray(self.data.spacing)),
            corner,
            self.data.atoms_at_a_time,
        )

    def curvature(
        self, free: Free
    ) -> tuple[Callable[[Float[Array, " k"]], Float[Array, " k"]], Float[Array, " k"]]:
        """Products with the curvature of the whole objective, and the diagonal without that of terms."""
        if isinstance(self.data, Pointwise):
            products, diagonal = self._drawn(self.data, free)
        else:
            information = self.information(free)
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
        self, data: Pointwise, free: Free
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

        here = self.parametrisation(free)
        _, corner = self._of_background(here, there)
        return product, jnp.concatenate([jnp.repeat(data.around(here), p), jnp.diagonal(corner)])

    def others(self, model: MapModel) -> Float[Array, ""]:
        """All of the objective but the misfit."""
        return sum((term(model) for term in self.terms), self.prior(natural_of(model)))
