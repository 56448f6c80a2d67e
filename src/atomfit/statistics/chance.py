"""How well two models would lie on each other by chance: of what was found, is any of it more than that?

Atoms are dense: hardly a point in a particle is farther than 1.76 Å from one of them, and most points of
any cloud are common with any particle. So that atoms are common says little; that they lie nearer to each
other than the atoms of unlike models can be laid says more.

What chance gives is seen by laying the second model on the first at random: turned anyhow about its middle,
and shifted by up to a neighbour distance. The mean part of its atoms that are common then is told. For the
test, pairs of nearest atoms are counted that are nearer than r, for a few r. Of n atoms laid at random each
has such a partner with probability p(r), which grows as r³, so that k of them or more have by the tail of a
binomial distribution, which is at most exp(-n D(k/n, p)), D being the relative entropy (Hoeffding 1963).
Laying has looked at many places and taken the best: frames can be turned and shifted, in steps of r, in

    8π² (R / r)³ · V / r³

ways that differ (R is the radius of gyration of the smaller model, V the volume of the larger), or in
(t / r)⁶ if they agreed within t before. The tail times these, and times the number of r, bounds the
probability that chance does as well (Bonferroni).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.special import rel_entr

from atomfit.statistics.likeliest import near_pairs
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.registration import typical_spacing

#: Places that are tried, fewer of large models: so many atoms in all, but some.
_PLACES, _ATOMS, _FEWEST = 24, 20_000, 4
#: Distances of near pairs that are looked at, in the largest.
_RADII = 0.5 ** np.arange(5)
#: Common pairs need not be looked for beyond so many neighbour distances: all are.
_ALL = 4


@dataclass(frozen=True)
class Chance:
    """What chance gives.

    **Fields:**

    - `common`: mean part of the smaller model's atoms that are common where the models are laid at random.
    - `log_probability`: natural logarithm of that of lying on each other as well as these do, or more; 0 if
        chance does it as a rule.
    """

    common: float
    log_probability: float

    @property
    def probability(self) -> float:
        """Of lying on each other as well as these do, or more."""
        return float(np.exp(self.log_probability))


def by_chance(
    a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"], how: str, distance: float, seed: int = 0
) -> Chance:
    """What of two models' agreement is to be expected of any two.

    **Arguments:**

    - `a`, `b`: their positions, the second as it was laid on the first (Å).
    - `how`: the second was: "given", "agreed" or "found", as `Registration` has it.
    - `distance`: largest distance of a common pair (Å).
    - `seed`: of the places that are tried.
    """
    spacing = np.nanmin([typical_spacing(a), typical_spacing(b), np.inf])
    if not 0 < spacing < np.inf:
        spacing = distance
    tolerance, n = LIMITS.near * spacing, min(len(a), len(b))
    middle, rng = b.mean(axis=0), np.random.default_rng(seed)
    common = near = 0.0
    places = int(np.clip(_ATOMS // max(len(a), len(b)), _FEWEST, _PLACES))
    for turn in Rotation.random(places, rng=rng).as_matrix():
        anyhow = (b - middle) @ turn.T + middle + rng.uniform(-spacing, spacing, 3)
        common += _most_pairs(a, anyhow, min(distance, _ALL * spacing)) / places
        near += len(near_pairs(a, anyhow, tolerance)[0]) / places
    apart = near_pairs(a, b, tolerance)[2]
    radii = tolerance * _RADII
    counts = np.sum(apart[:, None] <= radii, axis=0)
    # One more than was seen, of twice as many: that nothing was seen does not make it impossible.
    each = min((near * places + 0.5) / (n * places + 1), 1.0) * _RADII**3
    part = np.maximum(counts / n, each)
    tails = -n * (rel_entr(part, each) + rel_entr(1 - part, 1 - each))
    ways = _log_ways(a, b, how, radii, tolerance, spacing)
    return Chance(common / n, min(float(np.min(tails + ways)) + float(np.log(len(radii))), 0.0))


def _log_ways(
    a: Float[np.ndarray, "n 3"],
    b: Float[np.ndarray, "m 3"],
    how: str,
    radii: Float[np.ndarray, " r"],
    tolerance: float,
    spacing: float,
) -> Float[np.ndarray, " r"]:
    """Logarithm of the number of ways to lay one model on the other; see the head of this module."""
    if how == "given":
        return np.zeros(len(radii))
    if how == "agreed":
        return 6 * np.log(tolerance / radii)
    smaller, larger = sorted((a, b), key=len)
    gyration = max(float(np.sqrt(np.sum(np.var(smaller, axis=0)))), spacing)
    volume = len(larger) * spacing**3 / 2**0.5
    return np.log(8 * np.pi**2 * gyration**3 * volume) - 6 * np.log(radii)


def _most_pairs(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"], distance: float) -> int:
    """Most pairs, one to one, that are not farther apart (Å)."""
    near = cKDTree(a).sparse_distance_matrix(cKDTree(b), distance, output_type="coo_matrix")
    links = csr_array((np.ones(near.nnz, bool), (near.row, near.col)), shape=(len(a), len(b)))
    return int(np.sum(maximum_bipartite_matching(links, perm_type="column") >= 0))
