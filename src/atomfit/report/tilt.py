"""What `report.html` of a tilt series is told: its atoms, its views and their pictures, and the records."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.io.tables import Column
from atomfit.report.atoms import ShownAtoms, with_room
from atomfit.report.described import Table, described
from atomfit.report.residuals import histogram, pattern
from atomfit.report.tilt_views import VIEW_COLUMNS, pictures, view_table, views_shown
from atomfit.report.tilt_words import tilt_headline

if TYPE_CHECKING:
    from atomfit.options.tilt import TiltOptions
    from atomfit.results.tilt import TiltResult

#: Standard uncertainties of which quantiles are told.
_CERTAINTIES = ("x_esd", "y_esd", "z_esd", "amplitude_esd")


def tilt_contents(
    result: "TiltResult",
    columns: Table,
    known: tuple[Column, ...],
    rejected: Table,
    refined: Table,
    found: dict[str, Any],
    record: dict[str, Any],
) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `result`: of `tilt`.
    - `columns`, `known`: the table of atoms, of any columns, and those with units and meanings.
    - `rejected`: the table of places that are no atoms.
    - `refined`: numbers of each view, by their names in `views_refined.csv`.
    - `found`: what goes into `summary.json`; what goes into `particle.json` as `particle`, if there is any.
    - `record`: what goes into `run.json`.
    """
    found, series = with_room(found, len(result)), result.prepared.series
    element = result.prepared.element
    matrices = result.matrices if result.anisotropic else np.full_like(result.matrices, np.nan)
    atoms = ShownAtoms(columns, known, rejected, matrices, element.neighbour_distance)
    which = views_shown(result.fit.correlations)
    fitted = result.fit.precisions > 0
    scores = result.residual * np.sqrt(result.fit.precisions)
    apart = max(2, round(element.neighbour_distance / series.pixel))
    seen = pattern(scores, fitted, apart)
    return {
        "headline": tilt_headline(found, result.symbols, origin(result.options), seen),
        **atoms.told(found, record),
        "views": described(view_table(refined, series.views.rotations), VIEW_COLUMNS),
        "refined": list(result.options.refine),
        "pictures": pictures(series, result.fit.images, result.views, result.positions, which),
        "surroundings": result.fit.positions[result.start.frozen].round(2),
        "residuals": _histogram(result, scores[fitted]),
        "pattern": seen,
        "certainty": certainty(columns),
    }


def origin(options: "TiltOptions") -> str:
    """Where the atoms are from that were refined, in words."""
    if options.start is not None:
        return f"those of {Path(options.start).name}"
    if options.map is not None:
        return f"found in {Path(options.map).name}"
    return "found in the images alone"


def certainty(columns: Table) -> list[dict[str, Any]]:
    """Quantiles of standard uncertainties: `name`, `median`, `most` (nine of ten atoms) and `largest`."""
    rows = []
    for name in _CERTAINTIES:
        values = np.asarray(columns[name], np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            median, most, largest = np.quantile(values, [0.5, 0.9, 1.0]).tolist()
            rows.append({"name": name, "median": median, "most": most, "largest": largest})
    return rows


def _histogram(result: "TiltResult", scores: Float[np.ndarray, " k"]) -> dict[str, Any] | None:
    """Of what is left of the pixels that were fitted; None if none were."""
    if not len(scores):
        return None
    precisions = result.fit.precisions
    noise = float(np.median(precisions[precisions > 0]) ** -0.5)
    # Only a count whose gain is known has a noise that no fit tells.
    measured = result.options.gain is not None
    return histogram(scores, noise, measured, "pixels", "that were fitted", "image units")
