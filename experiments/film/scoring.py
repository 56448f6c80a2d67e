"""Atoms found and true atoms in, how good they are out, by one rule for every method.

A found atom and a true one are a pair if they are nearer than 0.75 Å, which is less than half the distance
of neighbours in all materials here; one to one. Near the faces a map knows half of an atom, so that true
atoms within six voxels of a face are asked of nobody: a pair counts if its true atom is farther inside, a
false atom if it is itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.structure.grid import Grid
from atomfit.structure.matching import Match, match

#: Farthest that a pair may be apart (Å), and what is too near a face to be judged (voxels).
TOLERANCE, MARGIN = 0.75, 6
#: Thresholds that the oracle tries.
CUTS = 200


def inner(positions: Float[np.ndarray, "n 3"], grid: Grid) -> Bool[np.ndarray, " n"]:
    """Which places are far enough from every face to be judged.

    **Arguments:**

    - `positions`: in Å.
    - `grid`: of the map.
    """
    voxel = grid.indices_of(positions)
    return np.all((voxel >= MARGIN) & (voxel <= np.array(grid.shape) - 1 - MARGIN), axis=1)


def judged(found: Float[np.ndarray, "n 3"], known: Float[np.ndarray, "m 3"], grid: Grid) -> Match:
    """Pairs, and how many true atoms are missing and found ones false, away from the faces.

    **Arguments:**

    - `found`, `known`: positions (Å).
    - `grid`: of the map.
    """
    pairs = match(found, known, TOLERANCE)
    asked = inner(known, grid)
    kept = asked[pairs.known]
    false = np.setdiff1d(np.flatnonzero(inner(found, grid)), pairs.found)
    missing = np.setdiff1d(np.flatnonzero(asked), pairs.known)
    return Match(pairs.found[kept], pairs.known[kept], pairs.distances[kept], len(missing), len(false))


@dataclass(frozen=True, eq=False)
class Oracle:
    """Picks above the best of all thresholds.

    **Fields:**

    - `pairs`: of these picks and true atoms.
    - `part`: the threshold, in the median height of the picks above it.
    """

    pairs: Match
    part: float


def oracle(
    picks: Float[np.ndarray, "k 3"],
    heights: Float[np.ndarray, " k"],
    known: Float[np.ndarray, "m 3"],
    grid: Grid,
) -> Oracle:
    """What a picker finds that knows the threshold with the largest F1.

    **Arguments:**

    - `picks`, `heights`: local maxima (Å), highest first.
    - `known`: true atoms (Å).
    - `grid`: of the map.
    """
    cuts = np.unique(np.linspace(1, len(picks), CUTS).astype(int))
    every = [judged(picks[:cut], known, grid) for cut in cuts]
    best = int(np.argmax([one.f1 for one in every]))
    above = heights[: cuts[best]]
    return Oracle(every[best], float(above[-1] / np.median(above)))


@dataclass(frozen=True, eq=False)
class Scored:
    """A sub-area's atoms beside the truth.

    **Fields:**

    - `pairs`: of atoms of `build`.
    - `picker`, `smooth_picker`: the oracle's, of maxima of the map and of the denoised map of `detect`.
    - `own`: the oracle's, of all that `build` has scored: its atoms and what it has discarded.
    - `off`: found less true positions of the pairs (Å).
    - `esds`: of these (Å).
    - `said`: rate of false atoms that the result expects of its own: the largest q-value.
    - `q_values`, `parts`, `right`: of every judged atom of `build`: q-value, score in that of the median
        atom, and whether it is one.
    - `elements`: part of the pairs whose element is right.
    - `cut`, `typical`: the score asked for, and the median one.
    - `known`: whether noise was measured.
    - `seconds`: of `build`.
    """

    pairs: Match
    picker: Oracle
    smooth_picker: Oracle
    own: Oracle
    off: Float[np.ndarray, "n 3"]
    esds: Float[np.ndarray, "n 3"]
    said: float
    q_values: Float[np.ndarray, " k"]
    parts: Float[np.ndarray, " k"]
    right: Bool[np.ndarray, " k"]
    elements: float
    cut: float
    typical: float
    known: bool
    seconds: float

    @property
    def rate(self) -> float:
        """Part of the atoms that are false."""
        return 1 - self.pairs.precision

    @property
    def rival(self) -> float:
        """F1 of the better picker."""
        return max(self.picker.pairs.f1, self.smooth_picker.pairs.f1)

    def z(self, axis: int) -> float:
        """Root mean square of errors over their standard uncertainties along x, y or z."""
        return z([self], axis)


def z(every: Sequence[Scored], axis: int) -> float:
    """The same of several sub-areas."""
    over = np.concatenate([one.off[:, axis] / one.esds[:, axis] for one in every])
    over = over[np.isfinite(over)]
    return float(np.sqrt(np.mean(over**2))) if len(over) else float("nan")


def scored(kept: dict[str, np.ndarray]) -> Scored:
    """A sub-area's result, as it is kept, beside the truth.

    **Arguments:**

    - `kept`: arrays of `measuring.found`.
    """
    grid = Grid(tuple(int(n) for n in kept["shape"]), kept["spacing"], kept["origin"])
    truth, found = kept["truth"], kept["positions"]
    pairs = judged(found, truth, grid)
    every = match(found, truth, TOLERANCE)
    right = np.isin(np.arange(len(found)), every.found)
    asked = inner(found, grid)
    same = kept["symbols"][pairs.found] == kept["true_symbols"][pairs.known]
    q = kept["q_values"]
    scored_places = np.concatenate([found, kept["discarded"]])
    scores = np.concatenate([kept["scores"], kept["discarded_scores"]])
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    order = order[np.isfinite(scores[order])]
    typical = float(np.nanmedian(kept["scores"]))
    return Scored(
        pairs,
        oracle(kept["picks"], kept["heights"], truth, grid),
        oracle(kept["smooth_picks"], kept["smooth_heights"], truth, grid),
        oracle(scored_places[order], scores[order], truth, grid),
        found[pairs.found] - truth[pairs.known],
        kept["esds"][pairs.found],
        float(np.nanmax(q)) if np.any(np.isfinite(q)) else float("nan"),
        q[asked],
        kept["scores"][asked] / typical,
        right[asked],
        float(np.mean(same)) if len(same) else float("nan"),
        float(kept["cut"]),
        typical,
        bool(kept["noise_known"]),
        float(kept["seconds"]),
    )
