"""An image of columns as an observation: pixels of known variance, and a background on splines.

It predicts what a map of two dimensions does (`observation.map`). What is its own is how steps are found:
products with JᵀWJ through all pixels cost a drawing each, and a fit takes hundreds of them. W changes
little across a column, and so the matrix is about that of equal pixels, which is known in closed form
(`gaussians.curvature`), times the pixels' mean weight about each column; of what background and columns
share, the background's value at a column; and of the background with itself what it is. Steps follow that
matrix; objective, gradient and standard uncertainties are exact.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from atomfit.gaussians.curvature import Curvature, curvature_of_atoms
from atomfit.gaussians.neighbours import neighbour_table
from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.gaussians.scatterers import OneGaussian
from atomfit.inference.noise import KnownPrecision
from atomfit.inference.observation import AbstractObservation, Product
from atomfit.observation.spline import SplineBackground
from atomfit.rendering import MeasuringCanvas, VoxelCanvas, WindowPlan
from atomfit.rendering.canvas import holds
from atomfit.rendering.gaussians import Gaussians
from atomfit.rendering.windows import plan_windows
from atomfit.structure.canvas import AbstractStructure, Leaf
from atomfit.structure.grid import DensityMap, Grid

#: Windows have edges of multiples of this many pixels, so that rounds share compiled code, and so much
#: room for columns to move and widen, of which this part must be left.
_WINDOW_STEP, _ROOM, _LEAST_ROOM = 8, 1.15, 0.95
#: Windows of an earlier fit are kept if columns need so large a part of them.
_LEAST_WINDOW = 0.6
#: Widths of a typical column within which pixels are looked at for that.
_FELT = 4.0


class ColumnImage(AbstractObservation):
    """An image of columns.

    **Fields:**

    - `data`, `counted`, `noise`: as of every observation; pixels that do not count have no precision.
    - `nuisance`: the background.
    - `spacing`, `origin`: of its grid (Å; x, y).
    - `corner`: what the pixels tell of the background's numbers, columns known.
    - `reach`: how far windows reach from their columns (Å).
    - `plan`: windows of the columns.
    - `neighbours`: which columns overlap.
    - `weights`: mean precision of the pixels about each column, as each of its numbers feels it.
    - `own`: what the pixels tell of these numbers of a column of unit amplitude.
    - `shares`: what these numbers have in common with the background's, of columns of unit amplitude.
    """

    data: Float[Leaf, "rows columns"]
    counted: Leaf
    noise: KnownPrecision
    nuisance: SplineBackground
    spacing: Float[Leaf, " 2"]
    origin: Float[Leaf, " 2"]
    corner: Float[Leaf, "b b"]
    reach: float = eqx.field(static=True, default=0.0)
    plan: WindowPlan | None = None
    neighbours: Int[Leaf, "m k"] | None = None
    weights: Float[Leaf, "m 6"] | None = None
    own: Float[Leaf, "m 6 6"] | None = None
    shares: Float[Leaf, "m 6 b"] | None = None

    @classmethod
    def of(
        cls,
        image: DensityMap,
        variance: Float[np.ndarray, "rows columns"],
        background: SplineBackground,
        reach: float = 0.0,
    ) -> "ColumnImage":
        """What an image tells of its columns.

        **Arguments:**

        - `image`: with the pixels that count.
        - `variance`: of their noise.
        - `background`: to start from.
        - `reach`: of windows of an earlier fit (Å), which are kept if they are large enough.
        """
        counted = image.measured(np.ones(image.grid.shape, bool))
        precision = np.where(counted, 1 / variance, 0.0)
        corner = background.information(image.grid, precision)
        # Splines that no pixel that counts tells of stay about where their neighbours are.
        corner += 1e-6 * np.diagonal(corner).max() * np.eye(len(corner))
        return cls(
            data=np.where(counted, image.values, 0.0).astype(np.float32),
            counted=counted.astype(np.float32),
            noise=KnownPrecision(precision.astype(np.float32)),
            nuisance=background,
            spacing=np.asarray(image.grid.spacing, np.float32),
            origin=np.asarray(image.grid.origin, np.float32),
            corner=corner.astype(np.float32),
            reach=reach,
        )

    def predict(
        self, structure: AbstractStructure, nuisance: SplineBackground
    ) -> Float[Array, "rows columns"]:
        canvas = VoxelCanvas([p for p in (self.plan,) if p is not None], self.spacing, self.origin)
        return structure.draw(canvas) + nuisance.density(self.data.shape, self.spacing)

    def steepness(self, structure: AbstractStructure, nuisance: SplineBackground) -> Product:
        moving, still = eqx.partition((structure, nuisance), eqx.is_inexact_array)
        seen, push = jax.linearize(lambda numbers: eqx.combine(numbers, still)[0].natural(), moving)
        pull = jax.linear_transpose(push, moving)
        overlap = partial(_of_unit_weight, derivatives_of_gaussian)
        near = jnp.asarray(self.neighbours)
        area, roots = jnp.prod(jnp.asarray(self.spacing)), jnp.sqrt(jnp.asarray(self.weights))
        equal = curvature_of_atoms(seen, OneGaussian(), near, overlap).blocks
        strength = jnp.concatenate(
            [jnp.repeat(seen[:, -1:], 5, axis=1), jnp.ones_like(seen[:, -1:])], axis=1
        )
        blocks = equal * roots[:, None, :, None] * roots[near][:, :, None, :] / area
        blocks = blocks.at[:, 0].set(strength[:, :, None] * jnp.asarray(self.own) * strength[:, None, :])
        columns, shares = Curvature(blocks, near), jnp.asarray(self.shares)

        def product(changes: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            natural, below = push(changes), jnp.ravel(changes[1].heights)
            pulled = columns.product(natural) + strength * (shares @ below)
            by_structure, by_own = pull(pulled)[0]
            heights = jnp.tensordot(strength * natural, shares, 2) + jnp.asarray(self.corner) @ below
            shape = changes[1].heights.shape
            return by_structure, eqx.tree_at(lambda own: own.heights, by_own, heights.reshape(shape))

        return product

    def planned(self, structure: Any, nuisance: SplineBackground) -> "ColumnImage":
        measured = MeasuringCanvas()
        structure.draw(measured)
        reach, positions = measured.reach, np.asarray(structure.positions, np.float64)
        spacing = np.asarray(self.spacing, np.float64)
        grid = Grid(self.data.shape, spacing, np.asarray(self.origin, np.float64))
        if self.plan is not None and holds(self.plan, measured.plans(grid, _LEAST_ROOM)[0]):
            return self
        far = float(reach.max())
        far = self.reach if _LEAST_WINDOW * self.reach < far < _LEAST_ROOM * self.reach else _ROOM * far
        edges = np.ceil(2 * far / spacing / _WINDOW_STEP) * _WINDOW_STEP
        n = len(positions)
        points = Gaussians(positions, np.zeros((n, 2, 2)), np.ones(n))
        plan = plan_windows(points, grid, margin=(edges - 0.5) / 2 * spacing)
        there = np.asarray(structure.amplitudes) != 0
        width = float(np.median(np.asarray(structure.natural(), np.float64)[there, 2:4])) ** 0.5
        table = neighbour_table(positions[there], width**2, n)
        weights, own, shares = felt(structure, grid, np.asarray(self.noise.precision, np.float64), nuisance)
        return replace(
            self,
            reach=far,
            plan=plan,
            neighbours=table,
            weights=weights.astype(np.float32),
            own=own.astype(np.float32),
            shares=shares.astype(np.float32),
        )


def felt(
    structure: Any, grid: Grid, precision: Float[np.ndarray, "rows columns"], background: SplineBackground
) -> tuple[Float[np.ndarray, "m 6"], Float[np.ndarray, "m 6 6"], Float[np.ndarray, "m 6 b"]]:
    """How much pixels count about columns of unit amplitude, on the host.

    **Arguments:**

    - `structure`: Gaussians of two dimensions.
    - `grid`, `precision`: of the pixels.
    - `background`: what lies beneath.

    **Returns:** mean precisions, as x, y, the three variances and the amplitude feel them; what these share
    with each other; and with the background's numbers (summed over pixels).
    """
    natural = np.asarray(structure.natural(), np.float64)
    spreads = natural[:, [[2, 4], [4, 3]]]
    width = np.sqrt(np.median(natural[:, 2:4].mean(axis=1)))
    half = np.maximum(np.ceil(_FELT * width / grid.spacing[::-1]).astype(int), 1)
    nearest = grid.nearest_voxels(natural[:, :2])
    steps = [np.arange(-h, h + 1) for h in half]
    rows, columns = (np.clip(nearest[:, k, None] + steps[k], 0, grid.shape[k] - 1) for k in range(2))
    inside = [nearest[:, k, None] + steps[k] == x for k, x in enumerate((rows, columns))]
    weights = precision[rows[:, :, None], columns[:, None, :]]
    weights = weights * (inside[0][:, :, None] & inside[1][:, None, :])
    dy = grid.origin[1] + grid.spacing[1] * rows[:, :, None] - natural[:, 1, None, None]
    dx = grid.origin[0] + grid.spacing[0] * columns[:, None, :] - natural[:, 0, None, None]
    inverse = np.linalg.inv(spreads)
    a, b, c = (inverse[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    u, v = a * dx + b * dy, b * dx + c * dy
    shape = np.exp(-0.5 * (dx * u + dy * v)) / (2 * np.pi * np.sqrt(np.linalg.det(spreads)))[:, None, None]
    slopes = (u, v, 0.5 * (u**2 - a), 0.5 * (v**2 - c), u * v - b, np.ones_like(u))
    across, down = background.weights_along(grid)
    fields = np.stack([slope * shape for slope in slopes], axis=1)
    weighted = weights[:, None] * fields
    n, flat = len(natural), (len(natural), len(slopes), -1)
    own = weighted.reshape(flat) @ np.swapaxes(fields.reshape(flat), 1, 2)
    along = weighted @ across[columns][:, None]
    shares = (np.swapaxes(down[rows], 1, 2)[:, None] @ along).reshape(n, len(slopes), -1)
    square = np.sum(fields**2, axis=(2, 3))
    means = np.diagonal(own, axis1=1, axis2=2) / np.maximum(square, 1e-30)
    return np.maximum(means, 1e-3 * np.median(means, axis=0)), own, shares


def _of_unit_weight(single: Any, *args: Any, **kwargs: Any) -> Leaf:
    return single(*args, **kwargs)
