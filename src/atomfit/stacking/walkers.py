"""Walkers on a board: Metropolis steps of many particles at once, as one compiled program.

Beside single steps (`steps`) groups of columns are shifted, or turned over at the particle's middle, at
once: a terrace may lie above or below. What is sampled is

    log p = Σ log L_c(n_c) - (E - μ N) / kT,

with L the likelihood of counts. Walkers have temperatures of their own, and μ for each. Columns keep at
least one atom, and the number of all atoms stays within bounds, or comes nearer to them: before μ is right
it could otherwise make all columns thicker by a layer, from where nothing leads back.

Most steps are not accepted, when it is cold. So some that would follow each other are looked at together:
all up to the first that is accepted have been made, and those after it are forgotten. Each walker makes a
number of steps that is set beforehand, as what is kept at the end must not depend on what was accepted. A
few steps of each bunch may be of a kind whose energies are counted out. Densities are counted anew by each
call.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from jaxtyping import Key as KeyArray

from atomfit.stacking.board import Board, Walkers
from atomfit.stacking.board_energy import Filled, changes_of, energies_of, filled, look_up
from atomfit.stacking.steps import Steps, apart_of, places_around, propose, rises_counted_out, rises_of

#: What a count is worth that no column can have (logarithm).
_NEVER = -1e9
#: Steps that are looked at together, and how many of them are counted out.
TOGETHER, _OUT = 8, 2


class Target(NamedTuple):
    """What walkers sample: kT (eV), μ (eV), fewest and most atoms of each, which likelihood each has, and
    their logarithms from 0 on."""

    temperatures: Float[Array, " w"]
    potentials: Float[Array, " w"]
    fewest: Float[Array, " w"]
    most: Float[Array, " w"]
    laws: Int[Array, " w"]
    log_likelihood: Float[Array, "m n k"]


def _gains(target: Target, walkers: Walkers, steps: Steps) -> Float[Array, "w p"]:
    """By how much counts are likelier after each step."""
    walker, most = jnp.arange(len(steps.source))[:, None], target.log_likelihood.shape[2] - 1
    law = target.laws[:, None]

    def gain(column: Int[Array, "w p"], change: Int[Array, "w p"]) -> Float[Array, "w p"]:
        count = walkers.counts[walker, column]
        new = count + change
        found = target.log_likelihood[law, column, jnp.clip(new, 0, most)]
        return jnp.where(new > most, _NEVER, found) - target.log_likelihood[law, column, count]

    both = gain(steps.source, -steps.taken) + gain(steps.target, steps.given)
    shift = (steps.source == steps.target) & (steps.taken * steps.given > 0)
    return jnp.where(shift, 0.0, both)


def _within(target: Target, walkers: Walkers, steps: Steps) -> Bool[Array, "w p"]:
    """Whether steps leave the number of atoms within its bounds, or bring it nearer to them."""
    now, change = walkers.counts.sum(axis=1)[:, None], steps.given - steps.taken
    too_many, too_few = now + change > target.most[:, None], now + change < target.fewest[:, None]
    return ~(too_many & (change > 0)) & ~(too_few & (change < 0))


def _made(board: Board, state: Filled, walkers: Walkers, step: Steps) -> tuple[Filled, Walkers]:
    """After one step of each walker (p = 1), if it fits."""
    walker, did = jnp.arange(len(state.there))[:, None], step.fits.astype(jnp.int32)
    taken, given = step.taken * did, step.given * did
    there, density, changes = state
    around = []
    for sign, column, place in ((-taken, step.source, step.place), (given, step.target, step.new)):
        site, near = column * board.depth + place, places_around(board, column, place)[:, 0]
        there = there.at[walker, site].add(sign, mode="promise_in_bounds")
        share = sign * board.densities[board.shell]
        density = density.at[walker, near].add(share, mode="promise_in_bounds")
        around += [site, near]
    which = jnp.concatenate(around, axis=1)
    new = changes_of(board, look_up(there, which), look_up(density, which))
    kinds = new[0, 0].size
    at = which[..., None] * kinds + jnp.arange(kinds)
    changes = changes.at[walker[..., None], at].set(new.reshape(at.shape), mode="promise_in_bounds")
    bottoms = walkers.bottoms.at[walker, step.source].add(taken * (1 - step.from_top))
    counts = walkers.counts.at[walker, step.source].add(-taken)
    bottoms = bottoms.at[walker, step.target].add(-given * (1 - step.to_top))
    counts = counts.at[walker, step.target].add(given)
    return Filled(there, density, changes), Walkers(bottoms, counts, walkers.energies)


@eqx.filter_jit
def walk(
    board: Board, target: Target, walkers: Walkers, steps: Int[Array, " w"], key: KeyArray[Array, ""]
) -> tuple[Walkers, Int[Array, " w"]]:
    """Make some steps.

    **Arguments:**

    - `board`, `target`: sites, and what is sampled.
    - `walkers`: to begin with.
    - `steps`: how many each makes.
    - `key`: of random numbers.

    **Returns:** the walkers, and how many steps of each were accepted.
    """
    state, energies = filled(board, walkers)
    walkers, w = walkers._replace(energies=energies), len(energies)

    def going(carried: tuple[Walkers, Filled, Array, Array, KeyArray[Array, ""]]) -> Bool[Array, ""]:
        return jnp.any(carried[2] < steps)

    def some(
        carried: tuple[Walkers, Filled, Array, Array, KeyArray[Array, ""]],
    ) -> tuple[Walkers, Filled, Array, Array, KeyArray[Array, ""]]:
        walkers, state, made, accepted, key = carried
        key, now = jax.random.split(key)
        random = jax.random.uniform(now, (5, w, TOGETHER))
        proposed = propose(board, walkers, random[:4])
        few = jax.tree.map(lambda x: x[:, :_OUT], proposed)
        many = jax.tree.map(lambda x: x[:, _OUT:], proposed)
        rises = jnp.concatenate(
            [rises_counted_out(board, state, few), rises_of(board, state, many)], axis=1
        )
        rises = jax.lax.optimization_barrier(rises)
        work = rises - target.potentials[:, None] * (proposed.given - proposed.taken)
        gain = _gains(target, walkers, proposed) - work / target.temperatures[:, None]
        in_time = made[:, None] + jnp.arange(TOGETHER) < steps[:, None]
        apart = jnp.sum(apart_of(board, proposed) ** 2, axis=-1) > 4 * board.reach**2
        apart |= (proposed.taken * proposed.given == 0) | (jnp.arange(TOGETHER) < _OUT)
        fits = proposed.fits & _within(target, walkers, proposed)
        good = fits & in_time & apart & (jnp.log(random[4]) < gain)
        any_good, first = good.any(axis=1), jnp.argmax(good, axis=1)[:, None]
        step = jax.tree.map(lambda x: jnp.take_along_axis(x, first, axis=1), proposed)
        step = step._replace(fits=any_good[:, None])
        state, walkers = _made(board, state, walkers, step)
        rise = jnp.take_along_axis(rises, first, axis=1)[:, 0]
        walkers = walkers._replace(energies=walkers.energies + jnp.where(any_good, rise, 0))
        made += jnp.where(any_good, first[:, 0] + 1, TOGETHER)
        return walkers, state, made, accepted + any_good, key

    zero = jnp.zeros(w, jnp.int32)
    walkers, _, _, accepted, _ = jax.lax.while_loop(going, some, (walkers, state, zero, zero, key))
    return walkers, accepted


class Groups(NamedTuple):
    """Columns that change together: which are of each group, whether it is turned over, and about what.

    A group that is turned over lies mirrored at the middle of the board, or at a place that is by half of
    `about` higher. Others are shifted by `about`.
    """

    columns: Bool[Array, "g w n"]
    over: Bool[Array, "g w"]
    about: Int[Array, "g w"]


@eqx.filter_jit
def change_groups(
    board: Board,
    target: Target,
    walkers: Walkers,
    twice: Int[Array, " n"],
    groups: Groups,
    random: Float[Array, "g w"],
) -> tuple[Walkers, Int[Array, " w"]]:
    """Shift groups of columns, or turn them over, one group after the other.

    **Arguments:**

    - `board`, `target`, `walkers`: as of `walk`.
    - `twice`: by how many half places columns lie off the board's.
    - `groups`: what is tried.
    - `random`: numbers from 0 to 1.

    **Returns:** the walkers, and how many changes of each were accepted.
    """

    def one(
        walkers: Walkers, given: tuple[Groups, Float[Array, " w"]]
    ) -> tuple[Walkers, Bool[Array, " w"]]:
        (columns, over, about), random = given
        turned = 2 * (board.depth // 2) - twice - (walkers.bottoms + walkers.counts - 1)
        moved = jnp.where(over[:, None], turned, walkers.bottoms) + about[:, None]
        bottoms = jnp.where(columns, moved, walkers.bottoms)
        fits = jnp.all((bottoms >= board.low) & (bottoms + walkers.counts <= board.high), axis=1)
        new = walkers._replace(bottoms=bottoms)
        new = new._replace(energies=energies_of(board, new))
        gain = -(new.energies - walkers.energies) / target.temperatures
        done = fits & (jnp.log(random) < gain)

        def chosen(new: Array, old: Array) -> Array:
            return jnp.where(done.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

        return jax.tree.map(chosen, new, walkers), done

    walkers = walkers._replace(energies=energies_of(board, walkers))
    walkers, done = jax.lax.scan(one, walkers, (groups, random))
    return walkers, done.sum(axis=0)
