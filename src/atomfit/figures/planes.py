"""Planes through the map, its model and what is left.

The planes go through the atom nearest to the particle's middle, so that at least one atom is cut in each.
Map and model have one scale of greys; the residual has its own, to four times its standard deviation.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from atomfit.figures.style import TWO_COLUMNS, letter, new_figure, save
from atomfit.structure.grid import DensityMap
from atomfit.support.palette import GREEN

#: What is shown around the outermost atoms (Å).
_MARGIN = 3.0
#: Atoms so near a plane are marked in the model (Å).
_NEAR = 0.7
#: Pairs of axes that go across and up, and the one that is cut.
_PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
_TITLES = ("map", "model", "residual")


def save_planes(
    directory: Path,
    density: DensityMap,
    model: Float[np.ndarray, "z y x"],
    positions: Float[np.ndarray, "n 3"],
) -> None:
    """Write three planes of map, model and residual.

    **Arguments:**

    - `directory`: where to.
    - `density`, `model`: the map, and its model on the same grid (map units).
    - `positions`: of the atoms (Å); the whole box is shown if there are none.
    """
    grid, last = density.grid, np.array(density.grid.shape) - 1
    shown = positions if len(positions) else grid.positions_of(np.stack([np.zeros(3, int), last]))
    middle = 0.5 * (shown.min(axis=0) + shown.max(axis=0))
    central = positions[np.argsort(np.linalg.norm(positions - middle, axis=1))[:1]]
    at = grid.nearest_voxels(central[0] if len(central) else middle)
    first = np.clip(grid.nearest_voxels(shown.min(axis=0) - _MARGIN), 0, last)
    end = np.clip(grid.nearest_voxels(shown.max(axis=0) + _MARGIN), 0, last) + 1
    box = tuple(slice(a, b) for a, b in zip(first, end, strict=True))
    left = density.values - model
    spread = float(left[box].std()) or 1.0
    grey = {
        "cmap": "gray_r",
        "vmin": float(model[box].min()) - 2 * spread,
        "vmax": float(max(np.quantile(model[box], 0.9995), model[box].min() + 2 * spread)),
    }
    sides = {"cmap": "RdBu_r", "vmin": -4 * spread, "vmax": 4 * spread}

    sizes = ((end - first) * grid.spacing[::-1])[::-1]
    heights = [sizes[up] / max(sizes[across] for across, _, _ in _PLANES) for _, up, _ in _PLANES]
    figure = new_figure(TWO_COLUMNS, 52 * sum(heights) + 48)
    table = figure.subplots(3, 3, squeeze=False, height_ratios=heights)
    for row, (across, up, cut) in enumerate(_PLANES):
        corners = [grid.positions_of(corner) for corner in (first, end - 1)]
        edges = [
            float(corner[axis] + sign * 0.5 * grid.spacing[axis])
            for axis in (across, up)
            for corner, sign in zip(corners, (-1, 1), strict=True)
        ]
        # Volumes are [z, y, x].
        plane: tuple[int | slice, ...] = tuple(int(at[k]) if k == 2 - cut else box[k] for k in range(3))
        height = float(grid.positions_of(at)[cut])
        for column, (volume, look) in enumerate(((density.values, grey), (model, grey), (left, sides))):
            axes = table[row, column]
            axes.imshow(
                volume[plane],
                origin="lower",
                extent=edges,
                interpolation="nearest",
                **look,
            )
            axes.spines[:].set_visible(True)
            axes.set_xlabel(f"{'xyz'[across]} (Å)")
            if column == 0:
                axes.set_ylabel(f"{'xyz'[up]} (Å)")
                axes.set_title(f"{_TITLES[0]}, {'xyz'[cut]} = {height:.1f} Å")
                letter(axes, row)
            else:
                axes.set_title(_TITLES[column])
        _mark(table[row, 1], positions, (across, up, cut), height)
    for which, name in ((slice(0, 2), "density (map units)"), (slice(2, 3), "residual (map units)")):
        host = table[:, which]
        bar = figure.colorbar(
            host.flat[-1].images[0], ax=host, location="bottom", shrink=0.6, aspect=30, pad=0.015
        )
        bar.set_label(name)
        bar.outline.set_linewidth(0.4)
    save(figure, directory, "planes")


def _mark(
    axes: Axes, positions: Float[np.ndarray, "n 3"], plane: tuple[int, int, int], height: float
) -> None:
    across, up, cut = plane
    near = positions[np.abs(positions[:, cut] - height) < _NEAR]
    axes.plot(near[:, across], near[:, up], "+", color=GREEN, ms=3, mew=0.6)
