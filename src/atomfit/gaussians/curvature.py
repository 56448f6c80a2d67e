"""The Gauss-Newton matrix of all atoms: block-sparse, analytic, never dense.

A least-squares objective curves, near its minimum, like JᵀJ: the inner products of what each number of an
atom does to the map. Atoms far apart share no voxel, so each atom meets only its neighbours, in one block
of 10 x 10 numbers a pair, and those are known in closed form (`overlaps`). For N atoms with m neighbours
that is N m blocks instead of (10 N)² numbers: 200,000 atoms fit into a laptop's memory.

Blocks are those of natural parameters (position, U, amplitude). How these follow from what is free is not
known here: a change of one is a change of the other, to and fro.
"""

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.gaussians.overlaps import natural_blocks
from atomfit.gaussians.scatterers import AbstractScattering, Overlap
from atomfit.structure.atoms import matrices_of_elements


class Curvature(eqx.Module):
    """The Gauss-Newton matrix of n atoms.

    **Fields:**

    - `blocks`: of each atom with itself (first) and its neighbours, in natural parameters.
    - `neighbours`: their indices; where there are fewer, the atom itself with a block of zeros.
    """

    blocks: Float[Array, "n m q q"]
    neighbours: Int[Array, "n m"]

    def product(self, natural: Float[Array, "n q"]) -> Float[Array, "n q"]:
        """The matrix times a change of natural parameters."""
        return jnp.sum(self.blocks * natural[self.neighbours][:, :, None, :], axis=(1, 3))


def curvature_of_atoms(
    natural: Float[Array, "n q"],
    at_rest: AbstractScattering,
    neighbours: Int[Array, "n m"],
    overlap: Overlap,
    at_a_time: int = 1024,
) -> Curvature:
    """The Gauss-Newton matrix of atoms.

    **Arguments:**

    - `natural`: position, variances (11, 22, 33, 12, 13, 23) and amplitude of each.
    - `at_rest`: what they look like beside that.
    - `neighbours`: from `neighbour_table`.
    - `overlap`: derivatives of the overlap of two normalised Gaussians, by their distance and summed
        variances, in the order of `overlaps.multi_indices`.
    - `at_a_time`: atoms whose blocks are computed together, so that memory does not grow with the particle.
    """
    n, d = len(natural), _dimensions(natural.shape[1])

    def blocks_of(rows: Array) -> Array:
        others = neighbours[rows]
        mine, theirs = natural[rows][:, None], natural[others]
        apart = mine[..., :d] - theirs[..., :d]
        variances = jnp.asarray(matrices_of_elements(mine[..., d:-1] + theirs[..., d:-1]))
        amplitudes, others_amplitudes = jnp.broadcast_arrays(mine[..., -1], theirs[..., -1])
        derivatives = at_rest.overlap(overlap, apart, variances, rows[:, None], others)
        blocks = natural_blocks(derivatives, amplitudes, others_amplitudes, d)
        missing = (others == rows[:, None]) & (jnp.arange(others.shape[1]) > 0)
        return jnp.where(missing[..., None, None], 0.0, blocks)

    if n <= at_a_time:
        blocks = blocks_of(jnp.arange(n))
    else:
        chunks = -(-n // at_a_time)
        rows = jnp.minimum(jnp.arange(chunks * at_a_time), n - 1).reshape(chunks, at_a_time)
        blocks = lax.map(blocks_of, rows)
        blocks = blocks.reshape(-1, *blocks.shape[2:])[:n]
    return Curvature(blocks, neighbours)


def _dimensions(q: int) -> int:
    """d, of which d + d (d + 1) / 2 + 1 numbers are q."""
    return next(d for d in range(1, 4) if d + d * (d + 1) // 2 + 1 == q)
