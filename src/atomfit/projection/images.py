"""Atoms to the image of a view.

A round atom seen through a Gaussian probe is a product of a row and a column: each of its Gaussians costs
two short tables of exponentials, and the sum of them over the atom's window is a product of two small
matrices. That is most of what a fit computes, and processors do it well. Atoms with displacement matrices
cost a whole window of exponentials for each Gaussian, several times as much.

Windows follow the atoms as they move: where they begin is computed from the positions with every drawing,
and no derivative is taken of it. A window is as wide as the widest Gaussian needs; one that reaches over
the image's edge is shifted inwards.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from atomfit.atoms import Leaf
from atomfit.projection.model import Drawn, EachView, turned
from atomfit.rendering.gaussians import inverse_and_determinant
from atomfit.rendering.windows import add_windows, fill_windows

#: Atoms drawn at a time: their windows stay in a processor's cache.
_BLOCK = 128
#: What fills the last block: starts, offsets, spreads, weights.
_PADDING = ("edge", "edge", "edge", "constant")


class Camera(eqx.Module):
    """How a view is drawn.

    **Fields:**

    - `pixel`: edge of a pixel (Å).
    - `shape`: rows and columns of an image.
    - `window`: rows and columns of an atom's window.
    """

    pixel: float = eqx.field(static=True)
    shape: tuple[int, int] = eqx.field(static=True)
    window: tuple[int, int] = eqx.field(static=True)

    @classmethod
    def for_widths(
        cls, pixel: float, shape: tuple[int, int], widest: float, cutoff: float = 4.0
    ) -> "Camera":
        """A camera whose windows hold Gaussians of a standard deviation (Å), out to `cutoff` of them."""
        # Even numbers, so that a little more width need not be compiled anew.
        edge = 2 * int(np.ceil(cutoff * widest / pixel)) + 2
        return cls(float(pixel), shape, (min(edge, shape[0]), min(edge, shape[1])))


def draw_view(
    drawn: Drawn,
    view: EachView,
    rotation: Float[Leaf, "3 3"],
    centre: Float[Leaf, " 2"],
    camera: Camera,
) -> Float[Array, "rows columns"]:
    """The image of one view.

    **Arguments:**

    - `drawn`: what all views share.
    - `view`: numbers of this view.
    - `rotation`, `centre`: of the view (see `views`).
    - `camera`: how it is drawn.
    """
    frame = turned(jnp.asarray(view.turns), jnp.asarray(rotation))
    seen = drawn.positions @ frame.T
    weights = drawn.probe.weights(seen[:, 2]) * drawn.amplitudes[:, None]
    # [row, column], in pixels.
    places = ((seen[:, :2] + view.shifts) / camera.pixel + centre)[:, ::-1]
    window, shape = np.array(camera.window), np.array(camera.shape)
    first = jnp.round(lax.stop_gradient(places)).astype(int) - window // 2
    starts = jnp.clip(first, 0, shape - window)
    variances = jnp.asarray(drawn.probe.variances)
    if drawn.spreads.ndim == 1:
        spreads, fill = drawn.spreads, _round_windows
    else:
        spreads, fill = (frame[:2] @ drawn.spreads @ frame[:2].T)[:, ::-1, ::-1], _oblique_windows
    empty = jnp.zeros(camera.shape, jnp.float32) + 0 * weights[0, 0]

    @jax.checkpoint
    def block(image: Array, some: tuple[Array, ...]) -> tuple[Array, None]:
        starts, offsets, spreads, weights = some
        return add_windows(image, fill(offsets, spreads, weights, variances, camera), starts), None

    # Atoms that fill the last block have no weight, and a shape that can be drawn.
    numbers = (starts, starts - places, spreads, weights)
    blocks = tuple(_in_blocks(x, like) for x, like in zip(numbers, _PADDING, strict=True))
    image, _ = lax.scan(block, empty, blocks)
    return jnp.asarray(view.gains * image + view.backgrounds)


def _in_blocks(x: Array, mode: str) -> Array:
    count = -(-len(x) // _BLOCK)
    padding = [(0, count * _BLOCK - len(x))] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, padding, mode=mode).reshape(count, _BLOCK, *x.shape[1:])


def _round_windows(
    offsets: Float[Array, "n 2"],
    spreads: Float[Array, " n"],
    weights: Float[Array, "n k"],
    variances: Float[Array, " k"],
    camera: Camera,
) -> Float[Array, "n rows columns"]:
    total = (spreads[:, None] + variances) / camera.pixel**2
    down, across = (
        jnp.exp(
            -0.5
            * (jnp.arange(size, dtype=jnp.float32) + offsets[:, axis, None])[:, None, :] ** 2
            / total[..., None]
        )
        for axis, size in enumerate(camera.window)
    )
    down = down * (weights / (2 * np.pi * camera.pixel**2 * total))[..., None]
    return jnp.einsum("nkr,nkc->nrc", down, across)


def _oblique_windows(
    offsets: Float[Array, "n 2"],
    spreads: Float[Array, "n 2 2"],
    weights: Float[Array, "n k"],
    variances: Float[Array, " k"],
    camera: Camera,
) -> Float[Array, "n rows columns"]:
    middle = np.array(camera.window, np.float32) // 2
    values = jnp.zeros((len(offsets), *camera.window), jnp.float32)
    for k in range(len(variances)):
        total = (spreads + variances[k] * np.eye(2, dtype=np.float32)) / camera.pixel**2
        precisions, determinants = inverse_and_determinant(total)
        peaks = weights[:, k] / (2 * np.pi * camera.pixel**2 * jnp.sqrt(determinants))
        values += fill_windows(camera.window, offsets + middle, precisions, peaks)
    return values
