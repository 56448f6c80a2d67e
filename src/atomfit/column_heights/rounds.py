"""A state of an image's columns in, probabilities of heights about it out: one expansion."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.column_heights.conditions import FREEDOM, prior_precision
from atomfit.column_heights.expansion import (
    REACH,
    Changer,
    Heightened,
    Moved,
    Shifted,
    Stamps,
    State,
    Still,
    coarse,
    condition_changes,
)
from atomfit.column_heights.pairwise import Nuisances, Pairwise, pairwise
from atomfit.column_heights.problem import Problem, around
from atomfit.column_heights.sampling import HEAT, HOT, SWEEPS, Sampled, sample_heights

#: Standard deviations of columns about their sites, heavy and light (Å).
_STRAY = (0.08, 0.08)
#: Of starts about the surface, of its slope, and of heights of light columns (atoms).
_START, _ENTRANCE, _LIGHT = 0.7, 0.35, 0.8
#: States beside that of the expansion, and the probability that makes one.
_STATES, _LIKELY = 5, 1e-4
#: States of the last expansion, and heights so near that they are among them.
_LAST, _NEAR = 7, 3
#: Log odds against a height that is off by more than one, if all other columns are as they are.
_UNLIKELY = 6.0
#: Electrons per Å² below which nothing is told of where light columns are.
_FEW = 250.0


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

    def drawn(self, count: int, seed: int) -> Int[np.ndarray, "draws h"]:
        """Heights of all columns together.

        **Arguments:**

        - `count`, `seed`: of the draws.
        """
        kept = self.sampled.draws
        which = np.random.default_rng([seed, 38]).integers(0, len(kept), count)
        return self.levels[np.arange(len(self.levels)), kept[which]].astype(int)


def expanded(
    problem: Problem,
    state: State,
    likely: Float[np.ndarray, "h levels"],
    seed: int,
    last: bool = False,
    freedom: float = FREEDOM,
) -> Round:
    """The energies about a state, and samples.

    **Arguments:**

    - `problem`, `state`: what, and where.
    - `likely`: probabilities of heights, which say which are tried.
    - `seed`: of the sampling.
    - `last`: whether its probabilities are the answer: then it is not hurried.
    - `freedom`: of the conditions' priors.
    """
    measured = problem.measured(state)
    value, excess = problem.log_likelihood(measured, state.conditions), problem.excess(measured)
    measured = problem.beside(measured.mean, excess)
    model = problem.model if last else coarse(problem.model)
    changer = Changer(model, state)
    levels = _levels(problem, state, likely, last)
    n = len(problem.sites)
    kinds = []
    for k in range(1, levels.shape[1]):
        wanted = np.full(n, np.nan)
        wanted[problem.heavy] = levels[:, k]
        kinds.append(Heightened(wanted))
    heavy = changer.stamps(problem.heavy, [*kinds, Moved(0), Moved(1), Shifted()], REACH[0])
    up = np.where(state.heights < problem.model.units - 2, state.heights + 1, np.nan)
    placed = [Moved(0), Moved(1)] if float(state.conditions.dose) > _FEW else [Still(), Still()]
    light = changer.stamps(problem.light, [*placed, Heightened(up)], REACH[1])
    images = condition_changes(problem.model, state)
    entrance = _entrance(problem, state, heavy)
    images = np.concatenate([images, entrance[None]])
    energies = pairwise(
        heavy, light, images, measured, levels.shape[1] - 1, _nuisances(problem, state, freedom)
    )
    sweeps = (HOT, SWEEPS) if last else (HOT // 2, SWEEPS // 3)
    if last:
        levels = np.where(within_reach(levels, energies.unary), levels, np.nan)
    # It is right about its state: hot chains find others that it alone holds likely, as no atom at all.
    heat = 1.0 if last else HEAT
    sampled = sample_heights(
        energies.unary, energies.coupling, levels, problem.pairs, seed, sweeps=sweeps, heat=heat
    )
    return Round(state, levels, energies, sampled, excess, value)


def within_reach(
    levels: Float[np.ndarray, "h states"], alone: Float[np.ndarray, "h states"]
) -> Bool[np.ndarray, "h states"]:
    """Heights that are near, or not unlikely by themselves: all far ones at once are beyond an expansion.

    **Arguments:**

    - `levels`: heights; the first is that of the state.
    - `alone`: log probabilities with all other columns as they are.
    """
    near = np.abs(levels - levels[:, :1]) <= 1
    there = np.isfinite(levels)
    best = np.max(np.where(there, alone, -np.inf), axis=1, keepdims=True)
    return there & (near | (alone > best - _UNLIKELY))


def _entrance(problem: Problem, state: State, heavy: Stamps) -> Float[np.ndarray, "rows columns"]:
    """The image's change where surfaces are steeper above: columns begin lower, by what they lack."""
    field = problem.model.field
    rows, columns = field.padded
    size = heavy.values.shape[-1]
    image = np.zeros((rows + 2 * size, columns + 2 * size), np.float32)
    lacks = problem.most - state.heights[heavy.columns]
    for values, (r, c), much in zip(heavy.values, heavy.corners, lacks, strict=True):
        image[r + size : r + 2 * size, c + size : c + 2 * size] += much * values[-1]
    return image[size:-size, size:-size]


def _levels(
    problem: Problem, state: State, likely: Float[np.ndarray, "h levels"], last: bool
) -> Float[np.ndarray, "h states"]:
    """Heights that are tried: that of the state first, then others that are likely or near, and none."""
    now = state.heights[problem.heavy].astype(int)
    every = np.arange(problem.most + 1)
    apart = np.abs(every - now[:, None])
    wanted = likely + np.where(apart == 1, 0.5, 0) + np.where(every == 0, _LIKELY, 0)
    if last:
        wanted = wanted + np.where(apart <= _NEAR, 0.1 / (1 + apart), 0)
    wanted[np.arange(len(now)), now] = np.inf
    order = np.argsort(-wanted, axis=1, kind="stable")[:, : (_LAST if last else _STATES) + 1]
    enough = np.take_along_axis(wanted, order, axis=1) >= _LIKELY
    return np.where(enough, order, np.nan)


def _nuisances(problem: Problem, state: State, freedom: float) -> Nuisances:
    """Priors of places, starts, heights of light columns, and conditions."""
    sites, heavy, light = problem.sites, problem.heavy, problem.light
    off = sites.places - state.places
    starts = state.starts + 0.5 * state.heights
    wanted = around(problem, heavy, starts)
    h = np.stack([off[heavy, 0], off[heavy, 1], wanted - starts[heavy]], axis=1)
    wanted = around(problem, light, state.heights)
    o = np.stack([off[light, 0], off[light, 1], wanted - state.heights[light]], axis=1)
    scale_h = np.tile([_STRAY[0] ** -2, _STRAY[0] ** -2, _START**-2], (len(heavy), 1))
    scale_l = np.tile([_STRAY[1] ** -2, _STRAY[1] ** -2, _LIGHT**-2], (len(light), 1))
    numbers = np.append(-np.asarray(state.conditions.numbers, np.float64), 0.0)
    scale_g = np.append(prior_precision(numbers[:-1], freedom), _ENTRANCE**-2)
    precision = np.concatenate([scale_h.ravel(), scale_l.ravel(), scale_g])
    towards = np.concatenate([h.ravel(), o.ravel(), numbers]) * precision
    return Nuisances(np.diag(precision), towards)
