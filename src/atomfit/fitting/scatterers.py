"""What an atom at rest looks like, as a part of the model that can be replaced.

    ρ_i(r) = A_i Σ_k a_k N(r - x_i; V_i + β_k 1),    Σ_k a_k = 1,    V_i = U_i + S 1 + diag(h²) / 12

`OneGaussian` is the paper's atom: a single term with β = 0. `FormFactors` takes the terms of each atom's
element from the tables. Everything else that widens an atom (its displacement U, the resolution S of the
map, voxels of edges h that average over their volume) is a Gaussian convolved with it, and the map knows
only the sum of these variances, V. So V is what is fitted, and what it is made of is decided once it is
known (`resolution`).

A sum of Gaussians stays in closed form: the overlap of two atoms is the sum of those of their terms.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import gemmi
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from atomfit.atoms import Leaf
from atomfit.errors import InputError
from atomfit.fitting.overlaps import multi_indices
from atomfit.rendering import Gaussians
from atomfit.scattering import form_factor, is_tabulated, reduced

#: What the fewer terms that stand for a form factor may differ from it, as a part of an atom's peak.
ACCURACY = 2e-3
#: An atom ends where it has fallen to that of a Gaussian at this many standard deviations.
_END = 4.0

#: Derivatives of the overlap of two Gaussians, by their distance and summed variances.
Overlap = Callable[[Any, Any], Any]


class AbstractScattering(eqx.Module):
    """The densities of n atoms at rest, of unit integral, as sums of Gaussians."""

    @abc.abstractmethod
    def terms(self, shapes: Float[Leaf, "n d d"]) -> tuple[Float[Leaf, "n k"], Float[Leaf, "n k d d"]]:
        """Weights and variance matrices (Å²) of each atom's Gaussians.

        **Arguments:**

        - `shapes`: what widens each atom, V (Å²).
        """

    @abc.abstractmethod
    def gaussians(
        self,
        positions: Float[Leaf, "n d"],
        shapes: Float[Leaf, "n d d"],
        amplitudes: Float[Leaf, " n"],
    ) -> Gaussians:
        """All Gaussians of all atoms, atom by atom."""

    @abc.abstractmethod
    def overlap(
        self,
        single: Overlap,
        apart: Float[Leaf, "... d"],
        variances: Float[Leaf, "... d d"],
        mine: Int[Leaf, "..."],
        theirs: Int[Leaf, "..."],
    ) -> Float[Leaf, "... m"]:
        """Derivatives (as in `overlaps`) of the overlap of pairs of atoms.

        **Arguments:**

        - `single`: the same for two Gaussians.
        - `apart`, `variances`: vector between the atoms (Å), sum of their V (Å²).
        - `mine`, `theirs`: which atoms they are.
        """

    @abc.abstractmethod
    def widths(self, variances: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Standard deviations (Å) of Gaussians that reach as far as the atoms, by V along each axis."""

    @abc.abstractmethod
    def __getitem__(self, which: np.ndarray | slice) -> "AbstractScattering":
        """That of some of the atoms."""


class OneGaussian(AbstractScattering):
    """Every atom is one Gaussian, of variance V."""

    def terms(self, shapes: Float[Leaf, "n d d"]) -> tuple[Float[Leaf, "n k"], Float[Leaf, "n k d d"]]:
        return np.ones((len(shapes), 1)), shapes[:, None]

    def gaussians(
        self,
        positions: Float[Leaf, "n d"],
        shapes: Float[Leaf, "n d d"],
        amplitudes: Float[Leaf, " n"],
    ) -> Gaussians:
        return Gaussians(positions, shapes, amplitudes)

    def overlap(
        self,
        single: Overlap,
        apart: Float[Leaf, "... d"],
        variances: Float[Leaf, "... d d"],
        mine: Int[Leaf, "..."],
        theirs: Int[Leaf, "..."],
    ) -> Float[Leaf, "... m"]:
        return single(apart, variances)

    def widths(self, variances: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        return np.sqrt(variances)

    def __getitem__(self, which: np.ndarray | slice) -> "OneGaussian":
        return self


class FormFactors(AbstractScattering):
    """Each atom scatters electrons as its element does.

    **Fields:**

    - `weights`: a_k, integrals of the terms; they add up to 1.
    - `variances`: β_k (Å²).
    """

    weights: Float[Leaf, "n k"]
    variances: Float[Leaf, "n k"]

    @classmethod
    def of(cls, numbers: Int[np.ndarray, " n"], blur: float, accuracy: float = ACCURACY) -> "FormFactors":
        """From the tables.

        **Arguments:**

        - `numbers`: atomic numbers.
        - `blur`: a typical V (Å²), for which the tables' terms are reduced to fewer.
        - `accuracy`: of that, as a part of the peak; 0 keeps all terms.

        **Raises:** `InputError` for an element that has no form factor in the tables.
        """
        kinds, which = np.unique(numbers, return_inverse=True)
        mixtures = []
        for symbol in (gemmi.Element(int(number)).name for number in kinds):
            if not is_tabulated(symbol):
                raise InputError(
                    f"the electron form factor of {symbol} is not tabulated",
                    "use --scattering gaussian",
                    "--scattering",
                )
            mixtures.append(reduced(form_factor(symbol, 0.0), blur, accuracy))
        most = max(len(mixture.weights) for mixture in mixtures)
        # Elements that need fewer terms are filled up with terms of no weight.
        weights, variances = (
            np.array([np.pad(x, (0, most - len(x))) for x in columns])
            for columns in zip(*((m.weights, m.variances) for m in mixtures), strict=True)
        )
        return cls(weights[which], variances[which])

    def terms(self, shapes: Float[Leaf, "n d d"]) -> tuple[Float[Leaf, "n k"], Float[Leaf, "n k d d"]]:
        unit = np.eye(shapes.shape[-1], dtype=np.float32)
        return self.weights, shapes[:, None] + self.variances[..., None, None] * unit

    def gaussians(
        self,
        positions: Float[Leaf, "n d"],
        shapes: Float[Leaf, "n d d"],
        amplitudes: Float[Leaf, " n"],
    ) -> Gaussians:
        xp = positions.__array_namespace__()
        weights, matrices = self.terms(shapes)
        (n, k), d = weights.shape, positions.shape[1]
        centres = xp.broadcast_to(positions[:, None], (n, k, d))
        return Gaussians(
            centres.reshape(n * k, d),
            matrices.reshape(n * k, d, d),
            (amplitudes[:, None] * weights).reshape(n * k),
        )

    def overlap(
        self,
        single: Overlap,
        apart: Float[Leaf, "... d"],
        variances: Float[Leaf, "... d d"],
        mine: Int[Leaf, "..."],
        theirs: Int[Leaf, "..."],
    ) -> Float[Leaf, "... m"]:
        xp, unit = apart.__array_namespace__(), np.eye(apart.shape[-1], dtype=np.float32)
        weights, extra = xp.asarray(self.weights), xp.asarray(self.variances)
        # Pairs of terms come first, to be gone through one after the other.
        pairs = (-1, *apart.shape[:-1])
        products = (weights.T[:, None][..., mine] * weights.T[None][..., theirs]).reshape(pairs)
        sums = (extra.T[:, None][..., mine] + extra.T[None][..., theirs]).reshape(pairs)

        def term(product: Leaf, added: Leaf) -> Leaf:
            return product[..., None] * single(apart, variances + added[..., None, None] * unit)

        if isinstance(apart, np.ndarray):
            return np.sum([term(*pair) for pair in zip(products, sums, strict=True)], axis=0)

        def add(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
            return total + term(*pair), None

        none = jnp.zeros((*apart.shape[:-1], len(multi_indices(apart.shape[-1]))))
        return lax.scan(add, none, (products, sums))[0]

    def widths(self, variances: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        weights, added = (np.asarray(x, np.float64)[:, None] for x in (self.weights, self.variances))
        terms = np.asarray(variances, np.float64)[..., None] + added
        peaks = weights / terms**1.5
        least = np.exp(-0.5 * _END**2) * peaks.sum(axis=-1)
        low, high = np.zeros(terms.shape[:-1]), _END * np.sqrt(terms.max(axis=-1))
        for _ in range(20):
            middle = 0.5 * (low + high)
            beyond = np.sum(peaks * np.exp(-0.5 * middle[..., None] ** 2 / terms), axis=-1) < least
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return high / _END

    def __getitem__(self, which: np.ndarray | slice) -> "FormFactors":
        return FormFactors(self.weights[which], self.variances[which])
