"""What all figures share: widths, fonts, colours, and how they are saved.

Widths are those of one and of two columns of a page. Text is 7 pt in the figure's final size, panels have
letters of 8 pt, and fonts are embedded in the PDF as TrueType, as journals ask. Colours are those of Okabe
and Ito, and of viridis, which the colour-blind tell apart.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Widths of one and of two columns (mm).
ONE_COLUMN, TWO_COLUMNS = 89.0, 183.0
DPI = 300

GREY, BLACK = "#8a939b", "#1d2329"
PALE_BLUE = "#9dbcd8"
#: Of atoms whose statistic is not known.
UNKNOWN = "#d5d9dc"

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 2.5,
    "pdf.fonttype": 42,
    "mathtext.fontset": "dejavusans",
    "mathtext.default": "regular",
    "axes.formatter.useoffset": False,
}

#: Draws one panel.
Panel = Callable[[Axes], None]


@contextmanager
def styled() -> Iterator[None]:
    """The style holds within, whatever a user's own settings are."""
    import logging

    # It complains of each font of the list that is not there.
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_STYLE)
            yield
    finally:
        logger.setLevel(level)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in mm."""
    return Figure(figsize=(width / 25.4, height / 25.4), layout="constrained")


def save(figure: Figure, directory: Path, name: str) -> None:
    """Write a figure as `name`.png and `name`.pdf."""
    directory.mkdir(exist_ok=True)
    figure.savefig(directory / f"{name}.png", dpi=DPI)
    # What has been laid out stays so.
    figure.set_layout_engine("none")
    # Without a date, so that the same result has the same files.
    figure.savefig(directory / f"{name}.pdf", dpi=DPI, metadata={"CreationDate": None})


def save_panels(
    directory: Path, name: str, panels: Sequence[Panel], columns: int = 3, height: float = 48.0
) -> None:
    """Write a figure of two columns' width, or of one if it is a single panel; nothing without panels.

    **Arguments:**

    - `directory`, `name`: where to, and the files' name.
    - `panels`: of the figure, row after row; with letters if they are more than one.
    - `columns`: panels in a row.
    - `height`: of a row (mm).
    """
    if not panels:
        return
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    width = TWO_COLUMNS if columns > 1 else ONE_COLUMN
    figure = new_figure(width, rows * height)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        panel(axes)
        if len(panels) > 1:
            letter(axes, number)
    save(figure, directory, name)


def letter(axes: Axes, number: int) -> None:
    """The panel's letter, above its corner."""
    axes.set_title("abcdefghijklmnop"[number], loc="left", fontsize=8, fontweight="bold", pad=4)
