"""One frame of a movie against the columns that are known: what it alone tells of each of them.

Columns are expected somewhere, with a prior of how far they may be off, and the frame is fitted to all of
them together by Gauss and Newton's steps. What is passed on is not the fit but what the frame told of each
column: information Λ and Λ m of its two coordinates and its cross-section, with all others marginalised
under their priors and the column's own prior taken away again. So a column that is not there, or is
outside, tells nothing, and frames can be put together by whatever law columns move
(`statistics.column_tracks`).

How the frame lies on the specimen is told by the columns, too: a linear map that lays those that are seen
well on where they are expected (`statistics.plane_maps` has it; it is handed in, as it is upstairs).
Brightness and level of the frame are free.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import affine_transform
from scipy.sparse import bsr_array, csc_array
from scipy.sparse.linalg import splu

from atomfit.detection.image_brightness import BrightnessLaw
from atomfit.fitting.column_fit import REACH, FittedColumns, columns_of
from atomfit.fitting.column_information import APART, WINGS_APART, cluster_covariances
from atomfit.fitting.column_windows import Windows
from atomfit.structure.grid import Grid

#: Steps are at most so many widths long, and those smaller than this part of a width end the fit.
_LONGEST, _SETTLED = 0.7, 0.03
#: Steps, at most.
ROUNDS = 3
#: A frame is at least so bright beside the reference; how it lies is told by so many columns at least,
#: which are not farther off than this (chi-square of two, of which the median is one's), in so many rounds.
_DIMMEST, _FEWEST, _FAR, _TRIMS = 0.05, 4, 12.0, 3
#: A pixel varies as if it had at least so many counts, and as if the model were wrong by this part of its
#: brightest pixel.
_COUNTS, _BENT = 0.05, 0.01
#: Columns count as if they had at least this part of a typical one's brightness where positions are asked:
#: the slope of nothing is none.
_FAINT = 1e-3


@runtime_checkable
class LinearMap(Protocol):
    """x -> M x + t, from a frame to the reference (Å)."""

    @property
    def matrix(self) -> Float[np.ndarray, "2 2"]:
        """M."""

    @property
    def translation(self) -> Float[np.ndarray, " 2"]:
        """t (Å)."""


@final
@dataclass(frozen=True, eq=False)
class Expected:
    """Where columns are expected, and what is known of it, in the reference's frame.

    **Fields:**

    - `positions`, `amplitudes`: of the columns (Å; units of the fit x Å²).
    - `position_esds`, `amplitude_esds`: of the priors.
    """

    positions: Float[np.ndarray, "n 2"]
    amplitudes: Float[np.ndarray, " n"]
    position_esds: Float[np.ndarray, " n"]
    amplitude_esds: Float[np.ndarray, " n"]

    @property
    def precisions(self) -> Float[np.ndarray, "n 3"]:
        """Of the priors."""
        p, a = self.position_esds**-2.0, self.amplitude_esds**-2.0
        return np.stack([p, p, a], axis=1)


@final
@dataclass(frozen=True, eq=False)
class Message:
    """What a frame tells of each column.

    **Fields:**

    - `information`: Λ, of x, y (reference's frame) and amplitude.
    - `pull`: Λ (m - reference), with the reference that positions are counted from and amplitude from 0.
    - `lay`: how the frame lies.
    - `brightness`, `brightness_esd`, `level`: of the frame beside the reference.
    - `misfit`: mean square of what is left, in noise's variance.
    """

    information: Float[np.ndarray, "n 3 3"]
    pull: Float[np.ndarray, "n 3"]
    lay: LinearMap
    brightness: float
    brightness_esd: float
    level: float
    misfit: float


#: The likeliest map of positions (second, with covariances) onto others (first).
Laying = Callable[[Any, Any, Any, Any], LinearMap]


@final
@dataclass(frozen=True, eq=False)
class FrameFitter:
    """What all frames have in common.

    **Fields:**

    - `reference`: columns that are known, their widths and wings; positions are counted from theirs.
    - `beneath`, `grid`: the background on the reference's pixels, and where these are.
    - `law`: how the variance of a frame's pixel grows with brightness.
    - `frame_grid`: pixels of the frames.
    - `laying`: finds how columns lie on each other.
    - `flicker`: standard deviation of frames' brightness.
    """

    reference: FittedColumns
    beneath: Float[np.ndarray, "rows columns"]
    grid: Grid
    law: BrightnessLaw
    frame_grid: Grid
    laying: Laying
    flicker: float = 0.3

    def moved(
        self, positions: Float[np.ndarray, "n 2"], amplitudes: Float[np.ndarray, " n"], lay: LinearMap
    ) -> FittedColumns:
        """Columns as they lie in a frame.

        **Arguments:**

        - `positions`, `amplitudes`: in the reference's frame and units.
        - `lay`: how the frame lies.
        """
        least = _FAINT * float(np.median(np.abs(self.reference.columns.amplitudes)))
        widths = np.linalg.det(self.reference.spreads) ** 0.25
        columns = columns_of(_in_frame(positions, lay), np.maximum(amplitudes, least), widths)
        return replace(self.reference, columns=columns, widths="fixed", rows=None)

    def variance(self, model: Float[np.ndarray, "r c"]) -> Float[np.ndarray, "r c"]:
        """Of a frame's pixels, as bright as a model has them; nowhere nothing, or vacuum would rule all."""
        least = _COUNTS * self.law.gain**2 + (_BENT * float(model.max())) ** 2
        return np.asarray(self.law(model) + least)

    def background(self, lay: LinearMap) -> Float[np.ndarray, "r c"]:
        """What lies beneath them in a frame."""
        edge = float(self.grid.spacing[0])
        corner = lay.matrix @ self.frame_grid.origin + lay.translation - self.grid.origin
        turn = lay.matrix[::-1, ::-1] * (float(self.frame_grid.spacing[0]) / edge)
        shape = self.frame_grid.shape
        return affine_transform(self.beneath, turn, corner[::-1] / edge, shape, order=1, mode="nearest")

    def fit(
        self,
        values: Float[np.ndarray, "r c"],
        counted: Bool[np.ndarray, "r c"],
        expected: Expected,
        lay: LinearMap,
        rounds: int = ROUNDS,
    ) -> Message:
        """What a frame tells.

        **Arguments:**

        - `values`: the frame, in the reference's units.
        - `counted`: pixels that were measured.
        - `expected`: where columns are expected.
        - `lay`: roughly how the frame lies.
        - `rounds`: of steps.
        """
        width, beneath = self.reference.width, self.background(lay)
        seen, at = (values, counted, beneath), expected
        for _ in range(max(rounds - 1, 0)):
            told = self._told(seen, at, expected, lay)
            lay = self._laid(told, told.roughly, lay, expected)
            step = told.step
            if np.abs(step[:, :2]).max(initial=0.0) < _SETTLED * width:
                break
            moved = at.positions + np.clip(step[:, :2] @ lay.matrix.T, -_LONGEST * width, _LONGEST * width)
            at = replace(at, positions=moved, amplitudes=at.amplitudes + step[:, 2])
        told = self._told(seen, at, expected, lay)
        lay = self._laid(told, told.alone, lay, expected)
        return told.message(np.asarray(self.reference.columns.positions, np.float64), lay)

    def _told(
        self,
        frame: tuple[Float[np.ndarray, "r c"], Bool[np.ndarray, "r c"], Float[np.ndarray, "r c"]],
        at: Expected,
        expected: Expected,
        lay: LinearMap,
    ) -> "_Told":
        """The frame looked at from somewhere, with what is expected."""
        (values, counted, beneath), grid = frame, self.frame_grid
        columns = self.moved(at.positions, at.amplitudes, lay)
        model = beneath + columns.drawn(grid)
        weights = np.where(counted, 1 / self.variance(model), 0.0)
        bright, bright_esd, level = _brightness(values, model, weights, self.flicker)
        roots = np.where(counted, bright / np.sqrt(self.variance(bright * model)), 0.0)
        left = np.where(counted, (values - level) / bright - model, 0.0)
        windows = _windows(columns, grid, roots.astype(np.float32))
        # Brightness and level are free.
        shared = [roots * model, roots]
        beside = np.stack([windows.read(one) for one in shared])
        inside = np.array([[float(np.vdot(a, b)) for b in shared] for a in shared])
        inside[0, 0] += (self.flicker * bright) ** -2
        by_shared = np.array([np.vdot(a, left * roots) for a in shared])
        by_shared[0] += (1 - bright) / bright / self.flicker**2 / bright
        apart = _in_frame(expected.positions, lay) - _in_frame(at.positions, lay)
        places = np.asarray(columns.columns.positions, np.float64)
        together = WINGS_APART if len(columns.spread) else APART
        return _Told(
            windows.products(places, together * columns.width),
            (beside, inside),
            windows.read(left * roots).reshape(-1, 3),
            by_shared,
            np.column_stack([apart, expected.amplitudes - at.amplitudes]),
            expected.precisions,
            places,
            at.amplitudes,
            (bright, bright_esd, level, self._misfit(left, bright * model, counted, bright)),
        )

    def _misfit(
        self,
        left: Float[np.ndarray, "r c"],
        model: Float[np.ndarray, "r c"],
        counted: Bool[np.ndarray, "r c"],
        bright: float,
    ) -> float:
        """Mean square of what is left, each pixel as it counts, beside what noise leaves."""
        weights = np.where(counted, 1 / self.variance(model), 0.0)
        expected = float(np.vdot(weights, self.law(model)))
        return float(np.vdot(weights, (bright * left) ** 2)) / max(expected, 1e-300)

    def _laid(self, told: "_Told", alone: tuple[Any, Any], lay: LinearMap, expected: Expected) -> LinearMap:
        """How the frame lies, by columns that it shows well and that have not moved far."""
        information, pull = alone
        seen = information[:, 0, 0] * information[:, 1, 1] > (0.5 * self.reference.width) ** -4
        which = np.flatnonzero(seen)
        covariances = np.linalg.inv(information[which])
        places = told.places[which] + np.einsum("nij,nj->ni", covariances, pull[which])[:, :2]
        to, prior = expected.positions[which], expected.position_esds[which, None, None] ** 2 * np.eye(2)
        keep = np.ones(len(which), bool)
        for _ in range(_TRIMS):
            if keep.sum() < _FEWEST:
                return lay
            lay = self.laying(to[keep], places[keep], prior[keep], covariances[keep, :2, :2])
            apart = to - places @ lay.matrix.T - lay.translation
            whole = prior + lay.matrix @ covariances[:, :2, :2] @ lay.matrix.T
            squares = np.einsum("ni,nij,nj->n", apart, np.linalg.inv(whole), apart)
            # The median of chi-square of two is 2 ln 2.
            now = squares < _FAR * max(float(np.median(squares)) / 1.386, 1.0)
            if (now == keep).all():
                break
            keep = now
        return lay


@final
@dataclass(frozen=True, eq=False)
class _Told:
    """A frame seen from a place, in its own frame.

    **Fields:**

    - `matrix`: information on columns' numbers.
    - `shared`: what they have in common with brightness and level, and the information on these.
    - `gradient`, `by_shared`: of the log-likelihood, by columns and by brightness and level.
    - `from_here`: what is expected less where this is.
    - `precisions`: of the priors.
    - `places`, `amplitudes`: where this is.
    - `frame`: brightness, its standard uncertainty, level and misfit of the frame.
    """

    matrix: bsr_array
    shared: tuple[Float[np.ndarray, "2 k"], Float[np.ndarray, "2 2"]]
    gradient: Float[np.ndarray, "n 3"]
    by_shared: Float[np.ndarray, " 2"]
    from_here: Float[np.ndarray, "n 3"]
    precisions: Float[np.ndarray, "n 3"]
    places: Float[np.ndarray, "n 2"]
    amplitudes: Float[np.ndarray, " n"]
    frame: tuple[float, float, float, float]

    @cached_property
    def _whole(self) -> bsr_array:
        """With the priors."""
        n = len(self.precisions)
        blocks = self.precisions[:, :, None] * np.eye(3)
        prior = bsr_array((blocks, np.arange(n), np.arange(n + 1)), shape=(3 * n, 3 * n))
        return bsr_array((self.matrix + prior).tobsr((3, 3)))

    @cached_property
    def step(self) -> Float[np.ndarray, "n 3"]:
        """To the likeliest numbers under likelihood and priors."""
        right = (self.gradient + self.precisions * self.from_here).ravel()
        beside, inside = self.shared
        factor = splu(csc_array(self._whole), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)
        solved = factor.solve(np.column_stack([right, beside.T]))
        told = inside - beside @ solved[:, 1:]
        of_shared = np.linalg.lstsq(told, self.by_shared - beside @ solved[:, 0])[0]
        found = solved[:, 0] - solved[:, 1:] @ of_shared
        return np.asarray(found.reshape(-1, 3))

    @cached_property
    def alone(self) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
        """Information and pull of each column's likelihood, from here, others marginalised."""
        inverse = np.linalg.inv(cluster_covariances(self._whole, self.places, 3))
        return self._without_prior(0.5 * (inverse + np.swapaxes(inverse, 1, 2)))

    @cached_property
    def roughly(self) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
        """The same as if columns had nothing in common."""
        n, whole = len(self.precisions), self._whole
        rows = np.repeat(np.arange(n), np.diff(whole.indptr))
        return self._without_prior(whole.data[rows == whole.indices])

    def _without_prior(
        self, inverse: Float[np.ndarray, "n 3 3"]
    ) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
        pull = np.einsum("nij,nj->ni", inverse, self.step) - self.precisions * self.from_here
        return inverse - self.precisions[:, :, None] * np.eye(3), pull

    def message(self, reference: Float[np.ndarray, "n 2"], lay: LinearMap) -> Message:
        """The same in the reference's frame, counted from its positions."""
        information, pull = self.alone
        back = np.eye(3)
        back[:2, :2] = np.linalg.inv(lay.matrix)
        here = np.column_stack([self.places @ lay.matrix.T + lay.translation - reference, self.amplitudes])
        information = back.T @ information @ back
        pull = pull @ back + np.einsum("nij,nj->ni", information, here)
        return Message(information, pull, lay, *self.frame)


def _in_frame(positions: Float[np.ndarray, "n 2"], lay: LinearMap) -> Float[np.ndarray, "n 2"]:
    return (positions - lay.translation) @ np.linalg.inv(lay.matrix).T


def _windows(columns: FittedColumns, grid: Grid, roots: Float[np.ndarray, "r c"]) -> Windows:
    """Derivatives of a frame, in its noise, by round columns' x, y and amplitude."""
    half = np.ceil(REACH * columns.width / grid.spacing[::-1]).astype(int)
    positions = np.asarray(columns.columns.positions, np.float64)
    amplitudes = np.asarray(columns.columns.amplitudes, np.float64)[:, None, None]
    first = grid.nearest_voxels(positions) - half
    rows, across = (first[:, k, None] + np.arange(2 * half[k] + 1) for k in range(2))
    dy = grid.origin[1] + grid.spacing[1] * rows - positions[:, 1:]
    dx = grid.origin[0] + grid.spacing[0] * across - positions[:, :1]
    slopes = np.zeros((len(positions), 3, dy.shape[1], dx.shape[1]), np.float32)
    for part, variance in columns.spread.terms:
        v = columns.spreads[:, :1, 0] + variance
        down = np.exp(-0.5 * dy**2 / v) * (part / (2 * np.pi * v))
        along = np.exp(-0.5 * dx**2 / v)
        shape = down[:, :, None] * along[:, None, :]
        slopes[:, 2] += shape
        slopes[:, 0] += shape * (amplitudes * (dx / v)[:, None, :])
        slopes[:, 1] += shape * (amplitudes * (dy / v)[:, :, None])
    inside = [(x >= 0) & (x < n) for x, n in zip((rows, across), grid.shape, strict=True)]
    y, x = (np.clip(x, 0, n - 1) for x, n in zip((rows, across), grid.shape, strict=True))
    known = roots[y[:, :, None], x[:, None, :]] * (inside[0][:, :, None] & inside[1][:, None, :])
    slopes *= known[:, None]
    return Windows(slopes, first, (grid.shape[0], grid.shape[1]))


def _brightness(
    values: Float[np.ndarray, "r c"],
    model: Float[np.ndarray, "r c"],
    weights: Float[np.ndarray, "r c"],
    flicker: float,
) -> tuple[float, float, float]:
    """Of a frame beside what is expected, its standard uncertainty by noise, and the frame's level."""
    total = float(weights.sum()) or 1.0
    mean, level = float(np.vdot(weights, model)) / total, float(np.vdot(weights, values)) / total
    power = float(np.vdot(weights, (model - mean) ** 2))
    product = float(np.vdot(weights, (model - mean) * (values - level)))
    bright = max((product + flicker**-2) / (power + flicker**-2), _DIMMEST)
    return bright, max(power, 1e-300) ** -0.5, level - bright * mean
