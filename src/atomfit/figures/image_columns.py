"""Figures of an image's columns: over the image, image beside model, and distributions of their numbers."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from atomfit.figures import panels, quantities
from atomfit.figures.quantities import Quantity, Table
from atomfit.figures.style import TWO_COLUMNS, UNKNOWN, letter, new_figure, save, save_panels, styled
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
#: Of a column's mark: part of the distance between neighbours, and the least and the most (points).
_MARK, _LEAST, _MOST = 0.42, 1.0, 7.0
_POINTS_IN_MM = 72 / 25.4
#: What letters, titles and the bar of colours need above and below an image (mm).
_BESIDE = 22.0
#: What a page has room for (mm).
_TALLEST = 240.0
#: A scale bar is no longer than this part of its picture.
_BAR = 0.3
#: Round lengths of scale bars.
_ROUND = (1.0, 2.0, 5.0)


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
    figure = new_figure(TWO_COLUMNS, min(rows * (_ratio(result) * (width - 4) + _BESIDE), _TALLEST))
    for k in range(count):
        axes = figure.add_subplot(rows, across, k + 1)
        drawn = _draw_image(axes, result, result.source.image.values, _grey(result, model))
        letter(axes, k)
        if k:
            _draw_columns(figure, axes, columns, *shown[k - 1], width)
        else:
            _bar(figure, axes, drawn, "image units")
    save(figure, directory, "columns")


def _draw_columns(
    figure: Figure, axes: Axes, columns: Table, quantity: Quantity, about_zero: bool, width: float
) -> None:
    values = quantity.of(columns)
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.02, 0.98]) if len(known) > 1 else (known[0], known[0])
    if about_zero:
        high = max(-low, high)
        low = -high
    apart = float(np.nanmedian(np.append(columns["nn_distance"], 10.0)))
    left, right = axes.get_xlim()
    edge = np.clip(_MARK * apart / abs(right - left) * width * _POINTS_IN_MM, _LEAST, _MOST)
    dots = axes.scatter(
        columns["x"],
        columns["y"],
        s=edge**2,
        c=values,
        vmin=low,
        vmax=high,
        cmap=mpl.colormaps["RdBu_r" if about_zero else "viridis"].with_extremes(bad=UNKNOWN),
        plotnonfinite=True,
        linewidths=0,
    )
    _bar(figure, axes, dots, quantity.label.replace("\n", " "))


def _save_model(directory: Path, result: ColumnsResult, model: Float[np.ndarray, "rows columns"]) -> None:
    """Image and model in one scale of greys, and what is left."""
    image, there = result.source.image.values, result.counted
    left = np.where(there, image - model, np.nan)
    spread = 4 * float(np.sqrt(np.nanmean(left**2))) if there.any() else 1.0
    grey = _grey(result, model)
    sides = {"cmap": "RdBu_r", "vmin": -spread, "vmax": spread}
    figure = new_figure(TWO_COLUMNS, _ratio(result) * (TWO_COLUMNS / 3 - 4) + _BESIDE)
    unit = "image units"
    for k, (title, values, look) in enumerate(
        (("image", image, grey), ("model", np.where(there, model, np.nan), grey), ("residual", left, sides))
    ):
        axes = figure.add_subplot(1, 3, k + 1)
        drawn = _draw_image(axes, result, values, look)
        axes.set_title(title)
        letter(axes, k)
        _bar(figure, axes, drawn, unit)
    save(figure, directory, "model")


def _draw_image(
    axes: Axes, result: ColumnsResult, values: Float[np.ndarray, "rows columns"], look: dict[str, Any]
) -> Any:
    """An image in its own frame (Å), rows downwards, with a scale bar."""
    grid = result.source.image.grid
    x, y = grid.origin - 0.5 * grid.spacing
    width, height = grid.extent
    axes.set_facecolor(UNKNOWN)
    axes.spines[:].set_visible(False)
    drawn = axes.imshow(
        values, extent=(x, x + width, y + height, y), interpolation="antialiased", origin="upper", **look
    )
    axes.set_xticks([])
    axes.set_yticks([])
    length, size = bar_length(_BAR * width), min(width, height)
    left, top = x + 0.04 * size, y + height - 0.06 * size
    # Above all columns.
    bar = Rectangle((left, top), length, 0.02 * size, fc="white", ec="black", lw=0.3, zorder=5)
    axes.add_patch(bar)
    above = (left + 0.5 * length, top - 0.015 * size)
    said = axes.text(*above, f"{length / 10:g} nm", ha="center", va="bottom", zorder=5)
    said.set(color="white", bbox={"fc": "black", "alpha": 0.5, "lw": 0, "pad": 0.8})
    return drawn


def bar_length(most: float) -> float:
    """The longest round length up to some (Å)."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(one * power for one in _ROUND if one * power <= most * (1 + 1e-9)))


def _bar(figure: Figure, axes: Axes, drawn: Any, label: str) -> None:
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, aspect=28, pad=0.03)
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)


def _grey(result: ColumnsResult, model: Float[np.ndarray, "rows columns"]) -> dict[str, Any]:
    low, high = brightness_of(result.source.image.values, model, result.counted)
    return {"cmap": "gray", "vmin": low, "vmax": high}


def _ratio(result: ColumnsResult) -> float:
    """Height over width, within what a page has room for."""
    rows, columns = result.source.image.grid.shape
    return float(np.clip(rows / columns, 0.2, 2.0))
