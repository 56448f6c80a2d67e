"""Atoms to a map: each Gaussian is evaluated in a window around its centre, and the windows are added.

Three choices make this fast:

1. A Gaussian of any orientation is a product of two-dimensional tables, one for each pair of axes. So a
   window of W³ voxels needs 3 W² exponentials, of numbers that are a small matrix product
   (`polynomials`). The tangent of a Gaussian is the Gaussian times such a polynomial, which makes the
   gradient of an atom ten moments of (residual x window), another matrix product; `fill_windows` tells
   JAX so.
2. Windows are added one after the other with `dynamic_update_slice`, which is far faster than a scatter of
   voxels; on an accelerator, where it is slower, all at once. The addition is linear, so it is declared
   with its transpose (reading the windows back) through `linear_call`, and jvp, vjp and hvp all work. It
   cannot be vmapped.
3. Atoms go through in blocks, so that memory does not grow with their number. Tensors of shape
   [atoms, W, W, W] exist for one block at a time, and stay in cache. Several devices take a share of the
   blocks each, and their maps are added.

Where the windows are is decided on the host (`WindowPlan`) and held fixed while an optimiser works:
the objective stays smooth, and the window is chosen wide enough for atoms to move a little. A window
that would reach over the edge of the box is shifted inwards, so nothing wraps round and nothing is
padded. Inside, everything is in voxels and in array order.
"""

from functools import partial
from itertools import combinations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.rendering.gaussians import Gaussians, inverse_and_determinant
from atomfit.rendering.polynomials import coefficients, monomials
from atomfit.structure.grid import Grid

#: Largest exponent of a table. The quadratic form is positive, its parts need not be: where axes are
#: strongly correlated one table grows while the others fall. Two such tables must not overflow float32.
#: Values within four standard deviations are exact up to U_maj / U_min = 9 in any orientation.
_MAX_EXPONENT = 43.0
#: Gaussians evaluated at a time. At 12³ voxels a window a block is 0.4 MB, which stays in a processor's
#: cache; an accelerator wants as many as keep all of it busy.
BLOCK = 64
BLOCK_OF_ACCELERATORS = 4096
#: Steps in which the numbers of Gaussians grow that share compiled code.
_SMALLEST_STEP = 128


class WindowPlan(eqx.Module):
    """Which voxels each Gaussian is evaluated at.

    **Fields:**

    - `starts`: array index of the first voxel of each window, in the order of drawing.
    - `order`: of drawing: which Gaussian comes when. Those that share voxels follow each other, so that
        what is in cache is used again.
    - `window`: voxels along each axis of a window, the same for all Gaussians.
    - `shape`: voxels along each axis of the map.
    - `devices`: how many devices share the Gaussians.
    - `block`: how many Gaussians are evaluated at a time.
    """

    starts: Int[Array | np.ndarray, "n d"]
    order: Int[Array | np.ndarray, " n"]
    window: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    devices: int = eqx.field(static=True, default=1)
    block: int = eqx.field(static=True, default=BLOCK)


def plan_windows(
    gaussians: Gaussians,
    grid: Grid,
    cutoff: float = 4.5,
    margin: float | np.ndarray = 0.0,
    devices: int = 1,
) -> WindowPlan:
    """Windows that hold the ellipsoid of every Gaussian at a given number of standard deviations.

    **Arguments:**

    - `gaussians`: what is to be drawn.
    - `grid`: the map's grid.
    - `cutoff`: size of the ellipsoids, in standard deviations.
    - `margin`: how far windows reach beyond them, one length or one each along x, y, z (Å).
    - `devices`: how many devices share the work.
    """
    # An ellipsoid's bounding box is set by the diagonal of its variance matrix.
    variances = np.diagonal(np.asarray(gaussians.matrices, np.float64), axis1=1, axis2=2)
    half_edges = cutoff * np.sqrt(variances.max(axis=0, initial=0.0)) + margin
    reach = (half_edges / grid.spacing)[::-1]
    window = tuple(int(min(np.floor(2 * r) + 1, n)) for r, n in zip(reach, grid.shape, strict=True))
    first = np.ceil(grid.indices_of(np.asarray(gaussians.centres, np.float64)) - reach).astype(np.int64)
    starts = np.clip(first, 0, np.array(grid.shape) - window)
    order = np.lexsort((starts // window).T[::-1])
    block = BLOCK if jax.default_backend() == "cpu" else BLOCK_OF_ACCELERATORS
    return WindowPlan(
        starts[order].astype(np.int32), order.astype(np.int32), window, grid.shape, devices, block
    )


def render(
    gaussians: Gaussians,
    plan: WindowPlan,
    spacing: Float[Array | np.ndarray, " d"],
    origin: Float[Array | np.ndarray, " d"],
) -> Float[Array, "..."]:
    """Density at the voxel centres of a grid, in float32; differentiable, and jit-compatible.

    **Arguments:**

    - `gaussians`: what is to be drawn.
    - `plan`: where, from `plan_windows`.
    - `spacing`, `origin`: of the grid (Å, x, y, z order).
    """
    spacing, origin = jnp.asarray(spacing, jnp.float32), jnp.asarray(origin, jnp.float32)
    centres, matrices, weights = (
        jnp.asarray(x, jnp.float32)[plan.order]
        for x in (gaussians.centres, gaussians.matrices, gaussians.weights)
    )
    centres, matrices = ((centres - origin) / spacing)[:, ::-1], matrices[:, ::-1, ::-1]
    scale = spacing[::-1]
    voxel_matrices = matrices / (scale[:, None] * scale)
    precisions, determinants = (jnp.asarray(x) for x in inverse_and_determinant(voxel_matrices))
    d = len(plan.shape)
    norm = (2 * np.pi) ** (d / 2) * jnp.prod(spacing)
    peaks = weights / (norm * jnp.sqrt(determinants))
    starts = jnp.asarray(plan.starts)
    numbers = (centres, precisions, peaks, starts)
    if plan.devices == 1:
        return _draw_all(plan, *numbers)
    # Every device draws a map of its share; Gaussians of no weight make the shares equal.
    missing = -centres.shape[0] % plan.devices
    shares = [jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) for x in numbers]
    mesh = jax.make_mesh((plan.devices,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    draw = jax.shard_map(
        lambda *share: lax.psum(_draw_all(plan, *share), "devices"),
        mesh=mesh,
        in_specs=jax.P("devices"),
        out_specs=jax.P(),
        check_vma=False,
    )
    return draw(*shares)


def bucket(n: int) -> int:
    """The next size that shapes are padded to, so that similar problems share compiled code.

    At most an eighth larger than needed where that matters.

    **Arguments:**

    - `n`: the size that is needed.
    """
    step = max(_SMALLEST_STEP, 2 ** (max(n, 1).bit_length() - 4))
    return -(-n // step) * step


def _draw_all(
    plan: WindowPlan,
    centres: Float[Array, "n d"],
    precisions: Float[Array, "n d d"],
    peaks: Float[Array, " n"],
    starts: Int[Array, "n d"],
) -> Float[Array, "..."]:
    """A map with the windows of all blocks."""
    middle = np.array(plan.window) // 2
    offsets = (starts[:1] + middle).astype(centres.dtype) - centres[:1]
    first = fill_windows(plan.window, offsets, precisions[:1], peaks[:1])
    # Zero, but not known to be: `linear_call` cannot take a derivative that vanishes for certain.
    empty = jnp.zeros(plan.shape, jnp.float32) + 0 * jnp.ravel(first)[0]
    n = centres.shape[0]
    if n <= plan.block:
        return _draw(empty, centres, precisions, peaks, starts, plan.window)

    @jax.checkpoint
    def draw_block(density: Array, block: tuple[Array, ...]) -> tuple[Array, None]:
        centres, precisions, peaks, starts = block
        return _draw(density, centres, precisions, peaks, starts, plan.window), None

    blocks = [in_blocks(x, plan.block) for x in (centres, precisions, peaks, starts)]
    return lax.scan(draw_block, empty, tuple(blocks))[0]


def in_blocks(x: Array, size: int) -> Array:
    """Rows in blocks of a size, the last one filled with zeros."""
    blocks = -(-len(x) // size)
    padding = [(0, blocks * size - len(x))] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, padding).reshape(blocks, size, *x.shape[1:])


def _draw(
    density: Float[Array, "..."],
    centres: Float[Array, "n d"],
    precisions: Float[Array, "n d d"],
    peaks: Float[Array, " n"],
    starts: Int[Array, "n d"],
    window: tuple[int, ...],
) -> Float[Array, "..."]:
    """A map with one block's windows added."""
    middle = np.array(window) // 2
    offsets = (starts + middle).astype(centres.dtype) - centres
    values = fill_windows(window, offsets, precisions, peaks)
    return add_windows(density, values, starts)


def add_windows(
    density: Float[Array, "..."], values: Float[Array, "n ..."], starts: Int[Array, "n d"]
) -> Float[Array, "..."]:
    """A map or image with windows added; they must lie inside.

    **Arguments:**

    - `density`: what they are added to.
    - `values`: of each window's voxels.
    - `starts`: array index of the first voxel of each window.
    """
    read = partial(_read_windows, window=values.shape[1:])
    return jax.custom_derivatives.linear_call(_add_windows, read, starts, (density, values))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def fill_windows(
    window: tuple[int, ...],
    offsets: Float[Array, "n d"],
    precisions: Float[Array, "n d d"],
    peaks: Float[Array, " n"],
) -> Float[Array, "n ..."]:
    """Densities in the windows' voxels; `offsets` lead from each centre to the middle of its window."""
    d = len(window)
    groups = np.array(list(combinations(range(d), min(d, 2))))
    # Each squared term appears in d - 1 tables.
    share = np.where(np.eye(d) > 0, 1 / max(d - 1, 1), 1.0)
    of_groups = (share * precisions)[:, groups[:, :, None], groups[:, None, :]]
    polynomials = jnp.asarray(coefficients(offsets[:, groups], of_groups))
    values = peaks.reshape(-1, *[1] * d)
    for i, axes in enumerate(groups):
        table = _exponents(polynomials[:, i], tuple(window[k] for k in axes))
        table = table.reshape(-1, *(window[k] if k in axes else 1 for k in range(d)))
        values = values * jnp.exp(jnp.minimum(table, _MAX_EXPONENT))
    return values


@fill_windows.defjvp
def _fill_windows_jvp(
    window: tuple[int, ...], primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
    offsets, precisions, peaks = primals
    # As if no exponent were cut: where one is, the Gaussian has faded away.
    shapes = fill_windows(window, offsets, precisions, jnp.ones_like(peaks))
    slopes = jax.jvp(coefficients, (offsets, precisions), tangents[:2])[1] * peaks[:, None]
    factors = _exponents(slopes.at[:, 0].add(tangents[2]), window)
    return shapes * peaks.reshape(-1, *[1] * len(window)), shapes * factors.reshape(-1, *window)


def _exponents(polynomials: Float[Array, "n m"], window: tuple[int, ...]) -> Float[Array, "n voxels"]:
    """Values of polynomials at a window's voxels."""
    return jnp.matmul(polynomials, monomials(window), precision=lax.Precision.HIGHEST)


def _add_windows(starts: Array, operands: tuple[Array, Array]) -> Array:
    """Add windows to a map, in the way that suits the processor that it is done on."""
    return lax.platform_dependent(starts, *operands, cpu=_add_one_by_one, default=_add_together)


def _add_one_by_one(starts: Array, density: Array, values: Array) -> Array:
    """A processor with a cache adds windows one after the other, in the order of their places."""

    def add(i: Array, density: Array) -> Array:
        there = lax.dynamic_slice(density, starts[i], values.shape[1:])
        return lax.dynamic_update_slice(density, there + values[i], starts[i])

    return lax.fori_loop(0, values.shape[0], add, density)


def _add_together(starts: Array, density: Array, values: Array) -> Array:
    """An accelerator adds them all at once: a loop would start a program for each."""
    axes = tuple(range(density.ndim))
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=tuple(axis + 1 for axis in axes),
        inserted_window_dims=(),
        scatter_dims_to_operand_dims=axes,
    )
    mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS
    return lax.scatter_add(density, starts, values, numbers, mode=mode)


def _read_windows(starts: Array, density: Array, window: tuple[int, ...]) -> tuple[Array, Array]:
    """The transpose: the map itself, and its windows."""
    return density, jax.vmap(lambda start: lax.dynamic_slice(density, start, window))(starts)
