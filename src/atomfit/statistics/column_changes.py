"""Two images of one particle, column by column: positions and cross-sections in, what changed out.

The second image is laid on the first by a linear map (`statistics.plane_maps`), its cross-sections are put
into the units of the first (`statistics.brightness_ratio`), and columns are paired one to one within half a
distance of neighbours: what lies farther is nearer to another site. Each column is then asked whether it
changed, by a p-value, the probability that an unchanged one would look so:

- a pair by its displacement (chi-square of two degrees of freedom), and by the difference of its
  cross-sections, with what registration and the brightness of the images take from them or add. The smaller
  of the two counts, with the chance that two have to be so small: 1 - (1 - p)²;
- a column without a partner by the probability that the other image missed it
  (`statistics.image_columns_seen`), or that it is none.

All of them together are one family, and those with a q-value below the rate that is asked for have changed
(Benjamini & Hochberg 1995): they have **moved** or **changed** their cross-section (number of atoms, if
these were counted in both images), whichever is more significant, or were **lost** or **gained**. Pairs
otherwise are **common**. A column without a partner that the other image may have missed is **unseen**, and
one that lies beyond the other image is **outside**: neither is a change.

Beside it stands how probable a change is (`statistics.change_probabilities`), which weighs in how many
columns changed, and by how much.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.statistics.change_probabilities import AtomChanges
from atomfit.statistics.column_crystals import crystal_differences
from atomfit.statistics.column_pairs import ColumnPairs, measure_pairs
from atomfit.statistics.column_singles import SingleColumns, measure_singles
from atomfit.statistics.families import PlaneMaps
from atomfit.statistics.image_columns_seen import (
    DetectionLimit,
    ImageColumns,
    detection_limit,
    in_box,
    shown_box,
)
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.orientations import Shown
from atomfit.statistics.plane_maps import USUAL, PlaneMap, UsualDistortion
from atomfit.statistics.registration import Registration, mahalanobis, register_in, typical_spacing
from atomfit.statistics.rigid import along
from atomfit.statistics.significance import coherence, one_factor, q_values
from atomfit.structure.matching import match
from atomfit.structure.neighbours import CUTOFF_PER_DISTANCE

ColumnStatus = Literal["common", "moved", "changed", "lost", "gained", "unseen", "outside"]
COLUMN_STATUSES: tuple[ColumnStatus, ...] = (
    *("common", "moved", "changed", "lost", "gained", "unseen", "outside"),
)


@dataclass(frozen=True, eq=False)
class ColumnComparison:
    """Two images' columns compared: a row for each column of the first, then the second's that are alone.

    **Fields:**

    - `a`, `b`: the columns.
    - `registration`: how the second were laid on the first.
    - `b_positions`: of the second in the first's frame (Å).
    - `reach`: largest distance of a pair (Å).
    - `limits`: of detection, of the first image and of the second.
    - `paired`: what pairs differ by.
    - `first`, `second`: index of the column in either image; -1 where there is none.
    - `statuses`: what became of each.
    - `p`, `q`: of any change of the row; NaN where it was not tested.
    - `moved`, `changed`: whether a pair that changed has done so by either.
    - `single_probability`: of being lost or gained; NaN for pairs, and outside.
    """

    a: ImageColumns
    b: ImageColumns
    registration: Registration[PlaneMap]
    b_positions: Float[np.ndarray, "m 2"]
    reach: float
    limits: tuple[DetectionLimit, DetectionLimit]
    paired: ColumnPairs
    first: Int[np.ndarray, " rows"]
    second: Int[np.ndarray, " rows"]
    statuses: tuple[ColumnStatus, ...]
    p: Float[np.ndarray, " rows"]
    q: Float[np.ndarray, " rows"]
    moved: Bool[np.ndarray, " rows"]
    changed: Bool[np.ndarray, " rows"]
    single_probability: Float[np.ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def pairs(self) -> Bool[np.ndarray, " rows"]:
        """Rows of two columns."""
        return (self.first >= 0) & (self.second >= 0)

    def of_pairs(self, values: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "rows ..."]:
        """Values of pairs (fields of `paired`) as those of all rows; NaN for single columns."""
        found = np.full((len(self), *values.shape[1:]), np.nan)
        # A pair's row is that of its first column.
        found[self.paired.first] = values
        return found

    @property
    def displacements(self) -> Float[np.ndarray, "rows 2"]:
        """From the first to the second (Å); NaN for single columns."""
        return self.of_pairs(self.paired.displacements)

    @property
    def distances(self) -> Float[np.ndarray, " rows"]:
        """Of the pairs (Å); NaN for single columns."""
        return np.linalg.norm(self.displacements, axis=1)

    @property
    def esds(self) -> Float[np.ndarray, " rows"]:
        """Standard uncertainty of the distance along the displacement (Å)."""
        return self.of_pairs(along(self.paired.displacements, self.paired.covariances))

    @property
    def positions(self) -> Float[np.ndarray, "rows 2"]:
        """Of each row in the first image's frame (Å): of its first column, or its second."""
        single = self.first < 0
        found = self.a.positions[np.maximum(self.first, 0)]
        found[single] = self.b_positions[self.second[single]]
        return found

    @property
    def atoms(self) -> AtomChanges | None:
        """How many atoms pairs gained; None without counts in both images."""
        return self.paired.atoms

    @property
    def tested(self) -> int:
        """Rows of which it is known whether they changed by more than noise."""
        return int(np.isfinite(self.p).sum())

    @cached_property
    def probability(self) -> Float[np.ndarray, " rows"]:
        """Of the status that each row has; NaN where it is not known."""
        kinds = np.array(self.statuses, dtype=object)
        moved, changed = (
            self.of_pairs(x) for x in (self.paired.moved_probability, self.paired.changed_probability)
        )
        # What may have moved is not known to be common by its brightness.
        known = np.isfinite(moved)
        same = (1 - np.nan_to_num(moved)) * (1 - np.nan_to_num(changed))
        of = {
            "common": np.where(known, same, np.nan),
            "moved": moved,
            "changed": changed,
            "lost": self.single_probability,
            "gained": self.single_probability,
            "unseen": 1 - self.single_probability,
            "outside": np.full(len(self), np.nan),
        }
        return np.select([kinds == kind for kind in of], list(of.values()), np.nan)

    @cached_property
    def crystals(self) -> tuple[Float[np.ndarray, "rows 6"], Float[np.ndarray, "rows 6"]]:
        """Differences of strain and order (`CRYSTAL_DIFFERENCES`) and their esds; NaN where not known."""
        pairs = self.paired.first, self.paired.second
        found = crystal_differences(self.a.crystal, self.b.crystal, pairs, self.registration.motion)
        return self.of_pairs(found[0]), self.of_pairs(found[1])

    @cached_property
    def coherence(self) -> tuple[float, float]:
        """How much of their displacements neighbours share, of all pairs, and its standard uncertainty."""
        cutoff = CUTOFF_PER_DISTANCE * typical_spacing(self.a.positions)
        return coherence(self.a.positions[self.paired.first], self.paired.displacements, cutoff)

    @cached_property
    def one_factor(self) -> float:
        """Probability of the pairs' chi-squares if all error bars of positions are wrong by one factor."""
        squares = mahalanobis(self.paired.displacements, self.paired.covariances)
        return one_factor(squares, self.paired.scale.value, 2)

    def count(self, status: ColumnStatus) -> int:
        """Rows of a status."""
        return self.statuses.count(status)


def compare_columns(
    a: ImageColumns,
    b: ImageColumns,
    *,
    distance: float = np.inf,
    fdr: float = 0.05,
    calibrate: bool = False,
    move: bool = True,
    mirror: bool = False,
    usual: UsualDistortion = USUAL,
) -> ColumnComparison:
    """Compare the columns of two images of one particle.

    **Arguments:**

    - `a`, `b`: the columns.
    - `distance`: largest distance of a pair (Å), where half a distance of neighbours is not less.
    - `fdr`: rate of false ones among the columns that are said to have changed.
    - `calibrate`: whether error bars are multiplied by their scale before.
    - `move`: whether the second image is to be laid on the first; their frames are one if not.
    - `mirror`: whether it may be turned over for that.
    - `usual`: what is known of distortions beforehand.

    **Raises:** `InputError` if the images cannot be laid on each other.
    """
    c_a, c_b = a.filled_covariances(), b.filled_covariances()
    places, family = (a.positions, b.positions), PlaneMaps(usual, mirror)
    registration = register_in(family, *places, (c_a, c_b), move, (_mark(a), _mark(b)), _shown(a, b))
    laid = registration.motion(b.positions)
    spacing = float(np.nan_to_num(typical_spacing(a.positions), nan=1e3))
    reach = min(distance, LIMITS.column_moved * spacing)
    near = match(a.positions, laid, reach)
    paired = measure_pairs(a, b, registration, (near.found, near.known), reach, calibrate)
    limits, ratio = (detection_limit(a), detection_limit(b)), paired.brightness.value
    back = np.linalg.inv(registration.motion.matrix)
    in_b = (a.positions - registration.motion.translation) @ back.T
    alone_a = np.setdiff1d(np.arange(len(a)), near.found)
    alone_b = np.setdiff1d(np.arange(len(b)), near.known)
    lost = measure_singles(a, alone_a, b, in_b, ratio, limits[1])
    gained = measure_singles(b, alone_b, a, laid, 1 / ratio, limits[0])
    return _judged((a, b), registration, laid, reach, limits, (paired, lost, gained), fdr)


def _judged(
    images: tuple[ImageColumns, ImageColumns],
    registration: Registration[PlaneMap],
    laid: Float[np.ndarray, "m 2"],
    reach: float,
    limits: tuple[DetectionLimit, DetectionLimit],
    measured: tuple[ColumnPairs, SingleColumns, SingleColumns],
    fdr: float,
) -> ColumnComparison:
    """All rows, and which of them changed."""
    (paired, lost, gained), n = measured, len(images[0])
    rows = n + len(gained.which)
    first = np.concatenate([np.arange(n), np.full(len(gained.which), -1)])
    second = np.concatenate([np.full(n, -1), gained.which])
    second[paired.first] = paired.second
    p, single = np.full(rows, np.nan), np.full(rows, np.nan)
    p[paired.first], p[lost.which], p[n:] = paired.p, lost.p, gained.p
    single[lost.which], single[n:] = lost.probability, gained.probability
    q = q_values(p)
    called = q < fdr
    # The largest p-value that counts, and that of one of two tests.
    largest = float(np.max(p[called], initial=0.0))
    of_each = np.stack([paired.p_moved, paired.p_changed])
    tests = np.isfinite(of_each).sum(axis=0)
    least = -np.expm1(np.log1p(-largest) / np.maximum(tests, 1)) * (1 + 1e-9)
    by = np.nan_to_num(of_each, nan=1.0) <= np.where(called[paired.first], least, -1.0)
    moved, changed = np.zeros(rows, bool), np.zeros(rows, bool)
    moved[paired.first], changed[paired.first] = by
    status = np.full(rows, "common", dtype=object)
    further = np.nan_to_num(paired.p_moved, nan=1.0) <= np.nan_to_num(paired.p_changed, nan=1.0)
    kinds = np.where(further, "moved", "changed")
    status[paired.first] = np.where(called[paired.first], kinds, "common")
    for one, places, word in ((lost, lost.which, "lost"), (gained, np.arange(n, rows), "gained")):
        # Without cross-sections nothing can be said but that there is none.
        gone = called[places] | ~np.isfinite(one.p)
        status[places] = np.where(one.inside, np.where(gone, word, "unseen"), "outside")
    return ColumnComparison(
        *images,
        registration,
        laid,
        reach,
        limits,
        paired,
        first,
        second,
        tuple(status.tolist()),
        p,
        q,
        moved,
        changed,
        single,
    )


def _shown(a: ImageColumns, b: ImageColumns) -> tuple[Shown, Shown] | None:
    """Which places either image shows; None if neither's extent is known."""
    boxes = [shown_box(image) for image in (a, b)]
    if all(box is None for box in boxes):
        return None
    return _place_in(boxes[0]), _place_in(boxes[1])


def _place_in(box: Float[np.ndarray, "2 2"] | None) -> Shown:
    def shows(places: np.ndarray) -> np.ndarray:
        return np.ones(len(places), bool) if box is None else in_box(box, places)

    return shows


def _mark(image: ImageColumns) -> Float[np.ndarray, " n"]:
    """Logarithm of the brightness of columns; NaN without."""
    sizes = np.abs(image.cross_sections)
    return np.log(np.where(sizes > 0, sizes, np.nan))
