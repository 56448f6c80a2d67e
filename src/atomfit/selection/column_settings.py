"""How the columns of an image are to be found: what a program may choose."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from atomfit.fitting.column_fit import Widths

Progress = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class ColumnSettings:
    """How the columns of an image are to be found.

    **Fields:**

    - `step`: from knot to knot of the background (Å); if None, it is fine while columns are selected, and
        straight in the end where they are dense, for what lies between them is theirs.
    - `fdr`: rate of false columns among those kept.
    - `widths`: what is free of them, in the end; while columns are selected they share one.
    - `profile`: whether columns may have wings and grow, where the image shows it.
    - `row_jitter`: whether lines of the scan may be offset.
    - `max_iterations`: the most iterations of a fit.
    - `start`: columns to begin with (Å); found in the image if None.
    - `selecting`: whether columns come and go; if not, those of the start are refined and judged.
    - `progress`: called with the iterations done and the objective of each fit.
    """

    step: float | None = None
    fdr: float = 0.01
    widths: Widths = "shared"
    profile: bool = True
    row_jitter: bool = False
    max_iterations: int = 60
    start: Float[np.ndarray, "n 2"] | None = None
    selecting: bool = True
    progress: Progress = field(default_factory=lambda: _silent)


def _silent(iteration: int, value: float) -> None:
    """Nobody is told."""
