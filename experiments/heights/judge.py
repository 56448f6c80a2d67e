"""Columns that are found and true ones in, what a table says of them out.

A column is matched to a true one, vacant ones included, within 0.8 Å. Scored are those that are 1 Å or more
within the image. `Compared` is of one image; many are joined before rates are taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from atomfit.column_heights.found import Heights
from atomfit.networks.columns_seen import credible_sets
from experiments.heights.scoring import EDGE, NEAR
from experiments.heights.specimens import PIXEL


@dataclass(frozen=True, eq=False)
class Truth:
    """Columns of an image.

    **Fields:**

    - `positions`: x, y (Å); vacant columns too.
    - `heights`: 0 of vacant ones.
    - `missing`: atoms that were taken out.
    - `surface`: whether one of six neighbours is not there.
    - `shape`: rows and columns of the image.
    """

    positions: Float[np.ndarray, "n 2"]
    heights: Int[np.ndarray, " n"]
    missing: Int[np.ndarray, " n"]
    surface: Bool[np.ndarray, " n"]
    shape: Int[np.ndarray, " 2"]

    def within(self, places: Float[np.ndarray, "k 2"]) -> Bool[np.ndarray, " k"]:
        """Which places are scored."""
        size = PIXEL * (self.shape[::-1] - 1)
        return np.all((places >= EDGE) & (places <= size - EDGE), axis=1)


@dataclass(frozen=True, eq=False)
class Compared:
    """True columns that are scored, vacant ones too, and what was found of them.

    **Fields:**

    - `truth`, `missing`, `surface`: as of `Truth`.
    - `found`: likeliest heights; -1 where no column is found.
    - `held`: probability of that height.
    - `in_set`, `size`, `said`: of sets that hold 90 %: whether the true height is among them, how many
        there are, and the probability that they have together; 0 where none is found.
    - `errors`, `esds`: of positions along x and y (Å); NaN where none is found.
    - `limit`: likeliest heights that the oracle tells of the same electrons; -1 if it was not asked.
    - `false`: columns found that are none; one number.
    - `seconds`, `misfit`: of the image.
    - `conditions`: errors of conditions, their esds (columns), by the names in `CONDITIONS` (rows).
    """

    truth: Int[np.ndarray, " n"]
    missing: Int[np.ndarray, " n"]
    surface: Bool[np.ndarray, " n"]
    found: Int[np.ndarray, " n"]
    held: Float[np.ndarray, " n"]
    in_set: Bool[np.ndarray, " n"]
    size: Int[np.ndarray, " n"]
    said: Float[np.ndarray, " n"]
    errors: Float[np.ndarray, "n 2"]
    esds: Float[np.ndarray, "n 2"]
    limit: Int[np.ndarray, " n"]
    false: Int[np.ndarray, " images"]
    seconds: Float[np.ndarray, " images"]
    misfit: Float[np.ndarray, " images"]
    conditions: Float[np.ndarray, "images conditions 2"]

    @classmethod
    def joined(cls, parts: "Sequence[Compared]") -> "Compared":
        """Of many images."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


CONDITIONS = (
    *("defocus", "c3", "c5", "focal_spread", "a1_x", "a1_y", "b2_x", "b2_y", "a2_x", "a2_y"),
    *("mistilt_x", "mistilt_y", "blur", "background", "absorption", "convergence"),
)


def compared(
    found: Heights,
    truth: Truth,
    known: dict[str, float],
    limit: Float[np.ndarray, "n levels"] | None,
    seconds: float,
) -> Compared:
    """Compare what is found in an image with what is true.

    **Arguments:**

    - `found`, `truth`: of the image.
    - `known`: true conditions.
    - `limit`: probabilities that the oracle tells of true columns.
    - `seconds`: that it took.
    """
    scored, count = truth.within(truth.positions), len(truth.heights)
    pairs = matched(truth.positions, found.positions)
    true, told = pairs.T
    heights = np.full(count, -1)
    held, esds, errors = np.zeros(count), np.full((count, 2), np.nan), np.full((count, 2), np.nan)
    sets = np.zeros((count, found.probabilities.shape[1]), bool)
    said = np.zeros(count)
    heights[true] = found.heights[told]
    held[true] = found.probabilities[told].max(axis=1)
    sets[true] = credible_sets(found.probabilities[told], 0.9)
    said[true] = np.sum(found.probabilities * credible_sets(found.probabilities, 0.9), axis=1)[told]
    errors[true] = found.positions[told] - truth.positions[true]
    esds[true] = found.position_esds[told]
    inside = truth.heights < sets.shape[1]
    in_set = inside & sets[np.arange(count), np.where(inside, truth.heights, 0)]
    # A column is false where none is, or where the one that was has gone.
    real = np.zeros(len(found), bool)
    real[told[truth.heights[true] > 0]] = True
    false = int(np.sum(~real & (found.heights > 0) & truth.within(found.positions)))
    of = {one.name: one for one in found.conditions}
    none = (np.nan, np.nan)
    conditions = [
        (of[name].value - known[name], of[name].esd) if name in of and name in known else none
        for name in CONDITIONS
    ]
    best = np.full(count, -1) if limit is None else limit.argmax(axis=1)
    return Compared(
        *(each[scored] for each in (truth.heights, truth.missing, truth.surface)),
        *(each[scored] for each in (heights, held, in_set, sets.sum(axis=1), said, errors, esds, best)),
        *(np.array([each]) for each in (false, seconds, found.misfit, conditions)),
    )


def matched(true: Float[np.ndarray, "n 2"], found: Float[np.ndarray, "k 2"]) -> Int[np.ndarray, "m 2"]:
    """Numbers of columns that are one, true and found.

    **Arguments:**

    - `true`, `found`: their places (Å).
    """
    distances = cdist(true, found)
    pairs = np.stack(linear_sum_assignment(np.where(distances < NEAR, distances, 1e3)), axis=1)
    return pairs[distances[pairs[:, 0], pairs[:, 1]] < NEAR]
