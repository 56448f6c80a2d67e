"""Which element each atom is, from how bright and how wide it is.

Atoms of one element are alike: the logarithms of their amplitudes scatter about a mean. They do so less
once two things are allowed for. Towards the surface, where the reconstruction is worse and the box may end,
atoms change brightness, with t = 1 - CN / CN_bulk, how much of its neighbourhood an atom lacks. And an atom
that came out too wide came out too bright. So

    log A = m_c + b t + g log U_iso + noise of variance s²

is a mixture of classes c with frequencies w_c, fitted by expectation and maximisation (Dempster, Laird &
Rubin 1977). b, g and s are shared: a class of a few atoms says little of them. The brighter a class the
heavier its element. An atom's probability is its class's share of the mixture there. The number of classes
that the map supports is the one with the least Bayesian information criterion (Schwarz 1978), of those
whose means are at least 2 s apart: nearer ones have no gap between them (Ashman, Bird & Zepf 1994), and are
what a distribution that is not quite normal is fitted with.

Elements that were given are told apart if their classes describe the atoms better than one does, are apart,
and differ in brightness by a third at least of what atomic numbers let expect (logarithms). Otherwise atoms
are of as many elements as there are such classes: of those whose atomic numbers fit their brightness best,
and, where there is one class only, of the one whose bonds in the bulk are most like the map's. A
probability is not known then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from atomfit.selection.limits import LIMITS
from atomfit.structure.elements import Element, symbol_of

#: Numbers of classes that are tried.
MOST_CLASSES = 4
_ROUNDS = 500
#: Parts of the atoms that are of the faintest class to begin with.
_STARTS = (0.5, 0.2, 0.35, 0.65, 0.8)
_TOLERANCE = 1e-6
#: Smallest variance of a logarithm, and the least frequency of a class.
_LEAST_VARIANCE = 1e-6
_LEAST_FREQUENCY = 1e-3


@dataclass(frozen=True, eq=False)
class Species:
    """Classes of n atoms.

    **Fields:**

    - `numbers`: atomic number of each atom.
    - `probabilities`: that it is right; NaN where fewer classes are supported than elements were given.
    - `criteria`: Bayesian information criterion for each number of classes, from one; infinite where they
        are too near each other.
    - `given`: atomic numbers of the elements that there may be.
    - `classes`: how many of these are told apart.
    """

    numbers: Int[np.ndarray, " n"]
    probabilities: Float[np.ndarray, " n"]
    criteria: tuple[float, ...]
    given: tuple[int, ...]
    classes: int

    @property
    def supported(self) -> int:
        """How many classes the map supports."""
        best = 1
        for k, criterion in enumerate(self.criteria, start=1):
            if criterion < self.criteria[best - 1] - LIMITS.classes_decided:
                best = k
        return best

    @property
    def lacking(self) -> bool:
        """Whether fewer elements are told apart than were given."""
        return self.classes < len(self.given)

    def describe(self) -> str:
        """What was found, in words."""
        which, counts = np.unique(self.numbers, return_counts=True)
        if self.lacking or len(which) > 1 or self.supported == 1:
            parts = (f"{count} {symbol_of(int(n))}" for n, count in zip(which, counts, strict=True))
            fewer = f" ({self.classes} of {len(self.given)} are told apart)" if self.lacking else ""
            return f"elements: {', '.join(parts)}{fewer}"
        return (
            f"elements: amplitudes and widths fall into {self.supported} classes; for an alloy, "
            "give every --element"
        )


def assign(
    amplitudes: Float[np.ndarray, " n"],
    u_iso: Float[np.ndarray, " n"],
    coordination: Float[np.ndarray, " n"],
    elements: Sequence[Element],
    bond: float = np.nan,
) -> Species:
    """Classes of atoms.

    **Arguments:**

    - `amplitudes`, `u_iso`: of each atom; an atom without these is of the commonest class.
    - `coordination`: coordination numbers.
    - `elements`: that there may be, one class each.
    - `bond`: mean distance of neighbours (Å), by which one element is chosen.
    """
    known = (amplitudes > 0) & (u_iso > 0) & np.isfinite(amplitudes) & np.isfinite(u_iso)
    ordered = sorted(elements, key=lambda e: e.number)
    lacking = 1 - coordination[known] / max(float(coordination.max(initial=0)), 1.0)
    widths = np.log(u_iso[known])
    data, trends = (
        np.log(amplitudes[known]),
        np.stack([lacking, widths - (widths.mean() if len(widths) else 0.0)], axis=1),
    )
    most = max(MOST_CLASSES, len(ordered))
    mixtures = {
        k: _Mixture.fit(data, trends, k)
        for k in range(1, most + 1)
        if LIMITS.fewest_in_class * k <= len(data)
    }
    given = tuple(e.number for e in ordered)
    ordered = _told_apart(ordered, mixtures, bond)
    mixture = mixtures.get(len(ordered)) or _Mixture.fit(data, trends, len(ordered))
    shares = mixture.shares[:, np.argsort(mixture.means)]
    which = np.full(len(amplitudes), int(np.argmax(shares.sum(axis=0))))
    probabilities = np.full(len(amplitudes), float(shares.sum(axis=0).max() / max(len(data), 1)))
    which[known], probabilities[known] = np.argmax(shares, axis=1), np.max(shares, axis=1)
    numbers = np.array([e.number for e in ordered])[which]
    if len(ordered) < len(given):
        probabilities = np.full(len(amplitudes), np.nan)
    criteria = tuple(m.criterion if m.apart else np.inf for m in mixtures.values())
    return Species(numbers, probabilities, criteria, given, len(ordered))


def _told_apart(elements: list[Element], mixtures: dict[int, "_Mixture"], bond: float) -> list[Element]:
    """As many of the elements (the lightest first) as classes tell apart, and those that fit best."""

    def expected(some: Sequence[Element]) -> Float[np.ndarray, " steps"]:
        return np.diff(np.log([float(e.number) for e in some]))

    for k in range(len(elements), 1, -1):
        mixture = mixtures.get(k)
        if mixture is None or not mixture.apart or mixture.criterion > mixtures[1].criterion:
            continue
        steps = np.diff(np.sort(mixture.means))
        sets = list(combinations(elements, k))
        best = sets[int(np.argmin([np.sum((expected(some) - steps) ** 2) for some in sets]))]
        if np.all(steps > LIMITS.part_of_contrast * expected(best)):
            return list(best)
    if len(elements) > 1 and np.isfinite(bond):
        misfits = [abs(np.log(e.shell_distance / bond)) for e in elements]
        return [elements[int(np.argmin(misfits))]]
    return [elements[-1]]


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Classes with their own means, common slopes and a common variance."""

    means: Float[np.ndarray, " c"]
    shares: Float[np.ndarray, "n c"]
    criterion: float
    deviation: float

    @property
    def apart(self) -> bool:
        """Whether no two classes are so near that there is no gap between them."""
        return bool(np.all(np.diff(np.sort(self.means)) >= LIMITS.classes_apart * self.deviation))

    @classmethod
    def fit(cls, data: Float[np.ndarray, " n"], trends: Float[np.ndarray, "n t"], k: int) -> "_Mixture":
        """The likeliest of those that begin with the brightest atoms, more or fewer of them."""
        if len(data) < 2 * k + trends.shape[1]:
            return cls(np.zeros(k), np.full((len(data), k), 1 / k), np.inf, np.inf)
        ranks = np.argsort(np.argsort(data, kind="stable"), kind="stable") / len(data)
        found = []
        for part in _STARTS if k > 1 else _STARTS[:1]:
            edges = np.linspace(part, 1, k)[:-1]
            shares = np.eye(k)[np.searchsorted(edges, ranks, side="right")]
            found.append(cls._from(data, trends, shares))
        return min(found, key=lambda mixture: mixture.criterion)

    @classmethod
    def _from(
        cls,
        data: Float[np.ndarray, " n"],
        trends: Float[np.ndarray, "n t"],
        shares: Float[np.ndarray, "n c"],
    ) -> "_Mixture":
        (n, k), t = shares.shape, trends.shape[1]
        before, likelihood, solved, variance = -np.inf, -np.inf, np.zeros(k + t), np.inf
        for _ in range(_ROUNDS):
            # Means and slopes together: each atom counts once for each class, by its share.
            normal = np.zeros((k + t, k + t))
            normal[:k, :k] = np.diag(shares.sum(axis=0))
            normal[:k, k:] = shares.T @ trends
            normal[k:, :k] = normal[:k, k:].T
            normal[k:, k:] = trends.T @ trends
            right = np.concatenate([shares.T @ data, trends.T @ data])
            solved = np.linalg.lstsq(normal, right, rcond=None)[0]
            rest = (data - trends @ solved[k:])[:, None] - solved[:k]
            variance = float(np.sum(shares * rest**2)) / n + _LEAST_VARIANCE
            frequency = np.maximum(shares.mean(axis=0), _LEAST_FREQUENCY)
            logs = np.log(frequency / frequency.sum()) - 0.5 * (
                rest**2 / variance + np.log(2 * np.pi * variance)
            )
            # scipy's logsumexp takes five times as long for so few classes.
            top = logs.max(axis=1)
            total = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
            shares = np.exp(logs - total[:, None])
            likelihood = float(np.sum(total))
            if likelihood - before < _TOLERANCE * n:
                break
            before = likelihood
        free = 2 * k + t
        return cls(solved[:k], shares, float(free * np.log(n) - 2 * likelihood), variance**0.5)
