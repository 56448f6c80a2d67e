"""A lattice fitted to the columns of one domain of an image, with what is known of its vectors.

A column of sublattice p at site (h, k) lies at

    x = o_p + h a + k b + error,

with o_p the place of the sublattice's first site. a, b and all o_p follow from one weighted least-squares
fit: the weights are the inverse covariances of the positions, times Tukey's, so that what has moved at a
surface or a fault does not count. Every estimate is a sum over columns, a gain times a position. The gains
are kept, as the errors of what is measured from this lattice follow from them: a strain counted from a
lattice that the same columns were fitted by is correlated with it.

Positions scatter about a strained or distorted lattice by more than they err. Standard uncertainties of a,
b and γ are larger by the root of that ratio (χ² of the fit), if it is more than one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.statistics.plane_cells import Bravais, PlaneCell, bravais, cell_of

#: Beyond so many robust standard deviations a column does not count.
_TUKEY = 4.685
#: Weighted mean square of normal errors in two dimensions under these weights, in their variance.
_SEEN = 0.821
_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class PlaneLattice:
    """Of one domain.

    **Fields:**

    - `columns`: which columns have a site.
    - `sites`: theirs, (h, k).
    - `sublattices`: theirs, from 0.
    - `basis`: a and b as columns (Å).
    - `origins`: places of the site (0, 0) of each sublattice (Å).
    - `gains`: of each column, by how much (a, b, o_0, ...) move with its position.
    - `covariance`: of (a_x, a_y, b_x, b_y, o_0x, ...) from the positions' (Å²).
    - `scatter`: χ² of a degree of freedom; if positions are given without covariances, these are ones (Å²),
        and this is the variance of a position along an axis.
    - `given`: whether covariances are.
    """

    columns: Int[np.ndarray, " m"]
    sites: Int[np.ndarray, "m 2"]
    sublattices: Int[np.ndarray, " m"]
    basis: Float[np.ndarray, "2 2"]
    origins: Float[np.ndarray, "s 2"]
    gains: Float[np.ndarray, "m p 2"]
    covariance: Float[np.ndarray, "p p"]
    scatter: float
    given: bool

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def offsets(self) -> Float[np.ndarray, "s 2"]:
        """Of the sublattices from the first, in a and b."""
        return (self.origins - self.origins[0]) @ np.linalg.inv(self.basis).T

    @property
    def bravais(self) -> Bravais:
        """Which of the five plane lattices it is, within the tolerances of `limits`."""
        return bravais(self.basis)

    @property
    def cell(self) -> PlaneCell:
        """a, b and γ with their standard uncertainties."""
        larger = max(self.scatter, 1.0) if self.given else self.scatter
        values, errors = cell_of(self.basis, larger * self.covariance[:4, :4])
        return PlaneCell(values[:2], errors[:2], float(values[2]), float(errors[2]))

    def ideal(self) -> Float[np.ndarray, "m 2"]:
        """Places of the sites (Å)."""
        return self.origins[self.sublattices] + self.sites @ self.basis.T

    def residual_covariances(self, covariances: Float[np.ndarray, "n 2 2"]) -> Float[np.ndarray, "m 2 2"]:
        """Of the distances from the sites (Å²), which the fit has taken a part of.

        **Arguments:**

        - `covariances`: of the positions of all columns (Å²).
        """
        design = design_of(self.sites, self.sublattices, len(self.origins))
        p, own = design.shape[1], covariances[self.columns]
        blocks = self.covariance.reshape(p, 2, p, 2)
        fitted = np.einsum("mi,iajb,mj->mab", design, blocks, design)
        moved = np.einsum("mi,miab->mab", design, self.gains.reshape(-1, p, 2, 2))
        shared = moved @ np.where(np.isfinite(own), own, 0.0)
        return np.asarray(own + fitted - shared - np.swapaxes(shared, 1, 2))


def design_of(
    sites: Int[np.ndarray, "m 2"], sublattices: Int[np.ndarray, " m"], count: int
) -> Float[np.ndarray, "m p"]:
    """What multiplies a, b and the origins of all sublattices."""
    own = (sublattices[:, None] == np.arange(count)).astype(float)
    return np.concatenate([sites, own], axis=1)


def fit_plane_lattice(
    positions: Float[np.ndarray, "n 2"],
    covariances: Float[np.ndarray, "n 2 2"],
    columns: Int[np.ndarray, " m"],
    sites: Int[np.ndarray, "m 2"],
    sublattices: Int[np.ndarray, " m"],
    used: Bool[np.ndarray, " m"],
    given: bool = True,
) -> PlaneLattice:
    """The lattice of columns whose sites are known.

    **Arguments:**

    - `positions`: of all columns (Å).
    - `covariances`: of all (Å²); columns of which they are NaN do not count.
    - `columns`, `sites`, `sublattices`: as in `PlaneLattice`.
    - `used`: which of these columns the fit may use: all, or those inside.
    - `given`: whether covariances are, and not ones.
    """
    x, known = positions[columns], covariances[columns]
    count = int(sublattices.max()) + 1
    design = design_of(sites, sublattices, count)
    usable = used & np.isfinite(known).all(axis=(1, 2))
    inverse = np.zeros_like(known)
    inverse[usable] = np.linalg.inv(known[usable])
    weights = usable.astype(float)
    p = design.shape[1]
    for _ in range(_ROUNDS):
        weighted = weights[:, None, None] * inverse
        normal = np.einsum("mi,mab,mj->iajb", design, weighted, design).reshape(2 * p, 2 * p)
        solver = np.linalg.pinv(normal, rcond=1e-12, hermitian=True)
        gains = np.einsum("kia,mi,mab->mkb", solver.reshape(2 * p, p, 2), design, weighted)
        found = np.einsum("mkb,mb->k", gains, x).reshape(p, 2)
        rest = x - design @ found
        squares = np.einsum("ma,mab,mb->m", rest, inverse, rest)
        # The median of χ² of two degrees of freedom is 2 ln 2.
        spread = max(float(np.median(squares[usable])) / (2 * np.log(2)), 1e-12)
        weights = usable * np.clip(1 - squares / (spread * _TUKEY**2), 0, 1) ** 2
    freedom = 2 * float(weights.sum()) - 2 * p
    scatter = float(np.sum(weights * squares) / (_SEEN * freedom)) if freedom > 0 else np.nan
    spreads = np.where(np.isfinite(known), known, 0.0)
    covariance = np.einsum("mka,mab,mlb->kl", gains, spreads, gains)
    return PlaneLattice(
        columns, sites, sublattices, found[:2].T, found[2:], gains, covariance, scatter, given
    )
