"""Figures of an image's columns: over the image, image beside model, and distributions of their numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.figures import panels, quantities
from atomfit.figures.micrographs import BESIDE, TALLEST, colour_bar, draw_columns, draw_image, ratio
from atomfit.figures.quantities import Table
from atomfit.figures.style import TWO_COLUMNS, letter, new_figure, save, save_panels, styled
from atomfit.report.image_columns import residual_scores
from atomfit.report.image_pictures import brightness_of
from atomfit.results.columns import ColumnsResult

#: What columns are coloured by, each where it is in their table; the last are about zero.
_COLOURINGS = (quantities.CROSS_SECTION, quantities.COUNT)
_ABOUT_ZERO = (quantities.E_XX, quantities.E_YY, quantities.E_XY)
_HISTOGRAMS = (
    quantities.CROSS_SECTION,
    quantities.COUNT,
    quantities.X_ESD,
    quantities.Y_ESD,
    quantities.SPACING,
)


def write_image_figures(
    directory: Path, result: ColumnsResult, columns: Table, model: Float[np.ndarray, "rows columns"]
) -> None:
    """Write every figure for which there are numbers.

    **Arguments:**

    - `directory`: where to.
    - `result`, `columns`: of `columns`, and its table.
    - `model`: on the image's pixels (image units).
    """
    with styled():
        directory.mkdir(exist_ok=True)
        _save_columns(directory, result, columns, model)
        _save_model(directory, result, model)
        drawn = [panel for one in _HISTOGRAMS for panel in panels.histogram(one, columns, "columns")]
        drawn += panels.residuals(residual_scores(result), "pixels")
        save_panels(directory, "histograms", drawn)


def _save_columns(
    directory: Path, result: ColumnsResult, columns: Table, model: Float[np.ndarray, "rows columns"]
) -> None:
    """The image, and over it columns coloured by each number that there is."""
    shown = [(one, False) for one in _COLOURINGS] + [(one, True) for one in _ABOUT_ZERO]
    shown = [(one, zero) for one, zero in shown if np.isfinite(one.of(columns)).any()]
    count = 1 + len(shown)
    across = min(count, 3)
    rows, width = -(-count // across), TWO_COLUMNS / across
    apart = float(np.nanmedian(np.append(columns["nn_distance"], 10.0)))
    figure = new_figure(
        TWO_COLUMNS, min(rows * (ratio(result.source.image.grid) * (width - 4) + BESIDE), TALLEST)
    )
    for k in range(count):
        axes = figure.add_subplot(rows, across, k + 1)
        drawn = draw_image(axes, result.source.image.grid, result.source.image.values, _grey(result, model))
        letter(axes, k)
        if k:
            draw_columns(figure, axes, columns, *shown[k - 1], width, apart)
        else:
            colour_bar(figure, axes, drawn, "image units")
    save(figure, directory, "columns")


def _save_model(directory: Path, result: ColumnsResult, model: Float[np.ndarray, "rows columns"]) -> None:
    """Image and model in one scale of greys, and what is left."""
    image, there = result.source.image.values, result.counted
    left = np.where(there, image - model, np.nan)
    spread = 4 * float(np.sqrt(np.nanmean(left**2))) if there.any() else 1.0
    grey = _grey(result, model)
    sides = {"cmap": "RdBu_r", "vmin": -spread, "vmax": spread}
    figure = new_figure(TWO_COLUMNS, ratio(result.source.image.grid) * (TWO_COLUMNS / 3 - 4) + BESIDE)
    unit = "image units"
    for k, (title, values, look) in enumerate(
        (("image", image, grey), ("model", np.where(there, model, np.nan), grey), ("residual", left, sides))
    ):
        axes = figure.add_subplot(1, 3, k + 1)
        drawn = draw_image(axes, result.source.image.grid, values, look)
        axes.set_title(title)
        letter(axes, k)
        colour_bar(figure, axes, drawn, unit)
    save(figure, directory, "model")


def _grey(result: ColumnsResult, model: Float[np.ndarray, "rows columns"]) -> dict[str, Any]:
    low, high = brightness_of(result.source.image.values, model, result.counted)
    return {"cmap": "gray", "vmin": low, "vmax": high}
