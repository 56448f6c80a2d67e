"""A first state in, the likeliest heights and their probabilities out.

Over and over the model is expanded about the state (`rounds`), and the state becomes one that is
likelier, until none is. The last expansion is made closely, of all heights.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from atomfit.column_heights.conditions import FREEDOM, STIFF
from atomfit.column_heights.expansion import State
from atomfit.column_heights.found import DRAWS
from atomfit.column_heights.problem import Problem, around, log_likelihood, with_heights
from atomfit.column_heights.rounds import Round, expanded
from atomfit.column_heights.starting import focused

log = logging.getLogger("atomfit")

#: Expansions, at most.
ROUNDS = 9
#: Rounds in which conditions are hardly let go, and excess variance of an image that is understood.
_STIFF, _RIGHT = 2, 1.08
#: Rounds of each start, and by how much a state must be likelier (log).
_PROBED, _GAIN = 3, 3.0
#: How much less likely (log) other heights everywhere may be, before and after a search, to be looked at.
_HOPELESS, _ALIKE = 80.0, 30.0
#: By how much searches end below what they could (log): odds of places that are apart are softened so.
_DOUBT = 10.0

Progress = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class Found:
    """What a search ends with.

    **Fields:**

    - `last`: the last expansion.
    - `probabilities`: of all heights.
    - `draws`: of all columns together.
    - `settled`: whether nothing is likelier.
    - `interrupted`: whether a user has ended it.
    """

    last: Round
    probabilities: Float[np.ndarray, "h levels"]
    draws: Int[np.ndarray, "draws h"]
    settled: bool
    interrupted: bool = False


def solve(
    problem: Problem,
    starts: Iterable[State],
    said: Float[np.ndarray, "h levels"],
    seed: int,
    progress: Progress,
) -> Found:
    """The best of searches from several starts; when it is interrupted, the likeliest state so far.

    **Arguments:**

    - `problem`, `starts`: where to begin, the best first.
    - `said`: probabilities that a network gives heights.
    - `seed`, `progress`: as of `likelihood_heights`.

    **Raises:** `KeyboardInterrupt` if it came before the first round ended.
    """
    search = Search(problem, seed, progress)
    try:
        return search.finished(search.begun(starts, said))
    except KeyboardInterrupt:
        if search.best is None:
            raise
        best = search.best
        return Found(best, best.of_levels(problem.most), best.drawn(DRAWS, seed), False, True)


Place = tuple[State, Float[np.ndarray, "h levels"]]


class Search:
    """A search that remembers the likeliest state.

    **Arguments:**

    - `problem`: what is searched.
    - `seed`: of the sampling.
    - `progress`: called with the number of the expansion, and minus the log likelihood of its start.
    """

    def __init__(self, problem: Problem, seed: int, progress: Progress) -> None:
        self.problem, self.seed, self.progress = problem, seed, progress
        self.best: Round | None = None
        self.done = 0

    def begun(self, starts: Iterable[State], said: Float[np.ndarray, "h levels"]) -> Place:
        """The likeliest of some rounds from each start: others are tried if an image is not what is seen.

        **Arguments:** those of `solve`.
        """
        tried: list[tuple[float, State, Float[np.ndarray, "h levels"]]] = []
        for state in starts:
            found, state, likely = self.rounds((state, said), (0, _PROBED))
            tried.append((found.value, state, likely))
            if found.excess < _RIGHT:
                break
            log.debug("a start ends at %.1f, excess %.2f", found.value, found.excess)
        _, state, likely = max(tried, key=lambda one: one[0])
        return state, likely

    def rounds(
        self, place: Place, numbers: tuple[int, int]
    ) -> tuple[Round, State, Float[np.ndarray, "h levels"]]:
        """Expand, sample and move on for some rounds: the last of them, and where it leads.

        **Arguments:**

        - `place`: a state, and how likely heights are.
        - `numbers`: of the first round, and of that behind the last.
        """
        state, likely = place
        for number in range(*numbers):
            found = self._expanded((state, likely), number, False)
            likely = found.of_levels(self.problem.most)
            moved = moved_on(self.problem, found, _GAIN)
            if moved is None:
                break
            state = moved
        return found, state, likely

    def finished(self, place: Place) -> Found:
        """Go on until nothing is likelier, nor all columns one atom higher or lower; then look closely.

        What is nearly as likely with other heights everywhere has its part of the probabilities. Its odds
        are softened, as searches end where they can.

        **Arguments:**

        - `place`: where to go on from.
        """
        others: list[tuple[float, Place]] = []
        number, settled = _PROBED, False
        while number < ROUNDS and not settled:
            found, state, likely = self.rounds(place, (number, max(number + 1, ROUNDS - 1)))
            place = state, likely
            others = self._shifted(found)
            better = [one for one in others if one[0] > found.value + _GAIN]
            settled, number = not better, number + 2
            if better:
                place = max(better, key=lambda one: one[0])[1]
        final = self._expanded(place, ROUNDS, True)
        alike = [other for value, other in others if value > final.value - _ALIKE]
        every = [final, *(self._expanded(other, ROUNDS, True) for other in alike)]
        weights = softmax([one.value / _DOUBT for one in every])
        parts = np.stack([one.of_levels(self.problem.most) for one in every])
        shares = np.diff(np.rint(np.append(0, DRAWS * weights.cumsum())).astype(int)).tolist()
        draws = [one.drawn(share, self.seed) for one, share in zip(every, shares, strict=True)]
        return Found(final, np.einsum("k,khl->hl", weights, parts), np.concatenate(draws), settled)

    def _shifted(self, found: Round) -> list[tuple[float, Place]]:
        """All columns one atom higher, and one lower, with their own conditions and places, if likely."""
        made = []
        now = found.state.heights[self.problem.heavy]
        every = np.arange(self.problem.most + 1)
        for off in (1, -1):
            heights = np.where(now > 0, np.clip(now + off, 1, self.problem.most), 0)
            state, cost = focused(self.problem, with_heights(self.problem, found.state, heights), 2)
            # Further steps are dear, and gain little where so much is lacking.
            if -cost > found.value - 10 * _HOPELESS:
                state, cost = focused(self.problem, state, 3)
            log.debug("all %+d: %.1f for %.1f", off, -cost, found.value)
            if -cost < found.value - _HOPELESS:
                continue
            near = np.where(np.abs(every - heights[:, None]) <= 1, 0.3, 1e-5)
            other, at, likely = self.rounds((state, near), (_STIFF, _STIFF + 2))
            log.debug("all %+d, searched: %.1f for %.1f", off, other.value, found.value)
            made.append((other.value, (at, likely)))
        return made

    def _expanded(self, place: Place, number: int, last: bool) -> Round:
        state, likely = place
        freedom = STIFF if number < _STIFF else FREEDOM
        found = expanded(self.problem, state, likely, self.seed + number, last, freedom)
        if self.best is None or found.value > self.best.value:
            self.best = found
        self.done += 1
        self.progress(self.done, -found.value)
        changed = found.of_levels(self.problem.most).argmax(axis=1) != state.heights[self.problem.heavy]
        log.debug(
            "expansion %d: value %.1f, excess %.2f, %d of %d heights differ, defocus %.2f",
            self.done,
            found.value,
            found.excess,
            int(changed.sum()),
            len(changed),
            float(state.conditions["defocus"]),
        )
        return found


def moved_on(problem: Problem, found: Round, enough: float) -> State | None:
    """A state that is likelier, towards what a round says is likeliest; None if none is found.

    All columns that change at once change each other's surroundings, so it is tried how many may.

    **Arguments:**

    - `problem`, `found`: what a round found.
    - `enough`: by how much it must be likelier (log).
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
    return best[1] if best[0] > found.value + enough else None


def _stepped(
    problem: Problem, state: State, heights: Float[np.ndarray, " h"], t: Float[np.ndarray, " k"]
) -> State:
    """A state with other heights and nuisances."""
    n, m = len(problem.heavy), len(problem.light)
    h, o, g = t[: 3 * n].reshape(n, 3), t[3 * n : 3 * (n + m)].reshape(m, 3), t[3 * (n + m) :]
    places, starts, every = state.places.copy(), state.starts.copy(), state.heights.copy()
    places[problem.heavy] += np.clip(h[:, :2], -0.12, 0.12)
    places[problem.light] += np.clip(o[:, :2], -0.12, 0.12)
    lacks = problem.most - every[problem.heavy]
    starts[problem.heavy] += np.clip(h[:, 2] + g[-1] * lacks, -1.5, 1.5)
    every[problem.light] = np.clip(
        np.rint(every[problem.light] + np.clip(o[:, 2], -2, 2)), 0, problem.model.units - 2
    )
    # Light columns keep their middle, which follows that of heavy ones.
    middle = around(problem, problem.light, starts + 0.5 * state.heights)
    starts[problem.light] = np.rint(middle - 0.5 * every[problem.light])
    starts = np.clip(starts, 0, np.maximum(problem.model.units - every - 1, 0))
    numbers = np.asarray(state.conditions.numbers, np.float64) + g[:-1]
    at = with_heights(problem, State(places, starts, every, state.conditions.bounded(numbers)), heights)
    return replace(at, starts=np.rint(at.starts))
