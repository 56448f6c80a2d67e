"""What is in a specimen: atoms, their elements and neighbours, and the grids that they are seen on.

`Atoms` and their displacements are what is fitted; `Grid` and `DensityMap` say where voxels are. Elements,
form factors, neighbours and pairs of two models are looked up here. It imports `atomfit.support` only.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.structure.anharmonic import AnharmonicAtoms as AnharmonicAtoms
    from atomfit.structure.atoms import AbstractDisplacements as AbstractDisplacements
    from atomfit.structure.atoms import AnisotropicDisplacements as AnisotropicDisplacements
    from atomfit.structure.atoms import Atoms as Atoms
    from atomfit.structure.atoms import IsotropicDisplacements as IsotropicDisplacements
    from atomfit.structure.atoms import elements_of_matrices as elements_of_matrices
    from atomfit.structure.atoms import matrices_of_elements as matrices_of_elements
    from atomfit.structure.canvas import AbstractCanvas as AbstractCanvas
    from atomfit.structure.canvas import AbstractStructure as AbstractStructure
    from atomfit.structure.crystals import Crystal as Crystal
    from atomfit.structure.crystals import ZoneColumns as ZoneColumns
    from atomfit.structure.crystals import crystal as crystal
    from atomfit.structure.crystals import zone_columns as zone_columns
    from atomfit.structure.effective_medium import EffectiveMedium as EffectiveMedium
    from atomfit.structure.elements import Element as Element
    from atomfit.structure.elements import bulk_structure as bulk_structure
    from atomfit.structure.elements import element as element
    from atomfit.structure.elements import elements_of as elements_of
    from atomfit.structure.elements import lattice_constant as lattice_constant
    from atomfit.structure.elements import symbol_of as symbol_of
    from atomfit.structure.grid import DensityMap as DensityMap
    from atomfit.structure.grid import Grid as Grid
    from atomfit.structure.matching import Match as Match
    from atomfit.structure.matching import match as match
    from atomfit.structure.neighbours import Neighbours as Neighbours
    from atomfit.structure.neighbours import find_neighbours as find_neighbours
    from atomfit.structure.neighbours import nearest_distances as nearest_distances
    from atomfit.structure.region import Region as Region
    from atomfit.structure.scattering import GaussianMixture as GaussianMixture
    from atomfit.structure.scattering import form_factor as form_factor
    from atomfit.structure.tracked import Event as Event
    from atomfit.structure.tracked import Quantity as Quantity
    from atomfit.structure.tracked import Tracked as Tracked
else:
    export(
        __name__,
        {
            "atoms": [
                "Atoms",
                "AbstractDisplacements",
                "IsotropicDisplacements",
                "AnisotropicDisplacements",
                "elements_of_matrices",
                "matrices_of_elements",
            ],
            "canvas": ["AbstractCanvas", "AbstractStructure"],
            "anharmonic": ["AnharmonicAtoms"],
            "grid": ["Grid", "DensityMap"],
            "region": ["Region"],
            "elements": [
                "Element",
                "element",
                "elements_of",
                "symbol_of",
                "lattice_constant",
                "bulk_structure",
            ],
            "neighbours": ["Neighbours", "find_neighbours", "nearest_distances"],
            "matching": ["Match", "match"],
            "scattering": ["GaussianMixture", "form_factor"],
            "tracked": ["Tracked", "Quantity", "Event"],
            "effective_medium": ["EffectiveMedium"],
            "crystals": ["Crystal", "ZoneColumns", "crystal", "zone_columns"],
        },
    )
