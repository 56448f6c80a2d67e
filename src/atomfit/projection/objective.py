"""The misfit of a tilt series and its derivatives, one view after the other.

The objective is a sum over views, and everything that a solver asks for is one too: value, gradient and
products with the Gauss-Newton matrix JᵀWJ. Each is a scan in which a view's image is drawn, compared and
differentiated before the next one is looked at. So nothing that grows with the number of views is kept,
and no image is drawn a second time for its derivative, as it would be if the whole series were
differentiated.

What is known beforehand is a quadratic term in each atom's own free numbers: how far it may have moved
and how much its amplitude may differ. What atoms share is adjusted for what their positions take of the
noise (`adjustment`), in the unit in which noise is.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from atomfit.noise.likelihood import AbstractLoss
from atomfit.optimisation.posterior import AbstractPosterior, Evaluation
from atomfit.projection.adjustment import adjustment
from atomfit.projection.images import Camera, draw_view
from atomfit.projection.model import Drawn, EachView, TiltModel
from atomfit.projection.parameters import Free, TiltParametrisation
from atomfit.structure.atoms import Leaf


class Seen(eqx.Module):
    """A tilt series as the objective needs it.

    **Fields:**

    - `images`: in units of a typical peak.
    - `weights`: of each pixel; zero where nothing was measured.
    - `rotations`, `centres`: of the views.
    """

    images: Float[Leaf, "v rows columns"]
    weights: Float[Leaf, "v rows columns"]
    rotations: Float[Leaf, "v 3 3"]
    centres: Float[Leaf, "v 2"]


class TiltPosterior(AbstractPosterior):
    """The objective as a function of the free numbers.

    **Fields:**

    - `parametrisation`: from free numbers to a model.
    - `seen`: the images.
    - `loss`: what a difference costs; half its square if None.
    - `precisions`: of what is known of each free number beforehand, in the order of `flat`.
    - `known`: what they are expected to be, in the same order.
    - `camera`: how views are drawn.
    - `followed`: how far each atom follows the noise, in the objective's unit; None if what atoms share is
        not adjusted for it.
    """

    parametrisation: TiltParametrisation
    seen: Seen
    loss: AbstractLoss | None
    precisions: Float[Leaf, " k"]
    known: Float[Leaf, " k"]
    camera: Camera = eqx.field(static=True)
    followed: Float[Leaf, " n"] | None = None

    def __call__(self, free: Free) -> Float[Array, ""]:
        return self.evaluate(free).value

    def evaluate(self, free: Free) -> Evaluation:
        """Objective and gradient."""
        parts, pull = jax.vjp(lambda free: _parts(self.parametrisation(free)), free)

        def view(drawn: Drawn, each: EachView, data: Seen) -> Float[Array, ""]:
            image = self._draw(drawn, each, data)
            return jnp.sum(data.weights * self._cost(image, data.images))

        def add(total: Any, one: Any) -> Any:
            each, data = one
            value, (of_drawn, of_each) = jax.value_and_grad(view, argnums=(0, 1))(parts[0], each, data)
            return jax.tree.map(jnp.add, total, (value, of_drawn)), of_each

        (value, of_drawn), of_views = lax.scan(
            add, (jnp.zeros(()), jax.tree.map(jnp.zeros_like, parts[0])), (parts[1], self._data())
        )
        gradient = self.parametrisation.flat(pull((of_drawn, of_views))[0])
        more, slope = jax.value_and_grad(self._others)(self.parametrisation.flat(free))
        return Evaluation(value + more, gradient + slope)

    def misfit(self, free: Free, value: Float[Array, ""] | float) -> Float[Array, ""] | float:
        return value - self._others(self.parametrisation.flat(free))

    def _others(self, vector: Float[Array, " k"]) -> Float[Array, ""]:
        """All of the objective but the misfit."""
        off = vector - jnp.asarray(self.known)
        known = 0.5 * jnp.vdot(off, jnp.asarray(self.precisions) * off)
        if self.followed is None:
            return known
        own, free = self.parametrisation.rows, self.parametrisation.unflat(vector)
        shared = {name: jnp.zeros_like(x) if name in own else x for name, x in free.items()}
        return known + adjustment(self.parametrisation(shared), self.followed, self.seen.rotations)

    def curvature(
        self, free: Free
    ) -> tuple[Callable[[Float[Array, " k"]], Float[Array, " k"]], Float[Array, " k"]]:
        """Products with the Gauss-Newton matrix, and about its diagonal."""
        at = self.parametrisation.flat(free)

        def of_vector(vector: Float[Array, " k"]) -> tuple[Drawn, EachView]:
            return _parts(self.parametrisation(self.parametrisation.unflat(vector)))

        parts, push = jax.linearize(of_vector, at)
        pull = jax.linear_transpose(push, at)

        def product(vector: Float[Array, " k"]) -> Float[Array, " k"]:
            changes = push(vector)

            def add(total: Any, one: Any) -> Any:
                each, change, data = one
                image, along = jax.jvp(
                    lambda drawn, each: self._draw(drawn, each, data),
                    (parts[0], each),
                    (changes[0], change),
                )
                _, back = jax.vjp(lambda drawn, each: self._draw(drawn, each, data), parts[0], each)
                of_drawn, of_each = back(data.weights * self._curvature(image, data.images) * along)
                return jax.tree.map(jnp.add, total, of_drawn), of_each

            pulled = lax.scan(
                add, jax.tree.map(jnp.zeros_like, parts[0]), (parts[1], changes[1], self._data())
            )
            return pull(pulled)[0] + jnp.asarray(self.precisions) * vector

        return product, self._diagonal(free, parts) + jnp.asarray(self.precisions)

    def _diagonal(self, free: Free, parts: tuple[Drawn, EachView]) -> Float[Array, " k"]:
        """About the diagonal of the Gauss-Newton matrix, in the order of `flat`.

        That of a lone atom is one in the units of `parameters` where all pixels count one (and twice as
        much along an axis that all views see as along one that half of them do). Pixels count as they do
        about each atom; what a view has for itself is summed over its pixels.
        """
        drawn, views = parts

        def add(totals: tuple[Array, Array], one: tuple[EachView, Seen]) -> Any:
            each, data = one
            image = self._draw(drawn, each, data)
            counts = data.weights * self._curvature(image, data.images)
            seen = drawn.positions @ data.rotations[:2].T / self.camera.pixel + data.centres
            places = jnp.clip(jnp.round(seen).astype(int), 0, jnp.array(self.camera.shape[::-1]) - 1)
            about = counts[places[:, 1], places[:, 0]]
            along = jnp.sum(data.rotations[:2] ** 2, axis=0)
            bare = (image - each.backgrounds) / jnp.where(each.gains == 0, 1.0, each.gains)
            totals = totals[0] + about, totals[1] + about[:, None] * along
            return totals, (jnp.sum(counts), jnp.sum(counts * bare**2))

        n, v = len(drawn.positions), len(views.gains)
        none = jnp.zeros(n, jnp.float32), jnp.zeros((n, 3), jnp.float32)
        (about, along), (whole, squares) = lax.scan(add, none, (views, self._data()))
        typical = jnp.maximum(jnp.mean(about) / v, 1e-6)
        known = {"positions": along / v, "backgrounds": whole, "gains": squares}
        found: Free = {}
        for name, numbers in free.items():
            if name in self.parametrisation.rows:
                each = known.get(name, about[:, None] / v)
                value = each if numbers.ndim == 2 else each[:, 0]
            elif name in known and name != "positions":
                value = known[name] * jnp.asarray(self.parametrisation.steps[name]) ** 2
            else:
                value = typical
            found[name] = jnp.broadcast_to(jnp.maximum(value, 0.05 * typical), numbers.shape)
        return self.parametrisation.flat(found)

    def _draw(self, drawn: Drawn, each: EachView, data: Seen) -> Float[Array, "rows columns"]:
        return draw_view(drawn, each, data.rotations, data.centres, self.camera)

    def _data(self) -> Seen:
        return jax.tree.map(jnp.asarray, self.seen)

    def _cost(self, image: Array, values: Leaf) -> Array:
        return 0.5 * (image - values) ** 2 if self.loss is None else self.loss.value(image, values)

    def _curvature(self, image: Array, values: Leaf) -> Array:
        return jnp.ones_like(image) if self.loss is None else self.loss.curvature(image, values)


def _parts(model: TiltModel) -> tuple[Drawn, EachView]:
    """What all views share, and what each has."""
    return model.drawn(), jax.tree.map(lambda leaf: jnp.asarray(leaf, np.float32), model.views)


def series_of(
    model: TiltModel,
    rotations: Float[Leaf, "v 3 3"],
    centres: Float[Leaf, "v 2"],
    camera: Camera,
) -> Float[Array, "v rows columns"]:
    """A model's images, of all views."""
    drawn, each = _parts(model)

    def draw(view: tuple[EachView, Array, Array]) -> Array:
        corrections, rotation, centre = view
        return draw_view(drawn, corrections, rotation, centre, camera)

    return lax.map(draw, (each, jnp.asarray(rotations), jnp.asarray(centres)))
