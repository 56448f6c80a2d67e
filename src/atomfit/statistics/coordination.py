"""What an atom's coordination number leaves out: its neighbours' own, and how sure the count is.

The generalised coordination number weighs each neighbour by its own coordination number (Calle-Vallejo et
al. 2014). Two normalisations are in use: by the largest among the neighbours (the paper, which is `gcn_max`
here), and by that of the bulk, 12 in fcc (`gcn`, the field's usual one, by which adsorption energies are
tabulated).

A neighbour counts if it is nearer than the cutoff. Its distance has an uncertainty, so that it counts with
a probability; the coordination number then has an expectation and a standard deviation, which are those
of independent neighbours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from atomfit.statistics.bonds import Bonds

#: Bonds so much longer than the cutoff are looked at, for they may be shorter.
_MARGIN = 1.15


@dataclass(frozen=True, eq=False)
class Coordination:
    """Of n atoms; NaN where there are no neighbours, or errors are not known.

    **Fields:**

    - `generalised`: by the bulk's coordination number.
    - `generalised_max`: by the largest among the neighbours.
    - `expected`, `errors`: of the coordination number, and its standard deviation.
    """

    generalised: Float[np.ndarray, " n"]
    generalised_max: Float[np.ndarray, " n"]
    expected: Float[np.ndarray, " n"]
    errors: Float[np.ndarray, " n"]


def measure_coordination(
    positions: Float[np.ndarray, "n 3"],
    cutoff: float,
    errors: Float[np.ndarray, "n 3"],
    bulk: int = 12,
) -> Coordination:
    """Generalised coordination numbers, and how sure plain ones are.

    **Arguments:**

    - `positions`: of the atoms (Å).
    - `cutoff`: distance within which atoms are neighbours (Å).
    - `errors`: standard uncertainties of positions (Å); NaN where not known.
    - `bulk`: coordination number of an atom in the bulk.
    """
    bonds = Bonds.of(positions, cutoff)
    cn = bonds.coordination_numbers.astype(float)
    total = bonds.sum_at(cn[bonds.end])
    largest = np.zeros(len(cn))
    np.maximum.at(largest, bonds.begin, cn[bonds.end])
    wide = Bonds.of(positions, _MARGIN * cutoff)
    length = np.sqrt(wide.squares)
    direction = wide.vectors / length[:, None]
    variance = np.sum(direction**2 * (errors[wide.begin] ** 2 + errors[wide.end] ** 2), axis=1)
    inside = ndtr((cutoff - length) / np.sqrt(np.maximum(variance, 1e-12)))
    known = np.isfinite(errors).all(axis=1)
    expected = np.where(known, wide.sum_at(inside), np.nan)
    deviation = np.sqrt(wide.sum_at(inside * (1 - inside)))
    with np.errstate(invalid="ignore"):
        by_largest = np.where(cn > 0, total / largest, np.nan)
    return Coordination(
        np.where(cn > 0, total / bulk, np.nan),
        by_largest,
        expected,
        np.where(known, deviation, np.nan),
    )
