"""Images in their own frames, as figures have them: a scale bar, a bar of colours, columns over them."""

from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from atomfit.figures.quantities import Quantity, Table
from atomfit.figures.style import UNKNOWN
from atomfit.structure.grid import Grid

#: Of a column's mark: part of the distance between neighbours, and the least and the most (points).
_MARK, _LEAST, _MOST = 0.42, 1.0, 7.0
_POINTS_IN_MM = 72 / 25.4
#: What letters, titles and the bar of colours need above and below an image (mm).
BESIDE = 22.0
#: What a page has room for (mm).
TALLEST = 240.0
#: A scale bar is no longer than this part of its picture.
_BAR = 0.3
#: Round lengths of scale bars.
_ROUND = (1.0, 2.0, 5.0)


def draw_columns(
    figure: Figure,
    axes: Axes,
    columns: Table,
    quantity: Quantity,
    about_zero: bool,
    width: float,
    apart: float,
) -> None:
    """Columns as discs that are coloured by a number, with a bar of the colours.

    **Arguments:**

    - `figure`, `axes`: where an image was drawn.
    - `columns`, `quantity`: a table with x and y, and by which of its columns.
    - `about_zero`: whether the scale's middle is zero.
    - `width`: of the panel (mm).
    - `apart`: distance between neighbours (Å).
    """
    values = quantity.of(columns)
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.02, 0.98]) if len(known) > 1 else (known[0], known[0])
    if about_zero:
        high = max(-low, high)
        low = -high
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
    colour_bar(figure, axes, dots, quantity.label.replace("\n", " "))


def draw_image(
    axes: Axes, grid: Grid, values: Float[np.ndarray, "rows columns"], look: dict[str, Any]
) -> Any:
    """An image in its own frame (Å), rows downwards, with a scale bar.

    **Arguments:**

    - `axes`: where to.
    - `grid`, `values`: of the image.
    - `look`: its scale of colours, as matplotlib's `imshow` takes it.
    """
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


def colour_bar(figure: Figure, axes: Axes, drawn: Any, label: str) -> None:
    """A bar of colours below a panel.

    **Arguments:**

    - `figure`, `axes`, `drawn`: the panel, and what has the colours.
    - `label`: what they stand for.
    """
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, aspect=28, pad=0.03)
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)


def ratio(grid: Grid) -> float:
    """Height over width of an image, within what a page has room for."""
    rows, columns = grid.shape
    return float(np.clip(rows / columns, 0.2, 2.0))
