"""How probable a change is, beside how rarely noise would look like one: two groups of columns.

Some part of all columns changed, and the others did not. An observation x of a column has the density
f0(x) if it did not, which follows from its error bars, and f1(x) if it did, which depends on how large
changes are. With the part π that did, a column did so with the probability π f1 / ((1 - π) f0 + π f1)
(Efron 2008). The part is found from all columns (expectation-maximisation, with half a column that changed
and half of one that did not beforehand), for each of several sizes of changes, over which the answer is
averaged by how well they explain all columns.

**Displacements** of columns that moved have a variance more, of one unknown size. **Cross-sections** differ
by one unknown size as well, or, where atoms were counted, by that of a whole number of atoms: from n to
n + m they change by what the law of counts has between the two, n being as probable as counting has it.
Of m, each larger one is less frequent by a factor, which is unknown too.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

_ROUNDS = 200
#: Sizes of changes that are tried, between the least and the most.
_SIZES = 12
#: By how much rarer each further atom is, and the most that one column gains or loses.
_FACTORS, _MOST = (0.05, 0.2, 0.5, 0.8), 12


@final
@dataclass(frozen=True, eq=False)
class AtomChanges:
    """How many atoms columns gained.

    **Fields:**

    - `steps`: -m, ..., 0, ..., m atoms.
    - `probabilities`: of these, for each column; NaN where nothing is known.
    """

    steps: Int[np.ndarray, " k"]
    probabilities: Float[np.ndarray, "n k"]

    @property
    def changed(self) -> Float[np.ndarray, " n"]:
        """Probability that the number is another one."""
        return np.clip(1 - self.probabilities[:, len(self.steps) // 2], 0.0, 1.0)

    @property
    def expected(self) -> Float[np.ndarray, " n"]:
        """Mean number of atoms gained."""
        return self.probabilities @ self.steps

    @property
    def likeliest(self) -> Int[np.ndarray, " n"]:
        """Number of atoms gained, the most probable one."""
        return self.steps[np.argmax(np.nan_to_num(self.probabilities), axis=1)]


def two_groups(
    log_same: Float[np.ndarray, " n"], log_other: Float[np.ndarray, "g n"]
) -> tuple[Float[np.ndarray, "g n"], Float[np.ndarray, " g"]]:
    """Probability of each column to have changed, by size of changes, and how probable each size is.

    **Arguments:**

    - `log_same`: logarithm of the density if it did not change.
    - `log_other`: the same if it did, for each size.
    """
    ratio = np.exp(np.clip(log_other - log_same, -700, 700))
    part = np.full((len(log_other), 1), 0.1)
    for _ in range(_ROUNDS):
        changed = part * ratio / (1 - part + part * ratio)
        after = (changed.sum(axis=1, keepdims=True) + 0.5) / (log_same.shape[0] + 1)
        if np.abs(after - part).max() < 1e-9:
            break
        part = after
    changed = part * ratio / (1 - part + part * ratio)
    evidence = np.log(1 - part + part * ratio).sum(axis=1)
    evidence += 0.5 * (np.log(part) + np.log(1 - part))[:, 0]
    weights = np.exp(evidence - evidence.max())
    return changed, weights / weights.sum()


def moved_probabilities(
    displacements: Float[np.ndarray, "n 2"], covariances: Float[np.ndarray, "n 2 2"], most: float
) -> Float[np.ndarray, " n"]:
    """Probability that columns moved; NaN where a covariance is not known.

    **Arguments:**

    - `displacements`, `covariances`: of pairs (Å, Å²).
    - `most`: how far columns may move (Å).
    """
    found = np.full(len(displacements), np.nan)
    known = np.isfinite(covariances).all(axis=(1, 2)) & np.isfinite(displacements).all(axis=1)
    if not known.any():
        return found
    d, c = displacements[known], covariances[known]
    least = float(np.sqrt(np.median(np.trace(c, axis1=1, axis2=2)) / 2))
    sizes = _between(least, most)
    log_other = np.stack([_log_normal(d, c + size**2 * np.eye(2)) for size in sizes])
    changed, weights = two_groups(_log_normal(d, c), log_other)
    found[known] = weights @ changed
    return found


def resized_probabilities(
    differences: Float[np.ndarray, " n"], esds: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Probability that cross-sections are others; NaN where an uncertainty is not known.

    **Arguments:**

    - `differences`, `esds`: of pairs, in the units of the first image.
    """
    found, known = np.full(len(differences), np.nan), np.isfinite(differences) & (esds > 0)
    if not known.any():
        return found
    x, e = differences[known], esds[known]
    sizes = _between(float(np.median(e)), float(np.abs(x).max()))
    log_other = np.stack([_log_normal_1(x, np.hypot(e, size)) for size in sizes])
    changed, weights = two_groups(_log_normal_1(x, e), log_other)
    found[known] = weights @ changed
    return found


def atom_changes(
    differences: Float[np.ndarray, " n"],
    esds: Float[np.ndarray, " n"],
    counts: Float[np.ndarray, "n k"],
    law: Float[np.ndarray, " k"],
) -> AtomChanges:
    """How many atoms columns gained, from the differences of their cross-sections.

    **Arguments:**

    - `differences`, `esds`: of pairs, in the units of the first image.
    - `counts`: probability of 1, 2, ..., k atoms in the first image; NaN where it was not counted.
    - `law`: mean cross-section of so many there.
    """
    steps = np.arange(-_MOST, _MOST + 1)
    probabilities = np.full((len(differences), len(steps)), np.nan)
    known = np.isfinite(differences) & (esds > 0) & np.isfinite(counts).all(axis=1)
    if not known.any():
        return AtomChanges(steps, probabilities)
    x, e, p = differences[known], esds[known], counts[known]
    log_step = np.stack([_log_step(x, e, p, law, int(m)) for m in steps], axis=1)
    away = np.abs(steps)
    log_same = log_step[:, _MOST]
    log_part = np.stack([np.where(away > 0, np.log(factor) * (away - 1.0), -np.inf) for factor in _FACTORS])
    log_part -= np.log(np.exp(log_part).sum(axis=1, keepdims=True))
    # For each factor and column, of each step.
    joint = log_part[:, None, :] + log_step[None]
    log_other = np.logaddexp.reduce(joint, axis=2)
    changed, weights = two_groups(log_same, log_other)
    of_step = np.exp(joint - log_other[:, :, None]) * changed[:, :, None]
    of_step[:, :, _MOST] = 1 - changed
    probabilities[known] = np.einsum("g,gnk->nk", weights, of_step)
    return AtomChanges(steps, probabilities)


def _log_step(
    x: Float[np.ndarray, " n"],
    e: Float[np.ndarray, " n"],
    p: Float[np.ndarray, "n k"],
    law: Float[np.ndarray, " k"],
    m: int,
) -> Float[np.ndarray, " n"]:
    """Logarithm of the density of differences if each column gained m atoms."""
    k = len(law)
    # Beyond its end the law goes on as it did, and no column has fewer than one atom.
    last = law[-1] - law[-2] if k > 1 else law[0]
    longer = np.concatenate([law, law[-1] + last * np.arange(1, _MOST + 1)])
    n = np.arange(k)
    there = n + m >= 0
    if not there.any():
        return np.full(len(x), -700.0)
    changes = longer[n[there] + m] - law[there]
    density = np.exp(np.maximum(_log_normal_1(x[:, None] - changes, e[:, None]), -700))
    return np.log(np.maximum(np.sum(p[:, there] * density, axis=1), 1e-300))


def _between(least: float, most: float) -> Float[np.ndarray, " s"]:
    return np.geomspace(least, max(most, 2 * least), _SIZES)


def _log_normal(x: Float[np.ndarray, "n 2"], c: Float[np.ndarray, "n 2 2"]) -> Float[np.ndarray, " n"]:
    square = np.einsum("ni,ni->n", x, np.linalg.solve(c, x[..., None])[..., 0])
    return np.asarray(-0.5 * square - 0.5 * np.log(np.linalg.det(c)))


def _log_normal_1(x: np.ndarray, e: np.ndarray) -> np.ndarray:
    return np.asarray(-0.5 * (x / e) ** 2 - np.log(e))
