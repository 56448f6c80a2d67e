"""What one could do who knows the truth: the yardsticks of the study."""

import numpy as np
from jaxtyping import Bool, Float

from atomfit.structure.matching import match

#: Cuts that are tried.
_CUTS = 150


def best_picks(picks: Float[np.ndarray, "m d"], truth: Float[np.ndarray, "n d"]) -> float:
    """The largest F1 of the first so many of some places, best first."""
    cuts = np.unique(np.linspace(1, len(picks), _CUTS).astype(int))
    return max(match(picks[:cut], truth).f1 for cut in cuts)


def best_cut(
    values: Float[np.ndarray, "..."], truth: Bool[np.ndarray, "..."], level: float
) -> tuple[float, float]:
    """F1 of the voxels above a level, and above the best level."""

    def f1(cut: float) -> float:
        above = values >= cut
        return float(2 * np.sum(above & truth) / (above.sum() + truth.sum()))

    levels = np.quantile(values[truth], np.linspace(0, 0.9, _CUTS))
    return f1(level), max(f1(cut) for cut in levels)
