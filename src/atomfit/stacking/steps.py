"""Steps that particles on a board may make, and by how much their energies rise.

A step takes an atom from the end of a column, gives one to the end of a column, or both. So there are

- shifts: the lowest atom goes to the top, or the other way round;
- counts: a column has one more or one less, at either end;
- transfers: an atom goes from the end of one column to an end of another, nearby or anywhere.

All proposals are as likely as their reverse. Rises are sums of what is kept for each place. That is exact
unless the atom that is taken and the one that is given have neighbours in common: of such steps they are
counted out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from atomfit.stacking.board import Board, Walkers
from atomfit.stacking.board_energy import Filled, embedding, look_up

#: Kinds of steps: two shifts, four changes of a count, and transfers; parts up to which each is proposed.
SHIFTS, COUNTS = 0.45, 0.7
#: Squared distances that are equal (Å²).
_EQUAL = 0.02


class Steps(NamedTuple):
    """Of p steps of each walker: how many atoms are taken and given (0 or 1), in which columns and places.

    `fits`: whether it leads to columns that may be; `from_top`, `to_top`: at which end (0 or 1).
    """

    taken: Int[Array, "w p"]
    given: Int[Array, "w p"]
    source: Int[Array, "w p"]
    target: Int[Array, "w p"]
    place: Int[Array, "w p"]
    new: Int[Array, "w p"]
    from_top: Int[Array, "w p"]
    to_top: Int[Array, "w p"]
    fits: Bool[Array, "w p"]


def propose(board: Board, walkers: Walkers, random: Float[Array, "4 w p"]) -> Steps:
    """Steps from numbers from 0 to 1: kind, column, ends, and where to."""
    n, slots = board.nearby.shape
    kind, which, end, where = random
    column = jnp.minimum((which * n).astype(jnp.int32), n - 1)
    shift, count = kind < SHIFTS, (kind >= SHIFTS) & (kind < COUNTS)
    # Two ends, from one number.
    ends = jnp.minimum((end * 4).astype(jnp.int32), 3)
    first, second = ends % 2, ends // 2
    # Half of the transfers go anywhere, half to a slot beside the column: all as likely.
    anywhere = jnp.minimum((2 * where * n).astype(jnp.int32), n - 1)
    slot = jnp.clip(((2 * where - 1) * slots).astype(jnp.int32), 0, slots - 1)
    other = jnp.where(where < 0.5, anywhere, board.nearby[column, slot])
    target = jnp.minimum(jnp.where(shift | count, column, other), n - 1)
    good = shift | count | ((other != column) & (other < n))
    taken, given = ~count | (second == 0), ~count | (second == 1)
    to_top = jnp.where(shift, 1 - first, jnp.where(count, first, second))
    walker = jnp.arange(len(column))[:, None]
    bottom, atoms = walkers.bottoms[walker, column], walkers.counts[walker, column]
    below, others = walkers.bottoms[walker, target], walkers.counts[walker, target]
    new = jnp.where(to_top == 1, below + others, below - 1)
    good &= ~taken | shift | (atoms > 1)
    good &= ~given | ((new >= board.low) & (new < board.high))
    one = jnp.int32(1)
    return Steps(
        taken * one,
        given * one,
        column,
        target,
        bottom + first * (atoms - 1),
        jnp.where(good, new, board.low),
        first,
        to_top,
        good,
    )


def places_around(board: Board, column: Int[Array, "..."], place: Int[Array, "..."]) -> Int[Array, "... v"]:
    """Where the sites around a place are stored."""
    return board.offsets[column] + place[..., None]


def apart_of(board: Board, steps: Steps) -> Float[Array, "w p 3"]:
    """From where an atom is taken to where one is given (Å)."""
    between = board.columns[steps.target] - board.columns[steps.source]
    return between.at[..., 2].add(board.period * (steps.new - steps.place))


def rises_of(board: Board, state: Filled, steps: Steps) -> Float[Array, "w p"]:
    """By how much energies rise by steps whose atoms have no neighbours in common (eV)."""
    shells = len(board.densities)
    total = jnp.zeros(steps.source.shape)
    for k, (number, column, place) in enumerate(
        ((steps.taken, steps.source, steps.place), (steps.given, steps.target, steps.new))
    ):
        near = places_around(board, column, place) * (2 * shells) + (k * shells + board.shell)
        others = look_up(state.changes, near).sum(axis=-1)
        own = embedding(board, look_up(state.density, column * board.depth + place))
        total += number * (others + (2 * k - 1) * own)
    return total


def rises_counted_out(board: Board, state: Filled, steps: Steps) -> Float[Array, "w p"]:
    """The same of any steps."""
    far, here = apart_of(board, steps), steps.source * board.depth + steps.place
    densities, pairs = board.densities[board.shell], board.pairs[board.shell]
    total = jnp.zeros(here.shape)
    for sign, column, place in ((-1, steps.source, steps.place), (1, steps.target, steps.new)):
        near = places_around(board, column, place)
        there, density = look_up(state.there, near), look_up(state.density, near)
        own = look_up(state.density, column * board.depth + place)
        if sign > 0:
            # What is given comes to where the taken atom is no more.
            there -= steps.taken[..., None] * (near == here[..., None])
            density -= steps.taken[..., None] * _lent(board, far[..., None, :] + board.vectors)
            own -= steps.taken * _lent(board, far)
        there, density = jax.lax.optimization_barrier((there, density))
        now, new = jax.lax.optimization_barrier(
            (embedding(board, density), embedding(board, density + sign * densities))
        )
        rise = jnp.sum(there * (new - now), axis=-1) + sign * (there @ pairs + embedding(board, own))
        total += rise * (steps.taken if sign < 0 else steps.given)
    return total


def _lent(board: Board, vectors: Float[Array, "... 3"]) -> Float[Array, "..."]:
    """Density that an atom lends at the end of a vector from it (Å)."""
    far = jnp.sum(vectors**2, axis=-1)
    total = jnp.zeros_like(far)
    for s in range(len(board.squares)):
        total += jnp.where(jnp.abs(far - board.squares[s]) < _EQUAL, board.densities[s], 0.0)
    return total
