"""Moves of atoms on lattice sites, for many walkers at once: Metropolis steps as one compiled program.

A walker is a particle: the lowest filled place of each column, and how many above it are filled. With it
goes the density at every place (`lattice_energy`), filled or not, so that the energy of one more or one
less atom is a sum over the neighbours of one place. A step takes an atom from the end of a column, gives
one to the end of a column, or both. So there are

- shifts: the lowest atom goes to the top, or the other way round;
- counts: a column has one more or one less, at either end;
- transfers: an atom goes from the end of one column to an end of another, nearby or anywhere;
- groups of columns that are shifted, or turned over at the particle's middle, at once: a terrace may lie
  above or below.

All proposals are as likely as their reverse. What is sampled is

    log p = Σ log L_c(n_c) - (E - μ N) / kT,

with L the likelihood of counts. Walkers have temperatures of their own, and μ for each. Columns keep at
least one atom.

Most steps are not accepted, when it is cold. So some that would follow each other are looked at together:
all up to the first that is accepted have been made, and those after it are forgotten. Each walker makes a
number of steps that is set beforehand, as what is kept at the end must not depend on what was accepted.

What a filled place's energy changes by if a neighbour comes or goes is kept for all places and shells: a
step is then a sum of what is looked up. That is exact unless the atom that is taken and the one that is
given have neighbours in common. A few steps of each bunch may be of that kind, and are counted out.
Densities are sums of 32-bit numbers and are counted anew by each call.
"""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from jaxtyping import Key as KeyArray

from atomfit.stacking.lattice_energy import LatticeEnergy
from atomfit.stacking.zones import Stacking

#: What a count is worth that no column can have (logarithm).
_NEVER = -1e9
#: Kinds of steps: two shifts, four changes of a count, and transfers; how many of ten are of each.
_SHIFTS, _COUNTS = 0.45, 0.7
#: Columns that half of the transfers go to are so many.
_NEARBY = 8
#: Steps that are looked at together, how many of them are counted out, and squared distances that are
#: equal (Å²).
_TOGETHER, _OUT, _EQUAL = 56, 8, 0.02


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


class Target(NamedTuple):
    """What walkers sample: kT (eV), μ (eV), which likelihood each has, and their logarithms from 0 on."""

    temperatures: Float[Array, " w"]
    potentials: Float[Array, " w"]
    laws: Int[Array, " w"]
    log_likelihood: Float[Array, "m n k"]


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


class _Filled(NamedTuple):
    """Of all places, those of a column that is none the last.

    `there`: whether they are filled (0 or 1); `density` at each; `changes`: by how much the energy of a
    filled one rises if a neighbour of each shell goes, and if one comes, its pair included (eV).
    """

    there: Float[Array, "w s"]
    density: Float[Array, "w s"]
    changes: Float[Array, "w c"]


def _at(values: Float[Array, "w s"], which: Int[Array, "w ..."]) -> Float[Array, "w ..."]:
    """Some of the values of each walker."""
    start = values.shape[1] * jnp.arange(len(values), dtype=jnp.int32)
    flat = which + start.reshape((-1,) + (1,) * (which.ndim - 1))
    return values.reshape(-1).at[flat].get(mode="promise_in_bounds")


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
    return own, density, jnp.sum(own * (_embedding(board, density) + 0.5 * pairs), axis=(1, 2))


def _filled(board: Board, walkers: Walkers) -> tuple[_Filled, Float[Array, " w"]]:
    own, density, energies = _counted(board, walkers)
    there, density = (
        jnp.pad(each, ((0, 0), (0, 1), (0, 0))).reshape(len(own), -1) for each in (own, density)
    )
    changes = _changes(board, there, density).reshape(len(own), -1)
    return _Filled(there, density, changes), energies


def _changes(
    board: Board, there: Float[Array, "..."], density: Float[Array, "..."]
) -> Float[Array, "... 2 k"]:
    """If a neighbour goes, and if one comes, of places."""
    # Without barriers the compiler looks things up again wherever they are needed.
    there, density = jax.lax.optimization_barrier((there[..., None], density[..., None]))
    now, more, less = jax.lax.optimization_barrier(
        tuple(_embedding(board, density + share) for share in (0.0, board.densities, -board.densities))
    )
    changes = jnp.stack([less - now - board.pairs, more - now + board.pairs], axis=-2)
    return there[..., None] * changes


def _embedding(board: Board, density: Float[Array, "..."]) -> Float[Array, "..."]:
    at = jnp.clip(density * board.per_step, 0, len(board.table) - 1.001)
    below = at.astype(jnp.int32)
    part = at - below
    return board.table[below] * (1 - part) + board.table[below + 1] * part


class _Steps(NamedTuple):
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


def _proposed(board: Board, walkers: Walkers, random: Float[Array, "4 w p"]) -> _Steps:
    n, slots = board.nearby.shape
    kind, which, end, where = random
    column = jnp.minimum((which * n).astype(jnp.int32), n - 1)
    shift, count = kind < _SHIFTS, (kind >= _SHIFTS) & (kind < _COUNTS)
    # Two ends, from one number.
    ends = jnp.minimum((end * 4).astype(jnp.int32), 3)
    first, second = ends % 2, ends // 2
    anywhere = jnp.minimum((where * n * 2).astype(jnp.int32), 2 * n - 1)
    other = jnp.where(anywhere < n, anywhere, board.nearby[column, anywhere % slots])
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
    return _Steps(
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


def _places(board: Board, column: Int[Array, "..."], place: Int[Array, "..."]) -> Int[Array, "... v"]:
    """Where the sites around a place are stored."""
    return board.offsets[column] + place[..., None]


def _apart(board: Board, steps: _Steps) -> Float[Array, "w p 3"]:
    """From where an atom is taken to where one is given (Å)."""
    between = board.columns[steps.target] - board.columns[steps.source]
    return between.at[..., 2].add(board.period * (steps.new - steps.place))


def _rises(board: Board, state: _Filled, steps: _Steps) -> Float[Array, "w p"]:
    """By how much energies rise by steps whose atoms have no neighbours in common (eV)."""
    shells = len(board.densities)
    total = jnp.zeros(steps.source.shape)
    for k, (number, column, place) in enumerate(
        ((steps.taken, steps.source, steps.place), (steps.given, steps.target, steps.new))
    ):
        near = _places(board, column, place) * (2 * shells) + (k * shells + board.shell)
        others = _at(state.changes, near).sum(axis=-1)
        own = _embedding(board, _at(state.density, column * board.depth + place))
        total += number * (others + (2 * k - 1) * own)
    return total


def _rises_counted_out(board: Board, state: _Filled, steps: _Steps) -> Float[Array, "w p"]:
    """The same of any steps."""
    far, here = _apart(board, steps), steps.source * board.depth + steps.place
    densities, pairs = board.densities[board.shell], board.pairs[board.shell]
    total = jnp.zeros(here.shape)
    for sign, column, place in ((-1, steps.source, steps.place), (1, steps.target, steps.new)):
        near = _places(board, column, place)
        there, density = _at(state.there, near), _at(state.density, near)
        own = _at(state.density, column * board.depth + place)
        if sign > 0:
            # What is given comes to where the taken atom is no more.
            there -= steps.taken[..., None] * (near == here[..., None])
            density -= steps.taken[..., None] * _lent(board, far[..., None, :] + board.vectors)
            own -= steps.taken * _lent(board, far)
        there, density = jax.lax.optimization_barrier((there, density))
        now, new = jax.lax.optimization_barrier(
            (_embedding(board, density), _embedding(board, density + sign * densities))
        )
        rise = jnp.sum(there * (new - now), axis=-1) + sign * (there @ pairs + _embedding(board, own))
        total += rise * (steps.taken if sign < 0 else steps.given)
    return total


def _lent(board: Board, vectors: Float[Array, "... 3"]) -> Float[Array, "..."]:
    """Density that an atom lends at the end of a vector from it (Å)."""
    far = jnp.sum(vectors**2, axis=-1)
    total = jnp.zeros_like(far)
    for s in range(len(board.squares)):
        total += jnp.where(jnp.abs(far - board.squares[s]) < _EQUAL, board.densities[s], 0.0)
    return total


def _gains(target: Target, walkers: Walkers, steps: _Steps) -> Float[Array, "w p"]:
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


def _made(board: Board, state: _Filled, walkers: Walkers, step: _Steps) -> tuple[_Filled, Walkers]:
    """After one step of each walker (p = 1), if it fits."""
    walker, did = jnp.arange(len(state.there))[:, None], step.fits.astype(jnp.int32)
    taken, given = step.taken * did, step.given * did
    there, density, changes = state
    around = []
    for sign, column, place in ((-taken, step.source, step.place), (given, step.target, step.new)):
        site, near = column * board.depth + place, _places(board, column, place)[:, 0]
        there = there.at[walker, site].add(sign, mode="promise_in_bounds")
        share = sign * board.densities[board.shell]
        density = density.at[walker, near].add(share, mode="promise_in_bounds")
        around += [site, near]
    which = jnp.concatenate(around, axis=1)
    new = _changes(board, _at(there, which), _at(density, which))
    kinds = new[0, 0].size
    at = which[..., None] * kinds + jnp.arange(kinds)
    changes = changes.at[walker[..., None], at].set(new.reshape(at.shape), mode="promise_in_bounds")
    bottoms = walkers.bottoms.at[walker, step.source].add(taken * (1 - step.from_top))
    counts = walkers.counts.at[walker, step.source].add(-taken)
    bottoms = bottoms.at[walker, step.target].add(-given * (1 - step.to_top))
    counts = counts.at[walker, step.target].add(given)
    return _Filled(there, density, changes), Walkers(bottoms, counts, walkers.energies)


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
    state, energies = _filled(board, walkers)
    walkers, w = walkers._replace(energies=energies), len(energies)

    def going(carried: tuple[Walkers, _Filled, Array, Array, KeyArray[Array, ""]]) -> Bool[Array, ""]:
        return jnp.any(carried[2] < steps)

    def some(
        carried: tuple[Walkers, _Filled, Array, Array, KeyArray[Array, ""]],
    ) -> tuple[Walkers, _Filled, Array, Array, KeyArray[Array, ""]]:
        walkers, state, made, accepted, key = carried
        key, now = jax.random.split(key)
        random = jax.random.uniform(now, (5, w, _TOGETHER))
        proposed = _proposed(board, walkers, random[:4])
        few = jax.tree.map(lambda x: x[:, :_OUT], proposed)
        many = jax.tree.map(lambda x: x[:, _OUT:], proposed)
        rises = jnp.concatenate([_rises_counted_out(board, state, few), _rises(board, state, many)], axis=1)
        rises = jax.lax.optimization_barrier(rises)
        work = rises - target.potentials[:, None] * (proposed.given - proposed.taken)
        gain = _gains(target, walkers, proposed) - work / target.temperatures[:, None]
        in_time = made[:, None] + jnp.arange(_TOGETHER) < steps[:, None]
        apart = jnp.sum(_apart(board, proposed) ** 2, axis=-1) > 4 * board.reach**2
        apart |= (proposed.taken * proposed.given == 0) | (jnp.arange(_TOGETHER) < _OUT)
        good = proposed.fits & in_time & apart & (jnp.log(random[4]) < gain)
        any_good, first = good.any(axis=1), jnp.argmax(good, axis=1)[:, None]
        step = jax.tree.map(lambda x: jnp.take_along_axis(x, first, axis=1), proposed)
        step = step._replace(fits=any_good[:, None])
        state, walkers = _made(board, state, walkers, step)
        rise = jnp.take_along_axis(rises, first, axis=1)[:, 0]
        walkers = walkers._replace(energies=walkers.energies + jnp.where(any_good, rise, 0))
        made += jnp.where(any_good, first[:, 0] + 1, _TOGETHER)
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
