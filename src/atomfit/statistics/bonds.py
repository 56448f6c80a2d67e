"""Bonds as vectors: the graph that local structure, grains and lattices are read from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree


@dataclass(frozen=True, eq=False)
class Bonds:
    """Each bond twice, once from each of its atoms; sorted by the atom it begins at.

    **Fields:**

    - `begin`, `end`: indices of atoms.
    - `vectors`: from begin to end (Å).
    - `first`: where the bonds of each atom begin; one more than there are atoms.
    """

    begin: Int[np.ndarray, " b"]
    end: Int[np.ndarray, " b"]
    vectors: Float[np.ndarray, "b 3"]
    first: Int[np.ndarray, " n_plus_1"]

    @classmethod
    def of(cls, positions: Float[np.ndarray, "n 3"], cutoff: float) -> "Bonds":
        """Bonds between atoms that are closer than a cutoff (Å)."""
        n = len(positions)
        pairs = np.zeros((0, 2), int)
        if n > 1 and np.isfinite(cutoff):
            pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray")
        begin, end = np.concatenate([pairs, pairs[:, ::-1]]).T
        order = np.lexsort((end, begin))
        begin, end = begin[order], end[order]
        first = np.searchsorted(begin, np.arange(n + 1))
        return cls(begin, end, positions[end] - positions[begin], first)

    def __len__(self) -> int:
        return len(self.begin)

    @cached_property
    def squares(self) -> Float[np.ndarray, " b"]:
        """Of the lengths (Å²)."""
        return np.asarray(np.sum(self.vectors**2, axis=1))

    @property
    def coordination_numbers(self) -> Int[np.ndarray, " n"]:
        """Bonds of each atom."""
        return np.diff(self.first)

    def of_atom(self, i: int) -> slice:
        """The bonds of one atom."""
        return slice(int(self.first[i]), int(self.first[i + 1]))

    def sum_at(self, values: Float[np.ndarray, " b"] | Bool[np.ndarray, " b"]) -> Float[np.ndarray, " n"]:
        """Sum over the bonds of each atom."""
        sums = np.bincount(self.begin, weights=values, minlength=len(self.first) - 1)
        return sums.astype(np.float64)

    def padded(self, width: int) -> Int[np.ndarray, "n w"]:
        """Neighbours of each atom, the first `width` of them, filled up with -1."""
        rank = np.arange(len(self)) - self.first[self.begin]
        table = np.full((len(self.first) - 1, width), -1)
        kept = rank < width
        table[self.begin[kept], rank[kept]] = self.end[kept]
        return table
