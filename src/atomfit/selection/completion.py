"""Atoms that the fit asks for, and atoms that it can do without.

A joint fit of the detected atoms says where another would be (`scores`), and how far each of its own stands
out from the noise. Maxima of the scores are added, atoms that noise could have made are taken away, and
the fit is repeated, until nothing changes. An atom that was taken away is not tried again, so that this
ends. As in detection, an atom has neighbours: a maximum in the emptiness is none.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.detection.detect import Detection, correlations_with_identical_atoms
from atomfit.detection.mean_atom import CLOSEST
from atomfit.detection.peaks import local_maxima
from atomfit.detection.validation import Rejected, few_neighbours
from atomfit.elements import Element
from atomfit.fitting.joint import JointFit
from atomfit.grid import DensityMap
from atomfit.selection.scores import scores

#: Fits after the first, at most.
MOST_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Changes:
    """What a fit says of its atoms.

    **Fields:**

    - `kept`: which of the fitted atoms stand out from the noise.
    - `standing`: by how many standard deviations each does.
    - `added`: places of further ones (Å).
    - `scores`: of these.
    - `least`: the number of standard deviations that noise alone is not expected to exceed.
    """

    kept: Bool[np.ndarray, " n"]
    standing: Float[np.ndarray, " n"]
    added: Float[np.ndarray, "m d"]
    scores: Float[np.ndarray, " m"]
    least: float

    @property
    def any(self) -> bool:
        """Whether anything is to change."""
        return bool(len(self.added)) or not self.kept.all()

    def describe(self) -> str:
        """What is to change, in words."""
        parts = []
        if len(self.added):
            low, high = self.scores.min(), self.scores.max()
            parts.append(f"{len(self.added)} atoms added that the residual has ({low:.1f} to {high:.1f} σ)")
        if not self.kept.all():
            parts.append(f"{np.sum(~self.kept)} removed that noise could have made")
        return f"selection, at {self.least:.1f} σ: {'; '.join(parts) or 'nothing to change'}"


def changes(
    density: DensityMap,
    detection: Detection,
    fit: JointFit,
    element: Element,
    min_coordination: int = 3,
    cutoff: float | None = None,
) -> Changes:
    """What a fit of the detected atoms says of them.

    **Arguments:**

    - `density`: the map.
    - `detection`: the atoms that were fitted; places that it has rejected are not tried again.
    - `fit`: their fit.
    - `element`: of the atoms.
    - `min_coordination`, `cutoff`: of an atom that is added, as for `detect`.
    """
    found, least = scores(density, fit)
    standing = fit.uncertainty.standing
    kept = ~(standing < least)
    apart = CLOSEST * element.neighbour_distance
    voxels = local_maxima(found, least, apart)
    places = density.grid.positions_of(voxels)
    free = _far(places, fit.fitted.positions[kept], apart) & _far(
        places, detection.rejected.positions, apart / 2
    )
    places, heights = places[free], found.at(voxels[free])
    together = np.concatenate([fit.fitted.positions[kept], places])
    few = few_neighbours(together, min_coordination, cutoff, element.neighbour_distance)[kept.sum() :]
    return Changes(kept, standing, places[~few], heights[~few], least)


def changed(density: DensityMap, detection: Detection, change: Changes, element: Element) -> Detection:
    """A detection with atoms added and removed; those that stay are where they were detected."""
    positions = np.concatenate([detection.positions[change.kept], change.added])
    removed = np.flatnonzero(~change.kept)
    reasons = tuple(f"stands out by {change.standing[i]:.1f} σ, below {change.least:.1f}" for i in removed)
    before = detection.rejected
    return replace(
        detection,
        positions=positions,
        correlations=correlations_with_identical_atoms(density, positions, detection.mean_atom, element),
        rejected=Rejected(
            np.concatenate([before.positions, detection.positions[removed]]), (*before.reasons, *reasons)
        ),
    )


def _far(
    places: Float[np.ndarray, "m d"], others: Float[np.ndarray, "n d"], distance: float
) -> Bool[np.ndarray, " m"]:
    """Which places are farther than a distance from all others."""
    if not len(others) or not len(places):
        return np.ones(len(places), bool)
    return np.asarray(cKDTree(others).query(places)[0]) > distance
