"""A few atoms refined against a part of each image, while all others stay.

Places and pixels in, places and chi-square out:

    minimise Σ_v Σ_pixels w (r + Σ_k g(x_k⁰) - Σ_k g(x_k))²,

r being what a fit of all atoms leaves, w the inverse variance, g an atom's image and x_k⁰ where it was. All
atoms have the same image, a Gaussian. It takes a few damped Gauss-Newton steps, whose matrix is known in
closed form (`projection.information`), and some milliseconds for fifteen atoms in sixty views; a step that
makes chi-square larger is not taken.

It is done for two choices of atoms, those that there were and others, because only chi-squares that were
both refined can be compared.
"""

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from atomfit.structure.atoms import Leaf
from atomfit.support.compiled import kept

#: Steps of a refinement, their damping at first, and the longest, in widths of an atom's image.
_STEPS, _DAMPING, _LONGEST = 6, 0.03, 0.65


class Cutout(eqx.Module):
    """A part of each image around a place.

    **Fields:**

    - `left`, `weights`: what a fit leaves there, and inverse variances.
    - `planes`: axes of the images in the specimen's frame.
    - `offsets`: where in each part the place is (pixels).
    - `heights`: of an atom's image, which is a Gaussian.
    - `variance`: its (Å²).
    - `pixel`: edge of a pixel (Å).
    """

    left: Float[Leaf, "v p p"]
    weights: Float[Leaf, "v p p"]
    planes: Float[Leaf, "v 2 3"]
    offsets: Float[Leaf, "v 2"]
    heights: Float[Leaf, " v"]
    variance: Float[Leaf, ""]
    pixel: Float[Leaf, ""]

    def seen(self, x: Float[Array, "k 3"]) -> Float[Array, "v k 2"]:
        """Where in each part atoms are (Å)."""
        offsets = self.pixel * jnp.asarray(self.offsets)
        return jnp.einsum("vij,kj->vki", jnp.asarray(self.planes), x) + offsets[:, None]

    def tables(self, seen: Float[Array, "v k 2"], some: Float[Array, " k"]) -> list[Float[Array, "v k p"]]:
        """Distances from atoms along rows and columns (Å), and the factors of their images."""
        axis = jnp.asarray(self.pixel) * jnp.arange(self.left.shape[-1])
        across, down = (axis - seen[..., i, None] for i in range(2))
        wide, high = (jnp.exp(-0.5 * d**2 / self.variance) for d in (across, down))
        return [across, down, wide, jnp.asarray(self.heights)[:, None, None] * some[:, None] * high]

    def chi_square(
        self, x: Float[Array, "k 3"], some: Float[Array, " k"], target: Float[Array, "v p p"]
    ) -> Float[Array, ""]:
        """Of some atoms, for what they should describe."""
        *_, wide, high = self.tables(self.seen(x), some)
        return jnp.sum(self.weights * (target - _drawn(wide, high)) ** 2)

    def step(
        self,
        x: Float[Array, "k 3"],
        damping: Float[Array, ""],
        some: Float[Array, " k"],
        target: Float[Array, "v p p"],
    ) -> Float[Array, "k 3"]:
        """Where one damped step leads."""
        seen = self.seen(x)
        across, down, wide, high = self.tables(seen, some)
        weighted = self.weights * (target - _drawn(wide, high))
        slopes = [
            jnp.sum(jnp.einsum("vrc,vkc->vkr", weighted, one) * other, axis=-1)
            for one, other in ((across * wide, high), (wide, down * high))
        ]
        gradient = jnp.einsum("ivk,vij->kj", jnp.stack(slopes), jnp.asarray(self.planes)) / self.variance
        matrix = self.curvature(seen, some)
        diagonal = jnp.diag(matrix)
        largest = jnp.max(diagonal)
        # Atoms that are not there have no curvature.
        absent = jnp.where(diagonal > 0, 0.0, largest + 1.0)
        matrix += jnp.diag(damping * diagonal + 1e-3 * largest + absent)
        move = jnp.linalg.solve(matrix, gradient.ravel()).reshape(x.shape)
        length = jnp.linalg.norm(move, axis=1, keepdims=True)
        return x + move * jnp.minimum(1.0, _LONGEST * jnp.sqrt(self.variance) / jnp.maximum(length, 1e-9))

    def curvature(self, seen: Float[Array, "v k 2"], some: Float[Array, " k"]) -> Float[Array, "k3 k3"]:
        """The Gauss-Newton matrix of atoms' places, with each pair's weights taken where the two are."""
        planes, heights = jnp.asarray(self.planes), jnp.asarray(self.heights)
        at = jnp.clip(jnp.rint(seen / self.pixel).astype(int), 0, self.weights.shape[-1] - 1)
        here = jnp.asarray(self.weights)[jnp.arange(len(planes))[:, None], at[..., 1], at[..., 0]]
        own = heights[:, None] * some * jnp.sqrt(here)
        apart = seen[:, :, None] - seen[:, None]
        overlap = (
            jnp.exp(-jnp.sum(apart**2, axis=-1) / (4 * self.variance)) * own[:, :, None] * own[:, None]
        )
        plane = jnp.eye(2) - apart[..., :, None] * apart[..., None, :] / (2 * self.variance)
        plane *= (0.5 * jnp.pi / self.pixel**2) * overlap[..., None, None]
        matrix = jnp.einsum("vklij,via,vjb->kalb", plane, planes, planes)
        return matrix.reshape(3 * len(some), 3 * len(some))


def _drawn(wide: Float[Array, "v k p"], high: Float[Array, "v k p"]) -> Float[Array, "v p p"]:
    return jnp.einsum("vkr,vkc->vrc", high, wide)


@kept
def refined_twice(
    cutout: Cutout, begin: Float[Leaf, "k 3"], present: Float[Leaf, "2 k"]
) -> tuple[Float[Array, "k 3"], Float[Array, " 2"]]:
    """Places of the atoms of a second choice (Å, from the place), and chi-squares of both.

    **Arguments:**

    - `cutout`: the images; what is left of them belongs to the first choice.
    - `begin`: where atoms are (Å, from the place).
    - `present`: which of them there are, in each of the two choices.
    """
    first, choices = jnp.asarray(begin), jnp.asarray(present)
    *_, wide, high = cutout.tables(cutout.seen(first), choices[0])
    target = jnp.asarray(cutout.left) + _drawn(wide, high)

    def refined(some: Array) -> tuple[Array, Array]:
        def step(state: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
            x, damping, value = state
            trial = cutout.step(x, damping, some, target)
            new = cutout.chi_square(trial, some, target)
            better = new < value
            damping *= jnp.where(better, 0.3, 6.0)
            return (jnp.where(better, trial, x), damping, jnp.where(better, new, value)), None

        begun = (first, jnp.asarray(_DAMPING, jnp.float32), cutout.chi_square(first, some, target))
        (x, _, value), _ = lax.scan(step, begun, None, length=_STEPS)
        return x, value

    positions, values = lax.map(refined, choices)
    return positions[1], values
