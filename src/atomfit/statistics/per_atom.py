"""The table of atoms: every statistic of every atom, from the joint fit and from the baseline."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from atomfit.detection.detect import Detection, correlations_with_identical_atoms
from atomfit.fitting.joint import JointFit
from atomfit.fitting.logfit import LogFit
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.statistics.displacements import PrincipalDisplacements, principal_displacements
from atomfit.statistics.geometry import Geometry, measure_geometry
from atomfit.statistics.intensity import highest_voxels, map_z_scores, z_scores
from atomfit.statistics.isotropy import found_round, isotropies
from atomfit.statistics.particle import angles_to_radius
from atomfit.statistics.uncertainties import StandardUncertainties, propagate, unknown
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.neighbours import Neighbours, find_neighbours


@dataclass(frozen=True, eq=False)
class AtomStatistics:
    """Numbers for n atoms; NaN where one is not known.

    **Fields:**

    - `fitted`: positions, amplitudes and displacements of the fit that was asked for.
    - `principal`: its displacements along principal axes.
    - `uncertainties`: of the numbers of a joint fit; the baseline has none.
    - `neighbours`: coordination numbers and distances.
    - `max_intensities`: highest voxels (map units).
    - `validation_correlations`: of the map with identical atoms at the positions.
    - `max_intensity_z`: of those, in standard deviations of the atom's own voxels.
    - `max_intensity_map_z`: of those, in standard deviations of all atoms' voxels.
    - `geometry`: what positions say: coordination, structure, lattice, strain, depth.
    - `angles`: between the largest displacement and the direction from the particle's centre (degrees).
    - `baseline`: principal displacements of the log-fits.
    - `flags`: what to know of each atom.
    """

    fitted: FittedAtoms
    principal: PrincipalDisplacements
    uncertainties: StandardUncertainties
    neighbours: Neighbours
    max_intensities: Float[np.ndarray, " n"]
    validation_correlations: Float[np.ndarray, " n"]
    max_intensity_z: Float[np.ndarray, " n"]
    max_intensity_map_z: Float[np.ndarray, " n"]
    geometry: Geometry
    angles: Float[np.ndarray, " n"]
    baseline: PrincipalDisplacements
    flags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.fitted)


def measure_atoms(
    density: DensityMap,
    detection: Detection,
    baseline: LogFit,
    joint: JointFit | None,
    element: Element,
    labels: Int[np.ndarray, "..."],
    cutoff: float | None = None,
) -> AtomStatistics:
    """Gather the statistics of all atoms.

    **Arguments:**

    - `density`: the map that was fitted.
    - `detection`, `baseline`: what was found, and its log-fits.
    - `joint`: the joint fit; without it the baseline's numbers are the atoms'.
    - `element`: of the atoms.
    - `labels`: the atom that each voxel belongs to, from 1.
    - `cutoff`: distance within which atoms are neighbours (Å); found from the atoms if not given.
    """
    fitted = baseline.fitted if joint is None else joint.fitted
    positions = fitted.positions
    principal = principal_displacements(fitted.matrices)
    neighbours = find_neighbours(positions, cutoff, element.neighbour_distance)
    uncertainties = unknown(*positions.shape)
    if joint is not None:
        coordination = neighbours.coordination_numbers.astype(float)
        isotropy = isotropies(joint.alone, coordination, ~joint.at_bound)
        uncertainties = propagate(fitted, principal, neighbours, joint.uncertainty, isotropy)
    geometry = measure_geometry(positions, uncertainties.positions, neighbours.cutoff, element)
    highest = highest_voxels(density, positions, element.radius)
    return AtomStatistics(
        fitted,
        principal,
        uncertainties,
        neighbours,
        highest,
        correlations_with_identical_atoms(density, positions, detection.mean_atom, element),
        z_scores(density, labels, len(positions)),
        map_z_scores(density, labels, highest),
        geometry,
        angles_to_radius(principal.axes[:, 0], positions),
        principal_displacements(baseline.fitted.matrices),
        _flags(density.grid, positions, baseline, joint, geometry),
    )


def _flags(
    grid: Grid,
    positions: Float[np.ndarray, "n d"],
    baseline: LogFit,
    joint: JointFit | None,
    geometry: Geometry,
) -> tuple[str, ...]:
    first_face = grid.origin - 0.5 * grid.spacing
    from_faces = np.minimum(positions - first_face, first_face + grid.extent - positions)
    distances = from_faces.min(axis=1, initial=np.inf)
    bounded = np.zeros(len(positions), bool) if joint is None else joint.at_bound
    narrower = np.zeros(len(positions), bool) if joint is None else joint.narrower
    round_ones = np.zeros(len(positions), bool) if joint is None else found_round(joint.alone)
    unknown_strain = np.isnan(geometry.strain.radial)
    return tuple(
        "; ".join(
            [
                *(["at_bound"] if bounded[i] else []),
                *(["narrower"] if narrower[i] else []),
                *(["no_anisotropy_found"] if round_ones[i] else []),
                *(["at_box_edge"] if distances[i] < baseline.radius else []),
                *(["no_lattice_site"] if geometry.on_lattice[i] < 0 else []),
                *(["no_strain"] if geometry.on_lattice[i] >= 0 and unknown_strain[i] else []),
                *([f"isotropic log-fit: {iso}"] if iso != "ok" else []),
                *([f"log-fit: {aniso}"] if aniso != "ok" else []),
            ]
        )
        for i, (iso, aniso) in enumerate(zip(baseline.iso_status, baseline.aniso_status, strict=True))
    )
