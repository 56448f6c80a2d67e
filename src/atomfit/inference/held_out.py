"""Data that a fit has not seen: a problem in, the same without a part of its data and that part out.

What a fit explains of the data it was made with says little of whether it is right: more numbers always
explain more. `held_out` keeps a part of the data back, whole views of a series and whole blocks of a map or
an image, since neighbouring values may err together; `validate` says how likely these are. Of two models
the one is better that makes them likelier. With a part of one half, two halves are refined apart from each
other (half sets), and what they differ by is what their standard uncertainties should say.
"""

from dataclasses import dataclass

import equinox as eqx
import numpy as np

from atomfit.inference.fit import Fit, refine
from atomfit.inference.observation import AbstractObservation
from atomfit.inference.parameters import Parameters, frozen, on_host
from atomfit.inference.problem import Problem
from atomfit.support.errors import InputError


@dataclass(frozen=True)
class Validation:
    """How well a fit tells what it has not seen.

    **Fields:**

    - `held`: minus the logarithm of the probability of a value that was held out, on average, of each
        observation; ½ for Gaussian noise if the model is right and the noise is that of the fit.
    - `fitted`: the same of what was fitted.
    """

    held: tuple[float, ...]
    fitted: tuple[float, ...]


def held_out(problem: Problem, part: float = 0.2, seed: int = 0) -> tuple[Problem, Problem]:
    """A problem without some of its data, and one of these alone.

    **Arguments:**

    - `problem`: of all data.
    - `part`: which part of each observation's views or blocks is held out.
    - `seed`: of the choice.

    **Raises:** `InputError` if an observation has fewer than two groups of data that count, or `part` is
        no part.
    """
    if not 0 < part < 1:
        raise InputError(f"{part:g} is no part of the data", "give a number between 0 and 1", "part")
    rng = np.random.default_rng(seed)
    kept: list[AbstractObservation] = []
    held: list[AbstractObservation] = []
    for i, o in enumerate(problem.observations):
        groups, counted = o.groups, np.asarray(o.counted)
        names = np.unique(groups[counted > 0])
        if len(names) < 2:
            raise InputError(
                f"observation {i} has no part that can be held out",
                "give more views or more voxels",
                "part",
            )
        count = min(max(round(part * len(names)), 1), len(names) - 1)
        out = np.isin(groups, rng.choice(names, count, replace=False))
        kept.append(eqx.tree_at(lambda o: o.counted, o, np.where(out, 0, counted)))
        held.append(eqx.tree_at(lambda o: o.counted, o, np.where(out, counted, 0)))
    return (
        Problem(problem.structure, tuple(kept), problem.priors),
        Problem(problem.structure, tuple(held), problem.priors),
    )


def validate(fit: Fit, held: Problem, noise_of: Fit | None = None) -> Validation:
    """How likely data are that were held out of a fit.

    What observations have for themselves (the gain of a view that was not seen) is fitted to these data
    first, with the structure as it is. Noise is what a fit has left of its own data: where two models are
    to be compared, it must be that of the same one.

    **Arguments:**

    - `fit`: of what was kept.
    - `held`: what was not, from `held_out`.
    - `noise_of`: the fit whose noise counts; the same fit if None.

    **Raises:** `InputError` where the noise of each value is taken from that value's own residual.
    """
    noises = [o.noise for o in (noise_of or fit).observations]
    if not all(noise.elsewhere for noise in noises):
        raise InputError(
            "noise that grows with brightness is known of fitted values only",
            "give its variances (KnownPrecision), or another noise",
            "noise",
        )
    observations = tuple(
        eqx.tree_at(lambda o: (o.noise, o.nuisance), o, (noise, nuisance))
        for o, noise, nuisance in zip(held.observations, noises, fit.wrapped[1], strict=True)
    )
    fitted = (
        eqx.tree_at(lambda o: o.noise, o, noise) for o, noise in zip(fit.observations, noises, strict=True)
    )
    problem = Problem(frozen(fit.structure), observations)
    nuisances = fit.nuisances
    if Parameters.of(problem.structure, tuple(o.nuisance for o in observations)).size:
        nuisances = refine(problem).nuisances
    pairs = zip(observations, nuisances, strict=True)
    return Validation(
        tuple(_cost(o.planned(fit.structure, on_host(own)), fit, own) for o, own in pairs),
        tuple(_cost(o, fit, own) for o, own in zip(fitted, fit.nuisances, strict=True)),
    )


def _cost(o: AbstractObservation, fit: Fit, own: object) -> float:
    cost = eqx.filter_jit(type(o).negative_log_likelihood)(o, fit.structure, own)
    return float(cost) / max(o.measurements, 1)
