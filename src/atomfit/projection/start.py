"""Atoms that a fit to images begins with: their places, and what is known of them beforehand."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Start:
    """Atoms to start from.

    **Fields:**

    - `positions`: in the specimen's frame (Å).
    - `numbers`: atomic numbers.
    - `frozen`: those that are drawn and do not move; they come last.
    - `ids`: of those that move, as in the file they are from.
    - `known`: standard deviations of where atoms are expected (Å), as far as anything is known of it;
        infinite for what is not. None if nothing is.
    - `notes`: what is said of them.
    - `expected`: where atoms are expected to be (Å), if they begin elsewhere.
    - `rows`, `named`: numbers by which atoms are known again once some of them are chosen or others joined,
        and how many have been given.
    - `last`: the largest of `ids` that there has been, which no other atom gets.
    """

    positions: Float[np.ndarray, "n 3"]
    numbers: Int[np.ndarray, " n"]
    frozen: Bool[np.ndarray, " n"]
    ids: Int[np.ndarray, " m"]
    known: Float[np.ndarray, "n 3"] | None = None
    notes: tuple[str, ...] = ()
    expected: Float[np.ndarray, "n 3"] | None = None
    rows: Int[np.ndarray, " n"] | None = None
    named: int = 0
    last: int = 0

    def going_on(self, positions: Float[np.ndarray, "n 3"]) -> "Start":
        """The same expected where they were, but beginning at other places (Å)."""
        return replace(
            self, positions=positions, expected=self.positions if self.expected is None else self.expected
        )

    def at(self, positions: Float[np.ndarray, "n 3"]) -> "Start":
        """The same at other places (Å): expected where they were, if anything is known of that."""
        return replace(self, positions=positions) if self.known is None else self.going_on(positions)

    def chosen(self, kept: Bool[np.ndarray, " n"]) -> "Start":
        """Some of these atoms."""
        return replace(
            self,
            positions=self.positions[kept],
            numbers=self.numbers[kept],
            frozen=self.frozen[kept],
            ids=self.ids[kept[: len(self.ids)]],
            rows=self._rows[kept],
            named=self._named,
            last=self._last,
            known=None if self.known is None else self.known[kept],
            expected=None if self.expected is None else self.expected[kept],
        )

    def joined(self, places: Float[np.ndarray, "a 3"], number: int) -> "Start":
        """These and others of one element, of which nothing is known, after those that move."""
        a, moving = len(places), len(self.ids)

        def insert(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            return np.concatenate([old[:moving], new, old[moving:]])

        rows = self._rows
        return replace(
            self,
            positions=insert(self.positions, places),
            numbers=insert(self.numbers, np.full(a, number)),
            frozen=insert(self.frozen, np.zeros(a, bool)),
            ids=np.concatenate([self.ids, self._last + 1 + np.arange(a)]),
            last=self._last + a,
            rows=insert(rows, self._named + np.arange(a)),
            named=self._named + a,
            known=None if self.known is None else insert(self.known, np.full((a, 3), np.inf)),
            expected=None if self.expected is None else insert(self.expected, places),
        )

    def ids_with_new(self, before: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        """Of atoms that were some of these (their indices), or are new (-1)."""
        new = before < 0
        added = self._last + np.cumsum(new)
        return np.where(new, added, self.ids[before] if len(self.ids) else added)

    def rows_in(self, earlier: "Start") -> Int[np.ndarray, " n"]:
        """Which of the atoms that these were chosen from each one is; -1 for those joined since."""
        place = {int(name): i for i, name in enumerate(earlier._rows)}
        return np.array([place.get(int(name), -1) for name in self._rows], dtype=int)

    @property
    def _last(self) -> int:
        return max(self.last, int(max(self.ids, default=0)))

    @property
    def _named(self) -> int:
        return max(self.named, len(self.positions)) if self.rows is None else self.named

    @property
    def _rows(self) -> Int[np.ndarray, " n"]:
        return np.arange(len(self.positions)) if self.rows is None else self.rows
