"""What an atom at rest looks like, as a part of the model that can be replaced.

    ρ_i(r) = A_i Σ_k a_k N(r - x_i; V_i + β_k 1),    Σ_k a_k = 1,    V_i = U_i + S 1 + diag(h²) / 12

`OneGaussian` is the paper's atom: a single term with β = 0. `FormFactors` takes the terms of each atom's
element from the tables. Everything else that widens an atom (its displacement U, the resolution S of the
map, voxels of edges h that average over their volume) is a Gaussian convolved with it, and the map knows
only the sum of these variances, V. So V is what is fitted, and what it is made of is decided once it is
known (`resolution`).

A sum of Gaussians stays in closed form: the overlap of two atoms is the sum of those of their terms. Both
the atom and the overlap, blurred by V, are smooth, and three terms stand for the tables' 5 and 25.
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

from atomfit.gaussians.overlaps import multi_indices
from atomfit.rendering import Gaussians
from atomfit.structure.atoms import Leaf
from atomfit.structure.scattering import GaussianMixture, form_factor, is_tabulated, reduced
from atomfit.support.errors import InputError

#: What the fewer terms that stand for a form factor may differ from it, as a part of the peak of an atom
#: whose V is this part of the typical one; they differ less where it is more.
ACCURACY = 2e-3
_NARROWER = 0.7
#: An atom ends where it has fallen to that of a Gaussian at this many standard deviations.
_END = 4.0

#: Derivatives of the overlap of two Gaussians, by distance, summed variances and, as `order`, how many.
Overlap = Callable[..., Any]


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
        """All Gaussians of all atoms, atom by atom.

        **Arguments:**

        - `positions`: of the atoms (Å).
        - `shapes`: what widens each: displacement and blur (Å²).
        - `amplitudes`: integrals of their densities.
        """

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
    def __getitem__(self, which: Leaf | slice) -> "AbstractScattering":
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

    def __getitem__(self, which: Leaf | slice) -> "OneGaussian":
        return self


class FormFactors(AbstractScattering):
    """Each atom scatters electrons as its element does.

    **Fields:**

    - `kinds`: which of the elements each atom is.
    - `weights`, `variances`: a_k and β_k (Å²) of each element; the weights add up to 1.
    - `pair_weights`, `pair_variances`: the same of the overlap of two elements.
    """

    kinds: Int[Leaf, " n"]
    weights: Float[Leaf, "e k"]
    variances: Float[Leaf, "e k"]
    pair_weights: Float[Leaf, "e e p"]
    pair_variances: Float[Leaf, "e e p"]

    @classmethod
    def of(cls, numbers: Int[np.ndarray, " n"], blur: float, accuracy: float = ACCURACY) -> "FormFactors":
        """From the tables.

        **Arguments:**

        - `numbers`: atomic numbers.
        - `blur`: a typical V (Å²), for which the tables' terms are reduced to fewer.
        - `accuracy`: of that, as a part of an atom's peak; 0 keeps all terms.

        **Raises:** `InputError` for an element that has no form factor in the tables.
        """
        narrow = _NARROWER * blur
        elements, kinds = np.unique(numbers, return_inverse=True)
        tables = [_table(gemmi.Element(int(number)).name) for number in elements]
        weights, variances = _aligned([reduced(table, narrow, accuracy) for table in tables])
        pairs = [reduced(_overlap_of(a, b), 2 * narrow, accuracy) for a in tables for b in tables]
        shape = (len(tables), len(tables), -1)
        pair_weights, pair_variances = (x.reshape(shape) for x in _aligned(pairs))
        return cls(kinds.astype(np.int32), weights, variances, pair_weights, pair_variances)

    def terms(self, shapes: Float[Leaf, "n d d"]) -> tuple[Float[Leaf, "n k"], Float[Leaf, "n k d d"]]:
        unit = np.eye(shapes.shape[-1], dtype=np.float32)
        added = self.variances[self.kinds]
        return self.weights[self.kinds], shapes[:, None] + added[..., None, None] * unit

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
        d, xp = apart.shape[-1], apart.__array_namespace__()
        pair = self.kinds[mine], self.kinds[theirs]
        terms = (xp.moveaxis(xp.asarray(x)[pair], -1, 0) for x in (self.pair_weights, self.pair_variances))

        def term(weight: Leaf, added: Leaf) -> Leaf:
            unit = np.eye(d, dtype=np.float32)
            return weight[..., None] * single(apart, variances + added[..., None, None] * unit)

        if isinstance(apart, np.ndarray):
            return np.sum([term(*each) for each in zip(*terms, strict=True)], axis=0)

        def add(total: Array, each: tuple[Array, Array]) -> tuple[Array, None]:
            return total + term(*each), None

        # One term after the other, so that they are compiled once and memory is that of one.
        none = jnp.zeros((*apart.shape[:-1], len(multi_indices(d))))
        return lax.scan(add, none, tuple(terms))[0]

    def widths(self, variances: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        weights, added = (
            np.asarray(x, np.float64)[self.kinds][:, None] for x in (self.weights, self.variances)
        )
        terms = np.asarray(variances, np.float64)[..., None] + added
        peaks = weights / terms**1.5
        least = np.exp(-0.5 * _END**2) * peaks.sum(axis=-1)
        low, high = np.zeros(terms.shape[:-1]), _END * np.sqrt(terms.max(axis=-1))
        for _ in range(20):
            middle = 0.5 * (low + high)
            beyond = np.sum(peaks * np.exp(-0.5 * middle[..., None] ** 2 / terms), axis=-1) < least
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return high / _END

    def __getitem__(self, which: Leaf | slice) -> "FormFactors":
        return eqx.tree_at(lambda s: s.kinds, self, self.kinds[which])


def _table(symbol: str) -> GaussianMixture:
    if not is_tabulated(symbol):
        raise InputError(
            f"the electron form factor of {symbol} is not tabulated",
            "use --scattering gaussian",
            "--scattering",
        )
    return form_factor(symbol, 0.0)


def _overlap_of(a: GaussianMixture, b: GaussianMixture) -> GaussianMixture:
    """The overlap of two atoms of given shapes, as a function of their distance."""
    return GaussianMixture(
        np.outer(a.weights, b.weights).ravel(), np.add.outer(a.variances, b.variances).ravel()
    )


def _aligned(mixtures: list[GaussianMixture]) -> tuple[Float[np.ndarray, "e k"], Float[np.ndarray, "e k"]]:
    """Weights and variances in rows, filled up with terms of no weight."""
    most = max(len(mixture.weights) for mixture in mixtures)

    def rows(columns: list[np.ndarray]) -> np.ndarray:
        return np.array([np.pad(x, (0, most - len(x))) for x in columns])

    return rows([m.weights for m in mixtures]), rows([m.variances for m in mixtures])
