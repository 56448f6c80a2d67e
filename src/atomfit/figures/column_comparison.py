"""Figures of two images' columns compared: what became of each, their differences, and the images."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from scipy.stats import norm

from atomfit.figures.style import (
    BLACK,
    PALE_BLUE,
    TWO_COLUMNS,
    UNKNOWN,
    Panel,
    letter,
    new_figure,
    save,
    save_panels,
    styled,
)
from atomfit.io.column_comparisons import column_rows
from atomfit.report.image_pictures import brightness_of
from atomfit.statistics.column_changes import ColumnComparison
from atomfit.statistics.image_difference import ImageDifference
from atomfit.statistics.registration import typical_spacing
from atomfit.support.palette import COLUMN_STATUSES

#: Of a column's mark: part of the distance between neighbours, and the least and the most (points).
_MARK, _LEAST, _MOST = 0.6, 1.0, 9.0
_P_BINS, _DEVIATIONS = 20, 6.0
#: Arrows of displacements are so many times as long as these are.
_TIMES = 10.0
#: Room for legends and titles (mm), and the tallest figure.
_BESIDE, _TALLEST = 14.0, 220.0
_POINTS_IN_MM = 72 / 25.4


def write_column_comparison_figures(
    directory: Path, c: ColumnComparison, difference: ImageDifference | None
) -> None:
    """Write every figure for which there are numbers.

    **Arguments:**

    - `directory`: where to.
    - `c`: the comparison.
    - `difference`: of the images, if it is known.
    """
    table = column_rows(c)
    with styled():
        directory.mkdir(exist_ok=True)
        _save_columns(directory, c)
        drawn = [
            *_probabilities(table["p_moved"], "p-value of the displacement"),
            *_probabilities(table["p_changed"], "p-value of the change of cross-section"),
            *_scores(np.asarray(table["difference"] / table["difference_esd"], np.float64)),
        ]
        save_panels(directory, "differences", drawn)
        if difference is not None:
            _save_images(directory, c, difference)


def _save_columns(directory: Path, c: ColumnComparison) -> None:
    """What became of all columns, and where those of both images moved."""
    places, kinds = c.positions, np.array(c.statuses, dtype=object)
    (width, height), half = np.maximum(np.ptp(places, axis=0), 1.0), TWO_COLUMNS / 2
    figure = new_figure(
        TWO_COLUMNS, min(half * float(np.clip(height / width, 0.3, 2.0)) + _BESIDE, _TALLEST)
    )
    apart = float(np.nan_to_num(typical_spacing(c.a.positions), nan=2.5))
    edge = float(np.clip(_MARK * apart / width * half * _POINTS_IN_MM, _LEAST, _MOST))
    for k, title in enumerate(("what became of columns", f"displacements, {_TIMES:g} × as long")):
        axes = figure.add_subplot(1, 2, k + 1)
        _framed(axes, title)
        letter(axes, k)
        if k == 0:
            for kind, colour in COLUMN_STATUSES.items():
                here = places[kinds == kind]
                if len(here):
                    inside = "none" if kind == "lost" else colour
                    label, (x, y) = f"{kind} ({len(here)})", here.T
                    rim = 0.2 * edge
                    axes.scatter(x, y, edge**2, inside, linewidths=rim, edgecolors=colour, label=label)
            figure.legend(loc="outside lower center", ncols=len(COLUMN_STATUSES), handletextpad=0.2)
            continue
        axes.scatter(places[:, 0], places[:, 1], (0.5 * edge) ** 2, UNKNOWN, linewidths=0)
        pairs = c.pairs
        (x, y), (u, v) = places[pairs].T, (_TIMES * c.displacements[pairs]).T
        colours = np.where(c.moved[pairs], COLUMN_STATUSES["moved"], BLACK)
        axes.quiver(x, y, u, v, color=colours, angles="xy", scale_units="xy", scale=1, width=0.004)
    save(figure, directory, "columns")


def _framed(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_aspect("equal")
    # Rows run downwards, as in the image.
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _probabilities(values: Float[np.ndarray, " rows"], label: str) -> list[Panel]:
    p = values[np.isfinite(values)]
    if not len(p):
        return []

    def draw(axes: Axes) -> None:
        edges = np.linspace(0, 1, _P_BINS + 1)
        axes.stairs(np.histogram(p, edges)[0], edges, fill=True, color=PALE_BLUE)
        axes.axhline(len(p) / _P_BINS, ls="--", lw=0.8, color=BLACK, label="nothing changed")
        axes.set_xlabel(label)
        axes.set_ylabel("pairs")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        axes.legend(loc="upper right")

    return [draw]


def _scores(values: Float[np.ndarray, " rows"]) -> list[Panel]:
    z = values[np.isfinite(values)]
    if not len(z):
        return []

    def draw(axes: Axes) -> None:
        edges = np.linspace(-_DEVIATIONS, _DEVIATIONS, 31)
        counts = np.histogram(np.clip(z, -_DEVIATIONS, _DEVIATIONS), edges)[0]
        axes.stairs(counts, edges, fill=True, color=PALE_BLUE)
        x = np.linspace(-_DEVIATIONS, _DEVIATIONS, 200)
        axes.plot(x, norm.pdf(x) * len(z) * (edges[1] - edges[0]), color=BLACK, lw=0.8, label="no change")
        axes.set_xlabel("change of cross-section / standard uncertainty")
        axes.set_ylabel("pairs")
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        axes.legend(loc="upper right")

    return [draw]


def _save_images(directory: Path, c: ColumnComparison, difference: ImageDifference) -> None:
    """Both images in one frame and one scale of greys, and their difference in noise."""
    grid, known = difference.grid, difference.known
    rows, columns = grid.shape
    width = TWO_COLUMNS / 3
    figure = new_figure(
        TWO_COLUMNS, min((width - 4) * float(np.clip(rows / columns, 0.2, 2.0)) + 22, _TALLEST)
    )
    low, high = brightness_of(_where(known, difference.first), _where(known, difference.second), known)
    sides = ("RdBu_r", -_DEVIATIONS, _DEVIATIONS)
    shown = (
        (c.a.name, difference.first, ("gray", low, high), "units of A"),
        (f"{c.b.name}, laid on it", difference.second, ("gray", low, high), "units of A"),
        ("difference, blurred by a column", difference.scores, sides, "standard deviations of noise"),
    )
    for k, (title, values, (colours, least, most), unit) in enumerate(shown):
        axes = figure.add_subplot(1, 3, k + 1)
        axes.set_facecolor(UNKNOWN)
        look = mpl.colormaps[colours].with_extremes(bad=UNKNOWN)
        drawn = axes.imshow(values, cmap=look, vmin=least, vmax=most, interpolation="antialiased")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.set_title(title)
        letter(axes, k)
        bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, aspect=28, pad=0.03)
        bar.set_label(unit)
        bar.outline.set_linewidth(0.4)
    save(figure, directory, "images")


def _where(
    known: Bool[np.ndarray, "rows columns"], values: Float[np.ndarray, "rows columns"]
) -> np.ndarray:
    return np.where(known, values, np.nan)
