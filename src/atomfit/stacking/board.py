"""The board of a game: which sites the columns of an image have, and what each has around it.

Places of all columns are stored after each other, so that what is around a place is found by adding
numbers that its column has. A particle on the board is the lowest filled place of each column, and how many
above it are filled.
"""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.stacking.lattice_energy import LatticeEnergy
from atomfit.stacking.zones import Stacking

#: Columns that half of the transfers go to are so many.
_NEARBY = 8


@final
class Board(eqx.Module):
    """The sites of n columns, `depth` in each, and what they share.

    **Fields:**

    - `near`: column of each of the v sites around; n for none.
    - `rise`: how many places higher these are stored.
    - `offsets`: from a column's place to where these are stored, all columns after each other.
    - `nearby`: columns beside each; n for none.
    - `shell`: of each of the v sites.
    - `densities`, `pairs`: what atoms of each shell lend, and energies of pairs with them (eV).
    - `table`, `per_step`: of the energy of an atom.
    - `vectors`, `squares`: to the sites around (Å), and the shells' squared lengths.
    - `columns`, `period`: x, y and z of each column's place 0, and from place to place (Å).
    - `depth`: places of a column.
    - `reach`: to the farthest of the sites around (Å).
    - `low`, `high`: places between which atoms may be.
    """

    near: Int[Array, "n v"]
    rise: Int[Array, "n v"]
    offsets: Int[Array, "n v"]
    nearby: Int[Array, "n b"]
    shell: Int[Array, " v"]
    densities: Float[Array, " k"]
    pairs: Float[Array, " k"]
    table: Float[Array, " t"]
    per_step: Float[Array, ""]
    vectors: Float[Array, "v 3"]
    squares: Float[Array, " k"]
    columns: Float[Array, "n 3"]
    period: float = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    reach: float = eqx.field(static=True)
    low: int = eqx.field(static=True)
    high: int = eqx.field(static=True)


class Walkers(NamedTuple):
    """Particles: lowest place and number of atoms of each column, energies (eV) and numbers of atoms."""

    bottoms: Int[Array, "w n"]
    counts: Int[Array, "w n"]
    energies: Float[Array, " w"]


def board_of(
    energy: LatticeEnergy,
    cells: Int[np.ndarray, "n 2"],
    stacking: Stacking,
    most: int,
    margin: int,
) -> tuple[Board, Int[np.ndarray, " n"]]:
    """Places for the atoms of columns, and the site l that the middle place of each column is.

    **Arguments:**

    - `energy`: of atoms on sites.
    - `cells`: (h, k) of the columns.
    - `stacking`: of the plane lattice.
    - `most`: atoms of a column, at most.
    - `margin`: places above and below these.
    """
    base = -np.rint(cells @ stacking.heights - 1e-9).astype(int)
    reach = int(np.abs(energy.steps[:, 2]).max()) + 2
    half = (most + 1) // 2 + margin
    depth = 2 * (half + reach) + 1
    number = {tuple(cell): c for c, cell in enumerate(cells.tolist())}
    n = len(cells)
    to = cells[:, None] + energy.steps[:, :2]
    near = np.array([[number.get(tuple(one), n) for one in each] for each in to.tolist()])
    bases = np.append(base, 0)
    rise = np.where(near < n, energy.steps[:, 2] + base[:, None] - bases[near], 0)
    beside = np.unique(np.abs(energy.steps[:, :2]) @ [1, 1], return_inverse=True)[1]
    around = np.unique(energy.steps[(beside > 0) & energy.first][:, :2], axis=0)[:_NEARBY]
    nearby = np.array(
        [[number.get((h + i, k + j), n) for i, j in around.tolist()] for h, k in cells.tolist()]
    )
    vectors = energy.steps @ stacking.vectors
    squares, which, shell = np.unique(
        np.round(np.sum(vectors**2, axis=1), 3), return_index=True, return_inverse=True
    )
    sites = np.column_stack([cells, base - depth // 2])
    columns = sites @ stacking.vectors
    board = Board(
        jnp.asarray(near, jnp.int32),
        jnp.asarray(rise, jnp.int32),
        jnp.asarray(near * depth + rise, jnp.int32),
        jnp.asarray(nearby, jnp.int32),
        jnp.asarray(shell, jnp.int32),
        jnp.asarray(energy.densities[which], jnp.float32),
        jnp.asarray(energy.pairs[which], jnp.float32),
        jnp.asarray(energy.table, jnp.float32),
        jnp.asarray(1 / energy.step, jnp.float32),
        jnp.asarray(vectors, jnp.float32),
        jnp.asarray(squares, jnp.float32),
        jnp.asarray(columns, jnp.float32),
        stacking.period,
        depth,
        float(np.sqrt(squares.max())),
        reach,
        depth - reach,
    )
    return board, base


def begin(board: Board, counts: Int[np.ndarray, "w n"], off: Int[np.ndarray, "w n"]) -> Walkers:
    """Particles whose columns' middles are the board's, but for so many places."""
    bottoms = np.clip(board.depth // 2 - counts // 2 + off, board.low, board.high - counts)
    return Walkers(
        jnp.asarray(bottoms, jnp.int32),
        jnp.asarray(counts, jnp.int32),
        jnp.zeros(len(counts), jnp.float32),
    )


def atoms_of(
    bottoms: Int[np.ndarray, " n"], counts: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Columns and places of the atoms of a particle.

    **Arguments:**

    - `bottoms`, `counts`: lowest place and number of atoms of each column.
    """
    columns = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return columns, np.arange(len(columns)) - first[columns] + bottoms[columns]
