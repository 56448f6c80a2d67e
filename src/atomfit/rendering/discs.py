"""Round Gaussians onto an image: each is the product of a profile along rows and one along columns.

So a window of W² pixels needs 2 W exponentials, and the gradient of a Gaussian is a product of its window
of the residual with profiles, from both sides. Windows are added one after the other, as all are
(`windows`).
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.rendering.windows import WindowPlan, add_windows, in_blocks
from atomfit.structure.canvas import Leaf


def render_discs(
    centres: Float[Leaf, "n 2"],
    variances: Float[Leaf, " n"],
    weights: Float[Leaf, " n"],
    plan: WindowPlan,
    spacing: Float[Array, " 2"],
    origin: Float[Array, " 2"],
) -> Float[Array, "rows columns"]:
    """Density at the pixels of a grid, in float32; differentiable, and jit-compatible.

    **Arguments:**

    - `centres`, `variances`, `weights`: of the Gaussians (Å, Å²).
    - `plan`: where, from `plan_windows`.
    - `spacing`, `origin`: of the grid (Å; x, y).
    """
    centres, variances, weights = (
        jnp.asarray(x, jnp.float32)[plan.order] for x in (centres, variances, weights)
    )
    places = ((centres - origin) / spacing)[:, ::-1]
    widths = jnp.sqrt(variances)[:, None] / spacing[::-1]
    peaks = weights / (2 * np.pi * variances)
    starts = jnp.asarray(plan.starts)
    numbers = (places, widths, peaks, starts)
    first = _windows(plan.window, *(x[:1] for x in numbers))
    # Zero, but not known to be: `linear_call` cannot take a derivative that vanishes for certain.
    empty = jnp.zeros(plan.shape, jnp.float32) + 0 * first[0, 0, 0]
    draw = partial(_draw, plan.window)
    if len(plan.starts) <= plan.block:
        return draw(empty, numbers)[0]
    blocks = tuple(in_blocks(x, plan.block) for x in numbers)
    # A width of nothing is none to divide by.
    blocks = (blocks[0], jnp.where(blocks[1] > 0, blocks[1], 1.0), *blocks[2:])
    return lax.scan(draw, empty, blocks)[0]


def _draw(
    window: tuple[int, ...], image: Float[Array, "rows columns"], numbers: tuple[Array, ...]
) -> tuple[Float[Array, "rows columns"], None]:
    """An image with a block of Gaussians added."""
    return add_windows(image, _windows(window, *numbers), numbers[-1]), None


def _windows(
    window: tuple[int, ...],
    places: Float[Array, "n 2"],
    widths: Float[Array, "n 2"],
    peaks: Float[Array, " n"],
    starts: Int[Array, "n 2"],
) -> Float[Array, "n rows columns"]:
    """Densities in the windows' pixels."""
    first = starts.astype(places.dtype) - places
    down, across = (_profile(window[k], first[:, k], widths[:, k]) for k in range(2))
    # As a product of matrices, of which the transpose is a product too.
    return jnp.einsum("ni,nj->nij", peaks[:, None] * down, across, precision=lax.Precision.HIGHEST)


def _profile(size: int, first: Float[Array, " n"], widths: Float[Array, " n"]) -> Float[Array, "n pixels"]:
    steps = np.arange(size, dtype=np.float32)
    return jnp.exp(-0.5 * ((first[:, None] + steps) / widths[:, None]) ** 2)
