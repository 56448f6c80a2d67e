"""What one image says of a place and a brightness: could a column that is there have been missed?

A column of one image without a partner in the other was lost or gained only if the other image would have
shown it. It could not where it lies **outside** of the other image, or nearer to its border than two
widths of a column. Without an image's extent that of its columns has to do. If they fill a rectangle along
the axes, as a lattice does that goes on beyond the image, it is that; else their convex hull, and one and a
half distances of neighbours around it.

Nor could it if it is **too faint**. A column is found if its height, in standard deviations of what noise
makes there, is above a threshold. One deviation is, in cross-section, that of the image's own fainter
columns; the threshold is the height at which noise alone would give as many as the selection allows, by
the law of the maxima of noise, C h exp(-h²/2), but not above the faintest column that was found. C follows
from the columns' own table (`false`), or where all stand out too far for that, from the image's area and
the columns' width. A column of known cross-section and standard uncertainty is missed
with the probability that its height comes out below.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.spatial import ConvexHull, QhullError
from scipy.stats import norm

from atomfit.detection.column_filter import BROADER, roughness_of_spots
from atomfit.statistics.column_crystals import LocalCrystal
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.own_findings import OwnFinding
from atomfit.structure.neighbours import nearest_distances


@final
@dataclass(frozen=True, eq=False)
class ImageColumns:
    """The columns of one image.

    **Fields:**

    - `name`: what it is called in results.
    - `ids`, `symbols`: number and element of each column.
    - `positions`, `covariances`: (Å, Å²); covariances are NaN where unknown.
    - `cross_sections`, `cross_section_esds`: (image units x Å²); NaN where unknown.
    - `scores`, `false`: height of each column in standard deviations of noise, and how many as good noise
        alone would give; NaN where unknown.
    - `widths`: standard deviations of the columns (Å); NaN where unknown.
    - `facets`: number of the facet that it is in the outermost layer of; 0 for none.
    - `probabilities`: of 1, 2, ..., k atoms in each column, NaN where it was not counted; None without.
    - `law`: mean cross-section of columns of 1, 2, ..., k atoms; None without.
    - `fdr`: rate of false columns that was asked for.
    - `corners`: of the image, lowest and highest x and y of its pixels' borders (Å); None if not known.
    - `indices`: (h, k) of each facet, or none.
    - `crystal`: strain and order around each column; None without.
    - `own_findings`: what speaks against them by themselves.
    """

    name: str
    ids: np.ndarray
    symbols: tuple[str, ...]
    positions: Float[np.ndarray, "n 2"]
    covariances: Float[np.ndarray, "n 2 2"]
    cross_sections: Float[np.ndarray, " n"]
    cross_section_esds: Float[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    false: Float[np.ndarray, " n"]
    widths: Float[np.ndarray, " n"]
    facets: np.ndarray
    probabilities: Float[np.ndarray, "n k"] | None = None
    law: Float[np.ndarray, " k"] | None = None
    fdr: float = 0.05
    corners: Float[np.ndarray, "2 2"] | None = None
    indices: tuple[tuple[int, int] | None, ...] = ()
    crystal: LocalCrystal | None = None
    own_findings: tuple[OwnFinding, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def counted(self) -> Bool[np.ndarray, " n"]:
        """Columns whose atoms were counted."""
        if self.probabilities is None or self.law is None:
            return np.zeros(len(self), bool)
        return np.isfinite(self.probabilities).all(axis=1)

    @property
    def certain(self) -> Bool[np.ndarray, " n"]:
        """Columns whose positions have standard uncertainties."""
        return np.isfinite(self.covariances).all(axis=(1, 2))

    def filled_covariances(self) -> Float[np.ndarray, "n 2 2"] | None:
        """Of the positions (Å²); a column without has the others' median. None if none has any."""
        known = self.certain
        if not known.any():
            return None
        usual = float(np.median(np.trace(self.covariances[known], axis1=1, axis2=2))) / 2
        return np.where(known[:, None, None], self.covariances, usual * np.eye(2))

    def expected_atoms(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Mean and variance of each column's number of atoms; NaN where it was not counted."""
        p = self.probabilities
        if p is None:
            return np.full(len(self), np.nan), np.full(len(self), np.nan)
        n = np.arange(1, p.shape[1] + 1)
        mean = p @ n / p.sum(axis=1)
        return mean, np.maximum(p @ n**2 / p.sum(axis=1) - mean**2, 0.0)


@final
@dataclass(frozen=True)
class DetectionLimit:
    """What an image shows.

    **Fields:**

    - `noise`: standard deviation of the cross-section of a faint column.
    - `height`: the least, in these, of a column that is found.
    - `known`: whether heights and their law are; else it is that of the faintest column that was found.
    """

    noise: float
    height: float
    known: bool

    @property
    def cross_section(self) -> float:
        """Of a column that is found in half of all cases."""
        return self.noise * self.height

    def missed(
        self, sizes: Float[np.ndarray, " n"], esds: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Probability that columns of these cross-sections are not found; one where that is not known.

        **Arguments:**

        - `sizes`, `esds`: cross-sections and standard uncertainties, in the units of the image.
        """
        spread = np.hypot(self.noise, np.nan_to_num(esds))
        p = norm.cdf((self.cross_section - np.abs(sizes)) / spread)
        return np.where(np.isfinite(sizes) & np.isfinite(self.noise), p, 1.0)


def detection_limit(image: ImageColumns) -> DetectionLimit:
    """What an image would have shown; see the head of this module.

    **Arguments:**

    - `image`: its columns.
    """
    sizes, scores = np.abs(image.cross_sections), image.scores
    have = np.isfinite(sizes) & (sizes > 0)
    scored = have & (scores > 0)
    if not scored.any():
        faintest = float(sizes[have].min()) if have.any() else np.nan
        errors = image.cross_section_esds[have & (image.cross_section_esds > 0)]
        noise = float(np.median(errors)) if len(errors) else faintest / 3
        return DetectionLimit(noise, faintest / noise, False)
    fainter = scored & (sizes <= np.median(sizes[scored]))
    noise = float(np.median(sizes[fainter] / scores[fainter]))
    height = float(scores[scored].min())
    law = scored & (image.false > 0) & (scores > 2) & (scores < 30)
    widths = image.widths[image.widths > 0]
    if law.any():
        log_c = float(np.median(np.log(image.false[law]) - np.log(scores[law]) + scores[law] ** 2 / 2))
    elif len(widths):
        resels = _area(image) * roughness_of_spots(float(np.median(widths)), BROADER)
        log_c = float(np.log(max(resels, 1.0) * (2 * np.pi) ** -1.5))
    else:
        return DetectionLimit(noise, height, False)
    by_law = _height_of(log_c - np.log(image.fdr * max(len(image), 1)))
    return DetectionLimit(noise, min(height, by_law), True)


def _area(image: ImageColumns) -> float:
    """Of the image, or of its columns' hull (Å²)."""
    if image.corners is not None:
        return float(np.prod(image.corners[1] - image.corners[0]))
    try:
        return float(ConvexHull(image.positions).volume)
    except QhullError:
        return 0.0


def _height_of(log_c: float) -> float:
    """Where C h exp(-h²/2) is one, beyond its maximum."""
    if log_c <= 0.5:
        return 1.0
    return float(brentq(lambda h: log_c + np.log(h) - h * h / 2, 1.0, 40.0 + 2 * log_c))


def shown_box(image: ImageColumns) -> Float[np.ndarray, "2 2"] | None:
    """Lowest and highest x and y at which an image shows columns (Å); None if that is not known.

    That of its pixels, less a border. Without, columns that fill a rectangle along the axes end where the
    image does, and not where a particle does.
    """
    if image.corners is not None:
        widths = image.widths[image.widths > 0]
        border = LIMITS.column_border * (float(np.median(widths)) if len(widths) else 0.5)
        return np.stack([image.corners[0] + border, image.corners[1] - border])
    if len(image) < LIMITS.column_box_columns:
        return None
    low, high = image.positions.min(axis=0), image.positions.max(axis=0)
    try:
        hull = float(ConvexHull(image.positions).volume)
    except QhullError:
        return None
    if not hull > LIMITS.column_box * float(np.prod(high - low)):
        return None
    beyond = LIMITS.plane_site * float(np.median(nearest_distances(image.positions)))
    return np.stack([low - beyond, high + beyond])


def in_box(box: Float[np.ndarray, "2 2"], places: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """Which places lie between the lowest and the highest x and y."""
    return np.asarray(np.all((places > box[0]) & (places < box[1]), axis=1))


def inside(image: ImageColumns, places: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """Which places the image would show a column at (Å, its own frame)."""
    box = shown_box(image)
    if box is not None:
        return in_box(box, places)
    beyond = LIMITS.column_beyond * float(np.nan_to_num(np.median(nearest_distances(image.positions))))
    try:
        sides = ConvexHull(image.positions).equations
    except QhullError:
        return np.zeros(len(places), bool)
    return np.asarray((places @ sides[:, :2].T + sides[:, 2]).max(axis=1, initial=-np.inf) < beyond)
