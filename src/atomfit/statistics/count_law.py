"""What a column of k atoms scatters, from a library or not: a law with few free numbers, and their prior.

Mean cross-sections are sums of steps, one for each atom, and steps are positive: so more atoms scatter
more,

    μ_k = Σ_{j ≤ k} s_j exp(B z)_j,    z ~ N(0, 1).

The columns of the matrix B are a common scale and the main shapes of a smooth random function of j (a
Gaussian process of covariance exp(-(i - j)² / 2ℓ²)). With a library s_j are its steps, the scale is
known to a few per cent and the shape to less; beyond its end the last steps go on, and are known as
badly as without a library. Without one steps are alike, but channelling makes them vary by some twenty
per cent within a few atoms, absorption lets them fade; and the scale is hardly known at all. So the law
goes through zero and is nearly linear, and whether the thinnest column is one atom or two is told by
how much a law has to bend for it, in the same currency as everything else.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from atomfit.support.errors import InputError

#: Of a library: standard deviations of the logarithms of its scale, and of its steps; and how far along a
#: column what a step is off by is the next one's too (atoms).
_SCALE, _STEP, _LENGTH = 0.02, 0.01, 4.0
#: The same without: a scale that puts the brightest column at 12 atoms within a factor of 2, and steps.
_SCALE_UNKNOWN, _STEP_UNKNOWN, _TYPICAL = 0.7, 0.2, 12.0
#: Steps that fade or grow, by the atom.
_TREND = 0.01
#: Part of the variance that shapes are kept for.
_KEPT = 0.995
#: Last steps of a library, of which the mean goes on.
_LAST = 4
#: Steps that are averaged.
_FIRST = 10


@final
@dataclass(frozen=True, eq=False)
class Library:
    """Mean cross-sections of columns of 1, 2, 3, ... atoms, of one element and direction.

    **Fields:**

    - `cross_sections`: strictly increasing (Å², or whatever the columns' are in).
    - `scale_esd`: standard deviation of the logarithm of the scale that the image's are in beside it.

    **Raises:** `InputError` if they are no such numbers, or there is only one.
    """

    cross_sections: Float[np.ndarray, " k"]
    scale_esd: float = _SCALE

    def __post_init__(self) -> None:
        values = self.cross_sections
        remedy = "give mean cross-sections of columns of 1, 2, 3, ... atoms of one element"
        if len(values) < 2:
            raise InputError(f"a library of {len(values)} count has no step", remedy, "library")
        steps = np.diff(values, prepend=0.0)
        wrong = np.flatnonzero(~(np.isfinite(steps) & (steps > 0)))
        if len(wrong):
            k = int(wrong[0]) + 1
            before = f"{values[k - 2]:.6g} of {k - 1}" if k > 1 else "nothing"
            raise InputError(
                f"the cross-section of {k} atoms, {values[k - 1]:.6g}, is not larger than {before}",
                remedy,
                "library",
            )
        if not 0 < self.scale_esd <= 1:
            raise InputError(
                f"the library's scale is said to be off by {self.scale_esd:.6g}",
                "give a standard deviation above 0, at most 1 (0.03 is 3 %)",
                "library",
            )


@final
@dataclass(frozen=True, eq=False)
class Law:
    """The prior of mean cross-sections of 1 to k atoms; see the head of this module.

    **Fields:**

    - `steps`: what is expected of them, in the units of cross-sections.
    - `basis`: B, the first column being the scale.
    """

    steps: Float[np.ndarray, " k"]
    basis: Float[np.ndarray, "k r"]

    @classmethod
    def of_library(cls, library: Library, most: int) -> "Law":
        """The law of a library, up to so many atoms."""
        known = library.cross_sections[:most]
        steps = np.diff(known, prepend=0.0)
        beyond = np.arange(1, most - len(steps) + 1)
        errors = np.r_[np.full(len(steps), _STEP), np.full(len(beyond), _STEP_UNKNOWN)]
        steps = np.r_[steps, np.full(len(beyond), steps[-_LAST:].mean())]
        return cls(steps, _basis(errors, library.scale_esd, 0.0))

    @classmethod
    def unknown(cls, largest: float, most: int) -> "Law":
        """Without a library.

        **Arguments:**

        - `largest`: of the columns' cross-sections.
        - `most`: atoms.
        """
        steps = np.full(most, largest / _TYPICAL)
        return cls(steps, _basis(np.full(most, _STEP_UNKNOWN), _SCALE_UNKNOWN, _TREND))

    @property
    def unit(self) -> float:
        """What an atom is expected to add, on average over the first ten."""
        return float(self.steps[:_FIRST].mean())

    def means(self, z: Float[np.ndarray, "h r"]) -> Float[np.ndarray, "h k"]:
        """Mean cross-sections."""
        return np.asarray(np.cumsum(self.steps * np.exp(z @ self.basis.T), axis=1))

    def jacobian(self, z: Float[np.ndarray, "h r"]) -> Float[np.ndarray, "h k r"]:
        """Their derivatives."""
        steps = self.steps * np.exp(z @ self.basis.T)
        return np.asarray(np.cumsum(steps[..., None] * self.basis, axis=1))

    def nearest(self, logarithms: Float[np.ndarray, "h k"], error: float) -> Float[np.ndarray, "h r"]:
        """The numbers z of steps that are near to some (logarithms of their ratios to the expected).

        **Arguments:**

        - `logarithms`: of the steps that are asked for.
        - `error`: their standard deviation.
        """
        matrix = self.basis.T @ self.basis / error**2 + np.eye(self.basis.shape[1])
        return np.asarray(np.linalg.solve(matrix, self.basis.T @ logarithms.T / error**2).T)


def _basis(errors: Float[np.ndarray, " k"], scale: float, trend: float) -> Float[np.ndarray, "k r"]:
    """The scale, a trend if there is one, and the main shapes of a random function."""
    k = np.arange(len(errors))
    smooth = np.exp(-0.5 * ((k[:, None] - k) / _LENGTH) ** 2)
    values, vectors = np.linalg.eigh(smooth)
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    kept = 1 + int(np.searchsorted(np.cumsum(values), _KEPT * values.sum()))
    shapes = errors[:, None] * vectors[:, :kept] * np.sqrt(values[:kept])
    columns = [np.full((len(k), 1), scale), shapes]
    if trend:
        columns.append(trend * k[:, None])
    return np.concatenate(columns, axis=1)
