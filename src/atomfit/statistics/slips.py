"""Whether a part of a particle lies shifted against the rest: displacements of pairs in, the slip out.

A linear map takes half of a particle that slipped, or of a scan that jumped, for a shear: it leaves
displacements that rise to the line between the parts on either side and are reversed there. So a step
is fitted beside the map, d = L(x) + s H(n·x - c), for lines of all directions n and places c. What it
explains of chi-square, two degrees of freedom for one line, is compared with chance, as so many lines
were tried.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from atomfit.statistics.significance import chi_square_scale

#: Directions and places of lines, and columns on either side at least.
_DIRECTIONS, _PLACES, _FEWEST = 36, 40, 8


@final
@dataclass(frozen=True, eq=False)
class Slip:
    """The likeliest step.

    **Fields:**

    - `shift`, `esd`: of the part beyond the line against the rest (Å), and its standard uncertainty along
        an axis.
    - `normal`, `place`: of the line, n·x = c (Å).
    - `beyond`: columns beyond it.
    - `explained`: part of the chi-square beyond that of noise which it explains.
    - `by_chance`: probability that the best of all lines explains as much of noise.
    """

    shift: Float[np.ndarray, "2"]
    esd: float
    normal: Float[np.ndarray, "2"]
    place: float
    beyond: int
    explained: float
    by_chance: float


def find_slip(
    positions: Float[np.ndarray, "n 2"],
    displacements: Float[np.ndarray, "n 2"],
    variances: Float[np.ndarray, " n"],
) -> Slip | None:
    """The step that explains most of displacements; None of too few columns.

    **Arguments:**

    - `positions`, `displacements`: of pairs (Å), after a linear map.
    - `variances`: of the displacements along an axis (Å²); NaN where not known.
    """
    known = np.isfinite(variances) & (variances > 0)
    x, d, w = positions[known], displacements[known], 1 / variances[known]
    if len(x) < 2 * _FEWEST + 6:
        return None
    root = np.sqrt(w)[:, None]
    basis, _ = np.linalg.qr(root * np.column_stack([np.ones(len(x)), x - x.mean(axis=0)]))
    left = root * d - basis @ (basis.T @ (root * d))
    total, best = float(np.sum(left**2)), None
    for angle in np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS:
        normal = np.array([np.cos(angle), np.sin(angle)])
        along = x @ normal
        inner = np.sort(along)[_FEWEST:-_FEWEST]
        places = 0.5 * (inner[1:] + inner[:-1])[:: 1 + len(inner) // _PLACES]
        steps = root * (along[:, None] > places)
        steps = steps - basis @ (basis.T @ steps)
        sizes = np.sum(steps**2, axis=0)
        shifts = steps.T @ left / np.maximum(sizes, 1e-12)[:, None]
        gains = np.sum(shifts**2, axis=1) * sizes
        k = int(np.argmax(gains))
        if best is None or gains[k] > best[0]:
            best = float(gains[k]), shifts[k], float(sizes[k]), normal, float(places[k]), along
    if best is None:
        return None
    gain, shift, size, normal, place, along = best
    freedom = 2 * (len(x) - 5)
    # Error bars that are too small by one factor explain nothing by steps.
    after = (
        left
        - (root * (along[:, None] > place) - basis @ (basis.T @ (root * (along[:, None] > place)))) * shift
    )
    scale = max(float(np.nan_to_num(chi_square_scale(np.sum(after**2, axis=1), 2).value, nan=1.0)), 1.0)
    tried = _DIRECTIONS * _PLACES
    return Slip(
        shift,
        scale * size**-0.5,
        normal,
        place,
        int((along > place).sum()),
        gain / max(total - freedom * scale**2, gain),
        min(1.0, tried * float(chi2.sf(gain / scale**2, 2))),
    )
