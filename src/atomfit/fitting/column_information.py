"""How well columns of an image are known: what its pixels tell of all of them, and the inverse of that.

The information JᵀWJ is exact, with each pixel's own variance, and sparse: columns share pixels with their
neighbours only. What a column's covariance owes to others falls off with the square of their overlap, so
its block is taken from the inverse of the information on itself and its nearest (as `inference.local`
does, whose windows of single atoms know any observation; here all columns have windows of one size, and
their derivatives are written out). The background is unknown as well, each spline of which meets the
columns above it (`column_border`), and so is a width that all share, which meets all.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import bsr_array, csc_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from atomfit.fitting.column_border import Border
from atomfit.fitting.column_fit import REACH, FittedColumns, Widths
from atomfit.fitting.column_windows import Windows
from atomfit.fitting.column_wings import USUAL_GROWTH, USUAL_WINGS, wings_of
from atomfit.observation.spline import SplineBackground
from atomfit.structure.grid import Grid

#: Columns whose information is inverted together, and how many such clusters at a time.
_CLUSTER, _AT_A_TIME = 13, 512
#: Columns farther from each other than this, in widths of a typical one, have 1e-4 in common of what each
#: has with itself; with wings all whose windows meet have more.
APART, WINGS_APART = 7.0, 2 * np.sqrt(2) * REACH
#: Part of its diagonal that is added to the matrix.
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class ColumnUncertainty:
    """Covariances of columns, all else marginalised.

    **Fields:**

    - `positions`: of each position (Å²).
    - `amplitudes`: standard uncertainties (image units x Å²).
    - `widths`: standard uncertainties of the geometric mean width (Å); the shared one's, if that is shared.
    - `wings`, `growth`: standard uncertainties of the part of wings, and of the power with which widths
        grow; zero where columns have neither.
    """

    positions: Float[np.ndarray, "n 2 2"]
    amplitudes: Float[np.ndarray, " n"]
    widths: Float[np.ndarray, " n"]
    wings: float = 0.0
    growth: float = 0.0

    @property
    def esd(self) -> Float[np.ndarray, "n 2"]:
        """Standard uncertainties of positions (Å)."""
        return np.sqrt(np.diagonal(self.positions, axis1=1, axis2=2))


@dataclass(frozen=True, eq=False)
class ColumnInformation:
    """What pixels tell of columns.

    **Fields:**

    - `windows`: derivatives of pixels, in units of their noise, by each column's numbers (x, y, amplitude,
        and what is its own of its width).
    - `shared`: the same by what all share: the logarithm of their width, if it is one, the part of each of
        their wings, and growth, as far as they have them.
    - `prior`: what is known of these beforehand.
    - `growing`: the same by growth, also where they do not grow; None if each has its own width.
    - `background`, `roots`: what lies beneath, and roots of the pixels' precisions.
    - `grid`: of the region that was fitted.
    - `matrix`: information on columns' numbers.
    """

    windows: Windows
    shared: Float[np.ndarray, "s rows columns"]
    prior: Float[np.ndarray, " s"]
    growing: Float[np.ndarray, "rows columns"] | None
    background: SplineBackground
    roots: Float[np.ndarray, "rows columns"]
    grid: Grid
    matrix: bsr_array

    @classmethod
    def of(cls, fitted: FittedColumns, grid: Grid) -> "ColumnInformation":
        """At the end of a fit.

        **Arguments:**

        - `fitted`: the columns.
        - `grid`: of the region that was fitted.
        """
        roots = np.where(fitted.counted, 1 / np.sqrt(fitted.variance), 0.0)
        half = np.ceil(REACH * fitted.width / grid.spacing[::-1]).astype(int)
        positions = np.asarray(fitted.columns.positions)
        first = grid.nearest_voxels(positions) - half
        own, shared, shape = [], [], (grid.shape[0], grid.shape[1])
        for start in range(0, len(fitted), _AT_A_TIME):
            some = slice(start, start + _AT_A_TIME)
            fields = _fields(fitted, grid, first[some], half, some)
            fields *= _windows_of(roots, first[some], 2 * half + 1)[:, None]
            own.append(_own(fields, fitted, some))
            if fitted.widths == "shared":
                shared.append(_of_width(fields, fitted, some)[:, None])
        windows = Windows(np.concatenate(own), first, shape)
        of_all: list[Float[np.ndarray, "rows columns"]] = []
        prior: list[float] = []
        growing = None
        if shared:
            by_width = Windows(np.concatenate(shared), first, shape)
            of_all, prior = [by_width.drawn(np.ones(len(first)))], [0.0]
            growing = by_width.drawn(fitted.brightness)
        of_all += list(roots * wings_of(fitted, fitted.spread.variances, grid))
        prior += [USUAL_WINGS**-2] * len(fitted.spread)
        if growing is not None and fitted.growth:
            of_all, prior = [*of_all, growing], [*prior, USUAL_GROWTH**-2]
        whole = np.array(of_all).reshape(-1, *grid.shape)
        matrix = windows.products(positions, fitted.width * (WINGS_APART if len(fitted.spread) else APART))
        return cls(windows, whole, np.array(prior), growing, fitted.background, roots, grid, matrix)

    def solve(self, right: Float[np.ndarray, "k b"]) -> Float[np.ndarray, "k b"]:
        """The inverse of the information on columns alone times vectors."""
        return np.asarray(self._factor.solve(np.ascontiguousarray(right)))

    @cached_property
    def _factor(self) -> Any:
        """Its triangular factors, which are sparse as columns of a plane meet their neighbours only."""
        whole = self.matrix.tocsc()
        # Two columns at one place have no matrix without it, nor has one that no pixel shows.
        told = whole.diagonal()
        whole = whole + diags_array(_LEAST * np.where(told > 0, told, 1.0))
        return splu(csc_array(whole), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)

    @cached_property
    def _border(self) -> Border:
        return Border.of(self.windows, self.background, self.grid, self.roots, self.solve)

    @cached_property
    def _of_shared(
        self,
    ) -> tuple[Float[np.ndarray, "s k"], Float[np.ndarray, "s b"], Float[np.ndarray, "s s"]]:
        """What columns and splines answer to what all share, and its covariance."""
        count = len(self.shared)
        columns, splines = np.zeros((count, self.matrix.shape[0])), np.zeros((count, self._border.size))
        told = np.diag(self.prior)
        for k, field in enumerate(self.shared):
            by_columns, by_splines = self.windows.read(field), self._border.read(field)
            columns[k], splines[k] = self._border.solved(by_columns, by_splines)
            for i in range(k + 1):
                other = np.vdot(self.shared[i], field) - columns[i] @ by_columns - splines[i] @ by_splines
                told[i, k] = told[k, i] = told[i, k] + other
        return columns, splines, np.linalg.inv(told + 1e-300 * np.eye(count))

    @property
    def covariance_of_shared(self) -> Float[np.ndarray, "s s"]:
        """Of what all columns share, in its order."""
        return self._of_shared[2]

    def step_of_shared(
        self, left: Float[np.ndarray, "rows columns"], before: Float[np.ndarray, " s"]
    ) -> Float[np.ndarray, " s"]:
        """By how much what all share has to change, and all else with it.

        **Arguments:**

        - `left`: what a fit leaves, in units of the pixels' noise.
        - `before`: where it is, of what the prior knows.
        """
        columns, splines = self._border.solved(self.windows.read(left), self._border.read(left))
        left = left - self.windows.drawn(columns) - self._border.drawn(splines)
        return self._of_shared[2] @ (np.einsum("sij,ij->s", self.shared, left) - self.prior * before)

    def left_of(self, noise: Float[np.ndarray, " pixels"]) -> Float[np.ndarray, " pixels"]:
        """What a fit leaves of noise, in units of the pixels' own: it absorbs what looks like its numbers.

        **Arguments:**

        - `noise`: of all pixels of the region that was fitted.
        """
        image = noise.reshape(self.grid.shape)
        columns, splines = self._border.solved(self.windows.read(image), self._border.read(image))
        if len(self.shared):
            by_columns, by_splines, covariance = self._of_shared
            absorbed = self.windows.drawn(columns) + self._border.drawn(splines)
            shared = covariance @ np.einsum("sij,ij->s", self.shared, image - absorbed)
            columns, splines = columns - shared @ by_columns, splines - shared @ by_splines
            image = image - np.tensordot(shared, self.shared, 1)
        return (image - self.windows.drawn(columns) - self._border.drawn(splines)).ravel()

    def covariances(self, positions: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n p p"]:
        """Of each column's own numbers.

        **Arguments:**

        - `positions`: of the columns (Å).
        """
        n, size = self.windows.slopes.shape[:2]
        blocks = cluster_covariances(self.matrix, positions, size) + self._border.covariances()
        by_shared, _, covariance = self._of_shared
        by_shared = by_shared.reshape(len(by_shared), n, size)
        return blocks + np.einsum("sni,st,tnj->nij", by_shared, covariance, by_shared)


def measure_columns(
    fitted: FittedColumns, information: ColumnInformation, excess: Float[np.ndarray, " n"]
) -> ColumnUncertainty:
    """Standard uncertainties of columns.

    **Arguments:**

    - `fitted`: at the end of a fit.
    - `information`: what pixels tell of it.
    - `excess`: of each column, by which variances are larger than those of pixels that err independently.
    """
    blocks = information.covariances(np.asarray(fitted.columns.positions))
    blocks = excess[:, None, None] * blocks
    widths = np.linalg.det(fitted.spreads) ** 0.25
    if fitted.widths == "shared":
        shared = information.covariance_of_shared[0, 0]
        of_width = np.sqrt(np.mean(excess) * shared) * np.ones(len(fitted))
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
    of_shape = np.sqrt(np.mean(excess) * np.diagonal(information.covariance_of_shared))[::-1].tolist()
    growth = of_shape.pop(0) if fitted.growth else 0.0
    wings = of_shape.pop(0) if len(fitted.spread) else 0.0
    return ColumnUncertainty(blocks[:, :2, :2], esd, widths * of_width, wings, growth)


def _fields(
    fitted: FittedColumns, grid: Grid, first: Int[np.ndarray, "n 2"], half: np.ndarray, some: slice
) -> Float[np.ndarray, "n 6 h w"]:
    """Derivatives of pixels by x, y, three variances and amplitude, in windows."""
    positions, spreads = np.asarray(fitted.columns.positions)[some], fitted.spreads[some]
    rows, columns = (first[:, k, None] + np.arange(2 * half[k] + 1) for k in range(2))
    dy = (grid.origin[1] + grid.spacing[1] * rows - positions[:, 1:])[:, :, None]
    dx = (grid.origin[0] + grid.spacing[0] * columns - positions[:, :1])[:, None, :]
    amplitudes = np.asarray(fitted.columns.amplitudes)[some]
    whole = np.zeros((len(positions), 6, dy.shape[1], dx.shape[2]))
    for part, variance in fitted.spread.terms:
        whole += part * _of_gaussians(dx, dy, spreads + variance * np.eye(2), amplitudes)
    return whole


def _of_gaussians(
    dx: Float[np.ndarray, "n 1 w"],
    dy: Float[np.ndarray, "n h 1"],
    spreads: Float[np.ndarray, "n 2 2"],
    amplitudes: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n 6 h w"]:
    inverse, norms = np.linalg.inv(spreads), 2 * np.pi * np.sqrt(np.linalg.det(spreads))
    a, b, c = (inverse[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    u, v = a * dx + b * dy, b * dx + c * dy
    shape = np.exp(-0.5 * (dx * u + dy * v)) / norms[:, None, None]
    density = amplitudes[:, None, None] * shape
    fields = (
        *(u * density, v * density, 0.5 * (u**2 - a) * density, 0.5 * (v**2 - c) * density),
        *((u * v - b) * density, shape),
    )
    return np.stack(fields, axis=1)


def _windows_of(
    image: Float[np.ndarray, "rows columns"], first: Int[np.ndarray, "n 2"], sizes: np.ndarray
) -> Float[np.ndarray, "n h w"]:
    """Windows of an image, zero outside."""
    places = [first[:, k, None] + np.arange(sizes[k]) for k in range(2)]
    inside = [(x >= 0) & (x < n) for x, n in zip(places, image.shape, strict=True)]
    rows, columns = (np.clip(x, 0, n - 1) for x, n in zip(places, image.shape, strict=True))
    return image[rows[:, :, None], columns[:, None, :]] * (inside[0][:, :, None] & inside[1][:, None, :])


def _of_width(
    fields: Float[np.ndarray, "n 6 h w"], fitted: FittedColumns, some: slice
) -> Float[np.ndarray, "n h w"]:
    """Derivatives by the logarithm of the width of round columns."""
    return 2 * fitted.spreads[some, 0, 0, None, None] * (fields[:, 2] + fields[:, 3])


def _own(
    fields: Float[np.ndarray, "n 6 h w"], fitted: FittedColumns, some: slice
) -> Float[np.ndarray, "n p h w"]:
    """Derivatives by what each column has for itself."""
    which: Widths = fitted.widths
    if which == "elliptical":
        return fields[:, [0, 1, 5, 2, 3, 4]]
    own = fields[:, [0, 1, 5]]
    return (
        own
        if which in ("fixed", "shared")
        else np.concatenate([own, _of_width(fields, fitted, some)[:, None]], axis=1)
    )


def cluster_covariances(
    matrix: bsr_array, positions: Float[np.ndarray, "n 2"], p: int
) -> Float[np.ndarray, "n p p"]:
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
