"""An image of columns as an observation: pixels of known variance, and a background on splines.

It predicts what a map of two dimensions does (`observation.map`). What is its own is how steps are found:
products with JᵀWJ through all pixels cost a drawing each, and a fit takes hundreds of them. W changes
little across a column, and so the matrix is about that of equal pixels, which is known in closed form
(`gaussians.curvature`), times the pixels' mean weight about each column; of what background and columns
share, the background's value at a column; and of the background with itself what it is. Steps follow that
matrix; objective, gradient and standard uncertainties are exact.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from atomfit.gaussians.curvature import curvature_of_atoms
from atomfit.gaussians.neighbours import neighbour_table
from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.gaussians.scatterers import OneGaussian
from atomfit.inference.noise import KnownPrecision
from atomfit.inference.observation import AbstractObservation, Product
from atomfit.observation.column_pixels import felt, halfway, listed
from atomfit.observation.point_spread import PointSpread
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
#: Windows of wings are smaller by this than those of Gaussians as wide: they are faint.
_OF_WINGS = 0.85

#: Numbers of a column that steps know, and how its natural ones follow: of a round one, and of any.
_ROUND = (
    np.array([0, 1, 2, 5]),
    np.eye(4, dtype=np.float32)[[0, 1, 2, 2, 3, 3]] * [[1], [1], [1], [1], [0], [1]],
)
_ANY = np.arange(6), np.eye(6, dtype=np.float32)


class ColumnImage(AbstractObservation):
    """An image of columns.

    **Fields:**

    - `data`, `counted`, `noise`: as of every observation; pixels that do not count have no precision.
    - `nuisance`: the background.
    - `spread`: what the image is convolved with; steps do not know it.
    - `spacing`, `origin`: of its grid (Å; x, y).
    - `corner`: what the pixels tell of the background's numbers, columns known: of each with those near it.
    - `beside`: which these are.
    - `reach`: how far windows reach from their columns (Å).
    - `plans`: windows of the columns, and of each of their wings.
    - `neighbours`: which columns overlap.
    - `between`: precision of the pixels halfway to these.
    - `weights`: mean precision of the pixels about each column, as each of its numbers feels it.
    - `own`: what the pixels tell of these numbers of a column of unit amplitude.
    - `widths`: that columns had then (Å).
    - `shares`: what these numbers have in common with those of the background near the column, of unit
        amplitude.
    - `beneath`: which of the background's these are.
    - `above`: where each of the background's is among them, in their transpose unravelled; beyond its end
        where there are fewer.
    """

    data: Float[Leaf, "rows columns"]
    counted: Leaf
    noise: KnownPrecision
    nuisance: SplineBackground
    spread: PointSpread
    spacing: Float[Leaf, " 2"]
    origin: Float[Leaf, " 2"]
    corner: Float[Leaf, "b c"]
    beside: Int[Leaf, "b c"]
    # Measured: as a constant of programs it would have each image compile its own.
    reach: Float[Leaf, ""] | np.float64 = np.float64(0.0)
    plans: tuple[WindowPlan, ...] = ()
    neighbours: Int[Leaf, "m k"] | None = None
    between: Float[Leaf, "m k"] | None = None
    weights: Float[Leaf, "m 6"] | None = None
    own: Float[Leaf, "m 6 6"] | None = None
    widths: Float[Leaf, " m"] | None = None
    shares: Float[Leaf, "m 6 s"] | None = None
    beneath: Int[Leaf, "m s"] | None = None
    above: Int[Leaf, "b t"] | None = None

    @classmethod
    def of(
        cls,
        image: DensityMap,
        variance: Float[np.ndarray, "rows columns"],
        background: SplineBackground,
        spread: PointSpread,
        reach: float = 0.0,
    ) -> "ColumnImage":
        """What an image tells of its columns.

        **Arguments:**

        - `image`: with the pixels that count.
        - `variance`: of their noise.
        - `background`: to start from.
        - `spread`: what the image is convolved with.
        - `reach`: of windows of an earlier fit (Å), which are kept if they are large enough.
        """
        counted = image.measured(np.ones(image.grid.shape, bool))
        precision = np.where(counted, 1 / variance, 0.0)
        corner, beside = background.information(image.grid, precision)
        # Splines that no pixel that counts tells of stay about where their neighbours are.
        corner[:, corner.shape[1] // 2] += 1e-6 * corner.max()
        return cls(
            data=np.where(counted, image.values, 0.0).astype(np.float32),
            counted=counted.astype(np.float32),
            noise=KnownPrecision(precision.astype(np.float32)),
            nuisance=background,
            spread=spread,
            spacing=np.asarray(image.grid.spacing, np.float32),
            origin=np.asarray(image.grid.origin, np.float32),
            corner=corner.astype(np.float32),
            beside=beside.astype(np.int32),
            reach=np.float64(reach),
        )

    def predict(
        self, structure: AbstractStructure, nuisance: SplineBackground
    ) -> Float[Array, "rows columns"]:
        seen = nuisance.density(self.data.shape, self.spacing)
        for (part, variance), plan in zip(self.spread.terms, self.plans, strict=True):
            canvas = VoxelCanvas([plan], self.spacing, self.origin, variance)
            seen += jnp.asarray(part, jnp.float32) * structure.draw(canvas)
        return seen

    def value_and_gradient(
        self, structure: AbstractStructure, nuisance: SplineBackground
    ) -> tuple[Float[Array, ""], tuple[PyTree, PyTree]]:
        moving, still = eqx.partition((structure, nuisance), eqx.is_inexact_array)
        predicted, pull = jax.vjp(lambda numbers: self.predict(*eqx.combine(numbers, still)), moving)
        # Pixels that do not count have neither values nor precision.
        apart = predicted - jnp.asarray(self.data)
        weighted = jnp.asarray(self.noise.precision) * apart
        return 0.5 * jnp.vdot(apart, weighted), pull(weighted)[0]

    def steepness(self, structure: AbstractStructure, nuisance: SplineBackground) -> Product:
        moving, still = eqx.partition((structure, nuisance), eqx.is_inexact_array)
        seen, push = jax.linearize(lambda numbers: eqx.combine(numbers, still)[0].natural(), moving)
        pull = jax.linear_transpose(push, moving)
        overlap = partial(_of_unit_weight, derivatives_of_gaussian)
        near, above, beneath, beside = (
            jnp.asarray(x).T for x in (self.neighbours, self.above, self.beneath, self.beside)
        )
        equal = curvature_of_atoms(seen, OneGaussian(), near.T, overlap).blocks
        strength = jnp.concatenate(
            [jnp.repeat(seen[:, -1:], 5, axis=1), jnp.ones_like(seen[:, -1:])], axis=1
        )
        per_area = jnp.asarray(self.between) / jnp.prod(jnp.asarray(self.spacing))
        blocks = equal * per_area[:, :, None, None]
        # A column that has become narrower is told more: what it would be on even pixels.
        narrower = (jnp.asarray(self.widths) / _round_widths(seen))[:, None]
        told = strength * narrower ** np.array([2, 2, 3, 3, 3, 1], np.float32)
        blocks = blocks.at[:, 0].set(told[:, :, None] * jnp.asarray(self.own) * told[:, None, :])
        # Of round columns both variances are one number. Columns come last, so that all go together.
        columns: Any = structure
        own, as_natural = _ROUND if columns.displacements.spreads(2).ndim == 1 else _ANY
        blocks = jnp.einsum("ai,mkab,bj->kijm", as_natural, blocks, as_natural)
        shares = jnp.einsum("ai,ma,mas->ism", as_natural, strength, jnp.asarray(self.shares))
        corner = jnp.asarray(self.corner).T

        def product(changes: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            natural, below = push(changes), jnp.ravel(changes[1].heights)
            mine = natural[:, own].T
            around, under, next_to = lax.optimization_barrier(
                (_at(mine, near), _at(below, beneath), _at(below, beside))
            )
            pulled = _total(blocks[k, :, j] * around[j, k] for k, j in np.ndindex(len(near), len(own)))
            pulled += _total(shares[:, s] * under[s] for s in range(len(beneath)))
            by_structure, by_own = pull(jnp.zeros_like(natural).at[:, own].set(pulled.T))[0]
            of_columns = _total(shares[i] * mine[i] for i in range(len(own))).ravel()
            of_columns = jnp.concatenate([of_columns, jnp.zeros(1, jnp.float32)])
            heights = jnp.sum(corner * next_to, axis=0)
            heights += jnp.sum(lax.optimization_barrier(_at(of_columns, above)), axis=0)
            shape = changes[1].heights.shape
            return by_structure, eqx.tree_at(lambda own: own.heights, by_own, heights.reshape(shape))

        return product

    def planned(self, structure: Any, nuisance: SplineBackground) -> "ColumnImage":
        measured = MeasuringCanvas()
        structure.draw(measured)
        reach, positions = measured.reach, np.asarray(structure.positions, np.float64)
        spacing = np.asarray(self.spacing, np.float64)
        grid = Grid(self.data.shape, spacing, np.asarray(self.origin, np.float64))
        if self.plans and holds(self.plans[0], measured.plans(grid, _LEAST_ROOM)[0]):
            return self
        far = float(reach.max())
        before = float(self.reach)
        far = before if _LEAST_WINDOW * before < far < _LEAST_ROOM * before else _ROOM * far
        there = np.asarray(structure.amplitudes) != 0
        width = float(np.median(np.asarray(structure.natural(), np.float64)[there, 2:4])) ** 0.5
        wings = far * _OF_WINGS * np.sqrt(1 + np.asarray(self.spread.variances) / width**2)
        table = neighbour_table(positions[there], width**2, len(positions))
        precision = np.asarray(self.noise.precision)
        weights, own, shares, beneath = felt(structure, grid, precision, nuisance)
        return replace(
            self,
            reach=np.float64(far),
            plans=tuple(_windows(positions, grid, one) for one in (far, *wings.tolist())),
            neighbours=table,
            between=halfway(precision, grid, positions, table, width),
            weights=weights.astype(np.float32),
            own=own.astype(np.float32),
            widths=_round_widths(np.asarray(structure.natural())).astype(np.float32),
            shares=shares.astype(np.float32),
            beneath=beneath.astype(np.int32),
            above=listed(beneath.T, len(self.corner)),
        )


def _windows(positions: Float[np.ndarray, "n 2"], grid: Grid, far: float) -> WindowPlan:
    """Of columns that reach so far (Å)."""
    edges = np.ceil(2 * far / grid.spacing / _WINDOW_STEP) * _WINDOW_STEP
    n = len(positions)
    points = Gaussians(positions, np.zeros((n, 2, 2)), np.ones(n))
    return plan_windows(points, grid, margin=(edges - 0.5) / 2 * grid.spacing)


def _round_widths(natural: Float[Leaf, "n 6"]) -> Float[Leaf, " n"]:
    return (natural[:, 2] * natural[:, 3] - natural[:, 4] ** 2) ** 0.25


def _at(values: Float[Array, "*a n"], places: Int[Array, "..."]) -> Float[Array, "..."]:
    return values.at[..., places].get(mode="promise_in_bounds")


def _total(terms: Iterable[Array]) -> Array:
    """A sum that is written out, so that the compiler makes one loop of it."""
    return reduce(jnp.add, terms)


def _of_unit_weight(single: Any, *args: Any, **kwargs: Any) -> Leaf:
    return single(*args, **kwargs)
