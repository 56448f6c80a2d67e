"""States of columns that neighbours tend to share: a Potts model, sampled by Gibbs's method.

The probability of all states z together is

    p(z) ∝ exp(Σ_i log p(data_i | z_i) + J Σ_<ij> [z_i = z_j]).

Columns of one colour have no neighbours among themselves and are drawn at once. Marginals are means over
samples of conditional probabilities, so that few samples do. The coupling J is what makes a sample's
states likeliest, each given its neighbours' (Besag's pseudo-likelihood).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

_COUPLINGS = np.linspace(0, 2.5, 51)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Of n columns with v states.

    **Fields:**

    - `states`: the last sample.
    - `marginals`: probability of each state.
    - `parts`: which part of all columns each state has in each sample.
    """

    states: Int[np.ndarray, " n"]
    marginals: Float[np.ndarray, "n v"]
    parts: Float[np.ndarray, "t v"]


def counts_of(
    states: Int[np.ndarray, " n"], neighbours: Int[np.ndarray, "m k"], number: int
) -> Float[np.ndarray, "m v"]:
    """How many neighbours of each column have each state; neighbours are filled up with -1."""
    beside = np.where(neighbours >= 0, states[neighbours], -1)
    return np.asarray(np.sum(beside[:, :, None] == np.arange(number), axis=1), float)


def sample(
    logs: Float[np.ndarray, "n v"],
    neighbours: Int[np.ndarray, "n k"],
    colours: Int[np.ndarray, " n"],
    coupling: float,
    states: Int[np.ndarray, " n"],
    sweeps: int,
    rng: np.random.Generator,
) -> Sampled:
    """Some sweeps over all columns.

    **Arguments:**

    - `logs`: logarithm of the likelihood of each state.
    - `neighbours`: of each column, filled up with -1.
    - `colours`: no two neighbours share one.
    - `coupling`: J.
    - `states`: to begin with.
    - `sweeps`: how many.
    - `rng`: draws.
    """
    states, number = states.copy(), logs.shape[1]
    groups = [np.flatnonzero(colours == colour) for colour in np.unique(colours)]
    marginals, parts = np.zeros_like(logs), np.zeros((sweeps, number))
    for turn in range(sweeps):
        for own in groups:
            energy = logs[own] + coupling * counts_of(states, neighbours[own], number)
            p = np.exp(energy - energy.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            states[own] = np.sum(np.cumsum(p, axis=1) < rng.uniform(size=(len(own), 1)), axis=1)
            marginals[own] += p
        parts[turn] = np.bincount(states, minlength=number) / len(states)
    return Sampled(states, marginals / sweeps, parts)


def coupling_of(
    states: Int[np.ndarray, " n"], neighbours: Int[np.ndarray, "n k"], allowed: Bool[np.ndarray, " v"]
) -> float:
    """J of the largest pseudo-likelihood."""
    counts = counts_of(states, neighbours, len(allowed))
    own = np.take_along_axis(counts, states[:, None], axis=1)[:, 0]
    scores = []
    for coupling in _COUPLINGS:
        energy = coupling * counts[:, allowed]
        most = energy.max(axis=1)
        norm = most + np.log(np.sum(np.exp(energy - most[:, None]), axis=1))
        scores.append(np.sum(coupling * own - norm))
    return float(_COUPLINGS[int(np.argmax(scores))])
