"""The Cramér-Rao bound of columns in an image of counts, and a fit that attains it: numpy and scipy alone.

    expected = Σ_i σ_i N(r - x_i; w²) + Σ_k b_k B_k(r)

with a place and an integral for each column, a width for all of a kind, and products of cubic B-splines
beneath them. Electrons of a dose D per Å² on pixels of area p² err by Poisson's law (and the detector's R
electrons), so that the information is Jᵀ diag(1 / v) J with v = expected / (D p²) + R² / (D p²)².
Nothing of `atomfit` is in it but the truth that is handed in; the fit is Fisher scoring from there, without
detection.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array, csr_array, hstack, kron

from atomfit.simulation import SimulatedImage

#: Where columns end (standard deviations), and distance of the background's knots (Å).
REACH, KNOTS = 5.0, 10.0
_STEPS = 6


@dataclass(frozen=True, eq=False)
class Numbers:
    """What an image's model has: places (Å), integrals, a width for each kind (Å), splines' heights."""

    positions: Float[np.ndarray, "n 2"]
    integrals: Float[np.ndarray, " n"]
    widths: Float[np.ndarray, " k"]
    background: Float[np.ndarray, " b"]

    @property
    def vector(self) -> Float[np.ndarray, " p"]:
        """All of them, in the order of the information's rows."""
        return np.concatenate([*self.positions.T, self.integrals, self.widths, self.background])

    def moved(self, change: Float[np.ndarray, " p"]) -> "Numbers":
        """With something added to all of them."""
        n, k = len(self.integrals), len(self.widths)
        x, y, s, w, b = np.split(self.vector + change, np.cumsum([n, n, n, k]))
        return Numbers(np.stack([x, y], axis=1), s, w, b)


@dataclass(frozen=True, eq=False)
class JointModel:
    """Columns and background of an image.

    **Fields:**

    - `shape`, `pixel`: of the image (pixels; Å).
    - `kinds`: which width each column has.
    - `splines`: of the background, at each pixel.
    """

    shape: tuple[int, int]
    pixel: float
    kinds: Int[np.ndarray, " n"]
    splines: csr_array

    @classmethod
    def of(cls, shape: tuple[int, int], pixel: float, kinds: Int[np.ndarray, " n"]) -> "JointModel":
        """With knots of the background over all pixels."""
        down, across = (_splines(n, pixel) for n in shape)
        splines = csr_array(kron(down, across))
        splines.eliminate_zeros()
        return cls(shape, pixel, kinds, splines)

    def drawn(self, at: Numbers) -> tuple[Float[np.ndarray, " pixels"], csr_array]:
        """The image without noise, and its derivatives by all numbers."""
        n = len(at.integrals)
        w = at.widths[self.kinds]
        half = int(np.ceil(REACH * w.max(initial=0.1) / self.pixel))
        window = np.arange(-half, half + 1)
        first = np.rint(at.positions[:, ::-1] / self.pixel).astype(int)
        rows, columns = (first[:, [k]] + window for k in (0, 1))
        dy, dx = (index * self.pixel - at.positions[:, [1 - k]] for k, index in enumerate((rows, columns)))
        unit = (
            np.exp(-0.5 * (dy / w[:, None]) ** 2)[:, :, None]
            * np.exp(-0.5 * (dx / w[:, None]) ** 2)[:, None]
        )
        unit /= 2 * np.pi * w[:, None, None] ** 2
        inside = ((rows >= 0) & (rows < self.shape[0]))[:, :, None] & (
            (columns >= 0) & (columns < self.shape[1])
        )[:, None]
        weighted = at.integrals[:, None, None] * unit
        square = (dx[:, None] ** 2 + dy[:, :, None] ** 2) / w[:, None, None] ** 3
        fields = (
            weighted * dx[:, None] / w[:, None, None] ** 2,
            weighted * dy[:, :, None] / w[:, None, None] ** 2,
            unit,
            weighted * (square - 2 / w[:, None, None]),
        )
        pixels = (rows[:, :, None] * self.shape[1] + columns[:, None])[inside]
        which = np.broadcast_to(np.arange(n)[:, None, None], inside.shape)[inside]
        size = self.shape[0] * self.shape[1]
        groups = (which, which, which, self.kinds[which])
        counts = (n, n, n, len(at.widths))
        parts = [
            coo_array((field[inside], (pixels, group)), shape=(size, count)).tocsr()
            for field, group, count in zip(fields, groups, counts, strict=True)
        ]
        image = parts[2] @ at.integrals + self.splines @ at.background
        return image, csr_array(hstack([*parts, self.splines]))


@dataclass(frozen=True, eq=False)
class Reference:
    """The bound at the truth, and the fit that begins there.

    **Fields:**

    - `positions`, `integrals`: fitted (Å; image units x Å²).
    - `position_bounds`, `integral_bounds`: least standard deviations along x and y (Å), and of integrals.
    - `total_bound`: of the sum of all integrals, as a part of it; width and background are in it.
    """

    positions: Float[np.ndarray, "n 2"]
    integrals: Float[np.ndarray, " n"]
    position_bounds: Float[np.ndarray, "n 2"]
    integral_bounds: Float[np.ndarray, " n"]
    total_bound: float


def reference(image: SimulatedImage, frame: int = 0) -> Reference:
    """Bound and fit of all columns of one frame, in fractions of the beam.

    **Arguments:**

    - `image`: bright columns, none of which is over an edge; without drift and jitter of lines.
    - `frame`: of several.
    """
    options, columns = image.options, image.columns
    electrons = options.dose * options.pixel_size**2
    scale = electrons if options.image_units == "electrons" else 1.0
    data = image.frames[frame].astype(np.float64).ravel() / scale
    widths, kinds = np.unique(np.round(columns.widths, 6), return_inverse=True)
    model = JointModel.of(image.grid.shape, options.pixel_size, kinds)
    places = columns.positions - image.grid.origin
    start = Numbers(places, columns.cross_sections, widths, np.zeros(model.splines.shape[1]))
    beneath = image.expected[frame].ravel() - model.drawn(start)[0]
    background = np.linalg.lstsq(model.splines.toarray()[::7], beneath[::7], rcond=None)[0]
    at = Numbers(places, columns.cross_sections, widths, background)
    n, total, bounds, fitted = len(columns), np.nan, None, at
    for _ in range(_STEPS):
        drawn, derivatives = model.drawn(fitted)
        weights = 1 / (
            np.maximum(drawn, 1e-3 * drawn.max()) / electrons + (options.read_noise / electrons) ** 2
        )
        information = (derivatives.T @ (derivatives.multiply(weights[:, None]))).toarray()
        unit = 1 / np.sqrt(np.diag(information))
        factor = cho_factor(unit[:, None] * information * unit, lower=True)
        if bounds is None:
            inverse = cho_solve(factor, np.eye(len(unit)))
            bounds = unit * np.sqrt(np.diag(inverse))
            summed = unit[2 * n : 3 * n]
            total = np.sqrt(summed @ inverse[2 * n : 3 * n, 2 * n : 3 * n] @ summed)
        change = unit * cho_solve(factor, unit * (derivatives.T @ (weights * (data - drawn))))
        fitted = fitted.moved(change)
        if np.abs(change / bounds).max() < 1e-2:
            break
    x, y, s = np.split(bounds[: 3 * n], 3)
    return Reference(
        fitted.positions + image.grid.origin,
        fitted.integrals,
        np.stack([x, y], axis=1),
        s,
        float(total / columns.cross_sections.sum()),
    )


def _splines(pixels: int, pixel: float) -> csr_array:
    """Cubic B-splines over a line of pixels."""
    pieces = max(round(pixels * pixel / KNOTS), 1)
    step = pixels / pieces
    knots = np.arange(-3, pieces + 4) * step - 0.5
    return csr_array(BSpline.design_matrix(np.arange(pixels, dtype=float), knots, 3))
