"""Energies of particles on a board: which places are filled in, electronvolts out, for many at once.

What a filled place's energy changes by if a neighbour comes or goes is kept for all places and shells, so
that the energy of one more or one less atom is a sum of what is looked up. Densities are sums of 32-bit
numbers.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.stacking.board import Board, Walkers


class Filled(NamedTuple):
    """Of all places, those of a column that is none the last.

    `there`: whether they are filled (0 or 1); `density` at each; `changes`: by how much the energy of a
    filled one rises if a neighbour of each shell goes, and if one comes, its pair included (eV).
    """

    there: Float[Array, "w s"]
    density: Float[Array, "w s"]
    changes: Float[Array, "w c"]


def look_up(values: Float[Array, "w s"], which: Int[Array, "w ..."]) -> Float[Array, "w ..."]:
    """Some of the values of each walker."""
    start = values.shape[1] * jnp.arange(len(values), dtype=jnp.int32)
    flat = which + start.reshape((-1,) + (1,) * (which.ndim - 1))
    return values.reshape(-1).at[flat].get(mode="promise_in_bounds")


def energies_of_one(board: Board) -> tuple[float, float]:
    """Of an atom inside of the crystal, and of one by itself (eV).

    **Arguments:**

    - `board`: sites.
    """
    shells = np.asarray(board.shell)
    density = np.asarray(board.densities, np.float64)[shells].sum()
    table = np.asarray(board.table, np.float64)
    inside = np.interp(density * float(board.per_step), np.arange(len(table)), table)
    return float(inside + 0.5 * np.asarray(board.pairs, np.float64)[shells].sum()), float(table[0])


@eqx.filter_jit
def energies_of(board: Board, walkers: Walkers) -> Float[Array, " w"]:
    """Energies of walkers, counted anew (eV)."""
    return _counted(board, walkers)[2]


def _counted(
    board: Board, walkers: Walkers
) -> tuple[Float[Array, "w n d"], Float[Array, "w n d"], Float[Array, " w"]]:
    """Which places are filled, the density there, and energies."""
    places = jnp.arange(board.depth)
    lowest, n = walkers.bottoms[..., None], walkers.counts[..., None]
    own = ((places >= lowest) & (places < lowest + n)).astype(jnp.float32)
    # A column that is none has no atoms.
    bottoms, counts = (jnp.pad(each, ((0, 0), (0, 1))) for each in walkers[:2])

    def share(total: tuple[Array, Array], v: Array) -> tuple[tuple[Array, Array], None]:
        near, shell = board.near[:, v], board.shell[v]
        above = places - (bottoms[:, near] - board.rise[:, v])[..., None]
        one = ((above >= 0) & (above < counts[:, near][..., None])).astype(jnp.float32)
        return (total[0] + board.densities[shell] * one, total[1] + board.pairs[shell] * one), None

    zero = jnp.zeros_like(own)
    (density, pairs), _ = jax.lax.scan(share, (zero, zero), jnp.arange(len(board.shell)))
    return own, density, jnp.sum(own * (embedding(board, density) + 0.5 * pairs), axis=(1, 2))


def filled(board: Board, walkers: Walkers) -> tuple[Filled, Float[Array, " w"]]:
    """The places of walkers, and energies (eV)."""
    own, density, energies = _counted(board, walkers)
    there, density = (
        jnp.pad(each, ((0, 0), (0, 1), (0, 0))).reshape(len(own), -1) for each in (own, density)
    )
    changes = changes_of(board, there, density).reshape(len(own), -1)
    return Filled(there, density, changes), energies


def changes_of(
    board: Board, there: Float[Array, "..."], density: Float[Array, "..."]
) -> Float[Array, "... 2 k"]:
    """If a neighbour goes, and if one comes, of places."""
    # Without barriers the compiler looks things up again wherever they are needed.
    there, density = jax.lax.optimization_barrier((there[..., None], density[..., None]))
    now, more, less = jax.lax.optimization_barrier(
        tuple(embedding(board, density + share) for share in (0.0, board.densities, -board.densities))
    )
    changes = jnp.stack([less - now - board.pairs, more - now + board.pairs], axis=-2)
    return there[..., None] * changes


def embedding(board: Board, density: Float[Array, "..."]) -> Float[Array, "..."]:
    """Energy of an atom in a density (eV), from the board's table."""
    at = jnp.clip(density * board.per_step, 0, len(board.table) - 1.001)
    below = at.astype(jnp.int32)
    part = at - below
    return board.table[below] * (1 - part) + board.table[below + 1] * part
