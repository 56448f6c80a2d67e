"""What a page of one particle is told of its atoms, whatever they were found in.

Pages of a map and of a tilt series share the particle in 3D, the charts and the tables; so they share what
these are drawn from.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from atomfit.io.tables import REJECTED_COLUMNS, Column
from atomfit.report.described import MOST_SHOWN, RADIUS, Table, described
from atomfit.report.whole import particle_rows
from atomfit.support.units import HALF_PROBABILITY_SCALE


@dataclass(frozen=True, eq=False)
class ShownAtoms:
    """Atoms as tables.

    **Fields:**

    - `columns`: of n atoms, of any names.
    - `known`: columns whose units and meanings are known.
    - `rejected`: places that are none.
    - `matrices`: displacement matrices (Å²), NaN where there is none.
    - `spacing`: between neighbours, if it cannot be told from these (Å).
    """

    columns: Table
    known: tuple[Column, ...]
    rejected: Table
    matrices: Float[np.ndarray, "n 3 3"]
    spacing: float

    def told(self, found: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """What the programs that all particles' pages have draw from.

        **Arguments:**

        - `found`: what goes into `summary.json`; what goes into `particle.json` as `particle`, if there is
            any.
        - `record`: what goes into `run.json`.
        """
        which = atoms_shown(len(self.matrices))
        whole = found.get("particle", {})
        axes = ellipsoids(self.matrices[which], np.asarray(self.columns["u_iso"], np.float64)[which])
        spacings = np.asarray(self.columns["nn_distance"], np.float64)
        return {
            "columns": described({name: x[which] for name, x in self.columns.items()}, self.known),
            "rejected": described(
                {name: x[:MOST_SHOWN] for name, x in self.rejected.items()}, REJECTED_COLUMNS
            ),
            "ellipsoids": axes,
            "radius": RADIUS * _median(spacings, self.spacing),
            "particle": particle_rows(found.get("particle")),
            "depth_fits": whole.get("depth_fits", {}),
            "pair_distribution": whole.get("pair_distribution"),
            "bond_lengths": whole.get("bond_lengths"),
            "summary": {name: value for name, value in found.items() if name != "particle"},
            "run": record,
        }


def with_room(found: dict[str, Any], n: int) -> dict[str, Any]:
    """A summary that warns if a page cannot show all of n atoms."""
    shown = len(atoms_shown(n))
    if shown == n:
        return found
    few = f"This page shows {shown} of {n} atoms, chosen at random; atoms.csv has all."
    return found | {"warnings": [*found.get("warnings", ()), few]}


def atoms_shown(n: int, most: int = MOST_SHOWN, seed: int = 0) -> Int[np.ndarray, " k"]:
    """Which of n atoms are shown: all, or as many as a browser can hold, in their order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def ellipsoids(
    matrices: Float[np.ndarray, "n 3 3"], u_iso: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 9"]:
    """Semi-axes, one vector after another, of what holds half of each atom (Å); NaN where unknown.

    Atoms without a matrix get a sphere of their isotropic displacement.
    """
    round_ones = u_iso[:, None, None] * np.eye(3)
    matrices = np.where(np.isfinite(matrices), matrices, round_ones)
    known = np.all(np.isfinite(matrices), axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], matrices, np.eye(3)))
    known &= values[:, 0] > 0
    lengths = HALF_PROBABILITY_SCALE * np.sqrt(np.where(known[:, None], values, np.nan))
    axes = np.swapaxes(vectors * lengths[:, None, :], 1, 2)
    return axes.reshape(len(axes), 9).round(4)


def _median(values: Float[np.ndarray, " n"], otherwise: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else otherwise
