"""All that positions say of a particle: coordination, local structure, grains, lattices, strain, depth.

One pass, in the order in which each needs the one before: bonds -> structure and grains -> lattices ->
strain; depths beside them. Nothing depends on how the particle lies in its box.
"""

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.bonds import Bonds
from atomfit.statistics.coordination import Coordination, measure_coordination
from atomfit.statistics.crystals import CRYSTALS, Crystal
from atomfit.statistics.depth import Depths, centre_of, measure_depths
from atomfit.statistics.grains import Grains, find_grains
from atomfit.statistics.lattice import Lattice, fit_lattices
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.strain import Strain, measure_strain
from atomfit.statistics.structure import local_structure
from atomfit.statistics.twins import TwinPlane, find_twins
from atomfit.structure.elements import Element, bulk_structure

log = logging.getLogger("atomfit")


@dataclass(frozen=True, eq=False)
class Geometry:
    """What positions say of n atoms.

    **Fields:**

    - `coordination`: generalised coordination numbers, and how sure plain ones are.
    - `structure`: local structure of each atom; see `structure`.
    - `grains`, `lattices`: the particle's crystals.
    - `twins`: planes between grains that mirror each other.
    - `on_lattice`: number of the lattice that each atom has a site in; -1 for none.
    - `inside`: part of the atoms inside that the largest lattice has sites for; NaN if none are inside.
    - `strain`: from each grain's own ideal crystal.
    - `bulk_strain`: from the bulk's; `bulk_constant` is its a (Å; NaN if there is no lattice).
    - `depths`: radial and from the hull.
    """

    coordination: Coordination
    structure: np.ndarray
    grains: Grains
    lattices: tuple[Lattice, ...]
    twins: tuple[TwinPlane, ...]
    on_lattice: Int[np.ndarray, " n"]
    inside: float
    strain: Strain
    bulk_strain: Strain
    bulk_constant: float
    depths: Depths

    def describe(self) -> str:
        """What the particle is, in words."""
        if not self.lattices:
            return "no lattice: bonds are those of no crystal (amorphous, or too few atoms)"
        first = self.lattices[0]
        edges, errors = first.edges
        text = ", ".join(f"{x:.3f}({1000 * e:.0f})" for x, e in zip(edges, errors, strict=True))
        lattice = f"{first.crystal.name} lattice, a, b, c = {text} Å"
        if self.inside >= LIMITS.one_lattice and len(self.lattices) == 1:
            return f"one {lattice}"
        return (
            f"one lattice does not describe the particle: {len(self.grains.grains)} grains, "
            f"{len(self.twins)} twin planes; the largest is a {lattice}, and has {100 * self.inside:.0f} % "
            "of the atoms inside"
        )


def measure_geometry(
    positions: Float[np.ndarray, "n 3"],
    errors: Float[np.ndarray, "n 3"],
    cutoff: float,
    element: Element,
) -> Geometry:
    """Everything that positions say.

    **Arguments:**

    - `positions`, `errors`: of the atoms, and their standard uncertainties, NaN where not known (Å).
    - `cutoff`: distance within which atoms are neighbours (Å).
    - `element`: of the atoms; its bulk structure is tried first.
    """
    bonds = Bonds.of(positions, cutoff)
    usual = bulk_structure(element.symbol)
    names = sorted(CRYSTALS, key=lambda name: name != usual)
    grains = find_grains(bonds, tuple(names))
    lattices = fit_lattices(positions, bonds, grains)
    on_lattice = np.full(len(positions), -1)
    for number, lattice in enumerate(lattices):
        on_lattice[lattice.atoms] = number
    deep = bonds.coordination_numbers >= (
        LIMITS.inside if grains.crystal is None else _bulk(grains.crystal)
    )
    centre = centre_of(positions)
    strain = measure_strain(positions, lattices, centre)
    bulk = np.nan if grains.crystal is None else grains.crystal.constant(element.neighbour_distance)
    return Geometry(
        measure_coordination(
            positions, cutoff, errors, 12 if grains.crystal is None else grains.crystal.coordination
        ),
        local_structure(bonds),
        grains,
        lattices,
        find_twins(bonds, grains),
        on_lattice,
        float(np.mean(on_lattice[deep] == 0)) if deep.any() else np.nan,
        strain,
        strain.from_bulk(bulk),
        float(bulk),
        measure_depths(positions),
    )


def _bulk(crystal: Crystal) -> int:
    """Neighbours from which on an atom is inside."""
    return crystal.coordination - (2 if crystal.coordination >= LIMITS.inside else 0)
