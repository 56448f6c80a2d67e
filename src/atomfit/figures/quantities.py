"""Statistics of atoms as axes call them: in words, with their units."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class Quantity:
    """A column as an axis.

    **Fields:**

    - `name`: of the column.
    - `label`: of the axis, with the unit.
    - `factor`: from the column's unit to the axis's.
    """

    name: str
    label: str
    factor: float = 1.0

    def of(self, columns: Table) -> Float[np.ndarray, " n"]:
        """The numbers of a table in the axis's unit; NaN where they are not known."""
        n = len(next(iter(columns.values())))
        values = columns.get(self.name)
        return np.full(n, np.nan) if values is None else self.factor * np.asarray(values, np.float64)


_percent = partial(Quantity, factor=100.0)

U_ISO = Quantity("u_iso", "isotropic displacement\n$U_{iso}$ (Å$^2$)")
CN = Quantity("cn", "coordination number")
GCN = Quantity("gcn", "generalised\ncoordination number")
DOI = Quantity("doi", "degree of isotropy")
BOND = Quantity("nn_distance", "nearest-neighbour\ndistance (Å)")
INTENSITY = Quantity("max_intensity", "maximum intensity\n(map units)")
INTENSITY_Z = Quantity("max_intensity_z", "maximum intensity\n(z-score)")
VALIDATION = Quantity("validation_correlation", "validation correlation")
STRAIN = _percent("strain_radial", "radial strain, from\nthe fitted lattice (%)")
BULK_STRAIN = _percent("strain_radial_bulk", "radial strain,\nfrom the bulk (%)")
DEPTH = Quantity("radial_depth", r"radial depth $R_{NP} - R$ (Å)")

CROSS_SECTION = Quantity("cross_section", "cross-section\n(image units x Å$^2$)")
COUNT = Quantity("count", "atoms in the column")
HEIGHT = Quantity("height", "atoms in the column")
SET_SIZE = Quantity("set_size", "heights that it may have (90 %)")
SPACING = Quantity("nn_distance", "distance to the\nnearest column (Å)")
X_ESD = Quantity("x_esd", "standard uncertainty\nof x (pm)", factor=100.0)
Y_ESD = Quantity("y_esd", "standard uncertainty\nof y (pm)", factor=100.0)
E_XX = _percent("e_xx", r"strain $\epsilon_{xx}$ (%)")
E_YY = _percent("e_yy", r"strain $\epsilon_{yy}$ (%)")
E_XY = _percent("e_xy", r"strain $\epsilon_{xy}$ (%)")
