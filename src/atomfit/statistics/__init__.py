"""What the refined atoms say: numbers per atom, each with one definition.

`measure_atoms` measures all of them; each is a function of positions by itself, too, and so are two models
compared (`compare`), and the columns of two images (`compare_columns`). None depends on how a particle lies
in its box. It imports `atomfit.projection`, `atomfit.fitting` and what lies below, and nothing of
`atomfit.selection` or `atomfit.doubts`.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.statistics.bonds import Bonds as Bonds
    from atomfit.statistics.brightness_ratio import BrightnessRatio as BrightnessRatio
    from atomfit.statistics.chance import Chance as Chance
    from atomfit.statistics.chance import by_chance as by_chance
    from atomfit.statistics.change_probabilities import AtomChanges as AtomChanges
    from atomfit.statistics.column_changes import ColumnComparison as ColumnComparison
    from atomfit.statistics.column_changes import compare_columns as compare_columns
    from atomfit.statistics.column_pairs import ColumnPairs as ColumnPairs
    from atomfit.statistics.comparison import Comparison as Comparison
    from atomfit.statistics.comparison import Model as Model
    from atomfit.statistics.comparison import compare as compare
    from atomfit.statistics.coordination import Coordination as Coordination
    from atomfit.statistics.coordination import measure_coordination as measure_coordination
    from atomfit.statistics.count_law import Library as Library
    from atomfit.statistics.count_neighbours import Smoothness as Smoothness
    from atomfit.statistics.count_notes import Alternative as Alternative
    from atomfit.statistics.count_sets import CredibleSets as CredibleSets
    from atomfit.statistics.counting import Counts as Counts
    from atomfit.statistics.counting import count_atoms as count_atoms
    from atomfit.statistics.crystals import Crystal as Crystal
    from atomfit.statistics.depth import DepthFit as DepthFit
    from atomfit.statistics.depth import Depths as Depths
    from atomfit.statistics.depth import fit_depth as fit_depth
    from atomfit.statistics.depth import measure_depths as measure_depths
    from atomfit.statistics.displacements import PrincipalDisplacements as PrincipalDisplacements
    from atomfit.statistics.displacements import principal_displacements as principal_displacements
    from atomfit.statistics.geometry import Geometry as Geometry
    from atomfit.statistics.geometry import measure_geometry as measure_geometry
    from atomfit.statistics.grains import Grain as Grain
    from atomfit.statistics.grains import Grains as Grains
    from atomfit.statistics.grains import find_grains as find_grains
    from atomfit.statistics.image_columns import ColumnStatistics as ColumnStatistics
    from atomfit.statistics.image_columns import Counting as Counting
    from atomfit.statistics.image_columns import measure_columns as measure_columns
    from atomfit.statistics.image_columns_seen import DetectionLimit as DetectionLimit
    from atomfit.statistics.image_columns_seen import ImageColumns as ImageColumns
    from atomfit.statistics.image_columns_seen import detection_limit as detection_limit
    from atomfit.statistics.isotropy import Isotropies as Isotropies
    from atomfit.statistics.isotropy import isotropies as isotropies
    from atomfit.statistics.lattice import Lattice as Lattice
    from atomfit.statistics.lattice import fit_lattices as fit_lattices
    from atomfit.statistics.magnification import Magnification as Magnification
    from atomfit.statistics.particle import bond_lengths as bond_lengths
    from atomfit.statistics.particle import pair_distribution as pair_distribution
    from atomfit.statistics.particle import particle_report as particle_report
    from atomfit.statistics.per_atom import AtomStatistics as AtomStatistics
    from atomfit.statistics.per_atom import measure_atoms as measure_atoms
    from atomfit.statistics.plane_cells import PlaneCell as PlaneCell
    from atomfit.statistics.plane_defects import Dislocation as Dislocation
    from atomfit.statistics.plane_defects import PlaneBoundary as PlaneBoundary
    from atomfit.statistics.plane_defects import Vacancy as Vacancy
    from atomfit.statistics.plane_defects import burgers_vector as burgers_vector
    from atomfit.statistics.plane_defects import find_boundaries as find_boundaries
    from atomfit.statistics.plane_defects import find_dislocations as find_dislocations
    from atomfit.statistics.plane_defects import find_vacancies as find_vacancies
    from atomfit.statistics.plane_domains import PlaneDomains as PlaneDomains
    from atomfit.statistics.plane_domains import find_domains as find_domains
    from atomfit.statistics.plane_gpa import PhaseStrain as PhaseStrain
    from atomfit.statistics.plane_gpa import gpa as gpa
    from atomfit.statistics.plane_gpa_columns import PhaseAtColumns as PhaseAtColumns
    from atomfit.statistics.plane_lattice import PlaneLattice as PlaneLattice
    from atomfit.statistics.plane_maps import FittedPlaneMap as FittedPlaneMap
    from atomfit.statistics.plane_maps import PlaneMap as PlaneMap
    from atomfit.statistics.plane_maps import UsualDistortion as UsualDistortion
    from atomfit.statistics.plane_order import PlaneOrder as PlaneOrder
    from atomfit.statistics.plane_order import measure_order as measure_order
    from atomfit.statistics.plane_outline import Facet as Facet
    from atomfit.statistics.plane_outline import find_facets as find_facets
    from atomfit.statistics.plane_strain import PlaneStrain as PlaneStrain
    from atomfit.statistics.plane_strain import measure_plane_strain as measure_plane_strain
    from atomfit.statistics.registration import Registration as Registration
    from atomfit.statistics.registration import register as register
    from atomfit.statistics.rigid import FittedMotion as FittedMotion
    from atomfit.statistics.rigid import Motion as Motion
    from atomfit.statistics.rigid import superpose as superpose
    from atomfit.statistics.series import follow as follow
    from atomfit.statistics.significance import Agreement as Agreement
    from atomfit.statistics.significance import Scale as Scale
    from atomfit.statistics.significance import p_values as p_values
    from atomfit.statistics.significance import q_values as q_values
    from atomfit.statistics.strain import Strain as Strain
    from atomfit.statistics.strain import measure_strain as measure_strain
    from atomfit.statistics.structure import local_structure as local_structure
    from atomfit.statistics.twins import TwinPlane as TwinPlane
    from atomfit.statistics.twins import find_twins as find_twins
    from atomfit.statistics.uncertainties import StandardUncertainties as StandardUncertainties
    from atomfit.statistics.uncertainties import propagate as propagate
else:
    export(
        __name__,
        {
            "per_atom": ["AtomStatistics", "measure_atoms"],
            "geometry": ["Geometry", "measure_geometry"],
            "coordination": ["Coordination", "measure_coordination"],
            "bonds": ["Bonds"],
            "displacements": ["PrincipalDisplacements", "principal_displacements"],
            "isotropy": ["Isotropies", "isotropies"],
            "structure": ["local_structure"],
            "grains": ["Grain", "Grains", "find_grains"],
            "twins": ["TwinPlane", "find_twins"],
            "crystals": ["Crystal"],
            "lattice": ["Lattice", "fit_lattices"],
            "strain": ["Strain", "measure_strain"],
            "depth": ["Depths", "measure_depths", "DepthFit", "fit_depth"],
            "particle": ["particle_report", "pair_distribution", "bond_lengths"],
            "uncertainties": ["StandardUncertainties", "propagate"],
            "comparison": ["Model", "Comparison", "compare"],
            "brightness_ratio": ["BrightnessRatio"],
            "change_probabilities": ["AtomChanges"],
            "column_changes": ["ColumnComparison", "compare_columns"],
            "column_pairs": ["ColumnPairs"],
            "image_columns_seen": ["DetectionLimit", "ImageColumns", "detection_limit"],
            "plane_maps": ["FittedPlaneMap", "PlaneMap", "UsualDistortion"],
            "plane_cells": ["PlaneCell"],
            "plane_defects": [
                "Vacancy",
                "find_vacancies",
                "Dislocation",
                "find_dislocations",
                "burgers_vector",
                "PlaneBoundary",
                "find_boundaries",
            ],
            "plane_domains": ["PlaneDomains", "find_domains"],
            "plane_gpa": ["PhaseStrain", "gpa"],
            "plane_gpa_columns": ["PhaseAtColumns"],
            "plane_lattice": ["PlaneLattice"],
            "plane_order": ["PlaneOrder", "measure_order"],
            "plane_outline": ["Facet", "find_facets"],
            "plane_strain": ["PlaneStrain", "measure_plane_strain"],
            "registration": ["Registration", "register"],
            "magnification": ["Magnification"],
            "rigid": ["Motion", "superpose", "FittedMotion"],
            "chance": ["Chance", "by_chance"],
            "series": ["follow"],
            "counting": ["Counts", "count_atoms"],
            "count_law": ["Library"],
            "count_sets": ["CredibleSets"],
            "count_notes": ["Alternative"],
            "count_neighbours": ["Smoothness"],
            "image_columns": ["ColumnStatistics", "Counting", "measure_columns"],
            "significance": ["p_values", "q_values", "Scale", "Agreement"],
        },
    )
