"""What a network says of an image in, a state from which a search begins out.

A network is often off by one atom everywhere, together with the focus: so its heights, and those one
higher and one lower, are tried with all focuses, and the conditions of the best are fitted.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.spatial import cKDTree
from scipy.special import softmax

from atomfit.column_heights.conditions import Conditions, prior_precision
from atomfit.column_heights.expansion import (
    State,
    changes_of_wave,
    image_of,
    padded,
    wave_of,
)
from atomfit.column_heights.pairwise import Measured
from atomfit.column_heights.problem import Problem, with_heights
from atomfit.networks.looking import ImageSeen

log = logging.getLogger("atomfit")

#: Conditions that a focus is found with, and such that damp an image without changing the exit wave.
LENSES = ("defocus", "a1", "b2", "a2", "c3", "c5", "focal_spread", "scale")
DIMMING = ("blur", "background")
#: Those whose change is no change of the exit wave.
OUTER = (*LENSES, *DIMMING)


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


def started(
    problem: Problem, state: State, said: Float[np.ndarray, "h levels"], seen: ImageSeen
) -> Iterator[State]:
    """The network's heights with the conditions that they give, then all one higher, and one lower.

    Lenses come first; what takes from the contrast makes up for wrong heights, and is let go in later ones.

    **Arguments:**

    - `problem`, `state`, `seen`: as above.
    - `said`: from `network_says`.
    """
    lenses = problem.named(*LENSES)
    dimmed = lenses | problem.named(*DIMMING)
    for off, free in ((0, lenses), (0, dimmed), (1, lenses), (-1, lenses), (1, dimmed), (-1, dimmed)):
        heights = said.argmax(axis=1).astype(np.float64)
        heights = np.where(heights > 0, np.clip(heights + off, 1, problem.most), 0)
        found = []
        for _, one in _focuses(problem, with_heights(problem, state, heights), seen):
            at, cost = focused(problem, one, 5, free)
            log.debug("start %+d: %.1f at %.2f nm", off, cost, float(at.conditions["defocus"]))
            found.append((cost, at))
        yield min(found, key=lambda one: one[0])[1]


def _focuses(problem: Problem, state: State, seen: ImageSeen) -> list[tuple[float, State]]:
    """The two focuses that fit best, of other conditions as they are likely."""
    places, occupied = padded(problem.model, state)
    wave = wave_of(problem.model, places, occupied, state.conditions)
    made = []
    for defocus in np.arange(-13.5, 13.6, 1.5):
        conditions = state.conditions.changed("defocus", defocus)
        mean = problem.model.field.shown(np.asarray(image_of(problem.model, wave, conditions), np.float64))
        off = (defocus - seen.defocus) / max(2.0 * seen.defocus_spread, 1.0)
        cost = _misfit(problem.electrons, np.asarray(mean)) + 0.5 * off**2
        made.append((cost, replace(state, conditions=conditions)))
    costs = np.array([one[0] for one in made])
    lowest = np.flatnonzero(
        (costs <= np.append(costs[1:], np.inf)) & (costs <= np.append(np.inf, costs[:-1]))
    )
    return [made[k] for k in lowest[np.argsort(costs[lowest])][:2]]


def _misfit(counts: np.ndarray, mean: np.ndarray) -> float:
    """Squares of what is left, of a contrast and a level that fit best, in its own standard deviations."""
    x = mean - mean.mean()
    y = counts - counts.mean()
    slope = max(float((x * y).sum() / (x * x).sum()), 0.0)
    return float(((y - slope * x) ** 2).sum() / np.mean((y - slope * x) ** 2)) + len(y.ravel()) * float(
        np.log(np.mean((y - slope * x) ** 2))
    )


def focused(
    problem: Problem, state: State, steps: int = 6, free: Bool[np.ndarray, " k"] | None = None
) -> tuple[State, float]:
    """The conditions that fit best with heights as they are, by Gauss and Newton's steps.

    **Arguments:**

    - `problem`, `state`: what is fitted.
    - `steps`: at most.
    - `free`: conditions that are fitted; all by default.
    """
    free = np.ones(len(problem.names), bool) if free is None else free
    optics_only = not np.any(free & ~problem.named(*OUTER))
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
        flat[~free] = 0
        slope = (flat @ measured.residual.ravel().astype(np.float32)).astype(np.float64) - precision * now
        step = np.linalg.solve((flat @ flat.T).astype(np.float64) + np.diag(precision), slope)
        step[~free] = 0
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
