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

A lattice that fills an image ends where the image does. A column that comes to lie beyond the other image
has no partner there and needs none: it counts as half a pair, so that such a lattice is not laid on with
the largest overlap, but where brightness, holes and displacements agree. Where these do not tell, steps of
the lattice are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.stats import chi2, norm

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.orientations import Shown

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

    def back(self, positions: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Positions of the first model in the second's frame (Å)."""

    def alike(self, other: Any, middle: Float[np.ndarray, " d"]) -> bool:
        """Whether two are one, but for noise; `middle`: of the second model's atoms (Å)."""


M = TypeVar("M", bound=Laying)
#: Logarithms of the brightness of columns in either image; NaN where it has none.
Marks = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]
#: Variances of the atoms of either model along an axis (Å²).
Variances = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]


@final
@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the atoms of two models besides their places.

    **Fields:**

    - `marks`: by which they differ; None if they do not.
    - `variances`: of each atom's position along an axis (Å²), up to a common factor; None if alike.
    - `shown`: which places either image shows, where columns may lie beyond; None if none may.
    """

    marks: Marks | None = None
    variances: Variances | None = None
    shown: tuple[Shown, Shown] | None = None

    def some(self, which: Int[np.ndarray, " k"]) -> "Known":
        """The same with some atoms of the second model only."""
        marks = None if self.marks is None else (self.marks[0], self.marks[1][which])
        variances = None if self.variances is None else (self.variances[0], self.variances[1][which])
        return Known(marks, variances, self.shown)


@final
@dataclass(frozen=True, eq=False)
class Likeliest(Generic[M]):
    """The motion that was chosen.

    **Fields:**

    - `motion`: the likeliest, or of equal ones that with the smallest rotation.
    - `others`: those that are as good.
    - `agree`: pairs of the chosen one, and half of the columns that lie beyond the other image.
    - `next_best`: the same of the best that is not as good; None if there is none.
    """

    motion: M
    others: tuple[M, ...]
    agree: int
    next_best: int | None


def likeliest(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    motions: Sequence[M],
    tolerance: float,
    known: Known = Known(),
) -> Likeliest[M]:
    """The likeliest motion, which others are as good, and how many pairs the best has that is not.

    **Arguments:**

    - `a`, `b`: positions of two models (Å).
    - `motions`: candidates, at least one, each settled.
    - `tolerance`: largest distance of a near pair (Å), `near` (`limits`) of a neighbour distance.
    - `known`: of the atoms besides.
    """
    d, middle = a.shape[1], b.mean(axis=0)
    found = _evidence(a, b, motions, tolerance, known)
    if found is None:
        return Likeliest(motions[0].still, (), 0, None)
    gains, there, beyond, pairs = found
    totals, either = gains.sum(axis=1), there | beyond
    best = int(np.argmax(totals))
    # Of as many steps of a lattice as there are atoms the luckiest is looked at.
    chances = len(a) if beyond.any() else 1
    noise = float(norm.isf(norm.sf(LIMITS.equal_noise) / chances))
    equal = np.array(
        [_as_good(row, gains[best], e & either[best], noise) for row, e in zip(gains, either, strict=True)]
    )
    angles = np.array([motion.angle for motion in motions])
    # Several starts may have come to one orientation; in a plane they may differ by a shift as well, and of
    # these the likeliest is taken, of those with columns beyond an image that with most pairs.
    least = equal & (angles <= angles[equal].min() + (_ALIKE if d == 2 else 0.0))
    order = pairs if beyond[least].any() else totals
    chosen = int(np.flatnonzero(least)[np.argmax(order[least])])
    agree = pairs + (beyond.sum(axis=1) // 2)
    others = [
        int(count)
        for motion, count, same in zip(motions, agree, equal, strict=True)
        if not same and not motion.alike(motions[chosen], middle)
    ]
    rest = sorted(np.flatnonzero(equal), key=lambda k: -totals[k])
    return Likeliest(
        motions[chosen],
        _distinct([motions[chosen], *(motions[int(k)] for k in rest)], middle)[1:],
        int(agree[chosen]),
        max(others, default=None),
    )


def best_of(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    motions: Sequence[M],
    tolerance: float,
    known: Known,
    most: int,
) -> list[M]:
    """The best of many motions by some of the second model's atoms, no two alike.

    **Arguments:** as of `likeliest`, and

    - `most`: how many.
    """
    found = _evidence(a, b, motions, tolerance, known)
    if found is None:
        return list(motions[:most])
    gains, _, beyond, _ = found
    n = len(a)
    # Of the first model most atoms have no partner here, so that only the second's say what lies beyond.
    half = gains[:, n:].max(initial=0.0)
    totals = np.where(beyond[:, :n], 0.0, gains[:, :n]).sum(axis=1)
    totals += gains[:, n:].sum(axis=1) + half * beyond[:, n:].sum(axis=1)
    order = np.argsort(-totals, kind="stable")
    return list(_distinct([motions[k] for k in order[: 4 * most]], b.mean(axis=0))[:most])


def _evidence(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    motions: Sequence[M],
    tolerance: float,
    known: Known,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """What each atom of both models says for each motion, which have a partner or lie beyond, and pairs."""
    (n, d), m, variances = a.shape, len(b), known.variances
    tree = cKDTree(a)
    pairs = [near_pairs(a, motion(b), tolerance, tree) for motion in motions]
    counts = np.array([len(i) for i, _, _ in pairs])
    first = int(np.argmax(counts))
    if counts[first] < 3:
        return None
    of_pairs = [
        np.ones(len(i)) if variances is None else variances[0][i] + variances[1][j] for i, j, _ in pairs
    ]
    factor = float(np.median(pairs[first][2] ** 2 / of_pairs[first])) / float(chi2.ppf(0.5, d))
    # The volume of an atom in a close packing, in which it would lie anywhere; in a plane the area.
    volume = (tolerance / LIMITS.near) ** d * (3**0.5 / 2 if d == 2 else 1 / 2**0.5)
    gains = np.zeros((len(motions), n + m))
    for row, (i, _, distances), each in zip(gains, pairs, of_pairs, strict=True):
        noise = np.maximum(factor * each, LEAST_NOISE**2)
        by_place = np.log((1 - _ANYWHERE) / _ANYWHERE * volume / (2 * np.pi * noise) ** (d / 2))
        row[i] = np.maximum(by_place - 0.5 * distances**2 / noise, 0.0)
    there, beyond = gains > 0, np.zeros(gains.shape, bool)
    if known.shown is not None:
        typical = float(np.mean(gains[first][pairs[first][0]]))
        for row, out, one, motion, (i, j, _) in zip(gains, beyond, there, motions, pairs, strict=True):
            out[:n], out[n:] = ~known.shown[1](motion.back(a)), ~known.shown[0](motion(b))
            out[i] = out[n + j] = False
            # Half of what a pair says is its second atom's, so that two that lie beyond say as much.
            row[i] -= 0.5 * typical
            row[n + j] = 0.5 * typical
            row[out] = 0.5 * typical
            one[n + j] = True
    if known.marks is not None:
        marked = _marked(pairs, known.marks, (len(motions), n))
        gains[:, :n] += marked * there[:, :n]
        # A column far from its partner is faint or has moved, and is no reason to prefer another way.
        for row, (i, _, _) in zip(there, pairs, strict=True):
            row[i] = True
    return gains, there, beyond, counts


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
    gains: Float[np.ndarray, " n"],
    best: Float[np.ndarray, " n"],
    both: Bool[np.ndarray, " n"],
    noise: float,
) -> bool:
    """Whether a candidate cannot be told from the best; see the head of this module."""
    lost = best - gains
    by_noise, error = lost[both].sum(), np.std(lost[both]) * both.sum() ** 0.5 if both.any() else 0.0
    return bool(lost[~both].sum() <= LIMITS.equal_atoms and by_noise <= noise * max(error, 1.0))


def _distinct(motions: Sequence[M], middle: Float[np.ndarray, " d"]) -> tuple[M, ...]:
    kept: list[M] = []
    for motion in motions:
        if not any(motion.alike(other, middle) for other in kept):
            kept.append(motion)
    return tuple(kept)


def near_pairs(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    tolerance: float,
    tree: cKDTree | None = None,
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Atoms that are each other's nearest, and their distances (Å).

    **Arguments:**

    - `a`, `b`: positions (Å).
    - `tolerance`: largest distance (Å).
    - `tree`: of `a`, if there is one.
    """
    tree = cKDTree(a) if tree is None else tree
    if len(b) < len(a):
        distances, to_a = tree.query(b, distance_upper_bound=tolerance)
        j = np.flatnonzero(np.isfinite(distances))
        _, to_b = cKDTree(b).query(a[to_a[j]])
        j = j[to_b == j]
        j = j[np.argsort(to_a[j])]
        return to_a[j], j, distances[j]
    distances, to_b = cKDTree(b).query(a, distance_upper_bound=tolerance)
    i = np.flatnonzero(np.isfinite(distances))
    _, to_a = tree.query(b[to_b[i]])
    i = i[to_a == i]
    return i, to_b[i], distances[i]
