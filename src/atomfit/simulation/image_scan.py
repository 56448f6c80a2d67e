"""How a scan sees columns: line by line, from the top, each line a little off, of a specimen that drifts.

The lines of frame f are at times f + r / R, for line r of R, and the specimen has moved by the drift times
that. A column at y is met by the line at y' = y + v t(y'), so that the image is stretched by 1 / (1 - v /
H) along y, with H the field's height, and so are the integrals of columns; along x it is sheared. Where
lines are not all alike, each is drawn by itself, as the sum of Gaussians in one dimension that it is.
"""

import numpy as np
from jaxtyping import Float

from atomfit.options.images import ImageOptions
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation.image_columns import ProjectedColumns
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError

#: Where Gaussians end (standard deviations).
_CUTOFF = 6.0


def as_seen(
    columns: ProjectedColumns, grid: Grid, drift: tuple[float, float], frame: int
) -> ProjectedColumns:
    """Columns where a frame shows them, with the integrals that it shows.

    **Arguments:**

    - `columns`: at time zero.
    - `grid`: the field.
    - `drift`: along x and y during a frame (Å).
    - `frame`: counted from 0.

    **Raises:** `InputError` if the specimen drifts as fast as lines are scanned.
    """
    along, down = drift
    height = float(grid.extent[1])
    if down >= 0.5 * height:
        raise InputError(
            f"a drift of {down:g} Å during a frame of {height:g} Å is too fast", "give less", "--scan-drift"
        )
    stretch = 1 / (1 - down / height)
    y = (columns.positions[:, 1] + down * frame) * stretch
    x = columns.positions[:, 0] + along * (frame + y / height)
    return columns.at(np.stack([x, y], axis=1), stretch)


def scanned(
    columns: ProjectedColumns,
    grid: Grid,
    drift: tuple[float, float],
    frame: int,
    offsets: Float[np.ndarray, " rows"],
) -> Float[np.ndarray, "rows columns"]:
    """Brightness of the columns in a frame, whichever their contrast.

    **Arguments:** those of `as_seen`, and

    - `offsets`: by how much each line's pixels lie farther along x than they should (Å).
    """
    if not np.any(offsets) and not np.any(drift):
        return render_map(columns.gaussians(), grid, _CUTOFF).astype(np.float64)
    rows, across = grid.shape
    image = np.zeros(grid.shape)
    x, y = columns.positions.T
    widths, weights = columns.widths, np.abs(columns.cross_sections)
    for row in range(rows):
        time = frame + row / rows
        beside = grid.origin[1] + row * grid.spacing[1] - drift[1] * time - y
        near = np.abs(beside) < _CUTOFF * widths
        w = widths[near]
        line = Gaussians(
            x[near, None],
            w[:, None, None] ** 2,
            weights[near] * np.exp(-0.5 * (beside[near] / w) ** 2) / (np.sqrt(2 * np.pi) * w),
        )
        start = grid.origin[:1] + offsets[row] - drift[0] * time
        image[row] = render_map(line, Grid((across,), grid.spacing[:1], start), _CUTOFF)
    return image


def counted(
    expected: Float[np.ndarray, "rows columns"], options: ImageOptions, rng: np.random.Generator
) -> Float[np.ndarray, "rows columns"]:
    """A frame as it is measured.

    **Arguments:**

    - `expected`: without noise (fraction of the beam).
    - `options`: of dose, read noise and units.
    - `rng`: of the noise.
    """
    if options.dose == 0:
        return expected
    electrons = options.dose * options.pixel_size**2
    counts = rng.poisson(electrons * expected) + rng.normal(0, options.read_noise, expected.shape)
    return counts if options.image_units == "electrons" else counts / electrons
