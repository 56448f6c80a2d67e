"""Energies of columns' heights and of pairs in, probabilities of each column's height out, by sampling.

Chains begin at the state that energies are told from, hot, and cool down. Neighbouring columns are often
of about the same height: how often their heights differ by 0, 1, 2, ... is told by samples of the image
itself, beginning from what particles are like. What is reported are means of conditional probabilities,
which err less than how often heights were drawn.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

#: How often neighbours differ by 0, 1, 2, ... atoms, beforehand, and pairs which that is worth.
_DIFFER = np.array([0.5, 0.25, 0.1, 0.05, 0.03, 0.02, 0.015, 0.01, 0.01, 0.01, 0.005])
_WORTH = 100.0
#: Part of what neighbours say: each has several, which say much the same.
STRENGTH = 0.2
CHAINS, HOT, SWEEPS = 24, 30, 150
#: Sweeps from one draw that is kept to the next.
_BETWEEN = 10
#: Temperature that chains begin with.
HEAT = 8.0


@dataclass(frozen=True, eq=False)
class Sampled:
    """What samples say.

    **Fields:**

    - `probabilities`: of each column's states.
    - `draws`: states of all columns together, now and then.
    - `differ`: how often neighbours differ by 0, 1, ... atoms.
    """

    probabilities: Float[np.ndarray, "n states"]
    draws: Int[np.ndarray, "draws n"]
    differ: Float[np.ndarray, " levels"]


def sample_heights(
    unary: Float[np.ndarray, "n states"],
    coupling: Float[np.ndarray, "n_states n_states"],
    levels: Float[np.ndarray, "n states"],
    pairs: Int[np.ndarray, "p 2"],
    seed: int,
    strength: float = STRENGTH,
    sweeps: tuple[int, int] = (HOT, SWEEPS),
    heat: float = HEAT,
) -> Sampled:
    """Draw heights of all columns.

    **Arguments:**

    - `unary`, `coupling`: log p = Σ unary - ½ Σ coupling; the state 0 of each column changes nothing.
    - `levels`: heights of the states; NaN where a column has fewer.
    - `pairs`: neighbours.
    - `seed`: of the chains.
    - `strength`: of what neighbours say.
    - `sweeps`: until chains are cool, and from then on.
    - `heat`: at first; 1 for chains that stay about the state.
    """
    hot, cool = sweeps
    rng = np.random.default_rng([seed, 31])
    n, states = levels.shape
    there = np.isfinite(levels)
    atoms = np.where(there, levels, 0).astype(int)
    most = len(_DIFFER) - 1
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for a, b in pairs:
        neighbours[a].append(b)
        neighbours[b].append(a)
    lists = [np.array(one, int) for one in neighbours]
    chosen = np.zeros((CHAINS, n), int)
    field = np.zeros((CHAINS, n * states))
    differ = _DIFFER / _DIFFER.sum()
    first = np.where(there, unary, -np.inf)
    totals = np.zeros((n, states))
    counts = np.zeros(most + 1)
    draws: list[np.ndarray] = []
    for sweep in range(hot + cool):
        warm = max(1.0, heat * (1 - sweep / (0.7 * hot)))
        law = strength * _law(differ)
        for c in rng.permutation(n):
            mine = slice(c * states, (c + 1) * states)
            energy = first[c] - field[:, mine]
            if len(lists[c]):
                theirs = atoms[lists[c]][np.arange(len(lists[c])), chosen[:, lists[c]]]
                apart = np.abs(atoms[c][None, :, None] - theirs[:, None, :])
                energy = energy + law[np.minimum(apart, most)].sum(axis=2)
            odds = energy / warm
            odds = np.exp(odds - odds.max(axis=1, keepdims=True))
            odds /= odds.sum(axis=1, keepdims=True)
            if sweep >= hot:
                totals[c] += odds.mean(axis=0)
            new = (odds.cumsum(axis=1) > rng.random((CHAINS, 1))).argmax(axis=1)
            moved = np.flatnonzero(new != chosen[:, c])
            if len(moved):
                field[moved] += coupling[c * states + new[moved]] - coupling[c * states + chosen[moved, c]]
                chosen[moved, c] = new[moved]
        if len(pairs):
            heights = atoms[np.arange(n), chosen]
            apart = np.minimum(np.abs(heights[:, pairs[:, 0]] - heights[:, pairs[:, 1]]), most)
            counts = 0.9 * counts + np.bincount(apart.ravel(), minlength=most + 1) / CHAINS
            told = counts / counts.sum()
            differ = (len(pairs) * told + _WORTH * _DIFFER) / (len(pairs) + _WORTH)
            differ = differ / differ.sum()
        if sweep >= hot and (sweep - hot) % _BETWEEN == 0:
            draws.append(chosen.copy())
    return Sampled(totals / cool, np.concatenate(draws), differ)


def _law(differ: Float[np.ndarray, " levels"]) -> Float[np.ndarray, " levels"]:
    """Log probability of a neighbour's height, of those that differ as much: two, but for the same."""
    ways = np.where(np.arange(len(differ)) == 0, 1.0, 2.0)
    return np.log(differ / ways / differ[0])
