"""How far a potential can be trusted: particles that counts allow in, the temperature they look of out.

At too low a temperature a potential overrules counts that are right: shapes are not in equilibrium, and its
energies are not the truth's. Counts tell. In particles at the inverse temperature β an atom that could
as well be elsewhere, by a step that is as likely as its reverse, with an energy higher by ΔE, is where it
is with the probability 1 / (1 + exp(-β ΔE)). The β that makes where atoms are likeliest, of all such
steps (composite likelihood: Besag, The Statistician 24 (1975) 179), solves

    <ΔE / (1 + exp(β ΔE))> = 0.

Taken over samples that have seen the counts this is an unbiased equation for β, whatever the counts leave
open: there samples follow β, and add nothing. Steps are those that take an atom from one column to another,
which counts speak about.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.optimize import brentq
from scipy.special import expit

from atomfit.stacking.board import Board, Walkers
from atomfit.stacking.board_energy import filled
from atomfit.stacking.limits import LIMITS
from atomfit.stacking.steps import COUNTS, propose, rises_counted_out

#: Of eV and K.
BOLTZMANN = 8.617333262e-5
#: Where a temperature begins that is not known (K).
_FIRST = 1000.0
#: Steps of each walker that are looked at, and how often the temperature is set anew.
_STEPS, _TIMES = 512, 7
#: By how much it changes at most.
_FACTOR = 1.5


class Trust:
    """A temperature that is set anew while particles are sampled.

    **Arguments:**

    - `temperature`: if it is known (K); it then stays.
    - `blocks`: after how many it is to be known.
    """

    def __init__(self, temperature: float | None, blocks: int) -> None:
        self.temperature = _FIRST if temperature is None else temperature
        self.ends = (
            [] if temperature is not None else np.linspace(0, blocks, _TIMES + 1).astype(int)[1:].tolist()
        )
        self.old: list[np.ndarray] = []
        self.new: list[np.ndarray] = []

    def after(self, block: int, board: Board, walkers: Walkers, rng: np.random.Generator) -> bool:
        """Look at particles at this temperature; whether there is another one now.

        **Arguments:**

        - `block`: how many came before.
        - `board`, `walkers`: sites and particles.
        - `rng`: of the steps that are looked at.
        """
        if not self.ends or block >= self.ends[-1]:
            return False
        random = jnp.asarray(rng.random((4, len(walkers.bottoms), _STEPS)), jnp.float32)
        rises, fits = (np.asarray(each) for each in rises_of_transfers(board, walkers, random))
        self.new.append(rises[fits].astype(float))
        if block + 1 not in self.ends:
            return False
        # Particles of the last temperature count as well: less noise, and nearly as right.
        seen = np.concatenate(self.old + self.new)
        # The first ones have not settled, and would make it hot.
        settled = block + 1 > self.ends[0]
        if settled and len(seen):
            low, high = self.temperature / _FACTOR, self.temperature * _FACTOR
            self.temperature = float(np.clip(temperature_of(seen), low, high))
        self.old, self.new = (self.new if settled else []), []
        return settled


def temperature_of(rises: Float[np.ndarray, " p"]) -> float:
    """At which particles are as likely as they can be beside what they were by a step (K).

    **Arguments:**

    - `rises`: of energies by steps (eV).

        >>> step = 0.1
        >>> there = 1 / (1 + np.exp(-step / (BOLTZMANN * 900)))
        >>> rises = np.repeat([step, -step], np.rint(1e5 * np.array([there, 1 - there])).astype(int))
        >>> round(temperature_of(rises))
        900
    """

    def slope(temperature: float) -> float:
        return float(np.sum(rises * expit(-rises / (BOLTZMANN * temperature))))

    low, high = LIMITS.coldest, LIMITS.warmest
    # The slope rises with temperature: hot ones make much of steps upwards.
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    return float(brentq(slope, low, high, xtol=1.0))


@eqx.filter_jit
def rises_of_transfers(
    board: Board, walkers: Walkers, random: Float[Array, "4 w p"]
) -> tuple[Float[Array, "w p"], Bool[Array, "w p"]]:
    """By how much energies rise if an atom goes from one column to another (eV), and whether it may.

    **Arguments:**

    - `board`, `walkers`: sites and particles.
    - `random`: numbers from 0 to 1 that say which atoms go where.
    """
    kind = COUNTS + (1 - COUNTS) * random[:1]
    steps = propose(board, walkers, jnp.concatenate([kind, random[1:]]))
    return rises_counted_out(board, filled(board, walkers)[0], steps), steps.fits
