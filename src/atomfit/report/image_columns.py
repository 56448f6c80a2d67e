"""What `report.html` of an image is told: its columns, its pictures, what to trust, and the records.

The table of columns is taken as it comes: whatever is in it can be chosen to colour columns by, as a
number, or as a kind where it is words or stands among the kinds of `labels`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.io.tables import Column
from atomfit.report.atoms import atoms_shown
from atomfit.report.described import MOST_SHOWN, Table, described
from atomfit.report.image_crystal import crystal_shown
from atomfit.report.image_model import model_shown
from atomfit.report.image_pictures import image_pictures
from atomfit.report.image_statistics import law_of_counts
from atomfit.report.image_words import NOISE, image_cautions, image_headline, image_numbers
from atomfit.report.residuals import histogram

if TYPE_CHECKING:
    from atomfit.results.columns import ColumnsResult

#: Discs have this part of the distance between neighbours for a radius, and so many widths at most.
_RADIUS, _WIDTHS = 0.32, 1.5


def image_contents(
    result: "ColumnsResult",
    tables: tuple[Table, Table],
    known: tuple[tuple[Column, ...], tuple[Column, ...]],
    model: Float[np.ndarray, "rows columns"],
    background: Float[np.ndarray, "rows columns"],
    found: dict[str, Any],
    record: dict[str, Any],
) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `result`: of `columns`.
    - `tables`: of columns, and of places that are none; of any names.
    - `known`: those of each table whose units and meanings are known.
    - `model`, `background`: on the image's pixels (image units).
    - `found`: what goes into `summary.json`; what goes into `particle.json` as `particle`.
    - `record`: what goes into `run.json`.
    """
    columns, rejected = ({name: numbers_of(x) for name, x in table.items()} for table in tables)
    which, image = atoms_shown(len(result)), result.source.image
    if len(which) < len(result):
        few = (
            f"This page shows {len(which)} of {len(result)} columns, chosen at random; columns.csv has all."
        )
        found = found | {"warnings": [*found.get("warnings", ()), few]}
    return {
        "headline": image_headline(found),
        "things": "columns",
        "columns": described({name: x[which] for name, x in columns.items()}, known[0]),
        "rejected": described({name: x[:MOST_SHOWN] for name, x in rejected.items()}, known[1]),
        "pictures": image_pictures(image.values, model, background, result.counted, image.grid),
        "radius": _radius(columns),
        "law": law_of_counts(result.statistics, result.cross_section_esds),
        "numbers": image_numbers(found),
        "model3d": _model(result, found),
        "crystal": crystal_shown(found["particle"]),
        "cautions": image_cautions(columns, found),
        "noise": NOISE,
        "residuals": residual_scores(result),
        "summary": {name: value for name, value in found.items() if name != "particle"},
        "run": record,
    }


def _model(result: "ColumnsResult", found: dict[str, Any]) -> dict[str, Any] | None:
    """What the page is told of the model in three dimensions, if there is one."""
    return None if result.model3d is None else model_shown(result.model3d, found["model3d"])


def numbers_of(values: np.ndarray) -> np.ndarray:
    """Numbers of which some are not known (None) as numbers; all else as it is."""
    if values.dtype != object or any(isinstance(value, str) for value in values):
        return values
    return values.astype(np.float64)


def residual_scores(result: "ColumnsResult") -> dict[str, Any] | None:
    """Histogram of what is left of the pixels that were fitted, in deviations of their noise; None of none.

    **Returns:** what `residuals.histogram` does.
    """
    there = result.fitted.counted
    if not there.any() or not len(result):
        return None
    errors = np.sqrt(result.fitted.variance[there])
    scores = (result.fitted_image.values - result.selection.model)[there] / errors
    noise = float(np.median(errors)) / abs(result.units.scale)
    return histogram(scores, noise, True, "pixels", "that were fitted", "image units")


def _radius(columns: Table) -> float:
    """Of a column as it is drawn (Å)."""
    apart = np.asarray(columns["nn_distance"], np.float64)
    widths = np.asarray(columns["width"], np.float64)
    sizes = [part * values for part, values in ((_RADIUS, apart), (_WIDTHS, widths))]
    medians = [
        float(np.median(values[np.isfinite(values)])) for values in sizes if np.isfinite(values).any()
    ]
    return min(medians, default=1.0)
