"""A problem refined: the most probable structure, how it was found, and how well it is known.

    fit = refine(Problem(atoms, (MapObservation.of(density, atoms),)))
    fit.structure.positions, fit.uncertainty.positions

A solver works while windows and the size of the noise are fixed; in between they are taken from what it has
left. A loop of one's own may take the solver's place: `fit_at` makes a `Fit` of any free numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from atomfit.inference.observation import AbstractObservation
from atomfit.inference.parameters import on_host
from atomfit.inference.problem import Objective, Problem, predicted
from atomfit.inference.uncertainty import Uncertainty, measure_uncertainty
from atomfit.optimisation.ended import Ended
from atomfit.optimisation.newton import GaussNewton
from atomfit.optimisation.parameters import Free
from atomfit.optimisation.solvers import AbstractSolver, minimise
from atomfit.structure.canvas import AbstractStructure, Leaf
from atomfit.support.compiled import kept
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics

#: A fit ends when it promises to lower chi-square by less than this for each atom.
CHI_SQUARE_PER_ATOM = 1e-2
#: What float32 tells of a misfit, for each value of it.
_ROUNDING = 1e-7
#: Rounds in which windows and the size of noise follow the fit.
_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Fit:
    """A refined problem.

    **Fields:**

    - `objective`: that was minimised.
    - `free`: the free numbers where it is lowest.
    - `value`: minus the logarithm of the probability there, up to a constant.
    - `history`: the same after each iteration.
    - `reason`: how the fit has ended.
    """

    objective: Objective
    free: Free
    value: float
    history: Float[np.ndarray, " i"]
    reason: Ended

    @cached_property
    def wrapped(self) -> tuple[PyTree, tuple[PyTree, ...]]:
        """Structure and nuisances with their wrappers, in float64: where another problem may go on."""
        return self.objective.parameters.moved(self.free)

    @cached_property
    def structure(self) -> AbstractStructure:
        """The refined structure, in float64 where no wrapper is in the way."""
        return on_host(self.wrapped[0])

    @cached_property
    def nuisances(self) -> tuple[PyTree, ...]:
        """What each observation has for itself, refined."""
        return on_host(self.wrapped[1])

    @property
    def observations(self) -> tuple[AbstractObservation, ...]:
        """With the noise as the fit has left it."""
        return self.objective.observations

    @cached_property
    @own_numerics()
    def predictions(self) -> tuple[Float[np.ndarray, "..."], ...]:
        """What each observation would be without noise."""
        return tuple(np.asarray(p) for p in predicted(self.objective, self.free))

    @cached_property
    def residuals(self) -> tuple[Float[np.ndarray, "..."], ...]:
        """Data less predictions; zero where nothing counts."""
        pairs = zip(self.observations, self.predictions, strict=True)
        return tuple(np.where(np.asarray(o.counted) > 0, np.asarray(o.data) - p, 0.0) for o, p in pairs)

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """Covariances of everything that was refined, nuisances marginalised."""
        return measure_uncertainty(self.objective, self.free)

    @property
    def log_evidence(self) -> float:
        """Logarithm of the evidence, by Laplace's approximation, up to a constant of the data and priors.

        Problems with the same data and noise may be compared by it, if what they differ in has priors.
        """
        return -self.value + self.uncertainty.log_volume


@own_numerics()
def refine(
    problem: Problem | Objective,
    solver: AbstractSolver | None = None,
    *,
    start: Free | None = None,
    max_iterations: int = 100,
    tolerance: float = CHI_SQUARE_PER_ATOM,
    progress: Callable[[int, float], None] = lambda iteration, value: None,
) -> Fit:
    """Refine a structure, and what observations have for themselves, together.

    **Arguments:**

    - `problem`: what is to be refined, or its objective.
    - `solver`: damped Gauss-Newton if not given.
    - `start`: free numbers to go on from; zero if not given.
    - `max_iterations`: the most iterations.
    - `tolerance`: it ends when an iteration promises to lower chi-square by less than this for each atom.
    - `progress`: called with the iterations done and the objective.

    **Raises:** `InputError` if nothing is free, or the objective is no number at the start.
    """
    solver = GaussNewton() if solver is None else solver
    if not isinstance(solver, AbstractSolver):
        raise InputError(
            f"{type(solver).__name__} is no solver",
            "give one of atomfit.optimisation; a transformation of optax as Optax(optax.adam(0.01))",
            "solver",
        )
    objective = problem if isinstance(problem, Objective) else problem.objective()
    free: Any = objective.parametrisation.zeros() if start is None else start
    history = np.zeros(0)
    # Half of what chi-square may gain, as a part of what it is.
    whole = sum(o.measurements for o in objective.observations)
    for _ in range(_ROUNDS):
        minimum = minimise(
            jax.device_put(objective),
            free,
            solver,
            tolerance=tolerance * objective.parameters.atoms / max(whole, 1),
            least=_ROUNDING * whole,
            max_iterations=max(max_iterations - len(history), 0),
            misfit=partial(_misfit, objective),
            progress=partial(_counting_from, len(history), progress),
        )
        if not np.isfinite(minimum.value):
            raise InputError(
                "the objective, or its gradient, is no number where the fit begins",
                "look at what of it is your own: an observation, noise, priors",
            )
        free = minimum.params
        history = np.concatenate([history, minimum.history * float(objective.unit)])
        adapted = objective.adapted(free) if minimum.reason == Ended.CONVERGED else None
        if adapted is None:
            break
        objective = adapted
    return Fit(objective, free, minimum.value * float(objective.unit), history, minimum.reason)


def _misfit(objective: Objective, free: Free, value: float) -> float:
    return float(_less_known(objective, free, np.asarray(value, np.float32)))


@kept
def _less_known(objective: Objective, free: Free, value: Float[Leaf, ""]) -> Float[Array, ""]:
    return jnp.asarray(objective.misfit(free, jnp.asarray(value)))


@kept
def _value(objective: Objective, free: Free) -> Float[Array, ""]:
    return objective(free)


def _counting_from(done: int, progress: Callable[[int, float], None], iteration: int, value: float) -> None:
    progress(done + iteration, value)


@own_numerics()
def fit_at(objective: Objective, free: Free, reason: Ended = Ended.CONVERGED) -> Fit:
    """A fit that ended at given free numbers, however they were found; noise is as they leave it.

    **Arguments:**

    - `objective`: from `Problem.objective`.
    - `free`: the free numbers.
    - `reason`: how it has ended.
    """
    objective = objective.adapted(free) or objective
    value = float(_value(objective, free)) * float(objective.unit)
    return Fit(objective, free, value, np.array([value]), reason)
