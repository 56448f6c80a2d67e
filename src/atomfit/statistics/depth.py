"""Statistics against depth: where the surface ends and the core begins.

The paper's depth of an atom is R_NP - R: R is its distance from the particle's centre, R_NP half the
largest distance between two atoms. On a particle that is no sphere atoms of one facet have many depths, so
the distance from the convex hull of the atoms is given beside it.

A statistic y is fitted by the paper's continuous function that is linear to a depth δ and constant beyond,

    y = m (depth - δ) + c  up to δ,    y = c  beyond,

by least squares on atoms (the paper's points are means of five, which say the same twice). For a given δ it
is linear in m and c; δ is looked for, and errors are those of the three together. The alternative is one
that has no kink, y = c + m exp(-depth / λ); Akaike's criterion (1974) says which describes atoms better.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from atomfit.statistics.limits import LIMITS

#: Depths of the kink that are tried, and how often, between the best one's neighbours.
_STEPS = 40
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class Depths:
    """Of n atoms (Å).

    **Fields:**

    - `radii`: R.
    - `radial`: R_NP - R.
    - `hull`: distance from the convex hull of all atoms; NaN if they lie in a plane.
    - `diameter`: 2 R_NP.
    """

    radii: Float[np.ndarray, " n"]
    radial: Float[np.ndarray, " n"]
    hull: Float[np.ndarray, " n"]
    diameter: float


def centre_of(positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " 3"]:
    """The particle's centre: the mean of its atoms (Å); the origin if there are none."""
    return positions.mean(axis=0) if len(positions) else np.zeros(3)


def measure_depths(positions: Float[np.ndarray, "n 3"]) -> Depths:
    """Depths of atoms (positions in Å) about their centre of mass.

    **Arguments:**

    - `positions`: in Å.
    """
    radii = np.linalg.norm(positions - centre_of(positions), axis=1)
    hull, outer = np.full(len(positions), np.nan), positions
    if len(positions) > 4:
        try:
            found = ConvexHull(positions)
        except QhullError:
            pass
        else:
            outer = positions[found.vertices]
            hull = -np.max(positions @ found.equations[:, :3].T + found.equations[:, 3], axis=1)
            hull = np.maximum(hull, 0)
    diameter = float(pdist(outer).max()) if len(positions) > 1 else 0.0
    return Depths(radii, diameter / 2 - radii, hull, diameter)


@dataclass(frozen=True)
class DepthFit:
    """A statistic against depth.

    **Fields:**

    - `delta`, `slope`, `constant`: δ (Å), m and c.
    - `delta_esd`, `slope_esd`, `constant_esd`: their standard uncertainties.
    - `deviation`: scatter of an atom about the function.
    - `smooth_better_by`: what Akaike's criterion is smaller by for the function without a kink; negative if
        the kink describes the atoms better.
    - `length`: λ of that function (Å).
    - `atoms`: how many were fitted.
    """

    delta: float
    delta_esd: float
    slope: float
    slope_esd: float
    constant: float
    constant_esd: float
    deviation: float
    smooth_better_by: float
    length: float
    atoms: int


def fit_depth(
    depth: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    limits: tuple[float, float] | None = None,
) -> DepthFit | None:
    """The kinked function of depth that fits a statistic best; None if there are too few atoms.

    **Arguments:**

    - `depth`: of each atom (Å).
    - `values`: the statistic; atoms where it is NaN do not count.
    - `limits`: that c is kept within ([10, 12] for coordination numbers in the paper).
    """
    known = np.isfinite(values) & np.isfinite(depth)
    d, y = depth[known], values[known]
    n = len(d)
    if n < LIMITS.depth_atoms or np.ptp(d) == 0:
        return None
    low, high = np.quantile(d, [0.02, 0.98])
    for _ in range(_ROUNDS):
        tried = np.linspace(low, high, _STEPS)
        fits = [_linear(np.minimum(d - delta, 0), y, limits) for delta in tried]
        squares = np.array([fit[0] for fit in fits])
        best = int(squares.argmin())
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, _STEPS - 1)]
    variance = squares[best] / (n - 3)
    delta, (_, slope, constant) = float(tried[best]), fits[best]
    kink = np.minimum(d - delta, 0)
    # Both lines move with the kink: dy/dδ = -m before it.
    design = np.column_stack([kink, np.ones(n), np.where(d < delta, -slope, 0.0)])
    covariance = variance * np.linalg.pinv(design.T @ design)
    lengths = np.geomspace(0.1, max(2 * np.ptp(d), 0.2), _STEPS)
    smooth = [_linear(np.exp(-d / length), y, limits)[0] for length in lengths]
    gain = n * np.log(max(squares[best], 1e-300) / max(min(smooth), 1e-300))
    return DepthFit(
        delta,
        float(np.sqrt(covariance[2, 2] + (tried[1] - tried[0]) ** 2 / 12)),
        slope,
        float(np.sqrt(covariance[0, 0])),
        constant,
        float(np.sqrt(covariance[1, 1])),
        float(np.sqrt(variance)),
        float(gain),
        float(lengths[int(np.argmin(smooth))]),
        n,
    )


def _linear(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], limits: tuple[float, float] | None
) -> tuple[float, float, float]:
    """Least squares of y = m x + c, c within limits: the sum of squares, m and c."""
    middle_x, middle_y = x.mean(), y.mean()
    spread = float(np.sum((x - middle_x) ** 2))
    slope = float(np.sum((x - middle_x) * (y - middle_y))) / spread if spread > 0 else 0.0
    constant = float(middle_y - slope * middle_x)
    if limits is not None and not limits[0] <= constant <= limits[1]:
        constant = float(np.clip(constant, *limits))
        square = float(x @ x)
        slope = float(x @ (y - constant)) / square if square > 0 else 0.0
    return float(np.sum((y - slope * x - constant) ** 2)), slope, constant


def running_means(
    depth: Float[np.ndarray, " n"], columns: Mapping[str, Float[np.ndarray, " n"]], count: int = 5
) -> tuple[Float[np.ndarray, " k"], dict[str, Float[np.ndarray, " k"]]]:
    """Means of every so many atoms that follow each other in depth, of those that are known.

    **Returns:** mean depths (Å), and the means of each column.
    """
    order = np.argsort(depth, kind="stable")
    if len(order) < count:
        return np.zeros(0), {name: np.zeros(0) for name in columns}
    windows = sliding_window_view(order, count)
    means = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        counts = known[windows].sum(axis=1)
        total = np.where(known, values, 0.0)[windows].sum(axis=1)
        means[name] = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    return depth[windows].mean(axis=1), means
