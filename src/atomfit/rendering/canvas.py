"""Structures drawn on voxels: windows planned on the host, then filled and differentiated under jit.

A structure draws itself (`structure.canvas`), in one call or several. `MeasuringCanvas` is drawn on once,
with numbers, and remembers which windows each call needs; `VoxelCanvas` has these windows and the same
calls come again, traced. Gaussians go through `render`; any other density is evaluated at its windows'
voxels, some atoms at a time, and added like theirs.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from atomfit.rendering.discs import render_discs
from atomfit.rendering.gaussians import Gaussians
from atomfit.rendering.windows import WindowPlan, add_windows, plan_windows, render
from atomfit.structure.canvas import AbstractCanvas, AtomDensity, Leaf
from atomfit.structure.gram_charlier import coefficients, monomials
from atomfit.structure.grid import Grid

#: Standard deviations that windows hold.
CUTOFF = 4.0
#: Windows whose shortest edge is this part of the longest, or more, are cubes.
NEARLY_ROUND = 0.9
#: Atoms of any density that are evaluated at a time.
_AT_A_TIME = 16


class MeasuringCanvas(AbstractCanvas):
    """A canvas that remembers where atoms are and how far they reach, and draws nothing.

    **Fields:**

    - `calls`: centres and reach along each axis (Å) of each call.
    """

    def __init__(self, blur: float = 0.0) -> None:
        self._blur = blur
        self.calls: list[tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " d"]]] = []

    def gaussians(
        self,
        centres: Float[Leaf, "n d"],
        spreads: Float[Leaf, " n"] | Float[Leaf, "n d d"],
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        matrices = as_matrices(np.asarray(spreads, np.float64), centres.shape[1])
        variances = np.diagonal(matrices, axis1=1, axis2=2) + self._blur
        return self._remembered(centres, CUTOFF * np.sqrt(np.quantile(variances, 0.95, axis=0)))

    def densities(
        self,
        centres: Float[Leaf, "n d"],
        reach: Float[Leaf, ""] | float,
        numbers: PyTree,
        density: AtomDensity,
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        farthest = float(np.hypot(np.asarray(reach), CUTOFF * np.sqrt(self._blur)))
        return self._remembered(centres, np.full(centres.shape[1], farthest))

    @property
    def reach(self) -> Float[np.ndarray, " d"]:
        """The farthest of any call (Å)."""
        return np.max([reach for _, reach in self.calls], axis=0)

    def plans(self, grid: Grid, room: float = 1.0, devices: int = 1) -> tuple[WindowPlan, ...]:
        """Windows of each call; nearly cubic ones are cubic, so that structures share compiled code.

        **Arguments:**

        - `grid`: of the voxels.
        - `room`: by how much windows are larger than they need to be.
        - `devices`: how many of JAX's devices share the work.
        """
        plans = []
        for centres, reach in self.calls:
            n, d = centres.shape
            points = Gaussians(centres, np.zeros((n, d, d)), np.ones(n))
            even = np.where(reach > NEARLY_ROUND * reach.max(), reach.max(), reach)
            plans.append(plan_windows(points, grid, margin=room * even, devices=devices))
        return tuple(plans)

    def _remembered(self, centres: Leaf, reach: np.ndarray) -> Array:
        self.calls.append((np.asarray(centres, np.float64), reach))
        return jnp.zeros(())


def holds(plan: WindowPlan, other: WindowPlan) -> bool:
    """Whether each atom's windows of one plan hold those of another."""
    if plan.shape != other.shape or len(plan.starts) != len(other.starts):
        return False
    first, second = (np.asarray(p.starts)[np.argsort(p.order)] for p in (plan, other))
    ends = np.add(first, plan.window), np.add(second, other.window)
    return bool(np.all(first <= second) and np.all(ends[0] >= ends[1]))


class VoxelCanvas(AbstractCanvas):
    """Voxels of a map or of an image, in the specimen's own axes.

    **Arguments:**

    - `plans`: of the calls, in their order.
    - `spacing`, `origin`: of the grid (Å; x, y, z).
    - `blur`: variance by which all atoms are wider than they are at rest (Å²).
    """

    def __init__(
        self,
        plans: Sequence[WindowPlan],
        spacing: Float[Leaf, " d"],
        origin: Float[Leaf, " d"],
        blur: Float[Leaf, ""] | float = 0.0,
    ) -> None:
        self._plans: Iterator[WindowPlan] = iter(plans)
        self._spacing, self._origin = jnp.asarray(spacing, jnp.float32), jnp.asarray(origin, jnp.float32)
        self._blur = jnp.asarray(blur, jnp.float32)

    def gaussians(
        self,
        centres: Float[Leaf, "n d"],
        spreads: Float[Leaf, " n"] | Float[Leaf, "n d d"],
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        d, plan = centres.shape[1], next(self._plans)
        if np.ndim(spreads) == 1 and d == 2 and plan.devices == 1:
            variances = jnp.asarray(spreads) + self._blur
            return render_discs(centres, variances, weights, plan, self._spacing, self._origin)
        matrices = as_matrices(jnp.asarray(spreads), d) + self._blur * jnp.eye(d, dtype=jnp.float32)
        return render(Gaussians(centres, matrices, weights), plan, self._spacing, self._origin)

    def densities(
        self,
        centres: Float[Leaf, "n d"],
        reach: Float[Leaf, ""] | float,
        numbers: PyTree,
        density: AtomDensity,
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        plan, spacing = next(self._plans), self._spacing
        frame = jnp.eye(len(spacing), dtype=jnp.float32)
        voxels = np.indices(plan.window).reshape(len(plan.window), -1).T[:, ::-1]

        def of_atom(start: Array, centre: Array, numbers: Any) -> Array:
            first = jnp.asarray(start)[::-1] * spacing + self._origin - centre
            return jnp.reshape(density(numbers, first + voxels * spacing, frame, self._blur), plan.window)

        atoms = (
            jnp.asarray(centres)[plan.order],
            jax.tree.map(lambda x: jnp.asarray(x)[plan.order], numbers),
        )
        return summed(plan, of_atom, atoms, jnp.asarray(weights)[plan.order])

    def expansions(
        self,
        centres: Float[Leaf, "n d"],
        reach: Float[Leaf, ""] | float,
        numbers: PyTree,
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        plan, spacing = next(self._plans), self._spacing
        voxels = np.indices(plan.window).reshape(len(plan.window), -1).T[:, ::-1]
        middle = (np.array(plan.window[::-1]) - 1) / 2
        # In voxels, which are known; the step to Å is in the factors.
        first, second = (monomials(voxels - middle, order) for order in (2, 4))

        def of_atom(start: Array, centre: Array, numbers: Any) -> Array:
            shift = (jnp.asarray(start)[::-1] + middle) * spacing + self._origin - centre
            exponent, polynomial = coefficients(numbers, shift, self._blur, spacing)
            return jnp.reshape(jnp.exp(exponent @ first) * (polynomial @ second), plan.window)

        atoms = (
            jnp.asarray(centres)[plan.order],
            jax.tree.map(lambda x: jnp.asarray(x)[plan.order], numbers),
        )
        return summed(plan, of_atom, atoms, jnp.asarray(weights)[plan.order])


def summed(plan: WindowPlan, of_atom: Any, numbers: tuple[Any, ...], weights: Array) -> Array:
    """Windows of atoms, filled some at a time and added."""
    n = len(plan.starts)
    size = min(_AT_A_TIME, n)
    blocks = -(-n // size)

    def in_blocks(x: Any) -> Array:
        # Atoms of no weight fill the last block: the first one again, so that its numbers are possible.
        x = jnp.asarray(x)
        filled = jnp.concatenate([x, jnp.broadcast_to(x[:1], (blocks * size - n, *x.shape[1:]))])
        return filled.reshape(blocks, size, *x.shape[1:])

    weights = jnp.pad(weights, (0, blocks * size - n)).reshape(blocks, size)

    @jax.checkpoint
    def add(image: Array, block: Any) -> tuple[Array, None]:
        starts, numbers, weights = block
        values = jax.vmap(of_atom)(starts, *numbers) * weights.reshape(-1, *[1] * len(plan.window))
        return add_windows(image, values, starts), None

    first = of_atom(jnp.asarray(plan.starts)[0], *jax.tree.map(lambda x: jnp.asarray(x)[0], numbers))
    # Zero, but not known to be: `linear_call` cannot take a derivative that vanishes for certain.
    empty = jnp.zeros(plan.shape, jnp.float32) + 0 * weights[0, 0] * jnp.ravel(first)[0]
    blocked = (in_blocks(plan.starts), jax.tree.map(in_blocks, numbers), weights)
    return lax.scan(add, empty, blocked)[0]


def as_matrices(spreads: Float[Leaf, "n *dd"], d: int) -> Float[Leaf, "n d d"]:
    """Variance matrices of round or other atoms (Å²)."""
    xp = spreads.__array_namespace__()
    return spreads[:, None, None] * xp.eye(d, dtype=spreads.dtype) if spreads.ndim == 1 else spreads
