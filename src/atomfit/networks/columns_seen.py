"""Maps of presence and of heights in, columns with positions and probabilities of their heights out.

A network marks each column with a Gaussian, so the logarithm of what it says is a parabola near the
column's centre, which three pixels along each axis give to a part of a pixel. Logits of heights are read at
the pixel nearest to it.

What a network says is not yet a probability: networks are too sure of themselves. Logits are divided by a
temperature that held-out data have chosen by maximum likelihood (Guo et al. 2017), one that changes with
the dose as a power: the fewer electrons, the more a network may be wrong about itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import maximum_filter
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

#: Least distance of two columns (Å), and the least probability of presence that makes one.
APART, LEAST = 1.2, 0.4


@dataclass(frozen=True)
class Calibration:
    """By what logits of heights are divided: `at_1000 (dose / 1000)^power`.

    **Fields:**

    - `at_1000`: the temperature at 1000 electrons per Å².
    - `power`: of the dose.
    """

    at_1000: float = 1.0
    power: float = 0.0

    def temperature(self, dose: float) -> float:
        """At a dose.

        **Arguments:**

        - `dose`: electrons per Å².
        """
        return self.at_1000 * (max(dose, 1e-3) / 1e3) ** self.power


@dataclass(frozen=True, eq=False)
class ColumnsSeen:
    """Columns that a network sees.

    **Fields:**

    - `positions`: x, y from the centre of the first pixel (Å).
    - `presence`: how surely there is a column.
    - `probabilities`: of 0, 1, ... atoms.
    """

    positions: Float[np.ndarray, "n 2"]
    presence: Float[np.ndarray, " n"]
    probabilities: Float[np.ndarray, "n levels"]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def heights(self) -> Int[np.ndarray, " n"]:
        """The likeliest ones."""
        return self.probabilities.argmax(axis=1)


def columns_seen(
    presence: Float[np.ndarray, "rows columns"],
    heights: Float[np.ndarray, "rows columns levels"],
    pixel: float,
    temperature: float = 1.0,
    least: float = LEAST,
) -> ColumnsSeen:
    """Find columns in what a network says.

    **Arguments:**

    - `presence`, `heights`: logits.
    - `pixel`: edge of a pixel (Å).
    - `temperature`: of the heights' logits.
    - `least`: probability of presence that makes a column.
    """
    reach = math.floor(APART / pixel)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    near = maximum_filter(presence, footprint=x**2 + y**2 <= (APART / pixel) ** 2, mode="nearest")
    rows, columns = np.nonzero((presence == near) & (expit(presence) >= least))
    said = -np.logaddexp(0, -presence.astype(np.float64))
    places = np.stack([_vertex(said, rows, columns, axis) for axis in (1, 0)], axis=1)
    return ColumnsSeen(
        pixel * (np.stack([columns, rows], axis=1) + places.reshape(-1, 2)),
        expit(presence[rows, columns].astype(np.float64)),
        softmax(heights[rows, columns].astype(np.float64) / temperature, axis=-1),
    )


def fitted_calibration(
    logits: Float[np.ndarray, "n levels"], heights: Int[np.ndarray, " n"], doses: Float[np.ndarray, " n"]
) -> Calibration:
    """The temperature that makes held-out heights likeliest.

    **Arguments:**

    - `logits`, `heights`: of columns that the network has not learned from, and true ones.
    - `doses`: of the images that they are in (electrons per Å²).
    """
    logits, scaled = np.asarray(logits, np.float64), np.log(np.asarray(doses, np.float64) / 1e3)
    # Of one dose alone no power can be found.
    free = np.array([1.0, float(np.ptp(scaled) > 0)])

    def unlikely(x: np.ndarray) -> float:
        inverse = np.exp(-(x[0] + free[1] * x[1] * scaled))
        said = log_softmax(logits * inverse[:, None], axis=1)
        return -float(np.mean(said[np.arange(len(said)), heights]))

    found = minimize(unlikely, np.zeros(2), method="Nelder-Mead").x * free
    return Calibration(float(np.exp(found[0])), float(found[1]))


def credible_sets(
    probabilities: Float[np.ndarray, "n levels"], held: float
) -> Bool[np.ndarray, "n levels"]:
    """The smallest sets of heights that hold a probability.

    **Arguments:**

    - `probabilities`: of heights.
    - `held`: what a set holds at least.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    inside = np.cumsum(ranked, axis=1) - ranked < held
    found = np.zeros(probabilities.shape, bool)
    np.put_along_axis(found, order, inside, axis=1)
    return found


def _vertex(
    values: Float[np.ndarray, "rows columns"],
    rows: Int[np.ndarray, " n"],
    columns: Int[np.ndarray, " n"],
    axis: int,
) -> Float[np.ndarray, " n"]:
    """Where a parabola through three pixels has its top, from the middle one."""
    places = [rows, columns]
    last = values.shape[axis] - 1
    found = []
    for step in (-1, 0, 1):
        at = list(places)
        at[axis] = np.clip(places[axis] + step, 0, last)
        found.append(values[at[0], at[1]])
    before, here, behind = found
    bend = before - 2 * here + behind
    inside = (places[axis] > 0) & (places[axis] < last) & (bend < 0)
    offset = 0.5 * (before - behind) / np.where(inside, bend, 1.0)
    return np.where(inside, np.clip(offset, -0.5, 0.5), 0.0)
