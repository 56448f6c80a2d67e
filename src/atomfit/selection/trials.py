"""Atoms that are taken away, and places that are given one, each with its neighbours giving way.

A fit and what it leaves of the images in, other atoms out. What an atom stands out by is told with its
neighbours where they are. But where noise or a poor start has put one atom too many, N + 1 of them share
what is that of N: each stands out, and none can go until the others move into its place. So it is tried:
one atom is left out, or one is added, and those within reach are refined anew while all others stay
(`projection.neighbourhood`). By how much chi-square then differs from that of the same atoms refined
without the change is what the change is worth. Those that are worth most come first; no two share a
neighbour, since each has been judged with the others as they were.

All atoms have the same image here, one Gaussian, as they have where a fit searches for atoms of one
element.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.projection.fitted import FittedSeries
from atomfit.projection.neighbourhood import Cutout, refined_twice

#: Atoms within this reach give way, in neighbour distances, but no more than so many.
_REACH, _MOST = 1.7, 19
#: Pixels count up to this many widths of an atom's image from them.
_WIDTHS = 3.0
#: Where atoms are that there are not (Å).
_NOWHERE = 1e3


@dataclass(frozen=True, eq=False)
class Change:
    """One atom more or less, and its neighbours beside it.

    **Fields:**

    - `worth`: by how much chi-square falls with it, less what an atom must earn.
    - `removed`: the atom that goes, if one does.
    - `added`: the place of a new one (Å), if there is one.
    - `neighbours`, `positions`: which atoms give way, and where to (Å).
    """

    worth: float
    removed: Int[np.ndarray, " r"]
    added: Float[np.ndarray, "a 3"]
    neighbours: Int[np.ndarray, " k"]
    positions: Float[np.ndarray, "k 3"]

    @property
    def rows(self) -> Int[np.ndarray, " m"]:
        """Atoms that are not as they were."""
        return np.concatenate([self.removed, self.neighbours])


@dataclass(frozen=True, eq=False)
class Changed:
    """Atoms after some changes.

    **Fields:**

    - `positions`: of all that there were (Å).
    - `kept`: those that stay.
    - `added`: places of new ones (Å).
    """

    positions: Float[np.ndarray, "n 3"]
    kept: Bool[np.ndarray, " n"]
    added: Float[np.ndarray, "a 3"]

    @property
    def any(self) -> bool:
        """Whether anything has changed."""
        return bool(len(self.added) or not self.kept.all())


@dataclass(frozen=True, eq=False)
class Trials:
    """What changes of single atoms are worth.

    **Fields:**

    - `fitted`: the images and their fit, in which all atoms look alike.
    - `distance`: of neighbours (Å).
    - `moving`: atoms that may change.
    - `earned`: by how much chi-square must fall for an atom.
    """

    fitted: FittedSeries
    distance: float
    moving: Bool[np.ndarray, " n"]
    earned: float

    def best(self, doubtful: Int[np.ndarray, " d"], candidates: Float[np.ndarray, "c 3"]) -> Changed:
        """The atoms after all changes that are worth it.

        **Arguments:**

        - `doubtful`: atoms to be taken away for trial.
        - `candidates`: places to be given one for trial (Å).
        """
        positions = self.fitted.positions.astype(np.float64)
        kept, touched = np.ones(len(positions), bool), ~self.moving
        added: list[np.ndarray] = []
        changes = sorted(self._worth_it(doubtful, candidates), key=lambda change: -change.worth)
        for change in changes:
            if touched[change.rows].any():
                continue
            touched[change.rows] = True
            positions[change.neighbours] = change.positions
            kept[change.removed] = False
            added.extend(change.added)
        return Changed(positions, kept, np.array(added).reshape(-1, 3))

    def _worth_it(
        self, doubtful: Int[np.ndarray, " d"], candidates: Float[np.ndarray, "c 3"]
    ) -> Iterator[Change]:
        for changes in (map(self.without, doubtful), map(self.with_another, candidates)):
            yield from (change for change in changes if change.worth > 0)

    def without(self, row: int | np.integer) -> Change:
        """What it is worth to take an atom away."""
        place = self.fitted.positions[row].astype(np.float64)
        near = self._near(place)
        near = np.append(row, near[near != row])
        stay = np.append(0.0, np.ones(len(near) - 1))
        more, moved = self._compared(place, near, stay)
        none = np.zeros((0, 3))
        return Change(self.earned - more, near[:1], none, near[1:], moved[1 : len(near)])

    def with_another(self, place: Float[np.ndarray, " 3"]) -> Change:
        """What it is worth to add an atom at a place (Å)."""
        near = self._near(place)
        count = len(near)
        more, moved = self._compared(place, near, np.ones(count + 1))
        none = np.zeros(0, int)
        return Change(-more - self.earned, none, moved[count : count + 1], near, moved[:count])

    def _near(self, place: Float[np.ndarray, " 3"]) -> Int[np.ndarray, " k"]:
        """Atoms that give way, the nearest first."""
        distances, rows = self._tree.query(place, _MOST, distance_upper_bound=_REACH * self.distance)
        return self._rows[rows[np.isfinite(distances)]]

    def _compared(
        self, place: Float[np.ndarray, " 3"], near: Int[np.ndarray, " k"], then: Float[np.ndarray, " m"]
    ) -> tuple[float, Float[np.ndarray, "j 3"]]:
        """By how much chi-square is larger with a change, and where atoms are then (Å).

        **Arguments:**

        - `place`: the middle of a neighbourhood (Å).
        - `near`: its atoms.
        - `then`: 1 for those that stay, and for one more in the middle.
        """
        begin = np.full((_MOST + 2, 3), _NOWHERE, np.float32)
        begin[: len(then)] = 0.0
        begin[: len(near)] = self.fitted.positions[near] - place
        present = np.zeros((2, _MOST + 2), np.float32)
        present[0, : len(near)] = 1.0
        present[1, : len(then)] = then
        moved, squares = refined_twice(self._cut_out(place), begin, present)
        before, after = np.asarray(squares, np.float64)
        return float(after - before), place + np.asarray(moved, np.float64)

    def _cut_out(self, place: Float[np.ndarray, " 3"]) -> Cutout:
        """The part of each image around a place."""
        series, size = self.fitted.series, self._size
        seen = self._planes @ (place - series.centre) / series.pixel + series.views.centres
        corners = np.clip(np.rint(seen).astype(int) - size // 2, -size, np.array(series.shape[::-1]))
        parts = [
            (view, slice(v, v + size), slice(u, u + size)) for view, (u, v) in enumerate(corners + size)
        ]
        left, weights = (np.stack([padded[part] for part in parts]) for padded in self._padded)
        offsets = (seen - corners).astype(np.float32)
        shape = np.array(self.fitted.width, np.float32), np.array(series.pixel, np.float32)
        return Cutout(left, weights, self._planes, offsets, self._heights, *shape)

    @cached_property
    def _size(self) -> int:
        reach = _REACH * self.distance + _WIDTHS * np.sqrt(self.fitted.width)
        return int(np.ceil(2 * reach / self.fitted.series.pixel)) + 1

    @cached_property
    def _padded(self) -> tuple[np.ndarray, np.ndarray]:
        """What is left of the images and its weights, with nothing around them."""
        room = ((0, 0), (self._size, self._size), (self._size, self._size))
        return np.pad(self.fitted.residual, room), np.pad(self.fitted.precisions, room)

    @cached_property
    def _planes(self) -> Float[np.ndarray, "v 2 3"]:
        return self.fitted.series.views.rotations[:, :2].astype(np.float32)

    @cached_property
    def _heights(self) -> Float[np.ndarray, " v"]:
        """Of an atom's image in each view."""
        amplitude = float(np.median(self.fitted.amplitudes[self.moving]))
        return (self.fitted.gains * amplitude / (2 * np.pi * self.fitted.width)).astype(np.float32)

    @cached_property
    def _rows(self) -> Int[np.ndarray, " m"]:
        return np.flatnonzero(self.moving)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.fitted.positions[self.moving].astype(np.float64))
