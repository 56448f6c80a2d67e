"""One HRTEM image and what a network makes of it in, the heights that the likelihood decides for out.

From the columns that the network sees follow the crystal's sites, from its heights and a scan of focuses
a first state (`starting`). Then the model is expanded about the state (`expansion`), all that is not
known is integrated out (`pairwise`), heights are sampled (`sampling`), and the state becomes what is
likelier (`search`). The last expansion's probabilities are the answer: what the network said is in them
only as the place where the search began.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.column_heights.by_network import network_for, seen_by_network
from atomfit.column_heights.expansion import expected
from atomfit.column_heights.found import Heights, independent_draws
from atomfit.column_heights.pieces import in_pieces
from atomfit.column_heights.problem import Problem, prepared
from atomfit.column_heights.search import Found, Progress, solve
from atomfit.column_heights.starting import network_says, started
from atomfit.networks.looking import ImageSeen
from atomfit.support.numerics import own_numerics

#: Part of the columns that end above the lower surface.
_LOWER = 0.9
#: Presence of a column that is reported though no site is within that distance (Å).
_SURELY, _APART = 0.9, 1.2


def likelihood_heights(
    counts: Float[np.ndarray, "rows columns"],
    pixel: float,
    gain: float = 1.0,
    crystal: str = "CeO2",
    zone: tuple[int, int, int] = (1, 1, 0),
    voltage: float = 300.0,
    seen: ImageSeen | None = None,
    seen_pixel: float | None = None,
    seed: int = 0,
    optics: dict[str, float] | None = None,
    progress: Progress = lambda round_, value: None,
) -> Heights:
    """Find the heights of all columns of a crystal in an image.

    **Arguments:**

    - `counts`: of the image.
    - `pixel`: its edge (Å).
    - `gain`: counts of an electron.
    - `crystal`, `zone`: the crystal (a name or a CIF file) and its direction along the beam.
    - `voltage`: kV.
    - `seen`: what a network makes of it; that which comes with the package is asked by default.
    - `seen_pixel`: edge of the pixels of the network's maps (Å), if it is another.
    - `seed`: of the sampling.
    - `optics`: middles of the priors of `c3` (µm), `c5` (mm) and `focal_spread` (nm), those that are known.
    - `progress`: called with the round, and minus the log likelihood of its start.

    **Raises:** `InputError` if the columns that are seen have no lattice of the crystal;
    `KeyboardInterrupt` if it came before the first round ended: later ones end the search.
    """
    if seen is None:
        trained = network_for(crystal, zone, voltage)
        seen, seen_pixel = seen_by_network(trained, counts, pixel, gain), trained.recipe["pixel_size"]
    pixel = float(pixel)
    own = float(seen_pixel or pixel)

    def solved(image: Float[np.ndarray, "rows columns"], seen: ImageSeen) -> Heights:
        problem, state = prepared(image / gain, pixel, seen, crystal, zone, voltage, optics)
        said = network_says(problem, seen, own)
        starts = started(problem, state, said, seen)
        return told(problem, solve(problem, starts, said, seed, progress), seen, gain)

    with own_numerics():
        return in_pieces(counts, pixel, seen, own, gain, solved)


def told(problem: Problem, searched: Found, seen: ImageSeen, gain: float) -> Heights:
    """What a search ends with, as it is reported.

    **Arguments:**

    - `problem`, `searched`: what was looked for, and what was found.
    - `seen`, `gain`: as of `likelihood_heights`.
    """
    found = searched.last
    field = problem.model.field
    size = field.pixel * np.array(field.shape[::-1])
    n, m = len(problem.heavy), len(problem.light)
    variances = found.energies.variances(found.sampled.draws)
    places = found.state.places[problem.heavy]
    inside = np.all((places > -0.5 * field.pixel) & (places < size - 0.5 * field.pixel), axis=1)
    probabilities = searched.probabilities
    # Sites of the crystal that are surely empty are none of its columns.
    shown = inside & _beside(problem, probabilities)
    chosen = found.sampled.probabilities
    t = found.energies.nuisances(chosen)
    h = t[: 3 * n].reshape(n, 3)
    esd = np.sqrt(variances[: 3 * n].reshape(n, 3))
    state = found.state
    numbers = np.asarray(state.conditions.numbers, np.float64) + t[3 * (n + m) : -1]
    conditions = state.conditions.bounded(numbers)
    # Focus is told from the specimen's lower surface.
    there = state.heights[problem.heavy] > 0
    ends = (state.starts[problem.heavy] + h[:, 2] + state.heights[problem.heavy])[there]
    below = problem.model.below(float(np.quantile(ends, _LOWER)) if len(ends) else 0.0)
    conditions = conditions.changed("defocus", float(conditions["defocus"]) + 0.1 * below)
    errors = np.sqrt(variances[3 * (n + m) : -1])
    # The lower surface is known to half a place.
    errors[0] = np.hypot(errors[0], 0.05 * problem.model.spacing / conditions.priors[0].width)
    mean = np.asarray(field.shown(expected(problem.model, state)), np.float64)
    more = _elsewhere(problem, seen)
    unknown = np.full(len(more), np.nan)
    beside = np.full((len(more), 2), np.nan)
    return Heights(
        np.concatenate([(places + np.clip(h[:, :2], -0.2, 0.2))[shown], seen.columns.positions[more]]),
        np.concatenate([esd[shown, :2], beside]),
        np.concatenate([probabilities[shown], seen.columns.probabilities[more]]),
        np.concatenate([(state.starts[problem.heavy] + h[:, 2])[shown], unknown]),
        np.concatenate([esd[shown, 2], unknown]),
        np.arange(int(shown.sum()) + len(more)) < shown.sum(),
        conditions.told(errors),
        seen.dose,
        gain,
        gain * mean,
        found.excess,
        searched.settled,
        levels=np.concatenate([problem.sites.levels[problem.heavy][shown], unknown]),
        interrupted=searched.interrupted,
        draws=np.concatenate(
            [searched.draws[:, shown], independent_draws(seen.columns.probabilities[more])], axis=1
        ),
    )


def _elsewhere(problem: Problem, seen: ImageSeen) -> Int[np.ndarray, " k"]:
    """Columns that a network surely sees where the crystal has no site."""
    taken = problem.sites.seen[problem.sites.seen >= 0]
    free = np.setdiff1d(np.flatnonzero(seen.columns.presence > _SURELY), taken)
    if not len(free):
        return free
    off, _ = cKDTree(problem.sites.places[problem.sites.heavy]).query(seen.columns.positions[free])
    return free[off > _APART]


def _beside(problem: Problem, probabilities: Float[np.ndarray, "h levels"]) -> Bool[np.ndarray, " h"]:
    """Sites that may be occupied, or are vacant among such as are."""
    there = probabilities[:, 0] < 0.5
    count = np.zeros(len(there))
    for a, b in problem.pairs:
        count[a] += there[b]
        count[b] += there[a]
    return there | (probabilities[:, 0] < 0.99) | (count >= 4)
