"""The paper's two tests of a detected atom, each of which can be set or turned off.

**Validation correlation.** Pearson's correlation of the map with the map of identical isotropic atoms at
all detected places, over the voxels within 1.5 theoretical radii of an atom. The paper discards atoms
more than two standard deviations below the mean, which by construction discards a few per cent of a
perfect model; the published program discards those below the median by twice the median absolute
deviation, but none above 0.7 and all below 0.3. At a noise of 15 % of a core atom's peak, sound
surface atoms correlate by 0.5. The default here is therefore only to discard atoms that no statistic
can defend: those far below the rest (`automatic_deviations` of `limits`) that do not reach
`automatic_limit` either.

**Coordination number.** An atom with fewer than three neighbours is discarded, unless most atoms are
like that: a single atom, a dimer or a chain is then what the map shows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.detection.limits import LIMITS
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import find_neighbours

_CHUNK = 4096

#: A number, or "auto", "paper" or "off".
CorrelationRule = float | str


@dataclass(frozen=True)
class Rejected:
    """Atoms that were discarded.

    **Fields:**

    - `positions`: in the map's frame (Å).
    - `reasons`: of each, in words.
    """

    positions: Float[np.ndarray, "n d"]
    reasons: tuple[str, ...]


def validation_correlations(
    density: DensityMap,
    simulated: DensityMap,
    positions: Float[np.ndarray, "n d"],
    radius: float,
) -> Float[np.ndarray, " n"]:
    """Correlation of two maps in a sphere around each atom; NaN where either is constant.

    **Arguments:**

    - `density`, `simulated`: maps on one grid.
    - `positions`: of the atoms (Å).
    - `radius`: of the spheres (Å).
    """
    grid = density.grid
    offsets = grid.offsets_within(radius)
    result = np.empty(len(positions))
    for begin in range(0, len(positions), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        voxels = grid.nearest_voxels(positions[part])[:, None, :] + offsets
        inside = np.all((voxels >= 0) & (voxels < np.array(grid.shape)), axis=-1)
        voxels = np.where(inside[..., None], voxels, 0)
        result[part] = _masked_correlation(
            density.at(voxels).astype(np.float64), simulated.at(voxels).astype(np.float64), inside
        )
    return result


def _masked_correlation(
    a: Float[np.ndarray, "n k"], b: Float[np.ndarray, "n k"], mask: Bool[np.ndarray, "n k"]
) -> Float[np.ndarray, " n"]:
    count = mask.sum(axis=1, keepdims=True)
    a = np.where(mask, a - np.sum(a * mask, axis=1, keepdims=True) / count, 0.0)
    b = np.where(mask, b - np.sum(b * mask, axis=1, keepdims=True) / count, 0.0)
    scale = np.sqrt(np.sum(a * a, axis=1) * np.sum(b * b, axis=1))
    return np.divide(np.sum(a * b, axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0)


def least_correlation(values: Float[np.ndarray, " n"], rule: CorrelationRule) -> float:
    """The validation correlation below which an atom is discarded."""
    known = values[np.isfinite(values)]
    if rule == "off" or known.size == 0:
        return -np.inf
    if rule == "paper":
        return float(known.mean() - 2 * known.std())
    if rule == "auto":
        median = float(np.median(known))
        deviation = 1.4826 * float(np.median(np.abs(known - median)))
        return min(median - LIMITS.automatic_deviations * deviation, LIMITS.automatic_limit)
    return float(rule)


def few_neighbours(
    positions: Float[np.ndarray, "n d"],
    least: int,
    cutoff: float | None,
    typical: float,
) -> Bool[np.ndarray, " n"]:
    """Atoms with fewer neighbours than `least`; none if that is most of them."""
    if least <= 0 or len(positions) == 0:
        return np.zeros(len(positions), bool)
    few = find_neighbours(positions, cutoff, typical).coordination_numbers < least
    return few if few.mean() < LIMITS.lone else np.zeros(len(positions), bool)
