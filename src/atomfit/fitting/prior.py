"""What the other atoms say of an atom before the map is asked: empirical Bayes.

Where a map is noisy, noise shapes the displacements of the atoms it tells least of: they swell or shrink to
their limits and drag positions with them. But the atoms of a particle are alike. So each U is drawn
towards what the others of its kind and coordination have, and by as much as the map itself supports:

    U_i ~ N(M c_i, T),    T = τ² (isotropic part) + τ'² (anisotropic part).

M, the mean matrix and, if supported, its change with the coordination number, and the two widths τ, τ'
are those that make the displacements that were fitted most probable, given their covariances (the marginal
likelihood; Efron & Morris 1975, Morris 1983). Where the map is clear, covariances are small, τ is the true
spread, and the prior changes nothing; where all differences are noise, τ comes out as zero and all atoms
share one U. A fit without it is plain maximum likelihood.

In the objective the prior is ½ (v - m)ᵀ P (v - m) for each atom, with v its natural parameters. It is
quadratic in them, so its curvature is P, added to the atom's block of the Gauss-Newton matrix.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from atomfit.structure.atoms import elements_of_matrices, matrices_of_elements

#: Smallest part of a covariance's largest eigenvalue that its smallest one may be.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class DisplacementPrior:
    """What the displacements of a particle's atoms have in common.

    **Fields:**

    - `mean`: displacement matrix of an atom of mean coordination (Å²; 11, 22, 33, 12, 13, 23).
    - `slope`: its change with each neighbour more (Å²); zero if the data do not support one.
    - `centre`: the mean coordination number.
    - `spread_isotropic`, `spread_anisotropic`: standard deviation about the mean of the isotropic part (as
        U_iso), and of each element of the anisotropic part (Å²).
    - `atoms`: how many it was estimated from.
    """

    mean: Float[np.ndarray, " s"]
    slope: Float[np.ndarray, " s"]
    centre: float
    spread_isotropic: float
    spread_anisotropic: float
    atoms: int

    def means(self, coordination: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n s"]:
        """Expected displacements of atoms of given coordination numbers (Å²)."""
        return self.mean + (coordination - self.centre)[:, None] * self.slope

    def of_matrices(
        self, coordination: Float[np.ndarray, " n"], d: int
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "m m"]]:
        """Means and precision for the elements of matrices, also where only U_iso is known of.

        **Arguments:**

        - `coordination`: coordination numbers.
        - `d`: dimensions.
        """
        count = d * (d + 1) // 2
        basis = np.eye(count)
        if len(self.mean) != count:
            basis = (np.arange(count) < d)[None] / d
        lift = basis / np.sum(basis**2, axis=1)[:, None]
        return self.means(coordination) @ lift, basis.T @ self.precision() @ basis

    def describe(self) -> str:
        """What was found, in words."""
        d = dimensions(len(self.mean))
        text = (
            f"displacements are drawn to those of {self.atoms} atoms: U_iso {self.mean[:d].mean():.3f} Å² "
            f"with a spread of {self.spread_isotropic:.3f}"
        )
        if len(self.mean) > 1:
            text += f", of the anisotropic part {self.spread_anisotropic:.3f}"
        if self.slope.any():
            text += f"; {self.slope[:d].mean():+.3f} Å² for each neighbour more than {self.centre:.1f}"
        return text

    def matrix(self, d: int) -> Float[np.ndarray, "d d"]:
        """Displacement matrix of an atom of mean coordination (Å²)."""
        if len(self.mean) == 1:
            return self.mean[0] * np.eye(d)
        return np.asarray(matrices_of_elements(self.mean))

    def precision(self) -> Float[np.ndarray, "s s"]:
        """Inverse covariance about the mean (1/Å⁴)."""
        isotropic, anisotropic = parts(len(self.mean))
        return isotropic / self.spread_isotropic**2 + anisotropic / self.spread_anisotropic**2


@dataclass(frozen=True, eq=False)
class MapAlone:
    """What a map alone says of the displacements of n atoms, without any prior.

    **Fields:**

    - `displacements`: in Å²; elements 11, 22, 33, 12, 13, 23, or U_iso of isotropic atoms.
    - `information`: their inverse covariances (1/Å⁴); NaN where they are not known.
    - `fitted`: displacements of the fit that the information was evaluated at (Å²).
    """

    displacements: Float[np.ndarray, "n s"]
    information: Float[np.ndarray, "n s s"]
    fitted: Float[np.ndarray, "n s"]

    @property
    def covariances(self) -> Float[np.ndarray, "n s s"]:
        """Of the displacements (Å⁴); NaN where they are not known."""
        known = np.all(np.isfinite(self.information), axis=(1, 2))
        result = np.full_like(self.information, np.nan)
        result[known] = np.linalg.inv(self.information[known])
        return result

    def without(self, blur: Float[np.ndarray, "d d"]) -> "MapAlone":
        """The same of displacements without what widens all atoms alike (Å²)."""
        elements = np.asarray(elements_of_matrices(blur))
        if self.displacements.shape[1] == 1:
            elements = np.trace(blur) / len(blur)
        return replace(self, displacements=self.displacements - elements, fitted=self.fitted - elements)

    @classmethod
    def of(
        cls,
        displacements: Float[np.ndarray, "n s"],
        covariances: Float[np.ndarray, "n s s"],
        prior: DisplacementPrior | None,
        coordination: Float[np.ndarray, " n"],
    ) -> "MapAlone":
        """From a fit: what it found, less what the prior has put into it.

        **Arguments:**

        - `displacements`, `covariances`: as fitted (Å², Å⁴).
        - `prior`: of the fit, and `coordination` with it.
        """
        information = np.full_like(covariances, np.nan)
        known = _sound(covariances)
        information[known] = np.linalg.inv(covariances[known])
        if prior is None:
            return cls(displacements, information, displacements)
        precision, means = prior.precision(), prior.means(coordination)
        rest = _kept_positive(information - precision, information)
        pulled = np.einsum("nab,nb->na", information, displacements) - means @ precision
        alone = np.where(known[:, None], displacements, np.nan)
        alone[known] = np.linalg.solve(rest[known], pulled[known][..., None])[..., 0]
        return cls(alone, rest, displacements)

    def shift(self, prior: DisplacementPrior, coordination: Float[np.ndarray, " n"]) -> float:
        """How far a prior would move displacements, in standard uncertainties; 95 % move less."""
        precision = prior.precision()
        away = prior.means(coordination) - self.displacements
        total = self.information + precision
        known = np.all(np.isfinite(total), axis=(1, 2)) & np.all(np.isfinite(away), axis=1)
        if not known.any():
            return 0.0
        move = np.linalg.solve(total[known], (away[known] @ precision)[..., None])[..., 0]
        square = np.einsum("na,nab,nb->n", move, self.information[known], move)
        return float(np.quantile(np.sqrt(np.maximum(square, 0) / move.shape[1]), 0.95))


def _sound(covariances: Float[np.ndarray, "n s s"]) -> Bool[np.ndarray, " n"]:
    """Which matrices are covariances, by a margin above rounding errors."""
    known = np.all(np.isfinite(covariances), axis=(1, 2))
    values = np.linalg.eigvalsh(np.where(known[:, None, None], covariances, np.eye(covariances.shape[1])))
    return known & (values[:, 0] > _ROUNDING * np.abs(values[:, -1]))


def _kept_positive(
    rest: Float[np.ndarray, "n s s"], whole: Float[np.ndarray, "n s s"], least: float = 1e-3
) -> Float[np.ndarray, "n s s"]:
    """A difference of information matrices, at least a small part of the whole in every direction."""
    known = _sound(whole)
    result = np.full_like(rest, np.nan)
    factor = np.linalg.cholesky(whole[known])
    inverse = np.linalg.inv(factor)
    values, vectors = np.linalg.eigh(inverse @ rest[known] @ np.swapaxes(inverse, 1, 2))
    kept = (vectors * np.maximum(values, least)[:, None]) @ np.swapaxes(vectors, 1, 2)
    result[known] = factor @ kept @ np.swapaxes(factor, 1, 2)
    return result


def dimensions(s: int) -> int:
    """Of the space in which a symmetric matrix has so many elements."""
    return int((np.sqrt(8 * s + 1) - 1) / 2)


def parts(s: int) -> tuple[Float[np.ndarray, "s s"], Float[np.ndarray, "s s"]]:
    """Squared size of the isotropic part (as U_iso²) and of the rest, as quadratic forms of the elements.

    The size of a matrix is that of Frobenius, which no rotation changes; elements beside the diagonal
    count twice.
    """
    d = dimensions(s)
    trace = (np.arange(s) < d).astype(float)
    isotropic = np.outer(trace, trace) / d**2
    frobenius = np.diag(np.where(np.arange(s) < d, 1.0, 2.0))
    return isotropic, frobenius - d * isotropic
