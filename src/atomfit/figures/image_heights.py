"""Figures of heights of columns: over the image, image beside model, and columns of each height."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from atomfit.figures import panels
from atomfit.figures.micrographs import BESIDE, TALLEST, colour_bar, draw_columns, draw_image, ratio
from atomfit.figures.quantities import HEIGHT, SET_SIZE, Table
from atomfit.figures.style import (
    BLACK,
    PALE_BLUE,
    TWO_COLUMNS,
    letter,
    new_figure,
    save,
    save_panels,
    styled,
)
from atomfit.report.image_heights import residual_scores
from atomfit.report.image_pictures import brightness_of
from atomfit.results.heights import HeightsResult
from atomfit.structure.neighbours import nearest_distances


def write_height_figures(directory: Path, result: HeightsResult, columns: Table) -> None:
    """Write every figure for which there are numbers.

    **Arguments:**

    - `directory`: where to.
    - `result`, `columns`: of `heights`, and its table.
    """
    with styled():
        directory.mkdir(exist_ok=True)
        _save_heights(directory, result, columns)
        if result.model is not None:
            _save_model(directory, result, result.model)
        drawn = [_histogram(result)] if len(result) else []
        save_panels(directory, "histograms", [*drawn, *panels.residuals(residual_scores(result), "pixels")])


def _save_heights(directory: Path, result: HeightsResult, columns: Table) -> None:
    """The image, and over it columns by their heights, and by how sure these are."""
    grid, shown = result.source.image.grid, (HEIGHT, SET_SIZE) if len(result) else ()
    across = 1 + len(shown)
    width = TWO_COLUMNS / across
    figure = new_figure(TWO_COLUMNS, min(ratio(grid) * (width - 4) + BESIDE, TALLEST))
    apart = float(np.median(nearest_distances(result.positions))) if len(result) > 1 else 3.0
    for k in range(across):
        axes = figure.add_subplot(1, across, k + 1)
        drawn = draw_image(axes, grid, result.counts, _grey(result))
        letter(axes, k)
        if k:
            draw_columns(figure, axes, columns, shown[k - 1], False, width, apart)
        else:
            colour_bar(figure, axes, drawn, "counts")
    save(figure, directory, "heights")


def _save_model(directory: Path, result: HeightsResult, model: Float[np.ndarray, "rows columns"]) -> None:
    """Image and model in one scale of greys, and what is left."""
    grid, left = result.source.image.grid, result.counts - model
    spread = 4 * float(np.sqrt(np.mean(left**2))) or 1.0
    sides = {"cmap": "RdBu_r", "vmin": -spread, "vmax": spread}
    figure = new_figure(TWO_COLUMNS, ratio(grid) * (TWO_COLUMNS / 3 - 4) + BESIDE)
    grey = _grey(result)
    for k, (title, values, look) in enumerate(
        (("image", result.counts, grey), ("model", model, grey), ("residual", left, sides))
    ):
        axes = figure.add_subplot(1, 3, k + 1)
        drawn = draw_image(axes, grid, values, look)
        axes.set_title(title)
        letter(axes, k)
        colour_bar(figure, axes, drawn, "counts")
    save(figure, directory, "model")


def _histogram(result: HeightsResult) -> panels.Panel:
    """Columns of each height: the likeliest ones, and as their probabilities have them."""
    levels = np.arange(result.probabilities.shape[1])

    def draw(axes: Axes) -> None:
        counts = np.bincount(result.heights, minlength=len(levels))
        axes.bar(levels, counts, 0.9, color=PALE_BLUE, label="likeliest")
        axes.plot(levels, result.probabilities.sum(axis=0), "o-", ms=3, color=BLACK, label="expected")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(HEIGHT.label)
        axes.set_ylabel("columns")
        axes.legend()

    return draw


def _grey(result: HeightsResult) -> dict[str, object]:
    everywhere = np.ones(result.counts.shape, bool)
    model = result.counts if result.model is None else result.model
    low, high = brightness_of(result.counts, model, everywhere)
    return {"cmap": "gray", "vmin": low, "vmax": high}
