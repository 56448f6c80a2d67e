"""One HRTEM image and what a network makes of it in, the heights that the likelihood decides for out.

From the columns that the network sees follow the crystal's sites, from its heights a first state, from a scan
the defocus. Then, over and over: the model is expanded about the state (`expansion`), all that is
not known is integrated out (`pairwise`), heights are sampled (`sampling`), and the state becomes what is likeliest,
until heights stay as they are. The last expansion's probabilities are the answer: what the network said is in
them only as the place where the search began.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.special import softmax

from atomfit.column_heights.conditions import (
    Conditions,
    first_conditions,
    log_prior,
    prior_precision,
    priors,
)
from atomfit.column_heights.expansion import (
    REACH,
    Changer,
    Heightened,
    Moved,
    Shifted,
    State,
    changes_of_wave,
    condition_changes,
    expected,
    image_of,
    padded,
    starts_of,
    wave_of,
)
from atomfit.column_heights.found import Heights
from atomfit.column_heights.model import ColumnModel, column_model
from atomfit.column_heights.pairwise import Measured, Nuisances, Pairwise, pairwise
from atomfit.column_heights.sampling import Sampled, sample_heights
from atomfit.column_heights.sites import Sites, find_sites
from atomfit.networks.looking import ImageSeen
from atomfit.structure.crystals import crystal, zone_columns
from atomfit.support.numerics import own_numerics
from atomfit.waves import Field

log = logging.getLogger("atomfit")

#: How far beyond the image there are columns, and such whose heights are sampled (Å).
_AROUND, _SAMPLED = 3.8, 2.5
#: Standard deviations of columns about their sites, heavy and light (Å).
_STRAY = (0.08, 0.08)
#: Of starts about the surface, of its slope, and of heights of light columns (atoms).
_START, _ENTRANCE, _LIGHT = 0.7, 0.35, 0.8
#: Expansions, at most.
ROUNDS = 10
#: Spatial frequency up to which images of columns have signal (1/Å).
_BAND = 1.1
#: States beside that of the expansion, and the probability that makes one.
_STATES, _LIKELY = 5, 1e-4
#: Starts whose conditions are fitted.
_STARTS = 3

Progress = Callable[[int, float], None]


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
    """

    electrons: Float[np.ndarray, "rows columns"]
    sites: Sites
    model: ColumnModel
    heavy: Int[np.ndarray, " h"]
    light: Int[np.ndarray, " l"]
    pairs: Int[np.ndarray, "p 2"]
    most: int

    def measured(self, state: State, excess: float) -> Measured:
        """The image beside that of a state."""
        return self.beside(expected(self.model, state), excess)

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


def likelihood_heights(
    counts: Float[np.ndarray, "rows columns"],
    pixel: float,
    seen: ImageSeen,
    gain: float = 1.0,
    of: str = "CeO2",
    zone: tuple[int, int, int] = (1, 1, 0),
    voltage: float = 300.0,
    seed: int = 0,
    progress: Progress = lambda round_, value: None,
) -> Heights:
    """Find the heights of all columns of a crystal in an image.

    **Arguments:**

    - `counts`: of the image.
    - `pixel`: its edge (Å).
    - `seen`: what a network makes of it.
    - `gain`: counts of an electron.
    - `of`, `zone`: the crystal (a name or a CIF file) and its direction along the beam.
    - `voltage`: kV.
    - `seed`: of the sampling.
    - `progress`: called with the round, and minus the log likelihood of its start.

    **Raises:** `InputError` if the columns that are seen have no lattice of the crystal.
    """
    with own_numerics():
        problem, state = prepared(counts / gain, pixel, seen, of, zone, voltage)
        state, probabilities = started(problem, state, seen)
        solved = solve(problem, state, probabilities, seed, progress)
    return _told(problem, solved, seen, gain)


def prepared(
    electrons: Float[np.ndarray, "rows columns"],
    pixel: float,
    seen: ImageSeen,
    of: str,
    zone: tuple[int, int, int],
    voltage: float,
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
    problem = Problem(np.asarray(electrons, np.float64), sites, model, heavy, light, pairs, levels - 1)
    dose = float(electrons.mean()) / pixel**2
    known = priors(model.slices.elements, made.b_factors)
    conditions = first_conditions(known, voltage, dose, defocus=seen.defocus)
    n = len(sites)
    return problem, State(sites.places, np.zeros(n), np.zeros(n), conditions)


def network_says(problem: Problem, seen: ImageSeen, pixel: float) -> Float[np.ndarray, "h levels"]:
    """Probabilities that a network gives the heights of sites; of such beside the image even ones."""
    at = np.rint(problem.sites.places[problem.heavy][:, ::-1] / pixel).astype(int)
    rows, columns = np.clip(at, 0, np.array(seen.heights.shape[:2]) - 1).T
    inside = np.all((at >= 0) & (at < np.array(seen.heights.shape[:2])), axis=1)
    said = softmax(seen.heights[rows, columns].astype(np.float64), axis=1)
    # Where no column is seen, its heights mean nothing: then it is likely vacant.
    there = problem.sites.seen[problem.heavy] >= 0
    vacant = np.zeros(said.shape[1])
    vacant[0] = 1.0
    said = np.where(there[:, None], said, 0.5 * said + 0.5 * vacant)
    if inside.any() and not inside.all():
        places = problem.sites.places[problem.heavy]
        off, of = cKDTree(places[inside]).query(places[~inside], k=min(3, int(inside.sum())))
        of = of.reshape(len(off), -1)
        said[~inside] = said[inside][of].mean(axis=1)
    return said


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
        starts[problem.heavy] = starts_of(
            starts[problem.heavy], every[problem.heavy], heights, units
        )
    every[problem.heavy] = heights
    others = np.setdiff1d(np.arange(len(sites)), problem.heavy)
    if fresh:
        others_now = others
    else:
        others_now = np.setdiff1d(others, problem.light)
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


def started(
    problem: Problem, state: State, seen: ImageSeen
) -> tuple[State, Float[np.ndarray, "h levels"]]:
    """With the network's heights, and the conditions that they give.

    **Arguments:**

    - `problem`, `state`, `seen`: as above.
    """
    said = network_says(problem, seen, problem.model.field.pixel)
    state = with_heights(problem, state, said.argmax(axis=1).astype(np.float64))
    places, occupied = padded(problem.model, state)
    wave = wave_of(problem.model, places, occupied, state.conditions)
    tried: list[tuple[float, State]] = []
    for off in (0, 1, -1):
        heights = said.argmax(axis=1).astype(np.float64)
        heights = np.where(heights > 0, np.clip(heights + off, 1, problem.most), 0)
        tried += _focuses(problem, with_heights(problem, state, heights), seen)
    found = []
    for _, one in sorted(tried, key=lambda one: one[0])[:_STARTS]:
        at, cost = focused(problem, one, 5)
        found.append((cost, at))
        log.debug("start from %.1f nm: %.1f, %.2f nm", float(one.conditions["defocus"]), cost, float(at.conditions["defocus"]))
    return min(found, key=lambda one: one[0])[1], said


def _focuses(problem: Problem, state: State, seen: ImageSeen) -> list[tuple[float, State]]:
    """The two focuses that fit best, of other conditions as they are likely."""
    places, occupied = padded(problem.model, state)
    wave = wave_of(problem.model, places, occupied, state.conditions)
    made = []
    for defocus in np.arange(-13.5, 13.6, 1.5):
        conditions = state.conditions.changed("defocus", defocus)
        mean = problem.model.field.shown(np.asarray(image_of(problem.model, wave, conditions), np.float64))
        off = (defocus - seen.defocus) / max(2.0 * seen.defocus_spread, 1.0)
        cost = _misfit(problem.electrons, mean) + 0.5 * off**2
        made.append((cost, replace(state, conditions=conditions)))
    costs = np.array([one[0] for one in made])
    lowest = np.flatnonzero((costs <= np.append(costs[1:], np.inf)) & (costs <= np.append(np.inf, costs[:-1])))
    return [made[k] for k in lowest[np.argsort(costs[lowest])][:2]]


def _misfit(counts: np.ndarray, mean: np.ndarray) -> float:
    """Squares of what is left, of a contrast and a level that fit best, in its own standard deviations."""
    x = mean - mean.mean()
    y = counts - counts.mean()
    slope = max(float((x * y).sum() / (x * x).sum()), 0.0)
    return float(((y - slope * x) ** 2).sum() / np.mean((y - slope * x) ** 2)) + len(y.ravel()) * float(
        np.log(np.mean((y - slope * x) ** 2))
    )


def log_likelihood(problem: Problem, state: State) -> float:
    """Of a state."""
    return problem.log_likelihood(problem.measured(state, 1.0), state.conditions)


def focused(
    problem: Problem, state: State, steps: int = 6, optics_only: bool = False
) -> tuple[State, float]:
    """The conditions that fit best with heights as they are, by Gauss and Newton's steps.

    **Arguments:**

    - `problem`, `state`: what is fitted.
    - `steps`: at most.
    - `optics_only`: whether what changes the wave stays as it is.
    """
    model = problem.model
    places, occupied = padded(model, state)
    conditions, wave = state.conditions, None

    def seen(at: Conditions, old: Array | None) -> tuple[float, Measured, Array]:
        made = wave_of(model, places, occupied, at) if old is None or not optics_only else old
        mean = np.asarray(image_of(model, made, at), np.float64)
        measured = problem.beside(mean, 1.0)
        return problem.log_likelihood(measured, at), measured, made

    value, measured, wave = seen(conditions, None)
    for _ in range(steps):
        measured = problem.beside(measured.mean, problem.excess(measured))
        changes = changes_of_wave(model, places, occupied, wave, conditions, optics_only)
        flat = (changes * measured.weights.astype(np.float32)).reshape(len(changes), -1)
        now = np.asarray(conditions.numbers, np.float64)
        precision = prior_precision(now)
        slope = (flat @ measured.residual.ravel().astype(np.float32)).astype(np.float64) - precision * now
        step = np.linalg.solve((flat @ flat.T).astype(np.float64) + np.diag(precision), slope)
        if optics_only:
            step[~flat.any(axis=1)] = 0
        # Changes of focus are linear over a nanometre or two.
        step *= min(1.0, 0.25 / max(abs(step[0]), 1e-9))
        before = value
        for part in (1.0, 0.4, 0.1):
            moved = conditions.bounded(now + part * step)
            new, beside, there = seen(moved, wave)
            if new > value:
                conditions, value, measured, wave = moved, new, beside, there
                break
        if value < before + 0.3:
            break
    return replace(state, conditions=conditions), -value


def _shifted(problem: Problem, found: "Round") -> State | None:
    """The state with all columns one atom higher or lower, if that is likelier with conditions of its own."""
    best: tuple[float, State | None] = (found.value + 1.0, None)
    now = found.state.heights[problem.heavy]
    for off in (1, -1):
        heights = np.where(now > 0, np.clip(now + off, 1, problem.most), 0)
        state, cost = focused(problem, with_heights(problem, found.state, heights), 4, optics_only=True)
        log.debug("all %+d: %.1f for %.1f", off, -cost, found.value)
        if -cost > best[0]:
            best = -cost, state
    return best[1]


@dataclass(frozen=True, eq=False)
class Round:
    """An expansion and what follows from it."""

    state: State
    levels: Float[np.ndarray, "h states"]
    energies: Pairwise
    sampled: Sampled
    excess: float
    value: float

    def of_levels(self, most: int) -> Float[np.ndarray, "h levels"]:
        """Probabilities of all heights."""
        found = np.zeros((len(self.levels), most + 1))
        for k in range(self.levels.shape[1]):
            there = np.isfinite(self.levels[:, k])
            np.add.at(
                found,
                (np.flatnonzero(there), self.levels[there, k].astype(int)),
                self.sampled.probabilities[there, k],
            )
        return found


def solve(
    problem: Problem,
    state: State,
    said: Float[np.ndarray, "h levels"],
    seed: int,
    progress: Progress,
) -> tuple[Round, bool]:
    """Expand, sample and move on, until heights stay.

    **Arguments:**

    - `problem`, `state`: where to begin.
    - `said`: probabilities that a network gives heights.
    - `seed`, `progress`: as of `likelihood_heights`.
    """
    likely = None
    found: Round | None = None
    for number in range(ROUNDS):
        found = expanded(problem, state, likely, seed + number)
        progress(number + 1, -found.value)
        probabilities = found.of_levels(problem.most)
        log.debug(
            "round %d: value %.1f, excess %.2f, %d of %d heights differ, defocus %.2f",
            number + 1,
            found.value,
            found.excess,
            int(np.sum(probabilities.argmax(axis=1) != state.heights[problem.heavy])),
            len(problem.heavy),
            float(state.conditions["defocus"]),
        )
        if number == ROUNDS - 1:
            break
        moved, likely = moved_on(problem, found), probabilities
        if moved is None:
            moved, likely = _shifted(problem, found), None
            if moved is None:
                return found, True
        state = moved
    assert found is not None
    return found, False


def expanded(
    problem: Problem, state: State, likely: Float[np.ndarray, "h levels"] | None, seed: int
) -> Round:
    """The energies about a state, and samples.

    **Arguments:**

    - `problem`, `state`: what, and where.
    - `likely`: probabilities of heights, which say which are tried; None: all are.
    - `seed`: of the sampling.
    """
    measured = problem.measured(state, 1.0)
    value, excess = problem.log_likelihood(measured, state.conditions), problem.excess(measured)
    measured = problem.beside(measured.mean, excess)
    changer = Changer(problem.model, state)
    levels = _levels(problem, state, likely)
    n = len(problem.sites)
    kinds = []
    for k in range(1, levels.shape[1]):
        wanted = np.full(n, np.nan)
        wanted[problem.heavy] = levels[:, k]
        kinds.append(Heightened(wanted))
    heavy = changer.stamps(problem.heavy, [*kinds, Moved(0), Moved(1), Shifted()], REACH[0])
    up = np.where(state.heights < problem.model.units - 2, state.heights + 1, np.nan)
    light = changer.stamps(problem.light, [Moved(0), Moved(1), Heightened(up)], REACH[1])
    images = condition_changes(problem.model, state)
    entrance = _entrance(problem, state, heavy)
    images = np.concatenate([images, entrance[None]])
    energies = pairwise(
        heavy, light, images, measured, levels.shape[1] - 1, _nuisances(problem, state)
    )
    sampled = sample_heights(energies.unary, energies.coupling, levels, problem.pairs, seed)
    return Round(state, levels, energies, sampled, excess, value)


def _entrance(problem: Problem, state: State, heavy: object) -> Float[np.ndarray, "rows columns"]:
    """The image's change where surfaces are steeper above: columns begin lower, by what they lack."""
    stamps = heavy
    field = problem.model.field
    rows, columns = field.padded
    size = stamps.values.shape[-1]  # type: ignore[attr-defined]
    image = np.zeros((rows + 2 * size, columns + 2 * size), np.float32)
    lacks = problem.most - state.heights[stamps.columns]  # type: ignore[attr-defined]
    for values, (r, c), much in zip(stamps.values, stamps.corners, lacks, strict=True):  # type: ignore[attr-defined]
        image[r + size : r + 2 * size, c + size : c + 2 * size] += much * values[-1]
    return image[size:-size, size:-size]


def _levels(
    problem: Problem, state: State, likely: Float[np.ndarray, "h levels"] | None
) -> Float[np.ndarray, "h states"]:
    """Heights that are tried: that of the state first, then others."""
    now = state.heights[problem.heavy].astype(int)
    count = problem.most + 1
    if likely is None:
        wanted = np.ones((len(now), count))
        keep = count
    else:
        wanted = likely + 1e-12
        for off in (-1, 1):
            near = now + off
            ok = (near >= 0) & (near < count)
            wanted[ok, near[ok]] = np.maximum(wanted[ok, near[ok]], 0.5)
        wanted[:, 0] = np.maximum(wanted[:, 0], _LIKELY)
        keep = _STATES + 1
    wanted = wanted.copy()
    wanted[np.arange(len(now)), now] = np.inf
    order = np.argsort(-wanted, axis=1, kind="stable")[:, :keep]
    enough = np.take_along_axis(wanted, order, axis=1) >= _LIKELY
    return np.where(enough, order, np.nan)


def _nuisances(problem: Problem, state: State) -> Nuisances:
    """Priors of places, starts, heights of light columns, and conditions."""
    sites, heavy, light = problem.sites, problem.heavy, problem.light
    off = sites.places - state.places
    starts = state.starts + 0.5 * state.heights
    middle = _around(problem, heavy, starts)
    h = np.stack([off[heavy, 0], off[heavy, 1], middle - starts[heavy]], axis=1)
    around = _around(problem, light, state.heights, heavy_only=True)
    l = np.stack([off[light, 0], off[light, 1], around - state.heights[light]], axis=1)
    scale_h = np.tile([_STRAY[0] ** -2, _STRAY[0] ** -2, _START**-2], (len(heavy), 1))
    scale_l = np.tile([_STRAY[1] ** -2, _STRAY[1] ** -2, _LIGHT**-2], (len(light), 1))
    numbers = np.append(-np.asarray(state.conditions.numbers, np.float64), 0.0)
    # What cannot be negative, and is nothing, has but half of its prior.
    bounded = [p.least > p.middle + p.width * (-x - 0.3) for p, x in zip(state.conditions.priors, numbers, strict=False)]
    scale_g = np.append(np.where(bounded, 10.0, 1.0) * prior_precision(numbers[:-1]), _ENTRANCE**-2)
    precision = np.concatenate([scale_h.ravel(), scale_l.ravel(), scale_g])
    towards = np.concatenate([h.ravel(), l.ravel(), numbers]) * precision
    return Nuisances(np.diag(precision), towards)


def _around(
    problem: Problem, of: Int[np.ndarray, " m"], values: Float[np.ndarray, " n"], heavy_only: bool = True
) -> Float[np.ndarray, " m"]:
    """Mean of a number of the heavy columns that are nearest, but for a column itself."""
    places = problem.sites.places
    tree = cKDTree(places[problem.heavy])
    off, near = tree.query(places[of], k=min(5, len(problem.heavy)))
    weights = np.where(off > 0.01, 1 / (off + 0.5) ** 4, 0)
    return (weights * values[problem.heavy][near]).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)


def moved_on(problem: Problem, found: Round) -> State | None:
    """A state that is likelier, towards what a round says is likeliest; None if none is found.

    All columns that change at once change each other's surroundings, so it is tried how many may.

    **Arguments:**

    - `problem`, `found`: what a round found.
    """
    p = found.sampled.probabilities
    now = found.state.heights[problem.heavy]
    best_state = p.argmax(axis=1)
    odds = np.log(p.max(axis=1) + 1e-9) - np.log(p[:, 0] + 1e-9)
    order = np.argsort(-odds)
    changing = order[best_state[order] > 0]
    tried = sorted({round(part * len(changing)) for part in (1.0, 0.5, 0.25, 0.1)} | {0}, reverse=True)
    best: tuple[float, State] | None = None
    for many in tried:
        chosen = np.zeros(p.shape)
        index = np.zeros(len(now), int)
        index[changing[:many]] = best_state[changing[:many]]
        chosen[np.arange(len(now)), index] = 1.0
        heights = found.levels[np.arange(len(now)), index]
        t = found.energies.nuisances(chosen)
        for part in (1.0, 0.5):
            at = _stepped(problem, found.state, heights, part * t)
            value = log_likelihood(problem, at)
            if best is None or value > best[0]:
                best = value, at
        if best is not None and best[0] > found.value + 5 and many < len(changing):
            break
    assert best is not None
    return best[1] if best[0] > found.value + 0.5 else None


def _stepped(
    problem: Problem, state: State, heights: Float[np.ndarray, " h"], t: Float[np.ndarray, " k"]
) -> State:
    """A state with other heights and nuisances."""
    n, m = len(problem.heavy), len(problem.light)
    h, l, g = t[: 3 * n].reshape(n, 3), t[3 * n : 3 * (n + m)].reshape(m, 3), t[3 * (n + m) :]
    places, starts, every = state.places.copy(), state.starts.copy(), state.heights.copy()
    places[problem.heavy] += np.clip(h[:, :2], -0.12, 0.12)
    places[problem.light] += np.clip(l[:, :2], -0.12, 0.12)
    lacks = problem.most - every[problem.heavy]
    starts[problem.heavy] += np.clip(h[:, 2] + g[-1] * lacks, -1.5, 1.5)
    every[problem.light] = np.clip(
        np.rint(every[problem.light] + np.clip(l[:, 2], -2, 2)), 0, problem.model.units - 2
    )
    # Light columns keep their middle, which follows that of heavy ones.
    middle = _around(problem, problem.light, starts + 0.5 * state.heights)
    starts[problem.light] = np.rint(middle - 0.5 * every[problem.light])
    starts = np.clip(starts, 0, np.maximum(problem.model.units - every - 1, 0))
    numbers = np.asarray(state.conditions.numbers, np.float64) + g[:-1]
    at = with_heights(
        problem, State(places, starts, every, state.conditions.bounded(numbers)), heights
    )
    return replace(at, starts=np.rint(at.starts))


def _told(problem: Problem, solved: tuple[Round, bool], seen: ImageSeen, gain: float) -> Heights:
    found, settled = solved
    field = problem.model.field
    size = field.pixel * np.array(field.shape[::-1])
    n, m = len(problem.heavy), len(problem.light)
    variances = found.energies.variances()
    places = found.state.places[problem.heavy]
    inside = np.all((places > -0.5 * field.pixel) & (places < size - 0.5 * field.pixel), axis=1)
    probabilities = found.of_levels(problem.most)
    # Sites of the crystal that are surely empty are none of its columns.
    shown = inside & _beside(problem, probabilities)
    chosen = found.sampled.probabilities
    t = found.energies.nuisances(chosen)
    h = t[: 3 * n].reshape(n, 3)
    esd = np.sqrt(variances[: 3 * n].reshape(n, 3))
    state = found.state
    conditions = state.conditions.bounded(
        np.asarray(state.conditions.numbers, np.float64) + t[3 * (n + m) : -1]
    )
    mean = np.asarray(field.shown(expected(problem.model, state)), np.float64)
    return Heights(
        (places + np.clip(h[:, :2], -0.2, 0.2))[shown],
        esd[shown, :2],
        probabilities[shown],
        (state.starts[problem.heavy] + h[:, 2])[shown],
        esd[shown, 2],
        np.ones(int(shown.sum()), bool),
        conditions.told(np.sqrt(variances[3 * (n + m) : -1])),
        seen.dose,
        gain,
        gain * mean,
        found.excess,
        settled,
    )


def _beside(problem: Problem, probabilities: Float[np.ndarray, "h levels"]) -> Bool[np.ndarray, " h"]:
    """Sites that may be occupied, or are vacant among such as are."""
    there = probabilities[:, 0] < 0.5
    count = np.zeros(len(there))
    for a, b in problem.pairs:
        count[a] += there[b]
        count[b] += there[a]
    return there | (probabilities[:, 0] < 0.99) | (count >= 4)
