"""The Gauss-Newton matrix of all atoms: block-sparse, analytic, never dense.

A least-squares objective curves, near its minimum, like JᵀJ: the inner products of what each free number
does to the map. Atoms far apart share no voxel, so each atom meets only its neighbours, in one block of
10 x 10 numbers a pair, and those are known in closed form (`overlaps`). For N atoms with m neighbours that
is N m blocks instead of (10 N)² numbers: 200,000 atoms fit into a laptop's memory.

Blocks are kept in natural parameters (position, U, amplitude) together with each atom's Jacobian from free
to natural ones, so that bounds, logarithms and frozen parts stay the business of `parameters`. A
background couples to every atom, through the amplitudes: it is a border of the matrix.

The same matrix, divided by the noise's variance, is the Fisher information of which `uncertainty` takes
the inverse.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.fitting.model import MapModel
from atomfit.fitting.parameters import Parametrisation
from atomfit.gaussians.overlaps import natural_blocks
from atomfit.gaussians.scatterers import Overlap
from atomfit.optimisation.parameters import Free
from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements


class Curvature(eqx.Module):
    """The Gauss-Newton matrix of n atoms and b numbers of the background.

    **Fields:**

    - `blocks`: of each atom with itself (first) and its neighbours, in natural parameters.
    - `neighbours`: their indices; where there are fewer, the atom itself with a block of zeros.
    - `jacobians`: of each atom's natural parameters by its free numbers.
    - `border`: of each atom's free numbers with the background's.
    - `corner`: of the background's numbers with each other.
    """

    blocks: Float[Array, "n m q q"]
    neighbours: Int[Array, "n m"]
    jacobians: Float[Array, "n q p"]
    border: Float[Array, "n p b"]
    corner: Float[Array, "b b"]

    def product(self, vector: Float[Array, " k"]) -> Float[Array, " k"]:
        """The matrix times a vector of free numbers, in the order of `Parametrisation.flat`."""
        n, _, p = self.jacobians.shape
        atoms, background = vector[: n * p].reshape(n, p), vector[n * p :]
        natural = jnp.sum(self.jacobians * atoms[:, None, :], axis=2)
        product = jnp.sum(self.blocks * natural[self.neighbours][:, :, None, :], axis=(1, 3))
        freely = jnp.sum(self.jacobians * product[:, :, None], axis=1) + self.border @ background
        below = jnp.sum(self.border * atoms[:, :, None], axis=(0, 1)) + self.corner @ background
        return jnp.concatenate([freely.ravel(), below])

    def plus(self, own: Float[Array, "n q q"]) -> "Curvature":
        """The matrix with something added to each atom's own block, in natural parameters."""
        return eqx.tree_at(lambda c: c.blocks, self, self.blocks.at[:, 0].add(own))

    def diagonal(self) -> Float[Array, " k"]:
        """Of the matrix."""
        inner = jnp.sum(self.blocks[:, 0, :, :, None] * self.jacobians[:, None], axis=2)
        return jnp.concatenate([jnp.sum(self.jacobians * inner, axis=1).ravel(), jnp.diagonal(self.corner)])


def curvature_of_atoms(
    parametrisation: Parametrisation,
    free: Free,
    neighbours: Int[Array, "n m"],
    overlap: Overlap,
    beneath: Float[Array, "n b"],
    corner: Float[Array, "b b"],
    at_a_time: int = 1024,
) -> Curvature:
    """The Gauss-Newton matrix at given free numbers.

    **Arguments:**

    - `parametrisation`, `free`: the model.
    - `neighbours`: from `neighbour_table`.
    - `overlap`: derivatives of the overlap of two normalised Gaussians, by their distance and summed
        variances, in the order of `overlaps.multi_indices`.
    - `beneath`: what each of the background's numbers shares with an atom of unit amplitude. A background
        hardly changes across an atom, and shares nothing with its position and widths.
    - `corner`: what they share with each other.
    - `at_a_time`: atoms whose blocks are computed together, so that memory does not grow with the particle.
    """
    natural, jacobians = _natural_and_jacobians(parametrisation, free)
    scattering = parametrisation.start.scattering
    n, d = parametrisation.start.atoms.positions.shape
    which = jnp.arange(n)

    def blocks_of(rows: Array) -> Array:
        others = neighbours[rows]
        mine, theirs = natural[rows][:, None], natural[others]
        apart = mine[..., :d] - theirs[..., :d]
        variances = jnp.asarray(matrices_of_elements(mine[..., d:-1] + theirs[..., d:-1]))
        amplitudes, others_amplitudes = jnp.broadcast_arrays(mine[..., -1], theirs[..., -1])
        derivatives = scattering.overlap(overlap, apart, variances, rows[:, None], others)
        blocks = natural_blocks(derivatives, amplitudes, others_amplitudes, d)
        missing = (others == rows[:, None]) & (jnp.arange(others.shape[1]) > 0)
        return jnp.where(missing[..., None, None], 0.0, blocks)

    if n <= at_a_time:
        blocks = blocks_of(which)
    else:
        chunks = -(-n // at_a_time)
        rows = jnp.minimum(jnp.arange(chunks * at_a_time), n - 1).reshape(chunks, at_a_time)
        blocks = lax.map(blocks_of, rows)
        blocks = blocks.reshape(-1, *blocks.shape[2:])[:n]
    border = jacobians[:, -1, :, None] * beneath[:, None, :]
    return Curvature(blocks, neighbours, jacobians, border, corner)


def natural_of(model: MapModel) -> Float[Array, "n q"]:
    """Each atom's position (Å), U (Å²; diagonal, then upper triangle) and amplitude."""
    atoms = model.atoms
    return jnp.concatenate(
        [
            jnp.asarray(atoms.positions),
            jnp.asarray(elements_of_matrices(atoms.matrices())),
            jnp.asarray(atoms.amplitudes)[:, None],
        ],
        axis=1,
    )


def _natural_and_jacobians(
    parametrisation: Parametrisation, free: Free
) -> tuple[Float[Array, "n q"], Float[Array, "n q p"]]:
    """Natural parameters, and their derivatives by free numbers; atoms do not depend on each other's."""
    vector, n, p = parametrisation.flat(free), *parametrisation.columns
    zero = jnp.zeros(len(vector) - n * p)

    def along(column: Array) -> tuple[Array, Array]:
        direction = jnp.concatenate([jnp.tile(jax.nn.one_hot(column, p), (n, 1)).ravel(), zero])
        return jax.jvp(
            lambda v: natural_of(parametrisation(parametrisation.unflat(v))), (vector,), (direction,)
        )

    return jax.vmap(along, out_axes=(None, -1))(jnp.arange(p))
