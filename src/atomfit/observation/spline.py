"""A background of an image that follows a support: cubic splines on a coarse net of knots.

A carbon film, an oxide or the body of a particle that lies a little out of focus changes over more than the
width of a column. Knots that are two or three columns apart follow such changes and cannot follow a column.
The density is a sum of products of B-splines along rows and along columns (de Boor 1978), so that it costs
two small matrix products, and it is linear in its numbers as all backgrounds are.
"""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from atomfit.observation.background import AbstractBackground
from atomfit.structure.atoms import Leaf, namespace
from atomfit.structure.grid import Grid

#: Splines farther than so many knots from each other have no pixel in common.
_REACH = 3


class SplineBackground(AbstractBackground):
    """A smooth background of an image.

    **Fields:**

    - `heights`: of the splines, in image units; rows along y, columns along x.
    - `step`: from knot to knot along x and y (Å).
    """

    heights: Float[Leaf, "b a"]
    step: tuple[float, float] = eqx.field(static=True)

    @classmethod
    def over(cls, grid: Grid, step: float, level: float = 0.0) -> "SplineBackground":
        """The same level everywhere, with knots about a step (Å) apart, over a grid of two dimensions.

        Along an axis that is less than half a step long it is straight.
        """
        extent = grid.extent
        pieces = np.rint(extent / step).astype(int)
        counts = np.where(pieces > 0, pieces + 3, 2)
        steps = extent / np.maximum(pieces, 1)
        return cls(np.full(counts[::-1], level), (float(steps[0]), float(steps[1])))

    def at(self, *coordinates: Float[Leaf, "..."]) -> Float[Leaf, "..."]:
        """Density on a mesh.

        **Arguments:**

        - `coordinates`: x and y from the middle of the fitted region (Å), each along its own axis.
        """
        across, down = (self._weights(x.reshape(-1), k) for k, x in enumerate(coordinates))
        return down @ self.heights @ across.T

    def weights_along(
        self, grid: Grid
    ) -> tuple[Float[np.ndarray, "columns a"], Float[np.ndarray, "rows b"]]:
        """Each spline along the rows and along the columns of the region that was fitted."""
        axes = [grid.spacing[k] * (np.arange(n) - 0.5 * (n - 1)) for k, n in enumerate(grid.shape[::-1])]
        across, down = (np.asarray(self._weights(x, k)) for k, x in enumerate(axes))
        return across, down

    def information(
        self, grid: Grid, precision: Float[np.ndarray, "rows columns"]
    ) -> tuple[Float[np.ndarray, "b k"], Int[np.ndarray, "b k"]]:
        """What pixels of a precision tell of its numbers, if nothing else is unknown.

        **Returns:** of each number with those near it, all others being zero; and which these are.
        """
        across, down = self.weights_along(grid)
        (along_rows, near_x), (along_columns, near_y) = _overlapping(across), _overlapping(down)
        (b, j), (a, k) = near_y.shape, near_x.shape
        both = along_columns.T @ (precision @ along_rows)
        both = np.swapaxes(both.reshape(b, j, a, k), 1, 2).reshape(b * a, j * k)
        near = np.clip(near_y, 0, b - 1)[:, None, :, None] * a + np.clip(near_x, 0, a - 1)[None, :, None]
        return both, near.reshape(b * a, j * k)

    def _weights(self, x: Float[Leaf, " n"], axis: int) -> Float[Leaf, "n k"]:
        count = self.heights.shape[1 - axis]
        xp: Any = namespace(x) if not isinstance(x, np.ndarray) else np
        places = x[:, None] / self.step[axis] + 0.5 * (count - 1) - np.arange(count, dtype=np.float32)
        if count == 2:
            return 0.5 + x[:, None] / self.step[axis] * np.array([-1.0, 1.0], np.float32)
        away = xp.abs(places)
        near, far = xp.maximum(1.0 - away, 0.0), xp.maximum(2.0 - away, 0.0)
        return (far**3 - 4 * near**3) / 6


def _overlapping(
    weights: Float[np.ndarray, "n k"],
) -> tuple[Float[np.ndarray, "n kw"], Int[np.ndarray, "k w"]]:
    """Products of splines along an axis with those that reach as far, and which these are."""
    count = weights.shape[1]
    reach = min(_REACH, count - 1)
    near = np.arange(count)[:, None] + np.arange(-reach, reach + 1)
    others = np.where((near >= 0) & (near < count), weights[:, np.clip(near, 0, count - 1)], 0.0)
    return (weights[:, :, None] * others).reshape(len(weights), -1), near
