"""What `report.html` is told: the tables, what its pictures are drawn from, and the records of the run."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from atomfit.fitting.fitted import FittedAtoms
from atomfit.io.tables import COLUMNS, REJECTED_COLUMNS
from atomfit.report.described import MOST_SHOWN, RADIUS, Table, described
from atomfit.report.residuals import residual_histogram
from atomfit.report.slices import slices
from atomfit.report.whole import particle_rows
from atomfit.report.words import headline
from atomfit.units import HALF_PROBABILITY_SCALE

if TYPE_CHECKING:
    from atomfit.pipeline import BuildResult


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
    positions = result.positions
    spacings = result.statistics.neighbours.nearest_distances
    which = atoms_shown(len(positions))
    if len(which) < len(positions):
        few = (
            f"This page shows {len(which)} of {len(positions)} atoms, chosen at random; atoms.csv has all."
        )
        found = found | {"warnings": [*found.get("warnings", ()), few]}
    return {
        "headline": headline(found),
        "columns": described({name: values[which] for name, values in columns.items()}, COLUMNS),
        "rejected": described(
            {name: values[:MOST_SHOWN] for name, values in rejected.items()}, REJECTED_COLUMNS
        ),
        "ellipsoids": ellipsoids(result.statistics.fitted)[which],
        "radius": RADIUS * _median(spacings, result.element.neighbour_distance),
        "slices": slices(result.density, model, positions),
        "residuals": residual_histogram(result, model),
        "particle": particle_rows(found.get("particle")),
        "depth_fits": found.get("particle", {}).get("depth_fits", {}),
        "pair_distribution": found.get("particle", {}).get("pair_distribution"),
        "bond_lengths": found.get("particle", {}).get("bond_lengths"),
        "summary": {name: value for name, value in found.items() if name != "particle"},
        "run": record,
    }


def atoms_shown(n: int, most: int = MOST_SHOWN, seed: int = 0) -> Int[np.ndarray, " k"]:
    """Which of n atoms are shown: all, or as many as a browser can hold, in their order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def ellipsoids(fitted: FittedAtoms) -> Float[np.ndarray, "n 9"]:
    """Semi-axes, one vector after another, of what holds half of each atom (Å); NaN where unknown.

    Atoms without a matrix get a sphere of their isotropic displacement.
    """
    round_ones = fitted.u_iso[:, None, None] * np.eye(3)
    matrices = np.where(np.isfinite(fitted.matrices), fitted.matrices, round_ones)
    known = np.all(np.isfinite(matrices), axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], matrices, np.eye(3)))
    known &= values[:, 0] > 0
    lengths = HALF_PROBABILITY_SCALE * np.sqrt(np.where(known[:, None], values, np.nan))
    axes = np.swapaxes(vectors * lengths[:, None, :], 1, 2)
    return axes.reshape(len(axes), 9).round(4)


def _median(values: np.ndarray, otherwise: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else otherwise
