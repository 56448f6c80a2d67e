"""What of an image's columns is for the eye: the page and, if asked for, figures for print."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.figures import load_matplotlib
from atomfit.io.outputs import optional
from atomfit.io.tables import Column
from atomfit.report.described import Table
from atomfit.report.image_columns import image_contents
from atomfit.report.page import COLUMNS, COLUMNS_MODEL, write_page

if TYPE_CHECKING:
    from atomfit.results.columns import ColumnsResult


def write_shown(
    stage: Path,
    result: "ColumnsResult",
    tables: tuple[Table, Table],
    known: tuple[tuple[Column, ...], tuple[Column, ...]],
    images: tuple[Float[np.ndarray, "rows columns"], Float[np.ndarray, "rows columns"]],
    told: tuple[dict[str, Any], dict[str, Any]],
    figures: bool,
) -> list[str]:
    """Write `report.html`, and `figures` if they are asked for.

    **Arguments:**

    - `stage`: where to.
    - `result`: of `columns`.
    - `tables`, `known`: of columns and of places that are none, and what their columns mean.
    - `images`: model and background on the image's pixels (image units).
    - `told`: what goes into `summary.json`, with what goes into `particle.json` as `particle`; and what
        goes into `run.json`.
    - `figures`: whether they are drawn.

    **Returns:** what is missing, as warnings.
    """
    missing: list[str] = []
    if figures:
        with optional(stage / "figures", missing) as path:
            load_matplotlib()
            from atomfit.figures.image_columns import write_image_figures

            write_image_figures(path, result, tables[0], images[0])
    found, record = told
    with optional(stage / "report.html", missing) as path:
        shown = found | {"warnings": [*found["warnings"], *missing]}
        layout = COLUMNS if result.model3d is None else COLUMNS_MODEL
        write_page(path, image_contents(result, tables, known, *images, shown, record), layout)
    return missing
