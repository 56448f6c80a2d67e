"""What `report.html` of a map is told: its atoms, what its pictures are drawn from, and the records."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.io.tables import COLUMNS
from atomfit.report.atoms import ShownAtoms, with_room
from atomfit.report.described import Table
from atomfit.report.residuals import residual_histogram
from atomfit.report.slices import slices
from atomfit.report.words import headline

if TYPE_CHECKING:
    from atomfit.results.build import BuildResult


def contents(
    result: "BuildResult",
    columns: Table,
    rejected: Table,
    model: Float[np.ndarray, "..."],
    found: dict[str, Any],
    record: dict[str, Any],
) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `result`: of `build`.
    - `columns`, `rejected`: the tables of atoms and of places that are none, of any columns.
    - `model`: density of the model on the map's grid (map units).
    - `found`: what goes into `summary.json`; what goes into `particle.json` as `particle`, if there is any.
    - `record`: what goes into `run.json`.
    """
    found = with_room(found, len(result))
    atoms = ShownAtoms(
        columns, COLUMNS, rejected, result.statistics.fitted.matrices, result.element.neighbour_distance
    )
    return {
        "headline": headline(found),
        **atoms.told(found, record),
        "slices": slices(result.density, model, result.positions),
        "residuals": residual_histogram(result, model),
    }
