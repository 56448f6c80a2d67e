"""Heights and counts of columns, sampled: which particles explain an image at a temperature.

Chains run side by side. Each is given one of the laws of cross-sections that counting found likely
(`count_samples`), two chains the same one, so that what the common scale leaves open is in the samples and
chains of one law can be compared. Within a chain walkers of rising temperature exchange what they found
(parallel tempering): terraces turn over when it is hot. The coldest temperature is given, or found from the
counts (`temperature`) before samples are kept.

A potential would like more atoms than there are, or fewer. How many there are in all is what the image
says: the chemical potential of each temperature is set, before samples are kept, so that numbers of atoms
are within a standard deviation of the counts' mean; no walker is more than four of these off it. So the
potential says where atoms are and how columns share them, and little about their number.

Nothing tells a particle from one that is higher by a place, nor, where the lattice is its own mirror image
along the beam, from that image. Samples are laid on each other by both before anything is averaged.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from atomfit.stacking.board import Board, Walkers, begin
from atomfit.stacking.board_energy import energies_of, energies_of_one
from atomfit.stacking.temperature import BOLTZMANN, Trust
from atomfit.stacking.walkers import TOGETHER, Groups, Target, change_groups, walk

#: Steps of a column between exchanges, groups that are changed then, and parts of them that are turned
#: over, and about the middle itself.
_STEPS, _GROUPS, _OVER, _MIDDLE = 8, 12, 0.8, 0.6
#: Parts of all blocks before the temperature is known and before samples are kept, how far off chemical
#: potentials follow numbers of atoms, in standard deviations, and within how many these are let be, the
#: least variance of numbers, and within how many standard deviations of what counts say they stay.
_KNOWN, _BEFORE, _OFF, _LET_BE, _LEAST, _WIDE = 0.25, 0.35, 3.0, 1.0, 4.0, 4.0
#: Chemical potentials to begin with, least and highest, between that of an atom inside (0) and alone (1).
_POTENTIALS = 0.05, -0.1, 0.25
#: What counts are worth that are left out (logarithm), and less for each atom farther off the likeliest:
#: otherwise columns that are too thick already would grow for ever.
_NO_COUNT, _FARTHER = -60.0, 10.0
#: Rounds of laying samples on each other, at most.
_ROUNDS = 6


@dataclass(frozen=True)
class Effort:
    """How much is sampled.

    **Fields:**

    - `chains`: pairs of them share a law.
    - `levels`: temperatures of each.
    - `hottest`: of these (K).
    - `blocks`: exchanges of each chain.
    - `kept`: samples of each.
    - `relaxed`: of all samples; fewer of large particles.
    """

    chains: int = 4
    levels: int = 5
    hottest: float = 2000.0
    blocks: int = 900
    kept: int = 100
    relaxed: int = 16

    def ladder(self, coldest: float) -> Float[np.ndarray, " l"]:
        """Temperatures (K).

        **Arguments:**

        - `coldest`: of them (K).
        """
        return np.geomspace(coldest, max(self.hottest, 1.5 * coldest), self.levels)


EFFORT = Effort()


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples of c chains, s of each, after another.

    **Fields:**

    - `bottoms`, `counts`: lowest place and number of atoms of each column, as laid on each other.
    - `energies`: of the particles on their sites (eV).
    - `temperature`: of the samples (K).
    - `laws`: number of each chain's.
    - `mirrored`: which samples are mirror images of what was drawn.
    - `trace`: energies after every block that counts (eV).
    - `exchanged`: part of the exchanges that were made between neighbouring temperatures, the least.
    - `accepted`: part of the coldest walkers' steps that was.
    """

    bottoms: Int[np.ndarray, "c s n"]
    counts: Int[np.ndarray, "c s n"]
    energies: Float[np.ndarray, "c s"]
    temperature: float
    laws: Int[np.ndarray, " c"]
    mirrored: np.ndarray
    trace: Float[np.ndarray, "c b"]
    exchanged: float
    accepted: float


def draw_particles(
    board: Board,
    log_likelihood: Float[np.ndarray, "m n k"],
    positions: Float[np.ndarray, "n 2"],
    temperature: float | None,
    twice: Int[np.ndarray, " n"] | None,
    effort: Effort = EFFORT,
    seed: int = 0,
    progress: Callable[[float], None] = lambda part: None,
) -> Drawn:
    """Sample the particles that counts and a potential allow.

    **Arguments:**

    - `board`: sites.
    - `log_likelihood`: of counts from 1 on, of each of some laws, one for two chains.
    - `positions`: of the columns (Å).
    - `temperature`: in K; None if counts are to tell.
    - `twice`: by how many half places each column's lie off the board's; None if the lattice is not its own
        mirror image.
    - `effort`: how much is sampled.
    - `seed`: of everything random.
    - `progress`: called with the part that is done.
    """
    rng, m = np.random.default_rng(seed), len(log_likelihood)
    chains, levels = effort.chains, effort.levels
    laws = np.arange(chains) * m // chains
    logs = _bounded(log_likelihood)
    whole = jnp.asarray(np.pad(logs, ((0, 0), (0, 0), (1, 0)), constant_values=-1e6), jnp.float32)
    trust = Trust(temperature, int(_KNOWN * effort.blocks))
    ladder = effort.ladder(trust.temperature)
    numbers = _Numbers(board, logs, laws, levels)
    level = np.tile(np.arange(levels), (chains, 1))
    walkers = _beginning(board, logs[laws], levels, rng)
    steps, tally = np.full(levels, _STEPS * len(positions)), _Tally(levels)
    kept: list[tuple[np.ndarray, ...]] = []
    trace = []
    before = int(_BEFORE * effort.blocks)
    at = np.unique(np.linspace(before, effort.blocks - 1, effort.kept).astype(int))
    order = np.argsort(np.linalg.norm(positions[:, None] - positions, axis=2), axis=1)
    row = np.arange(chains)[:, None]
    halves = jnp.asarray(np.zeros(len(positions)) if twice is None else twice, jnp.int32)
    for block in range(effort.blocks):
        target = Target(
            jnp.asarray((BOLTZMANN * ladder)[level].ravel(), jnp.float32),
            jnp.asarray(numbers.potentials[row, level].ravel(), jnp.float32),
            *numbers.bounds(),
            jnp.asarray(np.repeat(laws, levels), jnp.int32),
            whole,
        )
        key = jax.random.key(int(rng.integers(2**31)))
        made = steps[level].ravel()
        walkers, accepted = walk(board, target, walkers, jnp.asarray(made, jnp.int32), key)
        groups, random = _groups(order, chains * levels, twice is not None, rng)
        walkers, _ = change_groups(board, target, walkers, halves, groups, random)
        energies = np.asarray(walkers.energies, np.float64).reshape(chains, levels)
        atoms = np.asarray(walkers.counts).sum(axis=1).reshape(chains, levels)
        parts = (np.asarray(accepted) / made).reshape(chains, levels)
        tally.steps(level, parts)
        if block < before:
            numbers.follow(atoms, level, BOLTZMANN * ladder / (1 + 4 * block / before))
            steps = tally.lengths(len(positions))
        level = _exchanged(level, energies, atoms, ladder, numbers.potentials, tally, block, rng)
        cold = np.argmin(level, axis=1)
        coldest = jax.tree.map(lambda x, at=cold + levels * row[:, 0]: x[at], walkers)
        if trust.after(block, board, coldest, rng):
            ladder = effort.ladder(trust.temperature)
        if block >= before:
            trace.append(energies[row[:, 0], cold])
        if block in at:
            kept.append((np.asarray(coldest.bottoms), np.asarray(coldest.counts)))
        progress((block + 1) / effort.blocks)
    bottoms, counts = (np.stack(each, axis=1) for each in zip(*kept, strict=True))
    values = _energies(board, bottoms, counts)
    bottoms, mirrored = laid_together(board, bottoms, counts, twice)
    return Drawn(
        bottoms, counts, values, trust.temperature, laws, mirrored, np.stack(trace, axis=1), *tally.told()
    )


class _Numbers:
    """How many atoms there are: chemical potentials (eV) that follow what counts say, and bounds."""

    def __init__(self, board: Board, logs: np.ndarray, laws: np.ndarray, levels: int) -> None:
        # Large crystals have the potential of an atom inside, small ones more; one on a face costs most.
        inside, alone = energies_of_one(board)
        first, self.least, self.highest = (inside + part * (alone - inside) for part in _POTENTIALS)
        self.potentials = np.full((len(laws), levels), first)
        self.wanted, variance = _expected(logs, laws)
        self.spread = variance**0.5

    def bounds(self) -> tuple[Float[Array, " w"], Float[Array, " w"]]:
        """Fewest and most atoms of each walker."""
        levels, far = self.potentials.shape[1], _WIDE * self.spread
        low, high = (np.repeat(edge, levels) for edge in (self.wanted - far, self.wanted + far))
        return jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32)

    def follow(
        self, atoms: Int[np.ndarray, "c l"], level: Int[np.ndarray, "c l"], rate: Float[np.ndarray, " l"]
    ) -> None:
        """Change potentials by how many atoms walkers have, and at which temperatures these are."""
        off = np.zeros_like(self.potentials)
        off[np.arange(len(off))[:, None], level] = (self.wanted[:, None] - atoms) / self.spread[:, None]
        # Numbers that are likely are let be: shapes like some of them, and to force another one between two
        # of these makes half of the samples too large.
        push = np.sign(off) * np.clip(np.abs(off) - _LET_BE, 0, _OFF)
        # As Newton would, if counts were independent: kT dN/dμ is the variance of N.
        moved = self.potentials + rate / self.spread[:, None] * push
        self.potentials = np.clip(moved, self.least, self.highest)


class _Tally:
    """How many steps and exchanges are accepted at each temperature."""

    def __init__(self, levels: int) -> None:
        self.parts = np.full(levels, 0.05)
        self.tried = np.full(levels - 1, 1e-9)
        self.exchanged = np.zeros(levels - 1)

    def steps(self, level: np.ndarray, parts: np.ndarray) -> None:
        """Count a block's."""
        new = np.array([parts[level == k].mean() for k in range(len(self.parts))])
        self.parts = 0.7 * self.parts + 0.3 * new

    def lengths(self, n: int) -> Int[np.ndarray, " l"]:
        """Steps of each temperature that take the same time."""
        p = np.clip(self.parts, 1e-4, 1)
        together = (1 - (1 - p) ** TOGETHER) / p
        return np.maximum(_STEPS * n * together / together[0], 1).astype(int)

    def told(self) -> tuple[float, float]:
        """The least part of exchanges, and the part of the coldest steps."""
        return float((self.exchanged / self.tried).min()), float(self.parts[0])


def _bounded(logs: Float[np.ndarray, "m n k"]) -> Float[np.ndarray, "m n k"]:
    """Logarithms below the likeliest count's, none without a slope back to it."""
    off = np.abs(np.arange(logs.shape[2]) - logs.argmax(axis=2)[..., None])
    return np.maximum(logs - logs.max(axis=2, keepdims=True), _NO_COUNT - _FARTHER * off)


def _expected(
    logs: Float[np.ndarray, "m n k"], laws: Int[np.ndarray, " c"]
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Atoms in all, by counts' likelihoods alone, of each chain's law, and a variance, not too small."""
    parts = np.exp(logs)
    parts /= parts.sum(axis=2, keepdims=True)
    counts = np.arange(1, logs.shape[2] + 1)
    means = parts @ counts
    variances = parts @ counts**2 - means**2
    return means.sum(axis=1)[laws], variances.sum(axis=1)[laws] + _LEAST


def _beginning(
    board: Board, logs: Float[np.ndarray, "c n k"], levels: int, rng: np.random.Generator
) -> Walkers:
    """Likely counts, columns with their middles about the board's: of every other chain more off it."""
    counts = np.repeat(1 + logs.argmax(axis=2), levels, axis=0)
    wide = np.repeat(np.arange(len(logs)) % 2, levels)[:, None]
    return begin(board, counts, np.rint(rng.normal(0, 0.3 + wide, counts.shape)).astype(int))


def _groups(
    order: Int[np.ndarray, "n n"], walkers: int, over: bool, rng: np.random.Generator
) -> tuple[Groups, Float[Array, "g w"]]:
    """Columns about random ones, from one to half of all, and the numbers that decide on them."""
    n, shape = len(order), (_GROUPS, walkers)
    found = np.zeros((*shape, n), bool)
    sizes = np.exp(rng.uniform(0, np.log(max(n // 2, 3)), shape)).astype(int)
    middles = rng.integers(0, n, shape)
    for g, w in np.ndindex(*shape):
        found[g, w, order[middles[g, w], : sizes[g, w]]] = True
    turned = (rng.random(shape) < _OVER) & over
    about = rng.choice((-1, 1), shape)
    about[turned & (rng.random(shape) < _MIDDLE)] = 0
    groups = Groups(jnp.asarray(found), jnp.asarray(turned), jnp.asarray(about, jnp.int32))
    return groups, jnp.asarray(rng.random(shape), jnp.float32)


def _exchanged(
    level: Int[np.ndarray, "c l"],
    energies: Float[np.ndarray, "c l"],
    atoms: Int[np.ndarray, "c l"],
    ladder: Float[np.ndarray, " l"],
    mu: Float[np.ndarray, "c l"],
    tally: _Tally,
    block: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, "c l"]:
    """Temperatures of walkers after neighbouring ones had a chance to change places."""
    level, beta = level.copy(), 1 / (BOLTZMANN * ladder)
    for c in range(len(level)):
        who = np.argsort(level[c])
        for k in range(block % 2, len(ladder) - 1, 2):
            cold, hot = who[k], who[k + 1]
            e, n = energies[c, [cold, hot]], atoms[c, [cold, hot]]
            work = (beta[k] - beta[k + 1]) * (e[0] - e[1])
            work -= (beta[k] * mu[c, k] - beta[k + 1] * mu[c, k + 1]) * (n[0] - n[1])
            tally.tried[k] += 1
            if np.log(rng.random()) < work:
                tally.exchanged[k] += 1
                level[c, cold], level[c, hot] = k + 1, k
    return level


def _energies(
    board: Board, bottoms: Int[np.ndarray, "c s n"], counts: Int[np.ndarray, "c s n"]
) -> Float[np.ndarray, "c s"]:
    found = []
    for b, n in zip(bottoms, counts, strict=True):
        walkers = Walkers(jnp.asarray(b), jnp.asarray(n), jnp.zeros(len(b), jnp.float32))
        found.append(np.asarray(energies_of(board, walkers), np.float64))
    return np.array(found)


def laid_together(
    board: Board,
    bottoms: Int[np.ndarray, "c s n"],
    counts: Int[np.ndarray, "c s n"],
    twice: Int[np.ndarray, " n"] | None,
) -> tuple[Int[np.ndarray, "c s n"], np.ndarray]:
    """Samples shifted, and mirrored where that may be, so that they have most filled sites in common.

    **Arguments:**

    - `board`: sites.
    - `bottoms`, `counts`: of the samples.
    - `twice`: as of `draw_particles`.

    **Returns:** lowest places, and which samples were mirrored.
    """
    n = bottoms.shape[2]
    flat, atoms = bottoms.reshape(-1, n), counts.reshape(-1, n)
    mirror = np.zeros(len(flat), bool)
    # The first round lays all on the last sample, the others on what is filled on average.
    like = (flat[-1:], atoms[-1:])
    for _ in range(_ROUNDS):
        moved, turned = _laid_on(board, *like, flat, atoms, twice)
        mirror ^= turned
        if np.array_equal(moved, flat) and len(like[0]) > 1:
            break
        flat, like = moved, (moved, atoms)
    return flat.reshape(bottoms.shape), mirror.reshape(bottoms.shape[:2])


def _laid_on(
    board: Board,
    bottoms: Int[np.ndarray, "r n"],
    counts: Int[np.ndarray, "r n"],
    flat: Int[np.ndarray, "s n"],
    atoms: Int[np.ndarray, "s n"],
    twice: Int[np.ndarray, " n"] | None,
) -> tuple[Int[np.ndarray, "s n"], np.ndarray]:
    """Samples as they have most in common with others, and which of them were turned over for that."""
    summed = np.cumsum(np.pad(occupation(board, bottoms, counts), ((0, 0), (1, 0))), axis=1)
    middle = np.median(bottoms + 0.5 * counts, axis=0)
    column = np.arange(flat.shape[1])
    most, best, turned = np.full(len(flat), -np.inf), flat.copy(), np.zeros(len(flat), bool)
    ways = [flat] if twice is None else [flat, 2 * (board.depth // 2) - twice - (flat + atoms - 1)]
    for over, seen in enumerate(ways):
        near = np.rint(np.median(middle - (seen + 0.5 * atoms), axis=1)).astype(int)
        for step in (-1, 0, 1):
            moved = seen + (near + step)[:, None]
            low, high = (np.clip(x, 0, board.depth) for x in (moved, moved + atoms))
            common = np.sum(summed[column, high] - summed[column, low], axis=1)
            better = common > most + 1e-9
            most[better], best[better], turned[better] = common[better], moved[better], over > 0
    return best, turned


def occupation(
    board: Board, bottoms: Int[np.ndarray, "s n"], counts: Int[np.ndarray, "s n"]
) -> Float[np.ndarray, "n d"]:
    """In which part of the samples each place is filled.

    **Arguments:**

    - `board`: places.
    - `bottoms`, `counts`: of the columns of each sample.
    """
    places = np.arange(board.depth)
    found = np.zeros((bottoms.shape[1], board.depth))
    for b, n in zip(bottoms, counts, strict=True):
        found += (places >= b[:, None]) & (places < (b + n)[:, None])
    return found / len(bottoms)
