"""An image, the crystal's sites in it and a model of them: what a search for heights is about.

Sites a little beyond the image are part of it, as they are seen; heights of those that are farther follow
their neighbours. Light columns have heights of their own, which are nuisances: they begin as those of the
heavy ones around them.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.column_heights.conditions import (
    Conditions,
    first_conditions,
    log_prior,
    priors,
)
from atomfit.column_heights.expansion import (
    State,
    expected,
    starts_of,
)
from atomfit.column_heights.model import ColumnModel, column_model
from atomfit.column_heights.pairwise import Measured
from atomfit.column_heights.sites import Sites, find_sites
from atomfit.networks.looking import ImageSeen
from atomfit.structure.crystals import crystal, zone_columns
from atomfit.waves import Field

#: How far beyond the image there are columns, and such whose heights are sampled (Å).
_AROUND, _SAMPLED = 3.8, 2.5
#: Spatial frequency up to which images of columns have signal (1/Å).
_BAND = 1.1


@dataclass(frozen=True, eq=False)
class Problem:
    """What stays as it is.

    **Fields:**

    - `electrons`: of the image.
    - `sites`, `model`: of the crystal.
    - `heavy`: sites whose heights are sampled.
    - `light`: other columns whose heights and places are not known.
    - `pairs`: neighbours among `heavy`, by their places in it.
    - `most`: the greatest height.
    - `names`: of conditions.
    """

    electrons: Float[np.ndarray, "rows columns"]
    sites: Sites
    model: ColumnModel
    heavy: Int[np.ndarray, " h"]
    light: Int[np.ndarray, " l"]
    pairs: Int[np.ndarray, "p 2"]
    most: int
    names: tuple[str, ...]

    def named(self, *starts: str) -> Bool[np.ndarray, " k"]:
        """Which conditions have names that start so.

        **Arguments:**

        - `starts`: of names.
        """
        return np.array([one.startswith(starts) for one in self.names])

    def measured(self, state: State) -> Measured:
        """The image beside that of a state, with the variance of noise."""
        return self.beside(expected(self.model, state), 1.0)

    def beside(self, mean: Float[np.ndarray, "rows columns"], excess: float) -> Measured:
        """The image beside one that is expected."""
        field = self.model.field
        inside = np.pad(np.ones(field.shape), field.margin)
        # Where hardly anything is expected, the law of few counts is as wide as that of some.
        safe = np.maximum(mean, 0.05 * float(np.mean(field.shown(mean))))
        return Measured(np.pad(self.electrons, field.margin), safe, inside / np.sqrt(safe * excess))

    def log_likelihood(self, measured: Measured, conditions: Conditions) -> float:
        """Of Poisson's law, but for a constant, with the conditions' prior."""
        inside = measured.weights > 0
        n, mean = measured.counts[inside], measured.mean[inside]
        return float(np.sum(n * np.log(mean) - mean)) + log_prior(conditions.numbers)

    def excess(self, measured: Measured) -> float:
        """By how much the variance of what is left exceeds noise where columns have signal; 1 at least."""
        field = self.model.field
        residual = field.shown((measured.counts - measured.mean) / np.sqrt(measured.mean))
        power = np.abs(np.fft.fft2(residual)) ** 2 / residual.size
        ky, kx = (np.fft.fftfreq(n, field.pixel) for n in residual.shape)
        k = np.hypot(ky[:, None], kx[None, :])
        return max(float(power[(k > 0.05) & (k < _BAND)].mean()), 1.0)


def prepared(
    electrons: Float[np.ndarray, "rows columns"],
    pixel: float,
    seen: ImageSeen,
    of: str,
    zone: tuple[int, int, int],
    voltage: float,
    optics: dict[str, float] | None = None,
) -> tuple[Problem, State]:
    """The crystal's sites in an image, and a first state.

    **Arguments:** those of `likelihood_heights`, with electrons.
    """
    made = crystal(of)
    columns = zone_columns(made, zone)
    shape = electrons.shape
    size = pixel * np.array(shape[::-1])
    low, high = -0.5 * pixel - _AROUND, size - 0.5 * pixel + _AROUND
    sites = find_sites(seen.columns.positions, columns, made.heaviest, np.full(2, low), high)
    levels = seen.heights.shape[-1]
    field = Field.suited((shape[0], shape[1]), pixel, _AROUND)
    model = column_model(sites, columns, made.heaviest, field, voltage, levels - 1)
    near = np.all(
        (sites.places > -0.5 * pixel - _SAMPLED) & (sites.places < size - 0.5 * pixel + _SAMPLED), axis=1
    )
    heavy = np.flatnonzero(sites.heavy & near)
    tree = cKDTree(sites.places[heavy])
    spacing = float(np.median(tree.query(sites.places[heavy], k=2)[0][:, 1]))
    pairs = tree.query_pairs(1.25 * spacing, output_type="ndarray")
    light = np.flatnonzero(~sites.heavy & near)
    known = priors(model.slices.elements, made.b_factors, **(optics or {}))
    names = tuple(one.name for one in known)
    counted = np.asarray(electrons, np.float64)
    problem = Problem(counted, sites, model, heavy, light, pairs, levels - 1, names)
    dose = float(electrons.mean()) / pixel**2
    conditions = first_conditions(known, voltage, dose, defocus=seen.defocus)
    n = len(sites)
    return problem, State(sites.places, np.zeros(n), np.zeros(n), conditions)


def with_heights(problem: Problem, state: State, heights: Float[np.ndarray, " h"]) -> State:
    """A state of other heights: light columns and such beyond the image follow.

    **Arguments:**

    - `problem`, `state`: where it is.
    - `heights`: of the heavy columns.
    """
    sites, units = problem.sites, problem.model.units
    every, starts = state.heights.copy(), state.starts.copy()
    fresh = not every.any()
    if fresh:
        starts[problem.heavy] = np.clip(np.floor(0.5 * (units - heights)), 0, None)
        middle = np.full(len(sites), 0.5 * units)
    else:
        starts[problem.heavy] = starts_of(starts[problem.heavy], every[problem.heavy], heights, units)
    every[problem.heavy] = heights
    others = np.setdiff1d(np.arange(len(sites)), problem.heavy)
    others_now = others if fresh else np.setdiff1d(others, problem.light)
    tree = cKDTree(sites.places[problem.heavy])
    off, of = tree.query(sites.places[others_now], k=min(4, len(problem.heavy)))
    off, of = off.reshape(len(others_now), -1), of.reshape(len(others_now), -1)
    weights = 1 / (off + 0.5) ** 4
    weights /= weights.sum(axis=1, keepdims=True)
    every[others_now] = np.rint((weights * heights[of]).sum(axis=1))
    if fresh:
        starts[others_now] = np.floor(middle[others_now] - 0.5 * every[others_now])
    else:
        mid = (starts + 0.5 * every)[problem.heavy]
        starts[others_now] = np.floor((weights * mid[of]).sum(axis=1) - 0.5 * every[others_now])
    starts = np.clip(starts, 0, np.maximum(units - every - 1, 0))
    return replace(state, starts=starts, heights=every)


def log_likelihood(problem: Problem, state: State) -> float:
    """Of a state."""
    return problem.log_likelihood(problem.measured(state), state.conditions)


def around(
    problem: Problem, of: Int[np.ndarray, " m"], values: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """Mean of a number of the heavy columns that are nearest, but for a column itself."""
    places = problem.sites.places
    tree = cKDTree(places[problem.heavy])
    off, near = tree.query(places[of], k=min(5, len(problem.heavy)))
    weights = np.where(off > 0.01, 1 / (off + 0.5) ** 4, 0)
    return (weights * values[problem.heavy][near]).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)
