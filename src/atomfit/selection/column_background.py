"""How stiff the background of an image is: fitted columns in, the stiffness that the image asks for out.

What lies beneath columns may be a flat film, a rough one, or the body of a particle, and nobody says which.
A background that can do all of that takes its part of the columns' tails, and one that can do nothing
leaves its bends to them. Its stiffness λ (`observation.smoothness`) is a scale of a Gaussian prior, and as
probable as it makes the data with everything else integrated out, heights of the background, columns and
their width alike (MacKay 1992, Neural Comput. 4, 415; Wood 2011, J. R. Stat. Soc. B 73, 3, of smooth
fields). Near the fit all of these are Gaussian, so that

    log p(data | λ) = r/2 log λ - 1/2 log det(S + λ B) + 1/2 hᵀ (S + λ B)⁻¹ h - λ/2 bᵀ B b

with S what pixels tell of the background if columns and width are unknown, λ B what smoothness does, of
rank r, b the heights, and h the slope of the objective by them. Few bends are seen of a support that is
nearly hidden, and then many stiffnesses are about as probable. The likeliest would be too stiff; what is
taken is the mean variance of bends, 1/λ, with 1/√λ uniform beforehand (Gelman 2006, Bayesian Anal. 1, 515).

That holds if columns are Gaussians. Those of thick particles are not: their tails add up to a body that is
smooth as well, and that belongs to them by the convention of libraries of cross-sections. Such bends are
as strong as the columns, those of a support are not (`column_rounds`): then the plate is a plane.

Pixels that err together tell less than it seems: the two terms that data are in are divided by the excess
of the noise; λ itself is counted in the pixels' own noise, as fits do.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.sparse import csc_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import splu

from atomfit.fitting.column_fit import FittedColumns
from atomfit.fitting.column_information import ColumnInformation
from atomfit.observation.smoothness import bending
from atomfit.observation.spline import SplineBackground

#: Stiffnesses that are tried differ by this factor.
_STEP = 10**0.5
#: Least and most of it, beside what pixels tell of a typical height and smoothness of stiffness one does.
_LEAST, _MOST = 1e-3, 1e6
#: What is less probable than the most probable one by this (logarithm) does not matter.
_NEGLIGIBLE = 5.0
#: The same of a plane.
_PLANE = 1e5
#: Part of its diagonal that is added to a matrix.
_ROUNDING = 1e-12
#: Stiffnesses within this factor are the same.
_SAME = 1.5


@dataclass(frozen=True, eq=False)
class BackgroundEvidence:
    """What pixels tell of a background if columns are unknown, and what follows for its stiffness.

    **Fields:**

    - `told`: information on its heights.
    - `slope`: of the log likelihood by these, columns and width following.
    - `heights`: as the fit has left them.
    - `bends`: information of a smoothness of stiffness one.
    - `common`: what these have in common with a width that all columns share.
    - `width`: information on that.
    - `excess`: of the noise.
    """

    told: csr_array
    slope: Float[np.ndarray, " b"]
    heights: Float[np.ndarray, " b"]
    bends: csr_array
    common: Float[np.ndarray, " b"]
    width: float
    excess: float

    @classmethod
    def of(
        cls,
        fitted: FittedColumns,
        information: ColumnInformation,
        left: Float[np.ndarray, " pixels"],
        excess: float,
    ) -> "BackgroundEvidence":
        """At the end of a fit.

        **Arguments:**

        - `fitted`, `information`: the fit.
        - `left`: its residual, in units of the pixels' noise.
        - `excess`: by which variances are larger than those of pixels that err independently.
        """
        told, slope, (common, alone, by_width) = information.of_background(left)
        slope = slope - common * (by_width / alone)
        heights = np.ravel(np.asarray(fitted.background.heights, np.float64))
        return cls(told, slope, heights, bending(fitted.background), common, alone, excess)

    @cached_property
    def unit(self) -> float:
        """A stiffness that tells as much of a typical height as pixels do."""
        return float(self.told.diagonal().sum() / max(self.bends.diagonal().sum(), 1e-300))

    @property
    def rank(self) -> int:
        """How many numbers smoothness tells of: all but planes."""
        return len(self.heights) - min(len(self.heights), 3)

    def log_evidence(self, stiffness: float) -> float:
        """Up to a constant."""
        prior = stiffness * self.bends
        whole = csc_array(self.told + prior)
        scale = 1 / np.sqrt(whole.diagonal())
        even = diags_array(scale)
        factor = splu(
            csc_array(even @ whole @ even + _ROUNDING * eye_array(len(scale))),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
        )
        away = prior @ self.heights
        slope, common = scale * (self.slope - away), scale * self.common
        changes, answers = factor.solve(slope), factor.solve(common)
        # The width that all share is unknown as well, which is one number more.
        width = self.width - common @ answers
        gained = 0.5 * (slope @ changes + (common @ changes) ** 2 / width - self.heights @ away)
        volume = 0.5 * np.sum(np.log(np.abs(factor.U.diagonal()))) - np.sum(np.log(scale))
        volume += 0.5 * np.log(width / self.width)
        return float(gained / self.excess - volume + 0.5 * self.rank * np.log(stiffness))

    def expected(self, now: float) -> float:
        """The stiffness whose inverse is the mean of all inverses, as probable as data make them.

        **Arguments:**

        - `now`: where to look first; it stays if what is found is about the same.
        """
        low, high = _LEAST * self.unit, _MOST * self.unit
        tried = [min(max(now, low), high)]
        values = [self._log_posterior(tried[0])]
        for factor in (_STEP, 1 / _STEP):
            there = tried[0] * factor
            while low <= there <= high:
                tried.append(there)
                values.append(self._log_posterior(there))
                if values[-1] < max(values) - _NEGLIGIBLE:
                    break
                there *= factor
        weights = np.exp(np.array(values) - max(values))
        found = float(weights.sum() / np.sum(weights / np.array(tried)))
        return now if 1 / _SAME < found / now < _SAME else found

    def _log_posterior(self, stiffness: float) -> float:
        """Of the logarithm of the stiffness, its root's inverse being uniform beforehand."""
        return self.log_evidence(stiffness) - 0.5 * float(np.log(stiffness))


def first_stiffness(background: SplineBackground, variance: float, pixel: float) -> float:
    """Where to begin: pixels tell as much of a typical height as smoothness does.

    **Arguments:**

    - `background`: the net of knots.
    - `variance`: of a typical pixel's noise.
    - `pixel`: its edge (Å).
    """
    bends = bending(background).diagonal()
    # A cubic B-spline's square, over its step, is 151/315 in each direction.
    told = (151 / 315) ** 2 * np.prod(background.step) / pixel**2 / variance
    return float(told / max(np.mean(bends), 1e-300))


def of_plane(fitted: FittedColumns, pixel: float) -> float:
    """A stiffness that leaves nothing but planes.

    **Arguments:**

    - `fitted`: a fit.
    - `pixel`: edge of a pixel (Å).
    """
    return _PLANE * first_stiffness(fitted.background, float(np.median(fitted.variance)), pixel)
