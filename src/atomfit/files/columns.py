"""A result as tables: which number of which object goes into which column.

What the columns mean, and how they are written, is told in `tables`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.io.tables import TENSOR
from atomfit.statistics.depth import running_means
from atomfit.statistics.geometry import Geometry
from atomfit.statistics.particle import particle_report
from atomfit.statistics.uncertainties import StandardUncertainties

if TYPE_CHECKING:
    from atomfit.results.build import BuildResult
    from atomfit.selection.completion import Discarded

Table = dict[str, np.ndarray]

#: Columns that `particle.json` summarises, by coordination number and by depth.
_SUMMARISED = (
    "cn",
    "gcn",
    "gcn_max",
    "u_iso",
    "u_maj",
    "u_min",
    "doi",
    "doi_debiased",
    "u_maj_angle",
    "nn_distance",
    "mean_bond_length",
    "max_intensity",
    "max_intensity_z",
    "max_intensity_map_z",
    "peak_intensity",
    "validation_correlation",
    "strain_radial",
    "strain_radial_bulk",
)


def table(result: "BuildResult") -> Table:
    """The columns of `atoms.csv`."""
    s, fitted = result.statistics, result.statistics.fitted
    n = len(fitted)
    x, y, z = fitted.positions.T
    com_x, com_y, com_z = result.detection.positions.T
    u = fitted.matrices
    maj, med, least = s.principal.values.T
    log_maj, log_med, log_least = s.baseline.values.T
    return {
        "id": np.arange(1, n + 1),
        "element": result.symbols,
        "x": x,
        "y": y,
        "z": z,
        "amplitude": fitted.amplitudes,
        "u11": u[:, 0, 0],
        "u22": u[:, 1, 1],
        "u33": u[:, 2, 2],
        "u12": u[:, 0, 1],
        "u13": u[:, 0, 2],
        "u23": u[:, 1, 2],
        "u_iso": fitted.u_iso,
        "u_maj": maj,
        "u_med": med,
        "u_min": least,
        "doi": s.principal.degree_of_isotropy,
        "doi_debiased": s.uncertainties.debiased_isotropy,
        "doi_debiased_esd": s.uncertainties.debiased_isotropy_esd,
        "cn": s.neighbours.coordination_numbers,
        "nn_distance": s.neighbours.nearest_distances,
        "mean_bond_length": s.neighbours.mean_distances,
        **geometry_table(result.statistics.geometry),
        "u_maj_angle": s.angles,
        "peak_intensity": fitted.peak_heights,
        "max_intensity": s.max_intensities,
        "max_intensity_z": s.max_intensity_z,
        "max_intensity_map_z": s.max_intensity_map_z,
        "validation_correlation": s.validation_correlations,
        "com_x": com_x,
        "com_y": com_y,
        "com_z": com_z,
        "logfit_u_iso": result.baseline.fitted.u_iso,
        "logfit_u_maj": log_maj,
        "logfit_u_med": log_med,
        "logfit_u_min": log_least,
        "logfit_doi": s.baseline.degree_of_isotropy,
        **_uncertainties(s.uncertainties),
        **_evidence(result),
        "flags": np.array(s.flags, dtype=object),
    }


def geometry_table(g: Geometry) -> Table:
    """What positions say of each atom."""
    columns: Table = {
        "cn_expected": g.coordination.expected,
        "cn_esd": g.coordination.errors,
        "gcn": g.coordination.generalised,
        "gcn_max": g.coordination.generalised_max,
        "structure": g.structure,
        "grain": g.grains.membership + 1,
        "radius": g.depths.radii,
        "radial_depth": g.depths.radial,
        "hull_depth": g.depths.hull,
    }
    columns |= {f"lattice_d{axis}": x for axis, x in zip("xyz", g.strain.displacements.T, strict=True)}
    for ij, strain, error in zip(TENSOR, g.strain.tensors.T, g.strain.errors.T, strict=True):
        columns |= {f"strain_{ij}": strain, f"strain_{ij}_esd": error}
    return columns | {
        "strain_radial": g.strain.radial,
        "strain_radial_esd": g.strain.radial_errors,
        "strain_radial_bulk": g.bulk_strain.radial,
    }


def _uncertainties(esd: StandardUncertainties) -> Table:
    columns: Table = dict(zip("xyz", esd.positions.T, strict=True))
    columns |= zip(("u11", "u22", "u33", "u12", "u13", "u23"), esd.matrices.T, strict=True)
    columns |= zip(("u_maj", "u_med", "u_min"), esd.principal.T, strict=True)
    columns |= {
        "amplitude": esd.amplitudes,
        "u_iso": esd.u_iso,
        "doi": esd.degree_of_isotropy,
        "nn_distance": esd.nearest_distances,
        "peak_intensity": esd.peak_heights,
    }
    return {f"{name}_esd": values for name, values in columns.items()}


def _evidence(result: "BuildResult") -> Table:
    names = ("score", "evidence", "q_value", "element_probability")
    if result.selection is None or result.species is None:
        return dict.fromkeys(names, np.full(len(result), np.nan))
    judged = result.selection.judgement
    columns = (judged.scores, judged.evidence, judged.q_values, result.species.probabilities)
    return dict(zip(names, columns, strict=True))


def rejected_table(discarded: "Discarded") -> Table:
    """The columns of `rejected.csv`."""
    x, y, z = discarded.positions.T
    return {
        "x": x,
        "y": y,
        "z": z,
        "score": discarded.scores,
        "q_value": discarded.q_values,
        "reason": np.array(discarded.reasons, dtype=object),
    }


def depth_table(columns: Table) -> Table:
    """The columns of `depth.csv`, from those of `atoms.csv`."""
    depths, means = running_means(columns["radial_depth"], _summarised(columns))
    return {"radial_depth": depths} | means


def particle(result: "BuildResult", columns: Table) -> dict[str, Any]:
    """What `particle.json` holds, from the result and the columns of `atoms.csv`."""
    s = result.statistics
    return particle_report(s.geometry, _summarised(columns), result.positions, s.neighbours.cutoff)


def _summarised(columns: Table) -> Table:
    return {name: np.asarray(columns[name], np.float64) for name in _SUMMARISED}
