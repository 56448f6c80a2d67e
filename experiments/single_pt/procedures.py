"""What is known of a particle's atoms: a table of the truth, of atomfit, and of the paper's procedure.

All three have the columns of `atoms.csv`, and those that follow from positions and from a map are computed
by the same functions for all. The truth's maximum intensities and validation correlations are those of
the map without noise.
"""

from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jaxtyping import Float

from atomfit.detection.detect import correlations_with_identical_atoms
from atomfit.detection.mean_atom import measure_mean_atom
from atomfit.files.columns import Table, table
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.io.models import model_of_columns
from atomfit.selection.contour import contour
from atomfit.statistics.comparison import Comparison, compare
from atomfit.statistics.displacements import principal_displacements
from atomfit.statistics.geometry import measure_geometry
from atomfit.statistics.intensity import highest_voxels, z_scores
from atomfit.structure.atoms import matrices_of_elements
from atomfit.structure.neighbours import find_neighbours
from atomfit.workflows.build import build
from experiments.selection.__main__ import PAPER
from experiments.single_pt.particles import AT_REST, PT, Case, Truth

#: Names of those whose tables are compared, the truth first, and the options of the builds.
NAMES = ("truth", "atomfit", "paper")
_OPTIONS: dict[str, dict] = {"atomfit": {}, "paper": PAPER | {"fit": "log"}}


@dataclass(frozen=True, eq=False)
class Study:
    """A particle and the tables of its atoms: by name, of the whole time series, part 1 and part 2."""

    case: Case
    tables: dict[str, tuple[Table, Table, Table]]

    def whole(self, name: str) -> Table:
        return self.tables[name][0]

    @cached_property
    def halves(self) -> dict[str, Comparison]:
        """Part 2 compared with part 1, as the paper's Fig. 3 does."""
        return {
            name: compare(*(model_of_columns(name, columns) for columns in parts[1:]))
            for name, parts in self.tables.items()
        }


def study(case: Case) -> Study:
    """Build all maps of a particle both ways."""
    # The next particle's box has another size: compiled code of this one's is of no use.
    jax.clear_caches()
    tables = {"truth": tuple(true_table(truth) for truth in case.truths)}
    for name, options in _OPTIONS.items():
        tables[name] = tuple(table(build(density, PT.symbol, **options)) for density in case.maps)
    # The log-fit has no error bars by which to debias its degree of isotropy.
    tables["paper"] = tuple(t | {"doi_debiased": t["doi"]} for t in tables["paper"])
    return Study(case, tables)  # type: ignore[arg-type]


def positions_of(columns: Table) -> Float[np.ndarray, "n 3"]:
    return np.stack([columns[axis] for axis in "xyz"], axis=1)


def matrices_of(columns: Table) -> Float[np.ndarray, "n 3 3"]:
    """Displacement matrices (Å²)."""
    elements = [columns[f"u{one}"] for one in ("11", "22", "33", "12", "13", "23")]
    return np.asarray(matrices_of_elements(np.stack(elements, axis=1)))


def true_table(truth: Truth) -> Table:
    """The columns that the study uses, of true atoms."""
    positions, u = truth.positions, truth.matrices
    n = len(positions)
    amplitudes = truth.at_home * (2 * np.pi * AT_REST) ** 1.5
    fitted = FittedAtoms(positions, amplitudes, np.trace(u, axis1=1, axis2=2) / 3, u)
    neighbours = find_neighbours(positions, None, PT.neighbour_distance)
    g = measure_geometry(positions, np.full((n, 3), np.nan), neighbours.cutoff, PT)
    isotropy = principal_displacements(u).degree_of_isotropy
    mean_atom = measure_mean_atom(truth.map, PT)
    x, y, z = positions.T
    return {
        "id": np.arange(1, n + 1),
        "element": np.full(n, PT.symbol, dtype=object),
        "x": x,
        "y": y,
        "z": z,
        "u11": u[:, 0, 0],
        "u22": u[:, 1, 1],
        "u12": u[:, 0, 1],
        "u_iso": fitted.u_iso,
        "doi": isotropy,
        "doi_debiased": isotropy,
        "cn": neighbours.coordination_numbers,
        "gcn_max": g.coordination.generalised_max,
        "nn_distance": neighbours.nearest_distances,
        "radial_depth": g.depths.radial,
        "strain_radial_bulk": g.bulk_strain.radial,
        "max_intensity": highest_voxels(truth.map, positions, PT.radius),
        "max_intensity_z": z_scores(truth.map, contour(truth.map, fitted).labels, n),
        "validation_correlation": correlations_with_identical_atoms(truth.map, positions, mean_atom, PT),
    }
