"""An image of atomic columns with known truth, or a stack of frames of one specimen, to try programs on.

    frame = support + Σ_i σ_i N(r - x_i; w_i²)        (fraction of the beam)

Columns come from atoms (`image_specimens`, `image_columns`), the scan moves them (`image_scan`), and
electrons are counted: those of a dose, by Poisson's law, and the detector's noise. The support is a plane
and a random smooth field, and does not drift. Every random choice comes from the seed; noise and offsets
of lines are drawn after the specimen, so that one of another dose is the same specimen.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.options.declared import options_from
from atomfit.options.images import ImageOptions
from atomfit.simulation.disturbances import noise
from atomfit.simulation.image_columns import ProjectedColumns, projected_columns
from atomfit.simulation.image_scan import as_seen, counted, scanned
from atomfit.simulation.image_specimens import specimen
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError


@dataclass(frozen=True, eq=False)
class SimulatedImage:
    """Frames of columns, and their truth.

    **Fields:**

    - `frames`: as measured (fraction of the beam, or electrons).
    - `expected`: without noise (fraction of the beam).
    - `grid`: of a frame; its origin is that of the file.
    - `columns`: those in the field, where the first frame shows them, from the file's origin.
    - `shifts`: of all columns in each frame from where they are in the first (Å).
    - `offsets`: of each line of each frame (pixels).
    - `options`: that made it.
    """

    frames: Float[np.ndarray, "frames rows columns"]
    expected: Float[np.ndarray, "frames rows columns"]
    grid: Grid
    columns: ProjectedColumns
    shifts: Float[np.ndarray, "frames 2"]
    offsets: Float[np.ndarray, "frames rows"]
    options: ImageOptions


def simulate_image(
    options: ImageOptions | None = None, *, law: Float[np.ndarray, " k"] | None = None, **changes: object
) -> SimulatedImage:
    """Simulate an image of atomic columns.

    **Arguments:**

    - `options`: what to simulate; `changes`, keyword arguments, replace single fields of it.
    - `law`: cross-sections of columns of 1, 2, ... atoms (fraction of the beam x Å²), of a library say;
        those of the options fade instead.

    **Raises:** `InputError` if an option makes no sense, or the specimen does not fit into the field, or a
        column has more atoms than there are cross-sections.
    """
    options = options_from(ImageOptions, options, changes, "simulate_image")
    of_specimen, of_noise = (np.random.default_rng([options.seed, k]) for k in (3, 4))
    atoms = specimen(options, of_specimen)
    columns, grid = projected_columns(atoms, options, of_specimen, law), atoms.grid
    support = _support(grid, options, of_specimen)
    sign = -1.0 if options.contrast == "dark" else 1.0
    offsets = of_noise.normal(0, options.row_jitter, (options.frames, grid.shape[0]))
    expected = np.stack(
        [
            support + sign * scanned(columns, grid, options.scan_drift, frame, line * options.pixel_size)
            for frame, line in enumerate(offsets)
        ]
    )
    if expected.min() < 0:
        raise InputError(
            "columns are darker than the support is bright",
            "give more of the support, a smaller cross-section or a thinner specimen",
            "--support",
        )
    frames = np.stack([counted(one, options, of_noise) for one in expected])
    seen = [as_seen(columns, grid, options.scan_drift, frame) for frame in range(options.frames)]
    shifts = [(each.positions - seen[0].positions).mean(axis=0) for each in seen if len(each)]
    inside, origin = grid.contains(seen[0].positions), np.array(options.file_origin)
    shown = seen[0][inside]
    return SimulatedImage(
        frames.astype(np.float32),
        expected,
        Grid(grid.shape, grid.spacing, origin),
        shown.at(shown.positions + origin),
        np.reshape(shifts, (-1, 2)) if shifts else np.zeros((options.frames, 2)),
        offsets,
        options,
    )


def _support(
    grid: Grid, options: ImageOptions, rng: np.random.Generator
) -> Float[np.ndarray, "rows columns"]:
    """What is beneath the columns: a plane, uphill in any direction, and a smooth field."""
    angle, seed = rng.uniform(0, 2 * np.pi), int(rng.integers(2**31))
    y, x = 2 * np.indices(grid.shape) / (np.array(grid.shape) - 1)[:, None, None] - 1
    rise = (np.cos(angle) * x + np.sin(angle) * y) / (np.abs(np.cos(angle)) + np.abs(np.sin(angle)))
    rough = noise(grid, options.support_roughness, options.support_length, seed)
    # A hollow that is deeper than the support is high has none.
    return options.level * np.maximum(1 + 0.5 * options.support_slope * rise + rough, 0)
