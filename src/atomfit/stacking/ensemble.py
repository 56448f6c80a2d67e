"""What samples say together: which sites are filled, how many neighbours atoms have, and one particle.

A site's probability is the part of the samples in which it is filled. Its coordination number is that of
the samples in which it is. The particle that stands for all has each column's consecutive sites of the
largest sum of (probability - ½): of all particles it is expected to have fewest sites wrong.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.stacking.board import Board
from atomfit.stacking.limits import LIMITS
from atomfit.stacking.sampling import occupation


@final
@dataclass(frozen=True, eq=False)
class Sites:
    """Sites that are filled in some sample, by column and then from below.

    **Fields:**

    - `columns`, `places`: of each, on the board.
    - `probabilities`: that it is filled.
    - `coordination`, `coordination_esd`: number of neighbours if it is, and its standard deviation.
    - `shares`: probabilities of 0, 1, 2, ... neighbours if it is.
    - `chosen`: whether it is filled in the particle that stands for all.
    """

    columns: Int[np.ndarray, " k"]
    places: Int[np.ndarray, " k"]
    probabilities: Float[np.ndarray, " k"]
    coordination: Float[np.ndarray, " k"]
    coordination_esd: Float[np.ndarray, " k"]
    shares: Float[np.ndarray, "k c"]
    chosen: Bool[np.ndarray, " k"]

    @property
    def median(self) -> Int[np.ndarray, " k"]:
        """Median number of neighbours if it is filled: the number of least mean absolute error."""
        return np.argmax(np.cumsum(self.shares, axis=1) >= 0.5, axis=1)


@final
@dataclass(frozen=True, eq=False)
class Shells:
    """How many atoms have 0, 1, 2, ... neighbours.

    **Fields:**

    - `numbers`, `numbers_esd`: mean and standard deviation over samples.
    """

    numbers: Float[np.ndarray, " c"]
    numbers_esd: Float[np.ndarray, " c"]


def sites_of(
    board: Board,
    first: Bool[np.ndarray, " v"],
    bottoms: Int[np.ndarray, "s n"],
    counts: Int[np.ndarray, "s n"],
) -> tuple[Sites, Shells]:
    """Average over samples.

    **Arguments:**

    - `board`: places, and the sites around each.
    - `first`: which of these are neighbours.
    - `bottoms`, `counts`: of the columns of each sample.
    """
    near, rise = (np.asarray(each)[:, first] for each in (board.near, board.rise))
    depth, n, bulk = board.depth, bottoms.shape[1], int(first.sum())
    places = np.arange(depth)
    filled = np.zeros((n, depth))
    seen, numbers = np.zeros((n, depth, bulk + 1)), np.zeros((len(bottoms), bulk + 1))
    for s, (b, k) in enumerate(zip(bottoms, counts, strict=True)):
        own = (places >= b[:, None]) & (places < (b + k)[:, None])
        filled += own
        lowest, atoms = np.append(b, 0), np.append(k, 0)
        around = np.zeros((n, depth), int)
        for v in range(bulk):
            above = places - (lowest[near[:, v]] - rise[:, v])[:, None]
            around += (above >= 0) & (above < atoms[near[:, v]][:, None])
        c, i = np.nonzero(own)
        seen[c, i, around[c, i]] += 1
        numbers[s] = np.bincount(around[own], minlength=bulk + 1)
    chosen = likeliest_filling(filled / len(bottoms))
    listed = (filled >= LIMITS.listed * len(bottoms)) | chosen
    c, i = np.nonzero(listed)
    shares = seen[c, i] / np.maximum(filled[c, i], 1)[:, None]
    values = np.arange(bulk + 1)
    mean = shares @ values
    spread = np.sqrt(np.maximum(shares @ values**2 - mean**2, 0))
    sites = Sites(c, i, filled[c, i] / len(bottoms), mean, spread, shares, chosen[c, i])
    return sites, Shells(numbers.mean(axis=0), numbers.std(axis=0))


def likeliest_filling(probabilities: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, "n d"]:
    """Consecutive places of each column, at least one, that are expected to be wrong least often.

    **Arguments:**

    - `probabilities`: of places.

        >>> likeliest_filling(np.array([[0.1, 0.9, 0.4, 0.8, 0.2]])).astype(int).tolist()
        [[0, 1, 1, 1, 0]]
    """
    n, depth = probabilities.shape
    found = np.zeros((n, depth), bool)
    for c in range(n):
        total = np.concatenate([[0.0], np.cumsum(probabilities[c] - 0.5)])
        worth = total[None, :] - total[:, None]
        worth[np.tril_indices(depth + 1)] = -np.inf
        low, high = np.unravel_index(int(np.argmax(worth)), worth.shape)
        found[c, low:high] = True
    return found


def disagreement(
    board: Board, bottoms: Int[np.ndarray, "c s n"], counts: Int[np.ndarray, "c s n"]
) -> float:
    """Part of the atoms that chains have on other sites, on average over their pairs.

    **Arguments:**

    - `board`: places.
    - `bottoms`, `counts`: of the columns of each sample of each chain.
    """
    each = [occupation(board, b, k) for b, k in zip(bottoms, counts, strict=True)]
    apart = [0.5 * np.abs(each[i] - each[j]).sum() for i in range(len(each)) for j in range(i)]
    return float(np.mean(apart) / np.mean([one.sum() for one in each])) if apart else 0.0
