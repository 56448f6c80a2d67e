"""By how much each line of a scan is offset along itself: offsets of some rows in, those of others out.

A probe that scans a line begins it a little to the left or to the right of where it should (jitter), and
columns look ragged. Offsets are those of the rows that are fitted; rows of another net of pixels have that
of the nearest one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.structure.grid import Grid

#: Offsets are the same that differ by less than this part of their standard uncertainties (mean square).
_SAME = 0.1


@dataclass(frozen=True, eq=False)
class RowOffsets:
    """Offsets of the rows of an image.

    **Fields:**

    - `values`: along x (Å), positive to the right.
    - `variances`: what is not known of them (Å²).
    - `deviation`: of a typical one (Å).
    - `excess`: by how much parts of a row differ more than pixels' own noise would have it (variance).
    - `grid`: of the image.
    """

    values: Float[np.ndarray, " rows"]
    variances: Float[np.ndarray, " rows"]
    deviation: float
    excess: float
    grid: Grid

    @classmethod
    def none(cls, grid: Grid) -> "RowOffsets":
        """Rows that are where they should be, which may be offset by half a pixel or so."""
        some = 0.5 * float(grid.spacing[0])
        return cls(np.zeros(grid.shape[0]), np.full(grid.shape[0], some**2), some, 1.0, grid)

    def same(self, other: "RowOffsets | None") -> bool:
        """Whether other offsets are these, beside what is not known of them."""
        if other is None:
            return False
        apart = np.mean((other.values - self.values) ** 2 / other.variances)
        return bool(apart < _SAME**2)

    def on(self, grid: Grid) -> Float[np.ndarray, " rows"]:
        """Of the rows of another grid (Å)."""
        places = grid.origin[1] + grid.spacing[1] * np.arange(grid.shape[0])
        rows = np.rint((places - self.grid.origin[1]) / self.grid.spacing[1]).astype(int)
        return self.values[np.clip(rows, 0, len(self.values) - 1)]
