"""What cross-sections say of counts by themselves: likelihoods, for whoever has a prior of their own.

Probabilities of counts hold what neighbours say and how many columns there are of each count. A model of
the particle knows better than that neighbours are alike, and must not be told so twice. It gets the laws
that were drawn, their weights, and of each law the likelihood of every count of every column.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.count_likelihood import Measured


@final
@dataclass(frozen=True, eq=False)
class CountLaws:
    """Laws of what columns of 1 to k atoms scatter, as they were drawn.

    **Fields:**

    - `weights`: of the laws; their sum is one.
    - `means`: cross-sections of columns of 1 to k atoms, in the unit that `measured` has.
    - `scatter`: of columns among themselves, in this unit.
    - `measured`: cross-sections, sorted.
    - `back`: where each of the columns is among them.
    - `unit`: what it is (Å²).
    """

    weights: Float[np.ndarray, " s"]
    means: Float[np.ndarray, "s k"]
    scatter: Float[np.ndarray, " s"]
    measured: Measured
    back: Int[np.ndarray, " n"]
    unit: float = 1.0

    def chosen(self, number: int) -> Int[np.ndarray, " m"]:
        """Some laws, each as often as its weight asks for.

        **Arguments:**

        - `number`: how many.
        """
        total = np.cumsum(self.weights)
        at = total[-1] * (np.arange(number) + 0.5) / number
        return np.minimum(np.searchsorted(total, at), len(total) - 1)

    def log_likelihood(self, laws: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m n k"]:
        """Logarithms of the likelihoods of 1 to k atoms in each column.

        **Arguments:**

        - `laws`: numbers of some of them.
        """
        return self.measured.log_likelihood(self.means[laws], self.scatter[laws])[0][:, self.back]
