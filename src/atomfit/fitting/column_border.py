"""What columns share with the splines beneath them: sparse products in, covariances of both out.

A background of an image has thousands of splines, and each column meets a few dozen. If columns are
eliminated, splines meet those that are a few knots farther away, and no others: what one column answers to
a spline fades within a neighbour or two. So all splines of which no two reach the same columns are solved
for at once, a few dozen times however large the image is (probing; Tang & Saad 2012), and the inverse of
what is left of the splines is taken in tiles, with knots around them that are left out afterwards.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import coo_array, csc_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import LinearOperator, cg, splu

from atomfit.fitting.column_windows import Windows
from atomfit.observation.column_pixels import reached
from atomfit.observation.spline import SplineBackground
from atomfit.structure.grid import Grid

#: Knots farther than the splines beneath a column at which it still answers.
_FARTHER = 1
#: Splines that are told less than this part of the best known one are known to nobody, and matter as much.
_KNOWN = 1e-10
#: Part of each spline's information that is added to it.
_LEAST = 1e-8
#: Splines along an edge of a tile, those around it, and how many are inverted as one.
_TILE, _AROUND, _TOGETHER = 16, 5, 2500
#: Columns that are done together.
_AT_A_TIME = 256
#: Where conjugate gradients end: part of the right side that is left, and iterations.
_EXACT, _ITERATIONS = 1e-7, 20

Solve = Callable[[Float[np.ndarray, "k b"]], Float[np.ndarray, "k b"]]


@dataclass(frozen=True, eq=False)
class Border:
    """Of n columns with p numbers each, and b splines.

    **Fields:**

    - `down`, `across`: each spline along columns and along rows of pixels.
    - `roots`: of the pixels' precisions.
    - `corner`: information on the splines.
    - `shares`: what columns' numbers have in common with them.
    - `numbers`: splines at which each column answers.
    - `solve`: with the information on columns alone.
    """

    down: Float[np.ndarray, "rows b"]
    across: Float[np.ndarray, "columns a"]
    roots: Float[np.ndarray, "rows columns"]
    corner: csr_array
    shares: csr_array
    numbers: Int[np.ndarray, "n q"]
    solve: Solve

    @classmethod
    def of(
        cls,
        windows: Windows,
        background: SplineBackground,
        grid: Grid,
        roots: Float[np.ndarray, "rows columns"],
        solve: Solve,
    ) -> "Border":
        """What pixels tell of a background beneath columns.

        **Arguments:**

        - `windows`: of the columns.
        - `background`, `grid`, `roots`, `solve`: see above.
        """
        across, down = background.weights_along(grid)
        values, near = background.information(grid, roots**2)
        b = len(values)
        rows = np.repeat(np.arange(b), values.shape[1])
        corner = csr_array(coo_array((values.ravel(), (rows, near.ravel())), shape=(b, b)))
        n, p, *sizes = windows.slopes.shape
        half = [size // 2 for size in sizes]
        first, along = zip(
            *(reached(w, windows.first[:, k] + half[k], half[k]) for k, w in enumerate((down, across))),
            strict=True,
        )
        met = _numbered(first, along, across.shape[1])
        shares = np.empty((n, p, met.shape[1]))
        for some, pixels in windows.pixels(roots):
            y, x = windows.places(some)
            splines = across[x[:, :, None], first[1][some, None, None] + along[1]]
            right = (windows.slopes[some] * pixels[:, None]) @ splines[:, None]
            splines = np.swapaxes(down[y[:, :, None], first[0][some, None, None] + along[0]], 1, 2)
            shares[some] = (splines[:, None] @ right).reshape(-1, p, met.shape[1])
        places = np.repeat(met[:, None], p, axis=1)
        starts = np.arange(n * p + 1) * met.shape[1]
        sparse = csr_array((shares.ravel(), places.ravel(), starts), shape=(n * p, b))
        counts = (down.shape[1], across.shape[1])
        wider = [np.arange(min(len(a) + 2 * _FARTHER, c)) for a, c in zip(along, counts, strict=True)]
        begins = [
            np.clip(f - _FARTHER, 0, c - len(w)) for f, c, w in zip(first, counts, wider, strict=True)
        ]
        return cls(down, across, roots, corner, sparse, _numbered(begins, wider, counts[1]), solve)

    @property
    def size(self) -> int:
        """How many splines there are."""
        return self.down.shape[1] * self.across.shape[1]

    def read(self, image: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " b"]:
        """Products of all splines' derivatives with an image, both in units of noise."""
        return (self.down.T @ (self.roots * image) @ self.across).ravel()

    def drawn(self, heights: Float[np.ndarray, " b"]) -> Float[np.ndarray, "rows columns"]:
        """The background of such heights, in units of noise."""
        return self.roots * (self.down @ heights.reshape(self.down.shape[1], -1) @ self.across.T)

    def solved(
        self, by_columns: Float[np.ndarray, " np"], by_splines: Float[np.ndarray, " b"]
    ) -> tuple[Float[np.ndarray, " np"], Float[np.ndarray, " b"]]:
        """The inverse of the information on columns and splines times a vector.

        What is left of the splines is known nearly; conjugate gradients make it exact, as differences of
        what columns share and what splines take up of it are small.
        """
        alone = self.solve(by_columns[:, None])[:, 0]
        known = self._scale > 0
        right = np.where(known, by_splines - self.shares.T @ alone, 0.0)

        def product(heights: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
            taken = self.shares.T @ self.solve((self.shares @ heights)[:, None])[:, 0]
            return np.where(known, self.corner @ heights - taken, 0.0)

        def nearly(right: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
            return np.asarray(self._scale * self._factor.solve(self._scale * right))

        size = len(right), len(right)
        whole = LinearOperator(size, matvec=product, dtype=np.float64)
        inverse = LinearOperator(size, matvec=nearly, dtype=np.float64)
        heights = cg(whole, right, nearly(right), rtol=_EXACT, maxiter=_ITERATIONS, M=inverse)[0]
        return self.solve((by_columns - self.shares @ heights)[:, None])[:, 0], heights

    def covariances(self) -> Float[np.ndarray, "n p p"]:
        """What columns' covariances owe to the background."""
        n = len(self.numbers)
        answers = self._answers.reshape(n, -1, self.numbers.shape[1]) * self._scale[self.numbers][:, None]
        found = np.empty((n, answers.shape[1], answers.shape[1]))
        for columns, splines in self._tiles():
            inverse, place = (
                _inverse(self._left[splines][:, splines].toarray()),
                np.zeros(len(self._scale), int),
            )
            place[splines] = np.arange(len(splines))
            for first in range(0, len(columns), _AT_A_TIME):
                some = columns[first : first + _AT_A_TIME]
                at = place[self.numbers[some]]
                blocks = inverse[at[:, :, None], at[:, None, :]]
                found[some] = answers[some] @ blocks @ np.swapaxes(answers[some], 1, 2)
        return found

    def _tiles(self) -> Iterator[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " s"]]]:
        """Columns of a tile, and splines that matter to them."""
        counts = self.down.shape[1], self.across.shape[1]
        if np.prod(counts) <= _TOGETHER:
            yield np.arange(len(self.numbers)), np.arange(np.prod(counts))
            return
        first, last = (np.array(np.divmod(self.numbers[:, k], counts[1])).T for k in (0, -1))
        tile, number = np.unique(first // _TILE, axis=0, return_inverse=True)
        for k in range(len(tile)):
            columns = np.flatnonzero(number.ravel() == k)
            low = np.maximum(first[columns].min(axis=0) - _AROUND, 0)
            high = np.minimum(last[columns].max(axis=0) + _AROUND + 1, counts)
            yield columns, _numbered([low[:1], low[1:]], [np.arange(x) for x in high - low], counts[1])[0]

    @cached_property
    def _answers(self) -> Float[np.ndarray, "np q"]:
        """What columns' numbers answer to the splines near them: the inverse times what they share."""
        b, a = self.down.shape[1], self.across.shape[1]
        y, x = np.divmod(self.numbers, a)
        periods = int(np.ptp(y, axis=1).max(initial=0)) + 1, int(np.ptp(x, axis=1).max(initial=0)) + 1
        rows, columns = np.divmod(np.arange(b * a), a)
        groups = (rows % periods[0]) * periods[1] + columns % periods[1]
        alike = csr_array(
            (np.ones(b * a), groups, np.arange(b * a + 1)), shape=(b * a, int(np.prod(periods)))
        )
        solved = self.solve((self.shares @ alike).toarray())
        p = len(solved) // len(self.numbers)
        which = np.repeat(groups[self.numbers], p, axis=0)
        return np.take_along_axis(solved, which, axis=1)

    @cached_property
    def _known(self) -> tuple[csc_array, Float[np.ndarray, " b"]]:
        p = len(self._answers) // len(self.numbers)
        places = np.repeat(self.numbers, p, axis=0)
        starts = np.arange(len(places) + 1) * places.shape[1]
        answers = csr_array((self._answers.ravel(), places.ravel(), starts), shape=self.shares.shape)
        met = self.shares.T @ answers
        left = self.corner - 0.5 * (met + met.T)
        told = left.diagonal()
        known: Bool[np.ndarray, " b"] = told > _KNOWN * told.max()
        scale = np.where(known, 1 / np.sqrt(np.where(known, told, 1.0)), 0.0)
        even = diags_array(scale)
        kept = diags_array(np.where(known, _LEAST, 1.0))
        return csc_array(even @ left @ even + kept @ eye_array(len(scale))), scale

    @property
    def _left(self) -> csc_array:
        """Information on the splines, columns eliminated, in units in which its diagonal is one."""
        return self._known[0]

    @property
    def _scale(self) -> Float[np.ndarray, " b"]:
        """These units."""
        return self._known[1]

    @cached_property
    def _factor(self) -> Any:
        return splu(self._left, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)


def _numbered(first: Any, along: Any, columns: int) -> Int[np.ndarray, "n q"]:
    """Numbers of splines from a first row and column on."""
    rows, across = (np.asarray(f)[:, None] + a for f, a in zip(first, along, strict=True))
    return (rows[:, :, None] * columns + across[:, None, :]).reshape(len(rows), -1)


def _inverse(matrix: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Of a matrix whose diagonal is about one, made positive if rounding has left it short of that."""
    least = 0.0
    while True:
        factor, failed = dpotrf(matrix + least * np.eye(len(matrix)), lower=1)
        if not failed:
            break
        least = max(10 * least, _LEAST)
    inverse = dpotri(factor, lower=1)[0]
    return np.asarray(np.tril(inverse) + np.tril(inverse, -1).T)
