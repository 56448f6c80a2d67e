"""How much numbers scatter among alike atoms, from the data themselves: an empirical-Bayes prior.

Numbers that single atoms hardly tell (cumulants, say) need a prior, and nobody knows how wide. All atoms
of a kind together do. Their numbers are taken to be Gaussians about zero with a spread s, which is where
the data are most probable with the numbers integrated out. There (MacKay 1992, eq. 4.9)

    s² = Σ m² / Σ (1 - var m / s²)

over the atoms of a group, m and var m being of the posterior, and thus dependent on s: a fit, its
uncertainties and new spreads take turns. That is a fixed point of expectation-maximisation as well, which
takes many more rounds to come there. A spread changes by no more than `_FACTOR` in a round, as what is
known of an atom changes with the spread of its neighbours'.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.inference.fit import Fit, refine
from atomfit.inference.local import LocalUncertainty, measure_local_uncertainty
from atomfit.inference.priors import Known
from atomfit.inference.problem import Problem

Part = Callable[[Any], Float[Array, "n q"]]

#: Most that a spread changes by in a round, as a factor, and least change of any that calls for another.
_FACTOR, _SETTLED = 4.0, 0.05
#: Least part of a group's numbers, as degrees of freedom, that counts as determined.
_LEAST = 1e-2
#: Numbers whose covariances are taken from one matrix, at most.
_SMALL = 2000


@dataclass(frozen=True, eq=False)
class EmpiricalFit:
    """A problem refined with a prior of its own atoms' making.

    **Fields:**

    - `fit`: whose priors end with that prior.
    - `known`: how well its atoms are known.
    - `spreads`: of the prior, of each group (rows) and number.
    """

    fit: Fit
    known: LocalUncertainty
    spreads: Float[np.ndarray, "g q"]


def with_empirical_spread(
    problem: Problem,
    of: Part,
    groups: Int[np.ndarray, " n"],
    first: float | Sequence[float],
    rounds: int = 4,
) -> EmpiricalFit:
    """A problem refined with a prior whose spreads come from its own atoms.

    **Arguments:**

    - `problem`: without a prior of these numbers.
    - `of`: numbers that scatter about zero, one row an atom, of the structure.
    - `groups`: which group of alike atoms each belongs to, counted from 0.
    - `first`: spread to begin with, rather too wide; one for all numbers, or one each.
    - `rounds`: fits, at most.
    """
    spreads = np.zeros((0, 0))
    for _ in range(rounds):
        if not spreads.size:
            width = np.shape(of(problem.structure))[1]
            following = np.tile(np.broadcast_to(np.asarray(first, float), width), (groups.max() + 1, 1))
        elif np.all(np.abs(following / spreads - 1) < _SETTLED):
            break
        spreads = following
        prior = Known(of, 0.0, spreads[groups])
        fit = refine(replace(problem, priors=(*problem.priors, prior)))
        problem = replace(problem, structure=fit.wrapped[0])
        known = known_of_atoms(fit)
        following = spreads_of(known.of_atoms(of).esd, np.asarray(of(fit.structure)), spreads, groups)
    return EmpiricalFit(fit, known, spreads)


def spreads_of(
    deviations: Float[np.ndarray, "n q"],
    values: Float[np.ndarray, "n q"],
    spreads: Float[np.ndarray, "g q"],
    groups: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "g q"]:
    """Spreads that make the data more probable than those that a fit was made with.

    **Arguments:**

    - `deviations`, `values`: standard uncertainties and values of the numbers.
    - `spreads`, `groups`: of the prior.
    """
    found = spreads.copy()
    for g, before in enumerate(spreads):
        these = groups == g
        told = np.sum(1 - np.minimum(deviations[these] / before, 1) ** 2, axis=0)
        squares = np.sum(values[these] ** 2, axis=0) / np.maximum(told, _LEAST * max(np.sum(these), 1))
        if np.any(these):
            found[g] = np.clip(np.sqrt(squares), before / _FACTOR, before * _FACTOR)
    return found


def known_of_atoms(fit: Fit) -> LocalUncertainty:
    """Covariances of single atoms, by the whole matrix where that is small."""
    if fit.objective.parameters.size > _SMALL:
        return measure_local_uncertainty(fit.objective, fit.free)
    return LocalUncertainty.of_all(fit.uncertainty)
