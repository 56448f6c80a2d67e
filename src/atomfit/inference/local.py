"""How well single atoms are known, where there are too many numbers for one matrix.

What an atom's covariance owes to others falls off with the square of their overlap, so its block is taken
from the inverse of the information on itself and the `CLUSTER` nearest of those that it shares data with
(as in `gaussians.uncertainty`). That information comes from windows around single atoms
(`AbstractObservation.overlaps`), and the matrix of all atoms exists only block by block. Numbers that all
atoms share are a border, and bias is solved for in the whole sparse matrix, by conjugate gradients.

Priors must speak of single atoms here: `Known` and `Correlated` do, springs between atoms do not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import bsr_array
from scipy.sparse.linalg import LinearOperator, cg

from atomfit.inference.parameters import on_host
from atomfit.inference.problem import Objective, products
from atomfit.inference.uncertainty import Estimate, Uncertainty, curved, pulled
from atomfit.optimisation.parameters import Free
from atomfit.support.compiled import kept
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics

#: Atoms whose information is inverted together.
CLUSTER = 24
#: Least part of the largest eigenvalue of a cluster's matrix, its diagonal one, that counts.
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class LocalUncertainty:
    """Covariances of each atom's own free numbers, all else marginalised.

    **Fields:**

    - `objective`, `free`: of the fit.
    - `covariances`: of each atom's numbers, in the order of `Parameters.columns`; zero where nothing tells.
    - `shared`: covariance of the numbers that all atoms share.
    - `bias`: what free numbers are wrong by on average, to second order.
    """

    objective: Objective
    free: Free
    covariances: Float[np.ndarray, "n p p"]
    shared: Float[np.ndarray, "s s"]
    bias: Float[np.ndarray, " k"]

    @classmethod
    def of_all(cls, known: Uncertainty) -> "LocalUncertainty":
        """From the covariance of all numbers."""
        n, p = known.objective.parametrisation.columns
        atoms, whole = np.arange(n), np.nan_to_num(known.covariance)
        blocks = whole[: n * p, : n * p].reshape(n, p, n, p)[atoms, :, atoms]
        return cls(known.objective, known.free, blocks, whole[n * p :, n * p :], known.bias)

    def covariances_of(self, function: Callable[[Any], Any]) -> Float[np.ndarray, "n q q"]:
        """Covariances of several numbers of each atom, one row an atom."""
        slopes = self._slopes(function)[1]
        return slopes @ self.covariances @ np.swapaxes(slopes, 1, 2)

    @own_numerics()
    def of_atoms(self, function: Callable[[Any], Any]) -> Estimate:
        """Value, standard uncertainty and bias of a function of the structure, one row an atom.

        Each row must depend on its own atom only: displacements, say.
        """
        value, slopes = self._slopes(function)
        n, p = self.covariances.shape[:2]
        variances = np.einsum("nmp,npq,nmq->nm", slopes, self.covariances, slopes)
        of_numbers = np.einsum("nmp,np->nm", slopes, self.bias[: n * p].reshape(n, p))
        bent = curved(self.objective, self.free, self._directions, _of_structure(function))
        bias = of_numbers.reshape(value.shape) + np.asarray(bent, np.float64)
        esd = np.sqrt(np.where(variances > 0, variances, np.nan))
        return Estimate(value - bias, esd.reshape(value.shape), bias)

    @own_numerics()
    def _slopes(self, function: Callable[[Any], Any]) -> tuple[np.ndarray, np.ndarray]:
        """Values, and their derivatives by each atom's own numbers."""
        value, slopes = (
            np.asarray(x, np.float64) for x in _value_and_slopes(self.objective, self.free, function)
        )
        n, p = self.covariances.shape[:2]
        return value, np.moveaxis(slopes, 0, -1).reshape(n, -1, p)

    @cached_property
    def _directions(self) -> Float[np.ndarray, "p k"]:
        return roots(self.covariances, len(self.bias))


@own_numerics()
def measure_local_uncertainty(objective: Objective, free: Free) -> LocalUncertainty:
    """Covariances of atoms at the end of a fit.

    **Arguments:**

    - `objective`, `free`: of the fit.

    **Raises:** `InputError` if an observation or a prior is not local.
    """
    n, p = objective.parametrisation.columns
    objective = objective.informing(free)
    matrix, border, shared = _information(objective, free)
    sparse = matrix.sparse
    inverses = np.linalg.inv(matrix.own + 1e-12 * np.eye(p))
    solve = _Solver(sparse, inverses)
    # The border: what each shared number takes from atoms, and what is left of it.
    taken = np.array([solve(row) for row in border]).reshape(len(border), n * p)
    covariance = np.linalg.inv(shared - taken @ border.T) if len(border) else np.zeros((0, 0))
    blocks = np.array([matrix.cluster(i) for i in range(n)])
    through = taken.T.reshape(n, p, -1)
    blocks += through @ covariance @ np.swapaxes(through, 1, 2)
    untold = np.diagonal(matrix.own, axis1=1, axis2=2) <= 0
    blocks[untold[:, :, None] | untold[:, None, :]] = 0.0
    pull = np.asarray(pulled(objective, free, roots(blocks, n * p + len(border))), np.float64)
    pull *= float(objective.unit)
    of_shared = covariance @ (pull[n * p :] - taken @ pull[: n * p])
    of_atoms = solve(pull[: n * p]) - taken.T @ of_shared
    bias = -np.concatenate([of_atoms, of_shared])
    return LocalUncertainty(objective, free, blocks, covariance, bias)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Information on n atoms' numbers: of each with itself, and of pairs, both orders."""

    own: Float[np.ndarray, "n p p"]
    pairs: Int[np.ndarray, "m 2"]
    between: Float[np.ndarray, "m p p"]
    near: list[np.ndarray]

    @property
    def sparse(self) -> Any:
        n, p = self.own.shape[:2]
        rows = np.concatenate([np.arange(n), self.pairs[:, 0]])
        columns = np.concatenate([np.arange(n), self.pairs[:, 1]])
        order = np.lexsort((columns, rows))
        data = np.concatenate([self.own, self.between])[order]
        starts = np.searchsorted(rows[order], np.arange(n + 1))
        return bsr_array((data, columns[order], starts), shape=(n * p, n * p))

    @cached_property
    def _index(self) -> dict[tuple[int, int], int]:
        return {(int(i), int(j)): m for m, (i, j) in enumerate(self.pairs)}

    def cluster(self, atom: int) -> Float[np.ndarray, "p p"]:
        """An atom's block of the inverse of its cluster's matrix."""
        atoms, p = self.near[atom], self.own.shape[1]
        whole = np.zeros((len(atoms), p, len(atoms), p))
        for a, i in enumerate(atoms):
            whole[a, :, a] = self.own[i]
            for b, j in enumerate(atoms):
                m = self._index.get((int(i), int(j)))
                if m is not None:
                    whole[a, :, b] = self.between[m]
        return _first_block(whole.reshape(len(atoms) * p, -1), p)


def _first_block(matrix: Float[np.ndarray, "k k"], p: int) -> Float[np.ndarray, "p p"]:
    scale = 1 / np.sqrt(np.maximum(np.diagonal(matrix), 1e-30))
    matrix = matrix * np.outer(scale, scale)
    columns = np.eye(len(matrix), p)
    try:
        found = cho_solve(cho_factor(matrix + _LEAST * np.eye(len(matrix))), columns)[:p]
    except np.linalg.LinAlgError:
        values, axes = np.linalg.eigh(matrix)
        found = (axes[:p] / np.maximum(values, _LEAST)) @ axes[:p].T
    return found * np.outer(scale[:p], scale[:p])


class _Solver:
    """Conjugate gradients, preconditioned by each atom's own block."""

    def __init__(self, matrix: Any, inverses: Float[np.ndarray, "n p p"]) -> None:
        n, p = inverses.shape[:2]

        def own(vector: np.ndarray) -> np.ndarray:
            return np.einsum("npq,nq->np", inverses, vector.reshape(n, p)).ravel()

        self._matrix, self._own = matrix, LinearOperator((n * p, n * p), own)

    def __call__(self, right: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        return cg(self._matrix, right, rtol=1e-4, maxiter=300, M=self._own)[0]


def _information(objective: Objective, free: Free) -> tuple[_Blocks, np.ndarray, np.ndarray]:
    """Of atoms, of what they share with all (the border), and of that itself."""
    parameters = objective.parameters
    n, p = parameters.columns
    structure, nuisances = on_host(parameters.moved(free))
    meet = np.zeros((n, n), bool)
    for o in objective.observations:
        meet |= o.interacting(structure)
    near = _nearest(meet, np.asarray(structure.positions))
    for atom, others in enumerate(near):
        meet[atom, np.setdiff1d(np.arange(n), others)] = False
    upper = np.argwhere(np.triu(meet | meet.T))
    along = _tangents(objective, free)
    parts = zip(objective.observations, nuisances, strict=True)
    found = np.sum([o.overlaps(structure, own, along, upper) for o, own in parts], axis=0)
    itself = upper[:, 0] == upper[:, 1]
    blocks = 0.5 * (found[itself] + np.swapaxes(found[itself], 1, 2)) + _of_priors(objective, free)
    # A block belongs to the weighted first of a pair, in rows.
    pairs = np.concatenate([upper[~itself], upper[~itself][:, ::-1]])
    between = np.concatenate([found[~itself], np.swapaxes(found[~itself], 1, 2)])
    border = np.zeros((parameters.length - n * p, parameters.length), np.float32)
    border[:, n * p :] = np.eye(len(border))
    images = border.astype(np.float64)
    if len(border):
        images = float(objective.unit) * products(objective, free, border).astype(np.float64)
    return _Blocks(blocks, pairs, between, near), images[:, : n * p], images[:, n * p :]


def _nearest(meet: Bool[np.ndarray, "n n"], places: np.ndarray) -> list[np.ndarray]:
    found = []
    for i, row in enumerate(meet):
        others = np.flatnonzero(row)
        distances = np.linalg.norm(places[others] - places[i], axis=1)
        found.append(others[np.argsort(distances)][:CLUSTER])
    return found


def _units(objective: Objective) -> Float[np.ndarray, "p k"]:
    """Each of the atoms' numbers, of all atoms at once."""
    (n, p), size = objective.parametrisation.columns, objective.parameters.length
    return np.pad(np.tile(np.eye(p, dtype=np.float32), n), ((0, 0), (0, size - n * p)))


def _of_priors(objective: Objective, free: Free) -> Float[np.ndarray, "n p p"]:
    """The priors' Hessian on each atom's numbers.

    **Raises:** `InputError` if it has more than that.
    """
    n, p = objective.parametrisation.columns
    units = _units(objective)
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), n)
    probe = units.sum(axis=0)
    probe[: n * p] *= np.repeat(signs, p)
    images = np.asarray(_bent_priors(objective, free, np.concatenate([units, probe[None]])), np.float64)
    blocks = np.moveaxis(images[:p, : n * p].reshape(p, n, p), 0, 1)
    alone = np.sum(blocks, axis=1) * signs[:, None]
    if not np.allclose(alone, images[p, : n * p].reshape(n, p), atol=1e-3 * np.abs(images).max() + 1e-9):
        raise InputError("a prior speaks of several atoms at once", "fewer atoms have one matrix", "priors")
    return blocks


@kept
def _bent_priors(objective: Objective, free: Free, vectors: Array | np.ndarray) -> Float[Array, "q k"]:
    parameters = objective.parameters

    def known(vector: Array) -> Array:
        structure = parameters(parameters.unflat(vector))[0]
        return sum((jnp.asarray(prior(structure)) for prior in objective.priors), jnp.zeros(()))

    slope, at = jax.grad(known), parameters.flat(free)
    return lax.map(lambda vector: jax.jvp(slope, (at,), (vector,))[1], jnp.asarray(vectors))


def _tangents(objective: Objective, free: Free) -> Any:
    """Of the structure's numbers by each of the atoms' free ones, of all atoms at once."""
    parameters = objective.parameters

    def numbers(vector: Array) -> Any:
        return eqx.filter(parameters(parameters.unflat(vector))[0], eqx.is_inexact_array)

    at = parameters.flat(free)
    units = jnp.asarray(_units(objective))
    return lax.map(lambda vector: jax.jvp(numbers, (at,), (vector,))[1], units)


def _of_structure(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda structure, nuisances: function(structure)


def _value_and_slopes(objective: Objective, free: Free, function: Callable[[Any], Any]) -> Any:
    """A function of atoms, and its derivatives by their own numbers."""
    parameters = objective.parameters

    def of_vector(vector: Array) -> Array:
        return jnp.asarray(function(parameters(parameters.unflat(vector))[0]))

    value, push = jax.linearize(of_vector, parameters.flat(free))
    return value, lax.map(push, jnp.asarray(_units(objective)))


def roots(covariances: Float[np.ndarray, "n p p"], size: int) -> Float[np.ndarray, "p k"]:
    """Roots of each atom's own covariance, column by column, of all atoms at once.

    **Arguments:**

    - `covariances`: of atoms.
    - `size`: of all free numbers.
    """
    n, p = covariances.shape[:2]
    values, axes = np.linalg.eigh(covariances)
    columns = axes * np.sqrt(np.maximum(values, 0))[:, None]
    found = np.zeros((p, size), np.float32)
    found[:, : n * p] = np.moveaxis(columns, 2, 0).reshape(p, n * p)
    return found
