"""How a number is distributed among atoms that each say little of it: most probable mixing distributions.

In go likelihoods, of each atom for each value that the number may have, and coordination numbers; out
come distributions of the number for each coordination. They are the weights of the values that make all
atoms most probable (Kiefer & Wolfowitz 1956), found by expectation and maximisation, with a distribution
that knows nothing beforehand that counts as one atom. How much they owe to chance is seen when atoms are
weighed at random (Rubin's bootstrap 1981), so that there are several for each coordination.

*Coordination.* Atoms at the surface may be distributed otherwise than those inside. Those of a similar
coordination then count more, with all atoms as what is expected beforehand. Over which coordinations
atoms are alike is chosen: of some widths, that by which atoms are most probable that were left out
(cross-validation). Atoms that are all alike are so taken together, and no difference is made between
coordinations that is not there.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

#: Times that it is learned from atoms weighed at random, and steps of each.
_RESAMPLED, _STEPS = 16, 200
#: As how many atoms a distribution that knows nothing counts, and that of all atoms for one coordination.
_BEFOREHAND, _OF_OTHERS = 1.0, 3.0
#: Coordinations over which atoms may be alike, parts left out in turn to choose, and steps of that.
_WIDTHS, _FOLDS, _STEPS_LEFT_OUT = (np.inf, 3.0, 1.0), 5, 150


@dataclass(frozen=True, eq=False)
class Mixing:
    """How a number with k values is distributed among atoms, learned from n of them.

    **Fields:**

    - `likelihoods`: of each atom for each value, in a unit of its own.
    - `coordination`: of the atoms.
    - `vague`: the distribution that knows nothing.
    - `width`: over which coordinations atoms are alike; infinite where they make no difference.
    - `seed`: of the weights of atoms and the parts left out.
    """

    likelihoods: Float[np.ndarray, "n k"]
    coordination: Float[np.ndarray, " n"]
    vague: Float[np.ndarray, " k"]
    width: float = np.inf
    seed: int = 0

    def chosen(self) -> "Mixing":
        """With the width that makes atoms most probable which were left out."""
        if len(np.unique(self.coordination)) < 2:
            return self
        return max((replace(self, width=width) for width in _WIDTHS), key=Mixing._left_out)

    def at(self, values: Float[np.ndarray, " c"]) -> Float[np.ndarray, "c s k"]:
        """Distributions among atoms of given coordination, each from atoms weighed at random."""
        random = np.random.default_rng(self.seed)
        return self._learned(random.exponential(size=(_RESAMPLED, len(self.likelihoods))), values, _STEPS)

    def _learned(
        self, counts: Float[np.ndarray, "s n"], values: Float[np.ndarray, " c"], steps: int
    ) -> Float[np.ndarray, "c s k"]:
        """From atoms that count differently; those of all coordinations are what is expected beforehand."""
        of_all = _most_probable(self.likelihoods, counts, self.vague, _BEFOREHAND, steps)
        shape = (len(values), *of_all.shape)
        if not np.isfinite(self.width):
            return np.broadcast_to(of_all, shape)
        near = np.exp(-0.5 * ((self.coordination - values[:, None]) / self.width) ** 2)
        # All coordinations at once.
        nearer = (near[:, None] * counts).reshape(-1, counts.shape[1])
        beforehand = np.broadcast_to(of_all, shape).reshape(-1, shape[2])
        return _most_probable(self.likelihoods, nearer, beforehand, _OF_OTHERS, steps).reshape(shape)

    def _left_out(self) -> float:
        """Logarithm of the likelihood of atoms by what was learned without them."""
        n = len(self.likelihoods)
        fold = np.random.default_rng(self.seed).permutation(n) % _FOLDS
        counts = (fold != np.arange(_FOLDS)[:, None]).astype(float)
        values, place = np.unique(self.coordination, return_inverse=True)
        learned = self._learned(counts, values, _STEPS_LEFT_OUT)
        probabilities = np.einsum("nk,nk->n", self.likelihoods, learned[place, fold])
        return float(np.sum(np.log(np.maximum(probabilities, 1e-300))))


def _most_probable(
    likelihoods: Float[np.ndarray, "n k"],
    counts: Float[np.ndarray, "s n"],
    beforehand: Float[np.ndarray, "*s k"],
    atoms: float,
    steps: int,
) -> Float[np.ndarray, "s k"]:
    """Weights of values that make atoms most probable.

    **Arguments:**

    - `likelihoods`: of atoms and values.
    - `counts`: how many atoms each stands for.
    - `beforehand`, `atoms`: what is expected, and as how many atoms it counts.
    - `steps`: of expectation and maximisation.
    """
    g = np.full((len(counts), likelihoods.shape[1]), 1 / likelihoods.shape[1])
    for _ in range(steps):
        g = g * ((counts / np.maximum(g @ likelihoods.T, 1e-300)) @ likelihoods) + atoms * beforehand
        g /= g.sum(axis=1, keepdims=True)
    return g
