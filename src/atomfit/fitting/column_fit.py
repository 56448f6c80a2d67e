"""All columns of an image fitted together: where they are, how much they scatter, how wide they are.

An image is an observation of two dimensions (`observation.map`), its columns are Gaussians over a smooth
background, and the fit is that of any problem (`inference`). Two things make it quick for images that are
looked at again and again while columns come and go. Numbers of columns are rounded up by columns without
intensity that stay where they are, and the region and its windows keep their sizes, so that rounds share
compiled code. And pixels have known variances (they follow from brightness, `noise.brightness`), which the
rounds around this fit settle.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from atomfit.inference.fit import refine
from atomfit.inference.parameters import Follows, Parameters, fixed_where, frozen, with_wrapped
from atomfit.inference.problem import Objective, Problem
from atomfit.observation.column_image import ColumnImage
from atomfit.observation.point_spread import PointSpread
from atomfit.observation.row_offsets import RowOffsets
from atomfit.observation.spline import SplineBackground
from atomfit.optimisation.ended import Ended
from atomfit.rendering import bucket
from atomfit.structure.atoms import AnisotropicDisplacements, Atoms, IsotropicDisplacements
from atomfit.structure.canvas import Leaf
from atomfit.structure.grid import DensityMap, Grid

#: Whether columns have a width that is known, share one, have one each, or a matrix each.
Widths = Literal["fixed", "shared", "own", "elliptical"]
#: Units of the free numbers are such that a typical column's place has this signal-to-noise ratio.
_STRENGTH = 5.0
#: Splines of which the pixels tell less than this part of what they tell of a typical one stay as they are.
_SEEN = 0.05
#: A fit ends when it promises to lower chi-square by less than this for each column.
_TOLERANCE = 2e-3
#: Columns fainter than this part of the median take steps as if they were that bright.
_FAINT = 0.1
#: How far columns are drawn on the host, in their widths, and how many together.
_DRAWN, _AT_A_TIME = 5.0, 256
#: How far from a column pixels count, in widths of a typical one.
REACH = 4.0


@dataclass(frozen=True, eq=False)
class FittedColumns:
    """Columns of an image and what lies beneath them.

    **Fields:**

    - `columns`: Gaussians of two dimensions; amplitudes are integrals (image units x Å²).
    - `background`: in image units; of the region that was fitted.
    - `variance`: of each pixel's noise.
    - `counted`: pixels that counted.
    - `widths`: what was free of them.
    - `spread`: by what all are wider than Gaussians.
    - `growth`: the power of its integral that a column's width grows with, where they share one.
    - `rows`: offsets of the scan's lines; None if there are none.
    - `reason`: how the fit has ended.
    - `iterations`: how many it took.
    - `reach`: how far windows reached from their columns (Å).
    """

    columns: Atoms
    background: SplineBackground
    variance: Float[np.ndarray, "rows columns"]
    counted: Bool[np.ndarray, "rows columns"]
    widths: Widths
    spread: PointSpread = field(default_factory=PointSpread.none)
    growth: float = 0.0
    rows: RowOffsets | None = None
    reason: Ended = Ended.CONVERGED
    iterations: int = 0
    reach: float = 0.0

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def spreads(self) -> Float[np.ndarray, "n 2 2"]:
        """Variance matrices (Å²)."""
        return np.asarray(self.columns.matrices(), np.float64)

    @property
    def width(self) -> float:
        """Standard deviation of a typical column (Å)."""
        return typical_width(self.spreads)

    @property
    def brightness(self) -> Float[np.ndarray, " n"]:
        """Logarithms of the columns' integrals over a typical one; of very faint ones, of the least."""
        integrals = np.asarray(self.columns.amplitudes, np.float64)
        typical = max(float(np.median(integrals)), 1e-300) if len(self) else 1.0
        return np.log(np.maximum(integrals / typical, _FAINT))

    @property
    def terms(self) -> list[Atoms]:
        """Gaussians that make up the columns: the narrow ones, and those of their wings."""
        if not len(self.spread):
            return [self.columns]
        return [wider(self.columns, float(variance), float(part)) for part, variance in self.spread.terms]

    def aligned(self, image: DensityMap) -> Float[np.ndarray, "rows columns"]:
        """An image less what the offsets of its rows do to the columns."""
        if self.rows is None:
            return image.values
        return image.values - (self.drawn(image.grid) - replace(self, rows=None).drawn(image.grid))

    @property
    def peaks(self) -> Float[np.ndarray, " n"]:
        """Heights of columns in the image (image units)."""
        heights = [
            term.amplitudes / (2 * np.pi * np.sqrt(np.linalg.det(np.asarray(term.matrices(), np.float64))))
            for term in self.terms
        ]
        return np.asarray(np.sum(heights, axis=0), np.float64)

    def drawn(self, grid: Grid) -> Float[np.ndarray, "rows columns"]:
        """Columns without their background on a grid, on the host.

        **Arguments:**

        - `grid`: of two dimensions.
        """
        offsets = None if self.rows is None else self.rows.on(grid)
        return np.sum([drawn(grid, term, offsets) for term in self.terms], axis=0)


def grown(state: FittedColumns, growth: float) -> FittedColumns:
    """The same with widths that follow from the columns' integrals; as they are if columns share none.

    **Arguments:**

    - `state`: columns that share a width.
    - `growth`: power of the integral.
    """
    if state.widths != "shared":
        return replace(state, growth=0.0)
    if not growth and not state.growth:
        return state
    widths = state.width * np.exp(growth * state.brightness)
    columns = columns_of(np.asarray(state.columns.positions), np.asarray(state.columns.amplitudes), widths)
    return replace(state, columns=columns, growth=growth)


def typical_width(spreads: Float[np.ndarray, "n 2 2"]) -> float:
    """Standard deviation of a typical column (Å) of such variance matrices; NaN of none."""
    if not len(spreads):
        return float("nan")
    return float(np.sqrt(np.median(np.linalg.det(spreads)) ** 0.5))


def columns_of(
    positions: Float[np.ndarray, "n 2"],
    amplitudes: Float[np.ndarray, " n"],
    width: float | Float[np.ndarray, " n"],
) -> Atoms:
    """Columns of one width, or of one each (Å)."""
    n = len(positions)
    spreads = IsotropicDisplacements.from_variances(np.broadcast_to(np.square(width), n).copy())
    places, integrals = np.asarray(positions, np.float64), np.asarray(amplitudes, np.float64)
    return Atoms(places, displacements=spreads, amplitudes=integrals, numbers=np.zeros(n, int))


def fit_columns(
    image: DensityMap,
    start: FittedColumns,
    max_iterations: int = 60,
    progress: Callable[[int, float], None] = lambda iteration, value: None,
) -> FittedColumns:
    """Refine all columns of an image and its background together.

    **Arguments:**

    - `image`: the region that is fitted.
    - `start`: columns, background and the pixels' variances.
    - `max_iterations`: the most iterations.
    - `progress`: called with the iterations done and the objective.
    """
    n = len(start)
    if not n:
        return start
    padded, spare = _padded(start.columns, start.widths)
    # What offsets change is known nearly before the fit, and columns move little while it works.
    values = start.aligned(image)
    observed = ColumnImage.of(
        replace(image, values=values, counted=start.counted),
        start.variance,
        start.background,
        start.spread,
        start.reach,
    )
    objective = _objective(Problem(_freed(padded, spare, start.widths), (observed,)), padded, spare)
    fit = refine(objective, tolerance=_TOLERANCE, max_iterations=max_iterations, progress=progress)
    found: Any = fit.structure
    seen_by: Any = fit.observations[0]
    return replace(
        start,
        columns=found[:n],
        background=fit.nuisances[0],
        reason=fit.reason,
        iterations=len(fit.history),
        reach=float(seen_by.reach),
    )


def wider(columns: Atoms, variance: float, part: float) -> Atoms:
    """A part of the columns' integrals, wider by a variance (Å²)."""
    matrices = np.asarray(columns.matrices(), np.float64) + variance * np.eye(2)
    spreads = AnisotropicDisplacements.from_matrices(matrices)
    integrals = part * np.asarray(columns.amplitudes)
    return Atoms(columns.positions, displacements=spreads, amplitudes=integrals, numbers=columns.numbers)


def drawn(
    grid: Grid, columns: Atoms, offsets: Float[np.ndarray, " rows"] | None = None
) -> Float[np.ndarray, "rows columns"]:
    """Columns without their background on a grid, on the host.

    **Arguments:**

    - `grid`: of two dimensions.
    - `columns`: round or elliptic.
    - `offsets`: of the rows (Å).
    """
    spreads = np.asarray(columns.matrices(), np.float64)
    far = _DRAWN * np.sqrt(np.diagonal(spreads, axis1=1, axis2=2).max(axis=0, initial=0.0))
    half = np.ceil(far / grid.spacing).astype(int)[::-1]
    h, w = 2 * half + 1
    nearest = grid.nearest_voxels(np.asarray(columns.positions, np.float64))
    image = np.zeros(np.add(grid.shape, 2 * half))
    for start in range(0, len(columns), _AT_A_TIME):
        some = slice(start, start + _AT_A_TIME)
        values = _values(grid, columns[some], nearest[some], half, offsets)
        for (y, x), one in zip(nearest[some].tolist(), values, strict=True):
            image[y : y + h, x : x + w] += one
    return image[half[0] : half[0] + grid.shape[0], half[1] : half[1] + grid.shape[1]]


def _values(
    grid: Grid,
    columns: Atoms,
    nearest: np.ndarray,
    half: np.ndarray,
    offsets: Float[np.ndarray, " rows"] | None,
) -> np.ndarray:
    """Columns in windows of one size."""
    spreads, positions = np.asarray(columns.matrices(), np.float64), np.asarray(columns.positions)
    inverses, norms = np.linalg.inv(spreads), 2 * np.pi * np.sqrt(np.linalg.det(spreads))
    rows, across = (nearest[:, k, None] + np.arange(-half[k], half[k] + 1) for k in range(2))
    y = (grid.origin[1] + grid.spacing[1] * rows - positions[:, 1:])[:, :, None]
    x = (grid.origin[0] + grid.spacing[0] * across - positions[:, :1])[:, None, :]
    if offsets is not None:
        x = x - offsets[np.clip(rows, 0, len(offsets) - 1)][:, :, None]
    a, b, c = (inverses[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    peak = (columns.amplitudes / norms)[:, None, None]
    if not np.any(inverses[:, 0, 1]):
        return np.asarray(peak * np.exp(-0.5 * c * y**2) * np.exp(-0.5 * a * x**2))
    return np.asarray(peak * np.exp(-0.5 * (a * x**2 + 2 * b * x * y + c * y**2)))


def _padded(columns: Atoms, widths: Widths) -> tuple[Atoms, Bool[np.ndarray, " m"]]:
    """Columns and others without intensity, so that numbers of columns share compiled code."""
    n = len(columns)
    which = np.minimum(np.arange(bucket(n)), n - 1)
    spare = np.arange(len(which)) >= n
    padded = columns[which]
    matrices = np.asarray(padded.matrices(), np.float64)
    round_ = np.sqrt(np.linalg.det(matrices))
    spreads: Any = (
        AnisotropicDisplacements.from_matrices(matrices)
        if widths == "elliptical"
        else IsotropicDisplacements.from_variances(round_)
    )
    bright = np.where(spare, 0.0, padded.amplitudes)
    return Atoms(padded.positions, displacements=spreads, amplitudes=bright, numbers=padded.numbers), spare


def _freed(columns: Atoms, spare: Bool[np.ndarray, " m"], widths: Widths) -> Atoms:
    """Columns as a problem has them: what is no column stays as it is, and so do widths of those."""
    held = partial(fixed_where, fixed=spare)
    found = with_wrapped(columns, lambda a: (a.positions, a.amplitudes), held)
    if widths == "fixed":
        return frozen(found, _log_widths)
    if widths == "shared":
        return with_wrapped(found, _log_widths, lambda x: Follows(_together, np.zeros(1), frozen(x)))
    found = with_wrapped(found, _log_widths, held)
    return with_wrapped(found, _shears, held) if widths == "elliptical" else found


def _together(shift: Leaf, start: Leaf) -> Array:
    return jnp.asarray(start) + shift


def _log_widths(columns: Any) -> Any:
    return columns.displacements.log_widths


def _shears(columns: Any) -> Any:
    return columns.displacements.shears


def _objective(problem: Problem, columns: Atoms, spare: Bool[np.ndarray, " m"]) -> Objective:
    """With steps in closed form: what the image tells of each number of a lone column by itself."""
    observed: Any = problem.observations[0].planned(columns, problem.observations[0].nuisance)
    observed = replace(observed, nuisance=_apart(observed))
    free = Parameters.of(problem.structure, (observed.nuisance,)).steps
    area = float(np.prod(observed.spacing))
    widths = np.linalg.det(np.asarray(columns.matrices(), np.float64)) ** 0.25
    bright = np.abs(columns.amplitudes)
    bright = np.maximum(bright, _FAINT * np.median(bright[~spare]))
    told = np.asarray(observed.weights).T / (4 * np.pi * widths**2 * area)
    of_width = told[2:5].mean(axis=0) * 2 * bright**2
    information = {
        "positions": told[:2].mean(axis=0) * bright**2 / (2 * widths**2),
        "amplitudes": told[5],
        "log_widths": of_width,
        "shears": of_width / 2,
    }
    unit = float(np.median((information["positions"] * 2 * widths**2)[~spare])) / _STRENGTH**2
    steps: dict[str, Leaf] = {}
    for name, ones in free.items():
        if name.startswith("[1]"):
            each = np.ones(ones.shape)
        else:
            each = next(x for part, x in information.items() if part in name)
            each = np.where(spare, 0.0, each)
            if len(ones) != len(each):
                each = np.array([each.sum()])
            each = np.broadcast_to(each.reshape(-1, *[1] * (ones.ndim - 1)), ones.shape)
        steps[name] = np.sqrt(np.divide(unit, each, out=np.zeros(ones.shape), where=each > 0)).astype(
            np.float32
        )
    objective = Problem(problem.structure, (observed,)).objective(steps)
    return replace(objective, unit=np.asarray(unit, np.float32))


def _apart(observed: ColumnImage) -> Any:
    """A background whose free numbers are told apart by the pixels, as those of splines are not.

    Where precision is even they would be uncorrelated, and have information of one: it is divided by
    the roots of what each spline is told, and by triangular factors of the splines' overlaps.
    """
    background = observed.nuisance
    grid = Grid(observed.data.shape, np.asarray(observed.spacing), np.asarray(observed.origin))
    overlaps = [weights.T @ weights for weights in background.weights_along(grid)]
    even = np.outer(*(np.diagonal(one) for one in overlaps[::-1]))
    told = np.asarray(observed.corner, np.float64)[:, observed.corner.shape[1] // 2].reshape(even.shape)
    seen = told > _SEEN * np.median(told[told > 0])
    scale = np.where(seen, np.sqrt(even / np.where(seen, told, 1.0)), 0.0)
    across, down = (_roots(one) for one in overlaps)
    kept = (frozen(x) for x in (np.asarray(background.heights, np.float64), down, across.T, scale))
    free = np.zeros(background.heights.shape)
    return with_wrapped(background, lambda own: own.heights, lambda _: Follows(_mixed, free, *kept))


def _roots(overlaps: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """A root of the inverse, of splines that pixels see."""
    each = np.diagonal(overlaps)
    seen = np.flatnonzero(each > _SEEN * np.median(each))
    roots, inside = np.zeros(overlaps.shape), np.ix_(seen, seen)
    roots[inside] = np.linalg.inv(np.linalg.cholesky(overlaps[inside])).T
    return roots


def _mixed(free: Leaf, start: Leaf, down: Leaf, across: Leaf, scale: Leaf) -> Array:
    return jnp.asarray(start) + scale * (jnp.asarray(down) @ free @ across)


def without(fitted: FittedColumns, which: Bool[np.ndarray, " n"]) -> FittedColumns:
    """The same without some columns."""
    return replace(fitted, columns=fitted.columns[~which])


def joined(first: Atoms, second: Atoms) -> Atoms:
    """Columns of two lists in one; both must have widths of the same kind."""
    return jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
