"""Which of many motions lays one model on the other as it was.

In a near-crystal wrong orientations lay nearly all atoms on each other, so candidates
are judged by their likelihood, atom by atom: an atom lies about its partner as a Gaussian has it, or it
is one of the tenth that has nothing to do with the other model and lies anywhere. An atom more on its
place counts for much, a little less noise over all atoms for little. Of two candidates neither is better
if they lay as many atoms on others (their difference is less than three in the logarithm) and if the
difference in the noise of the others is less than 2.5 times its own standard error, as Vuong (1989) tests
models that are no part of each other. Among such equals, which a perfect cluster's symmetry makes, the
smallest rotation is taken; how many there were is reported.

Columns of images have a brightness as well, which tells orientations apart that positions do not. A pair
counts for more where its brightnesses agree as those of most pairs of the best candidate do, and for less
where they differ as those of any two columns: by the logarithm of the ratio of the two densities. Their
positions err by very different amounts, those of faint columns most, so that the noise of each pair is in
the ratio of its error bars.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.stats import chi2

from atomfit.statistics.limits import LIMITS

#: Least noise along an axis (Å): models without any are compared too.
LEAST_NOISE = 1e-3
#: Part of the atoms that lie anywhere.
_ANYWHERE = 0.1
#: Rotations of a plane that differ by less are one, but for noise (degrees).
_ALIKE = 5.0
#: Standard deviation of brightness of which a normal distribution's half lies within one.
_HALF = 0.6744897501960817


@runtime_checkable
class Laying(Protocol):
    """What lays one model on another."""

    @property
    def angle(self) -> float:
        """Of its rotation (degrees)."""

    @property
    def still(self) -> Any:
        """The one that moves nothing."""

    def __call__(self, positions: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Positions in the first model's frame (Å)."""

    def alike(self, other: Any, middle: Float[np.ndarray, " d"]) -> bool:
        """Whether two are one, but for noise; `middle`: of the second model's atoms (Å)."""


M = TypeVar("M", bound=Laying)
#: Logarithms of the brightness of columns in either image; NaN where it has none.
Marks = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]
#: Variances of the atoms of either model along an axis (Å²).
Variances = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]


def likeliest(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    motions: Sequence[M],
    tolerance: float,
    marks: Marks | None = None,
    variances: Variances | None = None,
) -> tuple[M, int, int | None]:
    """The likeliest motion, how many others are as good, and the near pairs of the best that is not.

    **Arguments:**

    - `a`, `b`: positions of two models (Å).
    - `motions`: candidates, at least one, each settled.
    - `tolerance`: largest distance of a near pair (Å), `near` (`limits`) of a neighbour distance.
    - `marks`: by which atoms differ besides.
    - `variances`: of each atom's position along an axis (Å²), up to a common factor; alike if not given.
    """
    d = a.shape[1]
    pairs = [near_pairs(a, motion(b), tolerance) for motion in motions]
    counts = np.array([len(i) for i, _, _ in pairs])
    first = int(np.argmax(counts))
    if counts[first] < 3:
        return motions[0].still, 0, None
    of_pairs = [
        np.ones(len(i)) if variances is None else variances[0][i] + variances[1][j] for i, j, _ in pairs
    ]
    factor = float(np.median(pairs[first][2] ** 2 / of_pairs[first])) / float(chi2.ppf(0.5, d))
    # The volume of an atom in a close packing, in which it would lie anywhere; in a plane the area.
    volume = (tolerance / LIMITS.near) ** d * (3**0.5 / 2 if d == 2 else 1 / 2**0.5)
    gains = np.zeros((len(motions), len(a)))
    for row, (i, _, distances), each in zip(gains, pairs, of_pairs, strict=True):
        noise = np.maximum(factor * each, LEAST_NOISE**2)
        by_place = np.log((1 - _ANYWHERE) / _ANYWHERE * volume / (2 * np.pi * noise) ** (d / 2))
        row[i] = np.maximum(by_place - 0.5 * distances**2 / noise, 0.0)
    there = gains > 0
    if marks is not None:
        gains = gains + _marked(pairs, marks, gains.shape) * there
        # A column far from its partner is faint or has moved, and is no reason to prefer another way.
        for row, (i, _, _) in zip(there, pairs, strict=True):
            row[i] = True
    best, middle = int(np.argmax(gains.sum(axis=1))), b.mean(axis=0)
    equal = np.array(
        [_as_good(row, gains[best], one & there[best]) for row, one in zip(gains, there, strict=True)]
    )
    angles = np.array([motion.angle for motion in motions])
    # Several starts may have come to one orientation; in a plane they may differ by a shift as well, and
    # the likeliest of these is taken.
    least = equal & (angles <= angles[equal].min() + (_ALIKE if d == 2 else 0.0))
    chosen = int(np.flatnonzero(least)[np.argmax(gains[least].sum(axis=1))])
    equals = _distinct([motion for motion, same in zip(motions, equal, strict=True) if same], middle) - 1
    others = [
        int(count)
        for motion, count, same in zip(motions, counts, equal, strict=True)
        if not same and not motion.alike(motions[chosen], middle)
    ]
    return motions[chosen], equals, max(others, default=None)


def _marked(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], marks: Marks, shape: tuple[int, ...]
) -> Float[np.ndarray, "k n"]:
    """What brightnesses of pairs say for each candidate; see the head of this module."""
    found, apart = np.zeros(shape), np.full(shape, np.nan)
    for row, (i, j, _) in zip(apart, pairs, strict=True):
        off = marks[0][i] - marks[1][j]
        known = np.isfinite(off)
        if known.any():
            # One image may be brighter as a whole.
            row[i[known]] = off[known] - np.median(off[known])
    if not np.isfinite(apart).any():
        return found
    spreads = [float(np.nanstd(one)) if np.isfinite(one).any() else 0.0 for one in marks]
    wide = float(np.hypot(spreads[0], spreads[1]))
    known = np.isfinite(apart)
    # Only of candidates with about as many pairs: few pairs agree by chance.
    many = known.sum(axis=1) >= 0.5 * known.sum(axis=1).max()
    halves = [
        float(np.median(np.abs(row[have]))) for row, have in zip(apart[many], known[many], strict=True)
    ]
    narrow = max(min(halves) / _HALF, 1e-3)
    if not wide > narrow:
        return found
    log_ratio = -0.5 * (apart[known] / narrow) ** 2 + 0.5 * (apart[known] / wide) ** 2
    found[known] = np.log((1 - _ANYWHERE) * wide / narrow * np.exp(log_ratio) + _ANYWHERE)
    return found


def _as_good(
    gains: Float[np.ndarray, " n"], best: Float[np.ndarray, " n"], both: Bool[np.ndarray, " n"]
) -> bool:
    """Whether a candidate cannot be told from the best; see the head of this module."""
    lost = best - gains
    by_noise, error = lost[both].sum(), np.std(lost[both]) * both.sum() ** 0.5 if both.any() else 0.0
    return bool(
        lost[~both].sum() <= LIMITS.equal_atoms and by_noise <= LIMITS.equal_noise * max(error, 1.0)
    )


def _distinct(motions: Sequence[M], middle: Float[np.ndarray, " d"]) -> int:
    kept: list[M] = []
    for motion in motions:
        if not any(motion.alike(other, middle) for other in kept):
            kept.append(motion)
    return len(kept)


def near_pairs(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], tolerance: float
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Atoms that are each other's nearest, and their distances (Å)."""
    distances, to_b = cKDTree(b).query(a, distance_upper_bound=tolerance)
    _, to_a = cKDTree(a).query(b, distance_upper_bound=tolerance)
    i = np.flatnonzero(np.isfinite(distances))
    i = i[to_a[to_b[i]] == i]
    return i, to_b[i], distances[i]
