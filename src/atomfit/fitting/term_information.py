"""What terms of an objective say of atoms: blocks of their Hessian, for standard uncertainties.

A term is any function of the atoms (`problem`). Its second derivatives by the atoms' natural parameters
are products with unit vectors, jvp of grad, and there are far fewer products than numbers: a vector may be
one at many atoms at once, if no atom is a neighbour of two of them (Curtis, Powell & Reid 1974). Atoms are
coloured so, and each product gives one column of the blocks of all atoms, however many there are.

What a term says of atoms that are no neighbours is not in it; that is noticed by a product with a random
vector, and told.
"""

import logging

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.fitting.problem import Term
from atomfit.gaussians.bounded import BoundedAtoms
from atomfit.structure.atoms import (
    AbstractDisplacements,
    AnisotropicDisplacements,
    Atoms,
    IsotropicDisplacements,
    Leaf,
    matrices_of_elements,
)

log = logging.getLogger("atomfit")

#: Terms reach farther than neighbours if blocks miss more than this part of a product.
_MISSED = 0.02


def term_blocks(
    terms: tuple[Term, ...],
    model: BoundedAtoms,
    neighbours: Int[np.ndarray, "n m"],
    basis: Float[np.ndarray, "q p"],
) -> Float[np.ndarray, "n m q q"]:
    """Hessian of terms by the natural parameters of each atom and of its neighbours; zero for padding.

    **Arguments:**

    - `terms`: functions of the atoms.
    - `model`: the atoms where they are differentiated; they may be more than n.
    - `neighbours`: of each atom, itself first, padded by itself; whoever lists another is listed by it.
    - `basis`: directions in the space of natural parameters in which an atom is free.
    """
    n, (q, p) = len(neighbours), basis.shape
    listed = (neighbours != np.arange(n)[:, None]) | (np.arange(neighbours.shape[1]) == 0)
    blocks = np.zeros((*neighbours.shape, p, p))
    colours = _colours(neighbours)
    directions = np.zeros((p, len(model), p), np.float32)
    for colour in range(int(colours.max()) + 1):
        members = colours == colour
        directions[:, :n] = members[:, None] * np.eye(p, dtype=np.float32)[:, None]
        columns = np.asarray(_products(terms, model, basis, directions), np.float64)
        rows, slots = np.nonzero(members[neighbours] & listed)
        blocks[rows, slots] = np.moveaxis(columns[:, rows], 0, 2)
    if not np.all(np.isfinite(blocks)):
        log.warning("the curvature of terms is no number: standard uncertainties know nothing of them")
        return np.zeros((*neighbours.shape, q, q))
    if _reach_farther(terms, model, neighbours, basis, blocks):
        log.warning(
            "terms couple atoms that are no neighbours: standard uncertainties know of them only what they "
            "say of each atom and its neighbours"
        )
    back = np.linalg.pinv(basis)
    return np.asarray(back.T @ blocks @ back)


def _reach_farther(
    terms: tuple[Term, ...],
    model: BoundedAtoms,
    neighbours: Int[np.ndarray, "n m"],
    basis: Float[np.ndarray, "q p"],
    blocks: Float[np.ndarray, "n m p p"],
) -> bool:
    """Whether blocks are not all of the Hessian, each number in the unit of its own curvature."""
    n, p = len(neighbours), basis.shape[1]
    curvature = np.abs(np.diagonal(blocks[:, 0], axis1=1, axis2=2)).mean(axis=0)
    unit = np.where(curvature > 0, 1 / np.sqrt(np.where(curvature > 0, curvature, 1.0)), 0.0)
    vector = unit * np.random.default_rng(0).normal(size=(n, p))
    direction = np.zeros((1, len(model), p), np.float32)
    direction[0, :n] = vector
    whole = unit * np.asarray(_products(terms, model, basis, direction), np.float64)[0, :n]
    ours = unit * np.einsum("nmab,nmb->na", blocks, vector[neighbours])
    return bool(np.linalg.norm(whole - ours) > _MISSED * np.linalg.norm(whole))


def _colours(neighbours: Int[np.ndarray, "n m"]) -> Int[np.ndarray, " n"]:
    """Colours such that no atom has two neighbours of one colour, itself included."""
    colours = np.full(len(neighbours), -1)
    for atom, near in enumerate(neighbours):
        taken = np.unique(colours[neighbours[near]])
        free = np.setdiff1d(np.arange(len(taken) + 1), taken, assume_unique=True)
        colours[atom] = free[0]
    return colours


@eqx.filter_jit
def _products(
    terms: tuple[Term, ...],
    model: BoundedAtoms,
    basis: Float[Leaf, "q p"],
    directions: Float[Leaf, "k n p"],
) -> Float[Array, "k n p"]:
    """The Hessian times vectors."""

    def of_terms(change: Float[Array, "n p"]) -> Float[Array, ""]:
        moved = _changed(model, change @ jnp.asarray(basis, jnp.float32).T)
        return sum((term(moved) for term in terms), jnp.zeros(()))

    def product(direction: Float[Array, "n p"]) -> Float[Array, "n p"]:
        return jax.jvp(jax.grad(of_terms), (jnp.zeros_like(direction),), (direction,))[1]

    return lax.map(product, jnp.asarray(directions))


def _changed(model: BoundedAtoms, change: Float[Array, "n q"]) -> BoundedAtoms:
    """Atoms with something added to their natural parameters."""
    atoms = model.atoms
    natural, d = atoms.natural() + change, atoms.ndim
    shape: AbstractDisplacements
    if isinstance(atoms.displacements, IsotropicDisplacements):
        shape = IsotropicDisplacements(0.5 * jnp.log(natural[:, d : d + 1]))
    else:
        factor = jnp.linalg.cholesky(jnp.asarray(matrices_of_elements(natural[:, d:-1])))
        widths = jnp.diagonal(factor, axis1=1, axis2=2)
        row, column = np.tril_indices(d, -1)
        shape = AnisotropicDisplacements(jnp.log(widths), factor[:, row, column] / widths[:, row])
    moved = Atoms(natural[:, :d], displacements=shape, amplitudes=natural[:, -1], numbers=atoms.numbers)
    none = [jnp.zeros_like(x) for x in (model.moves, model.log_widths, model.shears, model.strengths)]
    return eqx.tree_at(
        lambda m: [m.start, m.moves, m.log_widths, m.shears, m.strengths], model, [moved, *none]
    )
