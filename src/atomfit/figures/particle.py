"""The particle in two views, its atoms coloured by a statistic: one column of panels for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atomfit.figures.balls import ALONG_X, ALONG_Z, draw_ellipsoids
from atomfit.figures.quantities import Quantity
from atomfit.figures.style import TWO_COLUMNS, UNKNOWN, letter, new_figure, save

#: Height of a view (mm), and of the bar below two of them.
_VIEW, _BAR = 56.0, 13.0
#: Whole numbers have a step of the scale each, if they are no more than these.
_MOST_STEPS = 20


@dataclass(frozen=True, eq=False)
class Colouring:
    """How atoms are coloured, and what tells it.

    **Fields:**

    - `colours`: of each atom (red, green, blue); grey where the statistic is not known.
    - `label`: of the statistic.
    - `scale`: of a bar; None for kinds.
    - `kinds`: colours of kinds by name.
    - `semi_axes`: of each atom's ellipsoid, as rows (Å).
    """

    colours: Float[np.ndarray, "n 3"]
    label: str
    scale: ScalarMappable | None
    kinds: dict[str, str]
    semi_axes: Float[np.ndarray, "n 3 3"]


def by_number(
    quantity: Quantity,
    values: Float[np.ndarray, " n"],
    semi_axes: Float[np.ndarray, "n 3 3"],
    around_zero: bool = False,
) -> Colouring:
    """Colours from a scale over the middle 96 % of the values.

    **Arguments:**

    - `quantity`, `values`: the statistic, in its axis's unit.
    - `semi_axes`: of each atom's ellipsoid, as rows (Å).
    - `around_zero`: whether the sign counts.
    """
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.02, 0.98])
    colour_map = colormaps["RdBu_r" if around_zero else "viridis"]
    norm: Normalize
    if around_zero:
        most = max(abs(low), abs(high), 1e-9)
        norm = Normalize(-most, most)
    elif np.all(known == np.round(known)) and np.ptp(known) < _MOST_STEPS:
        norm = BoundaryNorm(np.arange(known.min(), known.max() + 2) - 0.5, colour_map.N)
    else:
        norm = Normalize(low, high if high > low else low + 1)
    scale = ScalarMappable(norm, colour_map)
    colours = scale.to_rgba(np.nan_to_num(values))[:, :3]
    colours[~np.isfinite(values)] = to_rgb(UNKNOWN)
    return Colouring(colours, quantity.label, scale, {}, semi_axes)


def by_kind(
    label: str, names: np.ndarray, kinds: dict[str, str], semi_axes: Float[np.ndarray, "n 3 3"]
) -> Colouring:
    """A colour for each kind of atom.

    **Arguments:**

    - `label`: what the kinds are.
    - `names`: of each atom's kind.
    - `kinds`: colours by name.
    - `semi_axes`: of each atom's ellipsoid, as rows (Å).
    """
    colours = np.array([to_rgb(kinds[str(name)]) for name in names]).reshape(-1, 3)
    return Colouring(colours, label, None, kinds, semi_axes)


def save_views(
    directory: Path, name: str, positions: Float[np.ndarray, "n 3"], colourings: Sequence[Colouring]
) -> None:
    """Write the views; nothing if there is nothing to colour by."""
    if colourings and len(positions):
        save(views(positions, colourings), directory, name)


def views(positions: Float[np.ndarray, "n 3"], colourings: Sequence[Colouring]) -> Figure:
    """Two views of the atoms for each colouring, and its key below.

    **Arguments:**

    - `positions`: of the atoms (Å).
    - `colourings`: from left to right.
    """
    figure = new_figure(TWO_COLUMNS, 2 * _VIEW + _BAR)
    parts = figure.subfigures(1, len(colourings), squeeze=False)[0]
    for number, (part, colouring) in enumerate(zip(parts, colourings, strict=True)):
        top, bottom = part.subplots(2, 1)
        for axes, view in ((top, ALONG_Z), (bottom, ALONG_X)):
            draw_ellipsoids(axes, view, positions, colouring.colours, colouring.semi_axes)
            axes.text(0.0, 0.0, view.name, transform=axes.transAxes, va="bottom")
        letter(top, number)
        if colouring.scale is not None:
            bar = part.colorbar(
                colouring.scale, ax=[top, bottom], location="bottom", shrink=0.8, aspect=28, pad=0.02
            )
            bar.set_label(colouring.label)
            bar.outline.set_linewidth(0.4)
            if isinstance(colouring.scale.norm, BoundaryNorm):
                edges = colouring.scale.norm.boundaries
                step = 1 + (len(edges) - 2) // 10
                bar.set_ticks((edges[:-1] + 0.5)[::step])
                bar.minorticks_off()
        else:
            part.legend(
                handles=[
                    Line2D([], [], marker="o", ls="", ms=5, color=colour, label=kind)
                    for kind, colour in colouring.kinds.items()
                ],
                title=colouring.label,
                loc="outside lower center",
                ncols=4,
                columnspacing=0.8,
                handletextpad=0.2,
            )
    return figure
