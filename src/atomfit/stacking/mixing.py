"""Whether chains have seen the same: their traces in, R-hat and numbers of independent samples out.

R-hat (Gelman & Rubin 1992, of chains cut in halves) is the root of the variance of all samples over that
within chains: 1 if they agree. Chains are compared that share a law of cross-sections; others differ by
what the scale leaves open, which is no fault. How many independent samples a trace is worth follows from
its autocorrelations, summed while pairs of them are positive (Geyer 1992).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from atomfit.stacking.limits import LIMITS

#: Variances below this part of what counts are none (places squared).
_STILL = 1e-9


@final
@dataclass(frozen=True, eq=False)
class Mixing:
    """How well chains agree.

    **Fields:**

    - `energy`: R-hat of the energy, the largest of the laws'.
    - `columns`: R-hat of each column's middle.
    - `unmixed`: part of the atoms that are in columns whose R-hat is too large.
    - `independent`: samples of the energy that are independent, in all chains.
    - `exchanged`: part of the exchanges of neighbouring temperatures that were made, the least.
    - `accepted`: part of the coldest walkers' steps.
    """

    energy: float
    columns: Float[np.ndarray, " n"]
    unmixed: float
    independent: float
    exchanged: float
    accepted: float

    @property
    def good(self) -> bool:
        """Whether chains have seen the same."""
        return (
            self.energy < LIMITS.mixed
            and self.unmixed <= LIMITS.unmixed
            and self.independent >= LIMITS.independent
        )


def measure_mixing(
    middles: Float[np.ndarray, "c s n"],
    atoms: Float[np.ndarray, " n"],
    trace: Float[np.ndarray, "c b"],
    laws: Int[np.ndarray, " c"],
    exchanged: float,
    accepted: float,
) -> Mixing:
    """Compare chains.

    **Arguments:**

    - `middles`: of each column, in the samples of each chain (places).
    - `atoms`: of the columns, on average.
    - `trace`: energies (eV).
    - `laws`: number of each chain's.
    - `exchanged`, `accepted`: as in `Mixing`.
    """
    groups = [laws == law for law in np.unique(laws)]
    energy = max(float(r_hat(trace[own][..., None])[0]) for own in groups)
    columns = np.max([r_hat(middles[own]) for own in groups], axis=0)
    unmixed = float(atoms[columns > LIMITS.mixed].sum() / atoms.sum())
    independent = sum(independent_samples(one) for one in trace)
    return Mixing(energy, columns, unmixed, independent, exchanged, accepted)


def r_hat(values: Float[np.ndarray, "c s n"]) -> Float[np.ndarray, " n"]:
    """Of n numbers; infinite if chains stand still at different ones.

    **Arguments:**

    - `values`: of c chains.

        >>> float(r_hat(np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]])[..., None])[0]) < 1
        True
    """
    half = values.shape[1] // 2
    halves = np.concatenate([values[:, :half], values[:, half : 2 * half]]).astype(float)
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = half * halves.mean(axis=1).var(axis=0, ddof=1)
    still = within < _STILL
    whole = (half - 1) / half * within + between / half
    ratio = np.sqrt(whole / np.where(still, 1.0, within))
    return np.where(still, np.where(between < _STILL, 1.0, np.inf), ratio)


def independent_samples(trace: Float[np.ndarray, " b"]) -> float:
    """How many independent samples a trace is worth.

    **Arguments:**

    - `trace`: of one chain.
    """
    n, apart = len(trace), trace - trace.mean()
    variance = float(apart @ apart)
    if variance < _STILL:
        return float(n)
    size = 2 ** int(np.ceil(np.log2(2 * n)))
    waves = np.fft.rfft(apart, size)
    correlations = np.fft.irfft(waves * np.conj(waves), size)[:n] / variance
    pairs = correlations[: n - n % 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    time = 2 * float(pairs[: ends[0] if len(ends) else len(pairs)].sum()) - 1
    return float(n / max(time, 1.0))
