"""Where one more atom may be, and what noise makes at such places.

A candidate is a maximum of the scores an atom's distance away from all atoms, with neighbours enough. A
decoy is a hollow of which the same holds. But where a bump was taken for an atom, no hollow can be, and a
fit lowers the hollows between its atoms: decoys at the end of a fit are fewer than bumps were at its
beginning, when atoms were chosen. So hollows keep their distance from those atoms only that are beyond
doubt; and there are reckoned to be no fewer in the volume than the same volume has far from all atoms,
where there are only bumps and hollows of noise, many of them, and no fit touches them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.detection.peaks import local_maxima
from atomfit.selection.limits import LIMITS
from atomfit.structure.grid import DensityMap

#: Places by which volumes are measured.
_PLACES = 40_000


@dataclass(frozen=True, eq=False)
class Vacancy:
    """The places that an atom may have beside others.

    **Fields:**

    - `field`: scores of one more atom at each voxel (standard deviations).
    - `atoms`: positions of those there are (Å).
    - `apart`: least distance of two atoms (Å).
    - `cutoff`: distance to which atoms are neighbours (Å).
    - `neighbours`: how many of them an atom must have.
    """

    field: DensityMap
    atoms: Float[np.ndarray, "n d"]
    apart: float
    cutoff: float
    neighbours: int

    def candidates(self) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        """Positions (Å) and scores of bumps where an atom may be, highest first."""
        places, scores = self._bumps
        allowed = self._allowed(places, self.atoms)
        return places[allowed], scores[allowed]

    def decoys(self, clear: Bool[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " k"], float]:
        """Scores of hollows where an atom might be, and how many noise is expected to make there.

        **Arguments:**

        - `clear`: atoms that are beyond doubt.
        """
        beside = self.atoms[clear]
        places, scores = self._hollows
        found = scores[self._allowed(places, beside)]
        far = sum(int(np.count_nonzero(self._far(some))) for some, _ in (self._bumps, self._hollows))
        if far < LIMITS.fewest_far:
            return found, float(len(found))
        inside = int(np.count_nonzero(self._allowed(self._sample, beside)))
        outside = int(np.count_nonzero(self._far(self._sample)))
        return found, max(float(len(found)), 0.5 * far * inside / max(outside, 1))

    @cached_property
    def _bumps(self) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        return self._maxima(+1)

    @cached_property
    def _hollows(self) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        return self._maxima(-1)

    def _maxima(self, sign: int) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        field = self.field.with_values(sign * self.field.values)
        voxels = local_maxima(field, LIMITS.lowest, self.apart)
        return field.grid.positions_of(voxels), field.at(voxels).astype(np.float64)

    @cached_property
    def _sample(self) -> Float[np.ndarray, "p d"]:
        """Places all over the map."""
        shape = np.array(self.field.grid.shape)
        voxels = np.random.default_rng(0).integers(shape, size=(_PLACES, len(shape)))
        return self.field.grid.positions_of(voxels)

    def _allowed(
        self, places: Float[np.ndarray, "m d"], beside: Float[np.ndarray, "k d"]
    ) -> Bool[np.ndarray, " m"]:
        """Which places are far enough from some of the atoms, and have enough of all for neighbours."""
        near = cKDTree(beside).query_ball_point(places, self.apart, return_length=True)
        around = self._tree.query_ball_point(places, self.cutoff, return_length=True)
        return (np.asarray(near) == 0) & (np.asarray(around) >= self.neighbours)

    def _far(self, places: Float[np.ndarray, "m d"]) -> Bool[np.ndarray, " m"]:
        """Which places no atom has to do with."""
        return np.asarray(self._tree.query(places)[0]) > LIMITS.far * self.cutoff

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.atoms)
