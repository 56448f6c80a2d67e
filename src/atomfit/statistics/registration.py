"""Laying one model of a particle on another, without knowing which atom is which.

If most atoms of the two models already lie on each other, their frames are taken to be one and the motion
is only refined. Otherwise every candidate of `statistics.orientations` is: atoms that are each other's
nearest within a third of a neighbour distance are pairs, the motion follows from the pairs and the pairs
from the motion, until they stay (Besl & McKay 1992, with pairs one to one).

Which candidate is right is said by `statistics.likeliest`. What may lay one on the other, rigid motions
in space or linear maps of a plane, is a family (`statistics.families`).

**Refinement** weighs each pair by its error bars (`statistics.rigid`), and leaves out those whose
displacement is beyond what one atom in a thousand would have by noise: moved atoms. The scale of the error
bars is estimated from the median at each round, so that wrong ones leave out no more.
"""

from dataclasses import dataclass
from typing import Generic

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.stats import chi2

from atomfit.statistics.families import RIGID, Family, Fitted, M
from atomfit.statistics.likeliest import (
    LEAST_NOISE,
    Known,
    Marks,
    best_of,
    likeliest,
    near_pairs,
)
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.orientations import Shown
from atomfit.statistics.rigid import Motion
from atomfit.structure.neighbours import nearest_distances
from atomfit.support.errors import InputError
from atomfit.support.units import odd_unit

_ROUNDS = 20
#: Of more atoms than twice as many so many are looked at first, and so many motions kept for all.
_SOME, _KEPT = 1000, 24


@dataclass(frozen=True, eq=False)
class Registration(Generic[M]):
    """The motion of the second model into the frame of the first.

    **Fields:**

    - `fitted`: the motion and its uncertainty, as the error bars have it.
    - `how`: "given" (frames were left as they are), "agreed" (they agreed, and were refined) or "found".
    - `pairs`: indices of the pairs that the motion was fitted to, in either model.
    - `scale`: by what factor error bars are too small, as displacements of near pairs have it; without
        error bars the noise of a displacement along an axis (Å).
    - `others`: other motions that are as good, of which the chosen one is the smallest rotation.
    - `next_best`: near pairs of the best other orientation that is not as good, with half of the atoms that
        lie beyond the other image; None if there is none.
    - `near`: the same of the chosen one.
    """

    fitted: Fitted[M]
    how: str
    pairs: tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]
    scale: float
    others: tuple[M, ...]
    next_best: int | None
    near: int

    @property
    def equals(self) -> int:
        """How many other motions are as good."""
        return len(self.others)

    @property
    def deviations(self) -> Float[np.ndarray, " k"]:
        """Standard uncertainties of the small rotation (radians) and the shift (Å), scale included."""
        scale = self.scale if np.isfinite(self.scale) else 0.0
        return np.sqrt(np.diagonal(self.fitted.covariance)) * scale

    def used(
        self, i: Int[np.ndarray, " pairs"], j: Int[np.ndarray, " pairs"]
    ) -> Bool[np.ndarray, " pairs"]:
        """Which pairs of indices it was fitted to."""
        fitted = dict(zip(*(x.tolist() for x in self.pairs), strict=True))
        both = zip(i.tolist(), j.tolist(), strict=True)
        return np.array([fitted.get(k) == other for k, other in both], bool)

    @property
    def motion(self) -> M:
        """What takes positions of the second model into the frame of the first."""
        return self.fitted.motion


def register(
    a: Float[np.ndarray, "n 3"],
    b: Float[np.ndarray, "m 3"],
    covariances_a: Float[np.ndarray, "n 3 3"] | None = None,
    covariances_b: Float[np.ndarray, "m 3 3"] | None = None,
    move: bool = True,
) -> Registration[Motion]:
    """Find the rigid motion that takes b onto a.

    **Arguments:**

    - `a`, `b`: positions of the atoms of two models (Å).
    - `covariances_a`, `covariances_b`: of the positions (Å²), each in its own frame; alike and of one
        unknown size if either is not given.
    - `move`: whether frames may differ.

    **Raises:** `InputError` if a motion is asked for and fewer than three atoms lie near each other
        however the models are laid, or if their neighbour distances cannot be those of one particle.
    """
    return register_in(RIGID, a, b, (covariances_a, covariances_b), move)


def register_in(
    family: Family[M],
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    covariances: tuple[Float[np.ndarray, "n d d"] | None, Float[np.ndarray, "m d d"] | None],
    move: bool = True,
    marks: Marks | None = None,
    shown: tuple[Shown, Shown] | None = None,
) -> Registration[M]:
    """Find what takes b onto a in a family of motions.

    **Arguments:** those of `register`, and

    - `family`: of motions.
    - `covariances`: of both (Å²).
    - `marks`: logarithms of brightness, by which orientations are told apart besides.
    - `shown`: which places either image shows, if atoms may lie beyond.

    **Raises:** as `register` does.
    """
    if not move:
        none = np.zeros(0, int)
        return Registration(family.unfitted(), "given", (none, none), np.nan, (), None, 0)
    spacing = _one_spacing(family, a, b)
    tolerance = LIMITS.near * spacing
    start, how, chosen = family.still, "agreed", None
    # Before anything is moved: a crystal that is far off settles into a wrong orientation as well.
    agree = len(near_pairs(a, b, tolerance)[0]) >= max(3.0, LIMITS.frames_agree * min(len(a), len(b)))
    if agree and family.frames_may_agree:
        start = _settled(family, a, b, family.still, tolerance)
    else:
        # Where brightness tells atoms apart, error bars differ as it does.
        known = Known(marks, None if marks is None else _variances(covariances), shown)
        motions = family.candidates(a, b, spacing, marks, shown)
        chosen = likeliest(a, b, _best(family, a, b, motions, tolerance, known), tolerance, known)
        start, how = chosen.motion, "found"
    if len(near_pairs(a, start(b), tolerance)[0]) < 3:
        raise InputError(
            f"fewer than three {family.things} of the two {family.whole}s lie near each other, however "
            "they are turned",
            "are they one particle? --no-register compares them as they lie",
            goes_on=("--no-register",),
        )
    covariances_a, covariances_b = covariances
    if covariances_a is None or covariances_b is None:
        # Half of one each: the scale of the two together is then their noise in Å.
        covariances_a, covariances_b = (np.tile(0.5 * np.eye(a.shape[1]), (len(x), 1, 1)) for x in (a, b))
    fitted, pairs, scale = _refined(family, a, b, start, tolerance, (covariances_a, covariances_b))
    if chosen is not None:
        return Registration(fitted, how, pairs, scale, chosen.others, chosen.next_best, chosen.agree)
    near = len(near_pairs(a, fitted.motion(b), tolerance)[0])
    return Registration(fitted, how, pairs, scale, (), None, near)


def _best(
    family: Family[M],
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    motions: list[M],
    tolerance: float,
    known: Known,
) -> list[M]:
    """Settled motions; of many atoms those that lay some of them well."""
    tree = cKDTree(a)
    # In space symmetric particles have sixty equal orientations, and no step of a lattice is looked at.
    if a.shape[1] > 2 or len(b) <= 2 * _SOME:
        return [_settled(family, a, b, motion, tolerance, tree) for motion in motions]
    some = np.sort(np.random.default_rng(0).choice(len(b), _SOME, replace=False))
    settled = [_settled(family, a, b[some], motion, tolerance, tree) for motion in motions]
    best = best_of(a, b[some], settled, tolerance, known.some(some), _KEPT)
    return [_settled(family, a, b, motion, tolerance, tree) for motion in best]


def _variances(
    covariances: tuple[Float[np.ndarray, "n d d"] | None, Float[np.ndarray, "m d d"] | None],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]] | None:
    """Of each position along an axis (Å²); None if they are not known of both."""
    one, other = covariances
    if one is None or other is None:
        return None
    return np.trace(one, axis1=1, axis2=2) / one.shape[1], np.trace(other, axis1=1, axis2=2) / one.shape[1]


def typical_spacing(positions: Float[np.ndarray, "n d"]) -> float:
    """Median distance to the nearest atom (Å); NaN for a lone atom."""
    return float(np.median(nearest_distances(positions))) if len(positions) > 1 else np.nan


def _one_spacing(family: Family[M], a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    things, whole = family.things, family.whole
    less, more = sorted((typical_spacing(a), typical_spacing(b)))
    if not less > 0 or not more > 0:
        raise InputError(
            f"most {things} of one {whole} lie on each other, or it is a lone {things[:-1]}: it cannot be "
            "laid on another",
            f"leave out {things} that are there twice, or add --no-register",
            goes_on=("--no-register",),
        )
    if more > LIMITS.spacing_unlike * less:
        raise InputError(
            f"nearest {things} are {less:.3g} Å apart in one {whole} and {more:.3g} Å in the other, "
            f"{more / less:.3g} times as far ({odd_unit(more / less)}?)",
            "give both in Å, of one particle; --no-register compares them as they lie",
            goes_on=("--no-register",),
        )
    return less


def _settled(
    family: Family[M],
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    motion: M,
    tolerance: float,
    tree: cKDTree | None = None,
) -> M:
    """The motion when pairs no longer change; `tree` is that of `a`."""
    before = np.zeros((2, 0), int)
    for _ in range(_ROUNDS):
        i, j, distances = near_pairs(a, motion(b), tolerance, tree)
        pairs = np.stack([i, j])
        if len(i) < 3 or np.array_equal(pairs, before):
            break
        # Half of the pairs at least, so that moved atoms do not pull.
        kept = distances <= max(3 * float(np.median(distances)), LEAST_NOISE)
        if kept.sum() < 3:
            break
        motion, before = family.superpose(a[i[kept]], b[j[kept]], motion), pairs
    return motion


def _refined(
    family: Family[M],
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    motion: M,
    tolerance: float,
    covariances: tuple[Float[np.ndarray, "n d d"], Float[np.ndarray, "m d d"]],
) -> tuple[Fitted[M], tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]], float]:
    """The weighted motion, the pairs that it was fitted to, and the scale of the error bars."""
    before: np.ndarray = np.zeros((2, 0), int)
    (covariances_a, covariances_b), d = covariances, a.shape[1]
    for _ in range(_ROUNDS):
        i, j, _ = near_pairs(a, motion(b), tolerance)
        rest = a[i] - motion(b[j])
        together = covariances_a[i] + motion.turn(covariances_b[j])
        squares = mahalanobis(rest, together)
        scale = max(float(np.median(squares)) / float(chi2.ppf(0.5, d)), 1e-12)
        kept = _largest_allowed(squares, scale, d)
        pairs = np.stack([i[kept], j[kept]])
        if np.array_equal(pairs, before):
            break
        fitted = family.fit(
            a[pairs[0]], b[pairs[1]], covariances_a[pairs[0]], covariances_b[pairs[1]], motion
        )
        motion, before = fitted.motion, pairs
    return fitted, (before[0], before[1]), scale**0.5


def _largest_allowed(squares: Float[np.ndarray, " k"], scale: float, d: int) -> Bool[np.ndarray, " k"]:
    """Pairs that noise explains; three at least."""
    kept = squares <= float(chi2.ppf(1 - LIMITS.by_noise, d)) * scale
    kept[np.argsort(squares, kind="stable")[:3]] = True
    return kept


def mahalanobis(
    vectors: Float[np.ndarray, "n d"], covariances: Float[np.ndarray, "n d d"]
) -> Float[np.ndarray, " n"]:
    """Squared lengths in standard deviations; NaN where a covariance is not known."""
    known = np.all(np.isfinite(covariances), axis=(1, 2))
    safe = np.where(known[:, None, None], covariances, np.eye(vectors.shape[1]))
    # A motion of three pairs leaves no uncertainty along some directions, nor any displacement.
    safe = safe + 1e-9 * np.trace(safe, axis1=1, axis2=2)[:, None, None] * np.eye(vectors.shape[1])
    squares = np.einsum("ni,ni->n", vectors, np.linalg.solve(safe, vectors[..., None])[..., 0])
    return np.where(known, squares, np.nan)
