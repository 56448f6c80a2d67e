"""Which of many motions lays one model on the other as it was.

In a near-crystal wrong orientations lay nearly all atoms on each other, so candidates
are judged by their likelihood, atom by atom: an atom lies about its partner as a Gaussian has it, or it
is one of the tenth that has nothing to do with the other model and lies anywhere. An atom more on its
place counts for much, a little less noise over all atoms for little. Of two candidates neither is better
if they lay as many atoms on others (their difference is less than three in the logarithm) and if the
difference in the noise of the others is less than 2.5 times its own standard error, as Vuong (1989) tests
models that are no part of each other. Among such equals, which a perfect cluster's symmetry makes, the
smallest rotation is taken; how many there were is reported.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from scipy.stats import chi2

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.rigid import STILL, Motion

#: Least noise along an axis (Å): models without any are compared too.
LEAST_NOISE = 1e-3
#: Part of the atoms that lie anywhere.
_ANYWHERE = 0.1
_MEDIAN = float(chi2.ppf(0.5, 3))


def likeliest(
    a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"], motions: Sequence[Motion], tolerance: float
) -> tuple[Motion, int, int | None]:
    """The likeliest motion, how many others are as good, and the near pairs of the best that is not.

    **Arguments:**

    - `a`, `b`: positions of two models (Å).
    - `motions`: candidates, at least one, each settled.
    - `tolerance`: largest distance of a near pair (Å), `near` (`limits`) of a neighbour distance.
    """
    pairs = [near_pairs(a, motion(b), tolerance) for motion in motions]
    counts = np.array([len(i) for i, _, _ in pairs])
    first = int(np.argmax(counts))
    if counts[first] < 3:
        return STILL, 0, None
    noise = max(float(np.median(pairs[first][2])) / _MEDIAN**0.5, LEAST_NOISE)
    # The volume of an atom in a close packing, in which it would lie anywhere.
    volume = (tolerance / LIMITS.near) ** 3 / 2**0.5
    by_place = np.log((1 - _ANYWHERE) / _ANYWHERE * volume / (2 * np.pi * noise**2) ** 1.5)
    gains = np.zeros((len(motions), len(a)))
    for row, (i, _, distances) in zip(gains, pairs, strict=True):
        row[i] = np.maximum(by_place - 0.5 * (distances / noise) ** 2, 0.0)
    best = int(np.argmax(gains.sum(axis=1)))
    equal = np.array([_as_good(row, gains[best]) for row in gains])
    angles = np.array([motion.angle for motion in motions])
    # Several starts may have come to one orientation.
    chosen = int(np.flatnonzero(equal)[np.argmin(angles[equal])])
    equals = _distinct([motion for motion, same in zip(motions, equal, strict=True) if same]) - 1
    others = [
        int(count)
        for motion, count, same in zip(motions, counts, equal, strict=True)
        if not same and not _alike(motion, motions[chosen])
    ]
    return motions[chosen], equals, max(others, default=None)


def _as_good(gains: Float[np.ndarray, " n"], best: Float[np.ndarray, " n"]) -> bool:
    """Whether a candidate cannot be told from the best; see the head of this module."""
    both, lost = (gains > 0) & (best > 0), best - gains
    by_noise, error = lost[both].sum(), np.std(lost[both]) * both.sum() ** 0.5 if both.any() else 0.0
    return bool(
        lost[~both].sum() <= LIMITS.equal_atoms and by_noise <= LIMITS.equal_noise * max(error, 1.0)
    )


def _alike(one: Motion, other: Motion) -> bool:
    """Whether two motions are one, but for noise: no orientations of a lattice are 5 degrees apart."""
    cosine = 0.5 * (np.trace(one.rotation @ other.rotation.T) - 1)
    return bool(np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 5.0)


def _distinct(motions: Sequence[Motion]) -> int:
    kept: list[Motion] = []
    for motion in motions:
        if not any(_alike(motion, other) for other in kept):
            kept.append(motion)
    return len(kept)


def near_pairs(
    a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"], tolerance: float
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Atoms that are each other's nearest, and their distances (Å)."""
    distances, to_b = cKDTree(b).query(a, distance_upper_bound=tolerance)
    _, to_a = cKDTree(a).query(b, distance_upper_bound=tolerance)
    i = np.flatnonzero(np.isfinite(distances))
    i = i[to_a[to_b[i]] == i]
    return i, to_b[i], distances[i]
