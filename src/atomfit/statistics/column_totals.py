"""How many columns and atoms a particle lost and gained between two images, with error bars.

Sums over columns, each with its probability: a column that was lost with the probability p takes p of
itself along, and its expected number of atoms; a pair gains and loses what `change_probabilities` has of
it. Columns err independently, which gives a variance, but for the ratio of the images' brightness, which
all pairs share: what totals change by when it is one standard uncertainty larger is added.

A column belongs to the facet of the first image whose outermost columns it is one of, or lies beside.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.statistics.change_probabilities import AtomChanges, atom_changes
from atomfit.statistics.column_changes import ColumnComparison
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.registration import typical_spacing


@final
@dataclass(frozen=True)
class Total:
    """An expected number and its standard uncertainty."""

    value: float
    esd: float


@final
@dataclass(frozen=True, eq=False)
class Totals:
    """What became of a comparison's columns, in sums over any of its rows."""

    comparison: ColumnComparison

    def columns(self, lost: bool, rows: Bool[np.ndarray, " rows"] | None = None) -> Total:
        """Columns lost, or gained.

        **Arguments:**

        - `lost`: or gained.
        - `rows`: which are added; all if None.
        """
        p = self._gone(lost)[_all(rows)]
        return Total(float(p.sum()), float(np.sqrt(np.sum(p * (1 - p)))))

    def atoms(self, lost: bool, rows: Bool[np.ndarray, " rows"] | None = None) -> Total:
        """Atoms lost, or gained, in whole columns and in pairs; NaN if not both images have counts.

        **Arguments:** as of `columns`.
        """
        if self.comparison.atoms is None:
            return Total(np.nan, np.nan)
        which, p = _all(rows), self._gone(lost)
        mean, variance = self._expected(lost)
        singles = np.nan_to_num(p * mean)[which]
        spread = np.nan_to_num(p * (variance + mean**2) - (p * mean) ** 2)[which]
        here, shift = self._pairs[0 if lost else 1]
        value, own = here
        total = float(singles.sum() + value[which].sum())
        squares = float(spread.sum() + own[which].sum() + shift[which].sum() ** 2)
        return Total(total, squares**0.5)

    @cached_property
    def facets(self) -> Int[np.ndarray, " rows"]:
        """Number of the facet of the first image that each row lies at; 0 for none."""
        c = self.comparison
        outer = np.flatnonzero(c.a.facets > 0)
        if not len(outer):
            return np.zeros(len(c), int)
        reach = LIMITS.column_beyond * float(np.nan_to_num(typical_spacing(c.a.positions)))
        single = c.first < 0
        found = np.where(single, 0, c.a.facets[np.maximum(c.first, 0)])
        apart, nearest = cKDTree(c.a.positions[outer]).query(c.positions[single])
        found[single] = np.where(apart < reach, c.a.facets[outer[nearest]], 0)
        return np.asarray(found, int)

    def _gone(self, lost: bool) -> Float[np.ndarray, " rows"]:
        """Probability of each row to be a column that was lost, or gained."""
        c = self.comparison
        # Without cross-sections there is no probability, and all that is seen counts.
        seen = np.array(c.statuses, dtype=object) == ("lost" if lost else "gained")
        p = np.where(np.isfinite(c.single_probability), c.single_probability, seen.astype(float))
        return np.where((c.second < 0) if lost else (c.first < 0), p, 0.0)

    def _expected(self, lost: bool) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        """Mean and variance of the atoms in each row's column."""
        c = self.comparison
        image, which = (c.a, c.first) if lost else (c.b, c.second)
        return tuple(  # type: ignore[return-value]
            np.where(which >= 0, values[np.maximum(which, 0)], np.nan) for values in image.expected_atoms()
        )

    @cached_property
    def _pairs(self) -> tuple[tuple[tuple[np.ndarray, np.ndarray], np.ndarray], ...]:
        """Atoms that pairs lost and gained: means and variances, and what a brighter image adds."""
        c = self.comparison
        atoms, pairs = c.atoms, c.paired
        if atoms is None or c.a.probabilities is None or c.a.law is None:
            return ()
        # One standard uncertainty, of all columns alike.
        relative = pairs.brightness.esd / pairs.brightness.value
        off = pairs.differences + relative * c.a.cross_sections[pairs.first]
        counts = np.where(np.isfinite(atoms.probabilities[:, :1]), c.a.probabilities[pairs.first], np.nan)
        brighter = atom_changes(off, pairs.difference_esds, counts, c.a.law)
        found = []
        for sign in (-1, 1):
            value, own = _part(atoms, sign)
            shift = _part(brighter, sign)[0] - value
            spread = tuple(np.nan_to_num(c.of_pairs(x)) for x in (value, own))
            found.append(((spread[0], spread[1]), np.nan_to_num(c.of_pairs(shift))))
        return tuple(found)


def _part(atoms: AtomChanges, sign: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Mean and variance of the atoms gained (1), or lost (-1)."""
    steps = np.maximum(sign * atoms.steps, 0)
    mean = atoms.probabilities @ steps
    return mean, np.maximum(atoms.probabilities @ steps**2 - mean**2, 0.0)


def _all(rows: Bool[np.ndarray, " rows"] | None) -> Bool[np.ndarray, " rows"] | slice:
    return slice(None) if rows is None else rows
