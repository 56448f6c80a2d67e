"""What the columns of an image say together: positions and cross-sections in, counts and crystals out.

Counting (`counting`) and crystallography (`plane_*`) are functions that know nothing of each other. Here
each gets what it can use: columns without a positive cross-section are not counted, uncertainties that are
none are not known. What cannot be done leaves its part out and says why, as the columns themselves are a
result without it.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.statistics.count_law import Library
from atomfit.statistics.counting import Counts, count_atoms
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_defects import (
    Dislocation,
    PlaneBoundary,
    Vacancy,
    find_boundaries,
    find_dislocations,
    find_vacancies,
)
from atomfit.statistics.plane_domains import PlaneDomains, find_domains
from atomfit.statistics.plane_gpa_columns import PhaseAtColumns, gpa_of_columns
from atomfit.statistics.plane_order import PlaneOrder, measure_order
from atomfit.statistics.plane_outline import Facet, find_facets
from atomfit.statistics.plane_sites import surroundings
from atomfit.statistics.plane_strain import PlaneReference, PlaneStrain, measure_plane_strain
from atomfit.statistics.plane_variants import Superstructure
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class Counting:
    """How columns are counted.

    **Fields:**

    - `library`: mean cross-sections; None to find the law as well.
    - `neighbours`: whether counts know that thickness changes slowly.
    - `reason`: why columns are not counted; empty if they are.
    """

    library: Library | None = None
    neighbours: bool = True
    reason: str = ""


@final
@dataclass(frozen=True, eq=False)
class ColumnStatistics:
    """Of n columns.

    **Fields:**

    - `counts`: atoms of the columns `counted`; None if they were not, and `uncounted` says why.
    - `counted`: numbers of these columns, in the order of the counts' rows.
    - `uncounted`: why columns were not counted, in words; empty if they were.
    - `library`: what they were counted by, if anything.
    - `domains`: lattices, and the site of each column.
    - `surface`: which columns lack a neighbour that their lattice has.
    - `strain`: from the reference.
    - `phase`: geometric phase analysis at the columns; None without an image.
    - `order`: of each domain, in their order; None where it could not be judged. Empty if not asked.
    - `vacant`: what the fit left at each vacancy, as a part of a column; NaN if it was not looked at.
    - `vacancies`, `dislocations`, `boundaries`, `facets`: of all domains.
    """

    counts: Counts | None
    counted: Int[np.ndarray, " m"]
    uncounted: str
    library: Library | None
    domains: PlaneDomains
    surface: Bool[np.ndarray, " n"]
    strain: PlaneStrain
    phase: PhaseAtColumns | None
    order: tuple[PlaneOrder | None, ...]
    vacant: Float[np.ndarray, " v"]
    vacancies: tuple[Vacancy, ...]
    dislocations: tuple[Dislocation, ...]
    boundaries: tuple[PlaneBoundary, ...]
    facets: tuple[Facet, ...]

    @property
    def ordered(self) -> tuple[float, float]:
        """Part of the columns that are ordered, and its standard uncertainty; NaN if none was judged."""
        judged = [one for one in self.order if one is not None]
        sizes = np.array([len(one.columns) for one in judged], float)
        if not sizes.sum():
            return np.nan, np.nan
        parts = sizes / sizes.sum()
        errors = parts * [one.fraction_esd for one in judged]
        return float(parts @ [one.fraction for one in judged]), float(np.linalg.norm(errors))

    def describe(self) -> str:
        """Atoms, lattices and defects in one line."""
        atoms = f"not counted ({self.uncounted})"
        if self.counts is not None:
            atoms = f"{self.counts.total:.1f} atoms, standard uncertainty {self.counts.total_esd:.1f}"
        told = [atoms]
        for lattice in self.domains.lattices[:1]:
            a, b = lattice.cell.lengths
            told.append(f"a {a:.3f} Å, b {b:.3f} Å, γ {lattice.cell.angle:.2f}° in {len(lattice)} columns")
        if np.isfinite(self.ordered[0]):
            told.append(f"ordered part {self.ordered[0]:.3f}, standard uncertainty {self.ordered[1]:.3f}")
        numbers = {
            "more domains": max(len(self.domains.lattices) - 1, 0),
            "vacancies": len(self.vacancies),
            "dislocations": len(self.dislocations),
            "boundaries": len(self.boundaries),
        }
        told += [f"{number} {what}" for what, number in numbers.items() if number]
        return "; ".join(told)


def measure_columns(
    positions: Float[np.ndarray, "n 2"],
    covariances: Float[np.ndarray, "n 2 2"],
    cross_sections: Float[np.ndarray, " n"],
    esds: Float[np.ndarray, " n"],
    counting: Counting,
    structure: Superstructure | None = None,
    reference: PlaneReference = "fitted",
    image: DensityMap | None = None,
) -> ColumnStatistics:
    """Count the atoms of columns, and find their lattices with all that is counted from them.

    **Arguments:**

    - `positions`, `covariances`: of the columns (Å, Å²); NaN where the latter are not known.
    - `cross_sections`, `esds`: of the columns, and their standard uncertainties, in the library's unit.
    - `counting`: how they are counted.
    - `structure`: the ordered phase that is looked for; none if not given.
    - `reference`: whose lattice strain is counted from.
    - `image`: for geometric phase analysis.
    """
    esds = np.where(np.isfinite(esds) & (esds > 0), esds, np.nan)
    known = _known(covariances)
    domains = find_domains(positions, known)
    in_lattice = float(np.mean(domains.membership >= 0)) if len(positions) else 0.0
    counts, counted, uncounted = _counts(positions, cross_sections, esds, counting, in_lattice)
    order: tuple[PlaneOrder | None, ...] = ()
    if structure is not None:
        order = measure_order(positions, domains, cross_sections, esds, structure)
    vacancies = find_vacancies(positions, known, domains)
    return ColumnStatistics(
        counts,
        counted,
        uncounted,
        counting.library,
        domains,
        _surface(positions, domains),
        measure_plane_strain(positions, known, domains, reference),
        None if image is None else gpa_of_columns(image, positions, domains),
        order,
        np.full(len(vacancies), np.nan),
        vacancies,
        find_dislocations(positions, domains),
        find_boundaries(positions, domains),
        find_facets(positions, known, domains),
    )


def _counts(
    positions: np.ndarray,
    cross_sections: np.ndarray,
    esds: np.ndarray,
    counting: Counting,
    in_lattice: float,
) -> tuple[Counts | None, Int[np.ndarray, " m"], str]:
    """Counts, of which columns, and why there are none."""
    usable = np.flatnonzero((cross_sections > 0) & np.isfinite(esds) & np.isfinite(positions).all(axis=1))
    none = np.zeros(0, int)
    if counting.reason:
        return None, none, counting.reason
    if not len(usable):
        return None, none, "no column has a cross-section that is positive, with its uncertainty"
    if counting.library is None and in_lattice < LIMITS.count_lattice:
        return None, none, "what is not in a lattice may be single atoms; give a library (--library)"
    near = positions[usable] if counting.neighbours else None
    try:
        counts = count_atoms(cross_sections[usable], esds[usable], library=counting.library, positions=near)
    except InputError as error:
        return None, none, f"{error.problem}; {error.remedy}"
    return counts, usable, ""


def _known(covariances: Float[np.ndarray, "n 2 2"]) -> Float[np.ndarray, "n 2 2"]:
    """Covariances that are symmetric and positive; NaN elsewhere."""
    even = 0.5 * (covariances + np.swapaxes(covariances, 1, 2))
    a, b, c = even[:, 0, 0], even[:, 1, 1], even[:, 0, 1]
    good = np.isfinite(even).all(axis=(1, 2)) & (a > 0) & (a * b - c * c > 0)
    return np.where(good[:, None, None], even, np.nan)


def _surface(positions: np.ndarray, domains: PlaneDomains) -> Bool[np.ndarray, " n"]:
    outer = np.zeros(len(positions), bool)
    for lattice in domains.lattices:
        around = surroundings(positions, lattice, LIMITS.plane_bond * domains.spacing)
        outer[lattice.columns] = around.surface(len(lattice))
    return outer
