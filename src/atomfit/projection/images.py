"""Atoms to the image of a view.

A round atom seen through a Gaussian probe is a product of a row and a column: each of its Gaussians costs
two short tables of exponentials, and the sum of them over the atom's window is a product of two small
matrices. That is most of what a fit computes, and processors do it well. Atoms with displacement matrices
cost a whole window of exponentials for each Gaussian, several times as much.

Windows follow the atoms as they move: where they begin is computed from the positions with every drawing,
and no derivative is taken of it. A window is as wide as the widest Gaussian needs; one that reaches over
the image's edge is shifted inwards.
"""

from collections.abc import Callable
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, mlir
from jaxtyping import Array, Float, Int

from atomfit.projection.model import Drawn, EachView, TiltModel, turned
from atomfit.rendering.gaussians import inverse_and_determinant
from atomfit.rendering.windows import add_windows, fill_windows
from atomfit.structure.atoms import Leaf

#: Atoms drawn at a time, at most: their windows stay in a processor's cache.
_BLOCK = 128
#: Windows at least this part of the widest one's size share it.
_ALIKE = 0.6


class Camera(eqx.Module):
    """How a view is drawn.

    **Fields:**

    - `pixel`: edge of a pixel (Å).
    - `shape`: rows and columns of an image.
    - `windows`: which of the probe's Gaussians are drawn together, and rows and columns of their window.
    """

    pixel: float = eqx.field(static=True)
    shape: tuple[int, int] = eqx.field(static=True)
    windows: tuple[tuple[tuple[int, ...], tuple[int, int]], ...] = eqx.field(static=True)

    @classmethod
    def for_widths(
        cls,
        pixel: float,
        shape: tuple[int, int],
        spread: float,
        variances: Float[np.ndarray, " k"],
        cutoff: float = 4.0,
    ) -> "Camera":
        """A camera whose windows hold atoms of a variance seen through Gaussians of others (Å²).

        **Arguments:**

        - `pixel`, `shape`: of the images.
        - `spread`: variance of the widest atoms.
        - `variances`: of the probe's Gaussians.
        - `cutoff`: standard deviations that a window holds to each side.
        """
        order = np.argsort(variances)[::-1]
        # Even numbers, so that a little more width need not be compiled anew.
        edges = 2 * np.ceil(cutoff * np.sqrt(spread + variances[order]) / pixel).astype(int) + 2
        windows = []
        while len(order):
            together = edges > _ALIKE * edges[0]
            window = (min(int(edges[0]), shape[0]), min(int(edges[0]), shape[1]))
            windows.append((tuple(sorted(int(k) for k in order[together])), window))
            order, edges = order[~together], edges[~together]
        return cls(float(pixel), shape, tuple(windows))


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
    spreads = drawn.spreads / camera.pixel**2
    oblique = spreads.ndim == 3
    if oblique:
        spreads = (frame[:2] @ spreads @ frame[:2].T)[:, ::-1, ::-1]
    variances = jnp.asarray(drawn.probe.variances) / camera.pixel**2
    image = jnp.zeros(camera.shape, jnp.float32)
    for some, window in camera.windows:
        chosen = np.array(some)
        first = jnp.round(lax.stop_gradient(places)).astype(int) - np.array(window) // 2
        starts = jnp.clip(first, 0, np.array(camera.shape) - np.array(window))
        offsets = starts.astype(places.dtype) - places
        numbers = (offsets, spreads, weights[:, chosen], variances[chosen], window)
        if oblique:
            image = _drawn(image, starts, (_oblique_windows(*numbers),), lambda values: values)
        else:
            # Tables of all atoms at once: XLA would compute them anew for every pixel of a block.
            image = _drawn(image, starts, _tables(*numbers), _sum_of_products)
    return jnp.asarray(view.gains * image / camera.pixel**2 + view.backgrounds)


def _drawn(
    image: Float[Array, "rows columns"],
    starts: Int[Array, "n 2"],
    numbers: tuple[Float[Array, "n ..."], ...],
    fill: Callable[..., Float[Array, "m r c"]],
) -> Float[Array, "rows columns"]:
    """An image with all atoms' windows added, some at a time."""
    # Nothing, but not known to be: `linear_call` cannot take a derivative that vanishes for certain.
    image = image + 0 * jnp.ravel(fill(*(x[:1] for x in numbers)))[0]

    def block(image: Array, some: tuple[Array, tuple[Array, ...]]) -> tuple[Array, None]:
        starts, numbers = some
        return add_windows(image, fill(*numbers), starts), None

    # Blocks of one size, with as few atoms as may be that are none.
    count = -(-len(starts) // _BLOCK)
    size = -(-len(starts) // count)

    def in_blocks(x: Array) -> Array:
        # Zeros, where the last block is not full, add nothing.
        padding = [(0, count * size - len(x))] + [(0, 0)] * (x.ndim - 1)
        return jnp.pad(x, padding).reshape(count, size, *x.shape[1:])

    return lax.scan(block, image, jax.tree.map(in_blocks, (starts, numbers)))[0]


def _tables(
    offsets: Float[Array, "n 2"],
    spreads: Float[Array, " n"],
    weights: Float[Array, "n k"],
    variances: Float[Array, " k"],
    window: tuple[int, int],
) -> tuple[Float[Array, "n k rows"], Float[Array, "n k columns"]]:
    """Round atoms, in pixels: what each of their Gaussians is along the window's axes."""
    total = spreads[:, None] + variances
    rows, columns = (
        jnp.arange(size, dtype=jnp.float32) + offsets[:, axis, None] for axis, size in enumerate(window)
    )
    down = jnp.exp(rows[:, None] ** 2 * (-0.5 / total[..., None]))
    across = jnp.exp(columns[:, None] ** 2 * (-0.5 / total[..., None]))
    return down * (weights / (2 * np.pi * total))[..., None], across


def _sum_of_products(
    down: Float[Array, "n k rows"], across: Float[Array, "n k columns"]
) -> Float[Array, "n rows columns"]:
    """Products of columns and rows, summed over the Gaussians."""
    return _SUM_OF_PRODUCTS.bind(down, across)


def _written_out(down: Array, across: Array) -> Array:
    """XLA's product of many small matrices takes longer where the inner dimension is short."""
    return reduce(jnp.add, (down[:, k, :, None] * across[:, k, None, :] for k in range(down.shape[1])))


#: A bilinear function, whose derivatives of any order are products too. The inner dimension of their
#: transposes is not short.
_SUM_OF_PRODUCTS = Primitive("sum_of_products")
_SUM_OF_PRODUCTS.def_impl(jax.jit(_written_out))
_SUM_OF_PRODUCTS.def_abstract_eval(
    lambda down, across: down.update(shape=(down.shape[0], down.shape[2], across.shape[2]))
)
mlir.register_lowering(_SUM_OF_PRODUCTS, mlir.lower_fun(_written_out, multiple_results=False))
ad.defbilinear(
    _SUM_OF_PRODUCTS,
    lambda values, down, across: jnp.einsum("nrc,nkc->nkr", values, across),
    lambda values, down, across: jnp.einsum("nrc,nkr->nkc", values, down),
)


def _oblique_windows(
    offsets: Float[Array, "n 2"],
    spreads: Float[Array, "n 2 2"],
    weights: Float[Array, "n k"],
    variances: Float[Array, " k"],
    window: tuple[int, int],
) -> Float[Array, "n rows columns"]:
    """Atoms of any shape, in pixels, in their windows."""
    middle = np.array(window, np.float32) // 2
    values = jnp.zeros((len(offsets), *window), jnp.float32)
    for k in range(len(variances)):
        precisions, determinants = inverse_and_determinant(spreads + variances[k] * jnp.eye(2))
        peaks = weights[:, k] / (2 * np.pi * jnp.sqrt(jnp.asarray(determinants)))
        values += fill_windows(window, offsets + middle, jnp.asarray(precisions), peaks)
    return values


def series_of(
    model: TiltModel,
    rotations: Float[Leaf, "v 3 3"],
    centres: Float[Leaf, "v 2"],
    camera: Camera,
) -> Float[Array, "v rows columns"]:
    """A model's images, of all views.

    **Arguments:**

    - `model`: atoms, probe and views.
    - `rotations`, `centres`: of the views.
    - `camera`: how they are drawn.
    """
    drawn = model.drawn()
    each = jax.tree.map(lambda leaf: jnp.asarray(leaf, np.float32), model.views)

    def draw(view: tuple[EachView, Array, Array]) -> Array:
        corrections, rotation, centre = view
        return draw_view(drawn, corrections, rotation, centre, camera)

    return lax.map(draw, (each, jnp.asarray(rotations), jnp.asarray(centres)))
