"""How well columns of an image are known: what its pixels tell of all of them, and the inverse of that.

The information JᵀWJ is exact, with each pixel's own variance, and sparse: columns share pixels with their
neighbours only. What a column's covariance owes to others falls off with the square of their overlap, so
its block is taken from the inverse of the information on itself and its nearest (as `inference.local`
does, whose windows of single atoms know any observation; here all columns have windows of one size, and
their derivatives are written out). A width that all share and the background are unknown as well: they are
a border, which is solved for in the whole matrix.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import bsr_array, csc_array, csr_array, diags_array, kron, vstack
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from atomfit.fitting.column_fit import REACH, FittedColumns, Widths
from atomfit.structure.grid import Grid

#: Columns whose information is inverted together, and how many such clusters at a time.
_CLUSTER, _AT_A_TIME = 13, 512
#: Part of its diagonal that is added to the matrix.
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class ColumnUncertainty:
    """Covariances of columns, all else marginalised.

    **Fields:**

    - `positions`: of each position (Å²).
    - `amplitudes`: standard uncertainties (image units x Å²).
    - `widths`: standard uncertainties of the geometric mean width (Å); the shared one's, if that is shared.
    - `heights`: signal-to-noise ratio of each column: its amplitude over its standard uncertainty.
    """

    positions: Float[np.ndarray, "n 2 2"]
    amplitudes: Float[np.ndarray, " n"]
    widths: Float[np.ndarray, " n"]
    heights: Float[np.ndarray, " n"]

    @property
    def esd(self) -> Float[np.ndarray, "n 2"]:
        """Standard uncertainties of positions (Å)."""
        return np.sqrt(np.diagonal(self.positions, axis1=1, axis2=2))


@dataclass(frozen=True, eq=False)
class ColumnInformation:
    """What pixels tell of columns.

    **Fields:**

    - `slopes`: derivatives of pixels, in units of their noise, by all numbers: those of a column follow
        each other (x, y, amplitude, and what is its own of its width).
    - `border`: the same by what columns share: the width, if they do, and the background's numbers.
    - `matrix`: information on columns' numbers.
    - `size`: numbers of a column.
    """

    slopes: csr_array
    border: csr_array
    matrix: bsr_array
    size: int

    @classmethod
    def of(cls, fitted: FittedColumns, grid: Grid) -> "ColumnInformation":
        """At the end of a fit.

        **Arguments:**

        - `fitted`: the columns.
        - `grid`: of the region that was fitted.
        """
        roots = np.where(fitted.counted, 1 / np.sqrt(fitted.variance), 0.0)
        fields, pixels = _fields(fitted, grid)
        # What lies outside the image has no weight, at any of its pixels.
        inside = pixels >= 0
        fields *= (np.where(inside, roots.ravel()[pixels], 0.0))[:, None]
        n, _, window = fields.shape
        own = _own(fields, fitted)
        size = own.shape[1]
        places = np.repeat(np.where(inside, pixels, 0)[:, None], size, axis=1)
        starts = np.arange(n * size + 1) * window
        slopes = csr_array((own.ravel(), places.ravel(), starts), shape=(n * size, grid.size))
        # What does not count would meet itself at every column.
        slopes.eliminate_zeros()
        borders = [_background(fitted, grid, roots)]
        if fitted.widths == "shared":
            width = _of_width(fields, fitted)
            shared = np.bincount(places[:, 0].ravel(), width.ravel(), minlength=grid.size)
            borders.insert(0, csr_array(shared[None]))
        border = csr_array(vstack(borders, format="csr"))
        border.eliminate_zeros()
        matrix = bsr_array((slopes @ slopes.T).tobsr((size, size)))
        matrix.sort_indices()
        return cls(slopes, border, matrix, size)

    def solve(self, right: Float[np.ndarray, "k b"]) -> Float[np.ndarray, "k b"]:
        """The matrix's inverse times vectors."""
        return np.asarray(self._factor.solve(np.ascontiguousarray(right)))

    @cached_property
    def _factor(self) -> Any:
        """Its triangular factors, which are sparse as columns of a plane meet their neighbours only."""
        whole = self.matrix.tocsc()
        # Two columns at one place have no matrix without it.
        whole = whole + diags_array(_LEAST * whole.diagonal())
        return splu(csc_array(whole), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)

    def left_of(self, noise: Float[np.ndarray, " pixels"]) -> Float[np.ndarray, " pixels"]:
        """What a fit leaves of noise, in units of the pixels' own: it absorbs what looks like its numbers.

        **Arguments:**

        - `noise`: of all pixels of the region that was fitted.
        """
        with_border, through, left = self._bordered
        by_columns, by_border = self.slopes @ noise, self.border @ noise
        shared = left @ (by_border - through.T @ by_columns)
        own = self.solve((by_columns - with_border @ shared)[:, None])[:, 0]
        return noise - self.slopes.T @ own - self.border.T @ shared

    @cached_property
    def _bordered(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What columns share with the border, that times the inverse, and the border's covariance."""
        with_border = np.asarray((self.slopes @ self.border.T).todense())
        through = self.solve(with_border)
        left = np.asarray((self.border @ self.border.T).todense()) - through.T @ with_border
        scale = 1 / np.sqrt(np.maximum(np.diagonal(left), 1e-30))
        # Splines that no pixel tells of are known to nobody, and matter to nobody.
        shared = np.linalg.pinv(left * np.outer(scale, scale), rcond=1e-8, hermitian=True)
        return with_border, through, shared * np.outer(scale, scale)

    def covariances(self, positions: Float[np.ndarray, "n 2"]) -> tuple[np.ndarray, np.ndarray]:
        """Of each column's own numbers, and of what all share."""
        blocks = _clusters(self.matrix, positions, self.size)
        _, through, shared = self._bordered
        through = through.reshape(len(positions), self.size, -1)
        return blocks + through @ shared @ np.swapaxes(through, 1, 2), shared


def measure_columns(
    fitted: FittedColumns, information: ColumnInformation, excess: Float[np.ndarray, " n"]
) -> ColumnUncertainty:
    """Standard uncertainties of columns.

    **Arguments:**

    - `fitted`: at the end of a fit.
    - `information`: what pixels tell of it.
    - `excess`: of each column, by which variances are larger than those of pixels that err independently.
    """
    blocks, shared = information.covariances(np.asarray(fitted.columns.positions))
    blocks = excess[:, None, None] * blocks
    widths = np.linalg.det(fitted.spreads) ** 0.25
    if fitted.widths == "shared":
        of_width = np.sqrt(np.mean(excess) * shared[0, 0]) * np.ones(len(fitted))
    elif fitted.widths == "fixed":
        of_width = np.zeros(len(fitted))
    elif fitted.widths == "own":
        of_width = np.sqrt(blocks[:, 3, 3])
    else:
        # Of (det U)^(1/4), by the elements of U.
        inverse = np.linalg.inv(fitted.spreads)
        slope = 0.25 * np.stack([inverse[:, 0, 0], inverse[:, 1, 1], 2 * inverse[:, 0, 1]], axis=1)
        of_width = np.sqrt(np.einsum("ni,nij,nj->n", slope, blocks[:, 3:, 3:], slope))
    esd = np.sqrt(blocks[:, 2, 2])
    return ColumnUncertainty(
        blocks[:, :2, :2], esd, widths * of_width, fitted.columns.amplitudes / np.maximum(esd, 1e-300)
    )


def _fields(fitted: FittedColumns, grid: Grid) -> tuple[np.ndarray, Int[np.ndarray, "n w"]]:
    """Derivatives of pixels by x, y, three variances and amplitude, in windows; and which pixels these are.

    Pixels that lie outside have number -1.
    """
    positions, spreads = np.asarray(fitted.columns.positions), fitted.spreads
    half = np.ceil(REACH * fitted.width / grid.spacing[::-1]).astype(int)
    nearest = grid.nearest_voxels(positions)
    steps = [np.arange(-h, h + 1) for h in half]
    rows, columns = (nearest[:, k, None] + steps[k] for k in range(2))
    dy = (grid.origin[1] + grid.spacing[1] * rows - positions[:, 1:])[:, :, None]
    dx = (grid.origin[0] + grid.spacing[0] * columns - positions[:, :1])[:, None, :]
    inverse, norms = np.linalg.inv(spreads), 2 * np.pi * np.sqrt(np.linalg.det(spreads))
    a, b, c = (inverse[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    u, v = a * dx + b * dy, b * dx + c * dy
    shape = np.exp(-0.5 * (dx * u + dy * v)) / norms[:, None, None]
    density = np.asarray(fitted.columns.amplitudes)[:, None, None] * shape
    fields = (
        *(u * density, v * density, 0.5 * (u**2 - a) * density, 0.5 * (v**2 - c) * density),
        *((u * v - b) * density, shape),
    )
    inside = ((rows >= 0) & (rows < grid.shape[0]))[:, :, None] & (
        (columns >= 0) & (columns < grid.shape[1])
    )[:, None, :]
    pixels = np.where(inside, rows[:, :, None] * grid.shape[1] + columns[:, None, :], -1)
    n = len(positions)
    return np.stack([f.reshape(n, -1) for f in fields], axis=1), pixels.reshape(n, -1)


def _of_width(fields: Float[np.ndarray, "n 6 w"], fitted: FittedColumns) -> Float[np.ndarray, "n w"]:
    """Derivatives by the logarithm of the width of round columns."""
    return 2 * fitted.spreads[:, 0, 0, None] * (fields[:, 2] + fields[:, 3])


def _own(fields: Float[np.ndarray, "n 6 w"], fitted: FittedColumns) -> Float[np.ndarray, "n p w"]:
    """Derivatives by what each column has for itself."""
    which: Widths = fitted.widths
    if which == "elliptical":
        return fields[:, [0, 1, 5, 2, 3, 4]]
    own = fields[:, [0, 1, 5]]
    return (
        own
        if which in ("fixed", "shared")
        else np.concatenate([own, _of_width(fields, fitted)[:, None]], axis=1)
    )


def _background(fitted: FittedColumns, grid: Grid, roots: np.ndarray) -> csr_array:
    """Derivatives by the background's numbers."""
    across, down = fitted.background.weights_along(grid)
    fields = csr_array(kron(csr_array(down), csr_array(across), format="csr"))
    return csr_array((fields * csr_array(roots.reshape(-1, 1))).T)


def _clusters(matrix: bsr_array, positions: Float[np.ndarray, "n 2"], p: int) -> Float[np.ndarray, "n p p"]:
    """Each column's block of the inverse of the information on itself and its nearest."""
    n = len(positions)
    m = min(_CLUSTER, n)
    near = cKDTree(positions).query(positions, k=np.arange(1, m + 1))[1]
    own = near == np.arange(n)[:, None]
    # The column itself comes first, also of two at one place.
    near[~own.any(axis=1), 0] = np.flatnonzero(~own.any(axis=1))
    at = np.argmax(near == np.arange(n)[:, None], axis=1)
    near[np.arange(n), at], near[:, 0] = near[:, 0], np.arange(n)
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    keys = rows * n + matrix.indices
    found = np.empty((n, p, p))
    for first in range(0, n, _AT_A_TIME):
        some = near[first : first + _AT_A_TIME]
        asked = some[:, :, None] * n + some[:, None, :]
        place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        blocks = np.where((keys[place] == asked)[..., None, None], matrix.data[place], 0.0)
        whole = np.swapaxes(blocks, 2, 3).reshape(len(some), m * p, m * p)
        scale = 1 / np.sqrt(np.maximum(np.diagonal(whole, axis1=1, axis2=2), 1e-30))
        whole = whole * scale[:, :, None] * scale[:, None, :] + 1e-7 * np.eye(m * p)
        inverse: Any = np.linalg.inv(whole)[:, :p, :p]
        found[first : first + len(some)] = inverse * scale[:, :p, None] * scale[:, None, :p]
    return found
