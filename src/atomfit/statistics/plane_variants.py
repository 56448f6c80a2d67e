"""What order does to the columns of a lattice: the variants of a superstructure, and who borders on whom.

Columns of an alloy that is ordered lie where those of a disordered one do, and differ in what they are
made of. In L1_0 and B2 every second row of the projection is richer in one element; which rows, and where
the first one is, makes six variants of a lattice with one column in its cell: two phases of rows along a,
b and between. In L1_2 along [100] one of four columns is the minority's, which makes four; along [110]
they are rows again. Sites are told apart by their parity. If the cell itself has two columns, either may
be the richer.

A variant is what each class of sites has in excess of the mean, in units of the contrast. Projections in
which all columns are alike (L1_0 along [110], c not in the plane) cannot be told from disorder.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.plane_lattice import PlaneLattice

Superstructure = Literal["L1_0", "L1_2", "B2"]

_ROWS = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], float)
_CORNERS = (4 * np.eye(4) - 1) / 3


@dataclass(frozen=True, eq=False)
class Variants:
    """Of a superstructure on a domain of m columns.

    **Fields:**

    - `classes`: of the sites.
    - `excess`: of each variant's classes; their mean is zero.
    - `kinds`: variants of one kind differ by a translation; between others the axes turn.
    """

    classes: Int[np.ndarray, " m"]
    excess: Float[np.ndarray, "v c"]
    kinds: Int[np.ndarray, " v"]


def variants(lattice: PlaneLattice, structure: Superstructure) -> Variants | None:
    """All variants of a superstructure; None if the cell has more columns than it has.

    **Arguments:**

    - `lattice`: of the domain.
    - `structure`: its name.
    """
    count = len(lattice.origins)
    if count > 2:
        return None
    if count == 2:
        return Variants(lattice.sublattices, np.array([[1.0, -1], [-1, 1]]), np.zeros(2, int))
    classes = lattice.sites[:, 0] % 2 * 2 + lattice.sites[:, 1] % 2
    rows = np.concatenate([sign * _ROWS[kind : kind + 1] for kind in range(3) for sign in (1, -1)])
    if structure == "L1_2":
        return Variants(classes, np.concatenate([_CORNERS, rows]), np.repeat([0, 1, 2, 3], [4, 2, 2, 2]))
    return Variants(classes, rows, np.repeat([0, 1, 2], 2))
