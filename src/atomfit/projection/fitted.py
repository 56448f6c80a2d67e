"""What a fit has made of a tilt series, as selection and uncertainties ask for it."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from atomfit.gaussians.scatterers import AbstractScattering, OneGaussian
from atomfit.projection.colour import Colour
from atomfit.projection.fit import TiltFit
from atomfit.projection.model import point, refined_views, terms_at_rest, typical_variance
from atomfit.projection.views import TiltSeries
from atomfit.structure.scattering import GaussianMixture

#: Atoms whose displacements differ by no more than this part of the width of their images are alike.
_ALIKE = 1e-4


@dataclass(frozen=True, eq=False)
class FittedSeries:
    """Atoms, and what they leave of the images.

    **Fields:**

    - `series`: the images, with views as refined.
    - `residual`: what the fit leaves of them; zero where it has not seen them.
    - `precisions`: inverse variance of each pixel; zero there as well.
    - `gains`: of the views.
    - `positions`, `amplitudes`: of the atoms (Å, image units x Å²).
    - `spot`: image of a typical atom of amplitude 1.
    - `wider`: displacement of each atom beyond a typical one's (Å²); None if all are alike.
    - `scattering`: what atoms are at rest.
    - `bare`: `spot` without that: of a typical displacement only; the same if None.
    - `colour`: of the noise, if frequencies counted by it.
    """

    series: TiltSeries
    residual: Float[np.ndarray, "v rows columns"]
    precisions: Float[np.ndarray, "v rows columns"]
    gains: Float[np.ndarray, " v"]
    positions: Float[np.ndarray, "n 3"]
    amplitudes: Float[np.ndarray, " n"]
    spot: GaussianMixture
    wider: Float[np.ndarray, "n 3 3"] | None = None
    scattering: AbstractScattering = field(default_factory=OneGaussian)
    bare: GaussianMixture | None = None
    colour: Colour | None = None

    @classmethod
    def of(cls, series: TiltSeries, fit: TiltFit) -> "FittedSeries":
        """From a series and its fit."""
        left = np.where(fit.precisions > 0, series.images - fit.images, 0.0)
        matrices = np.asarray(fit.atoms.matrices(), np.float64)
        typical = typical_variance(fit.atoms)
        wider = matrices - typical * np.eye(3)
        at_rest = bool(np.any(terms_at_rest(fit.scattering, len(matrices))[1]))
        alike = np.abs(wider).max(initial=0.0) <= _ALIKE * width_of(fit.spot) and not at_rest
        return cls(
            replace(series, views=refined_views(series.views, fit.views, series.pixel)),
            left.astype(np.float32),
            fit.precisions,
            np.asarray(fit.views.gains),
            fit.positions,
            np.asarray(fit.atoms.amplitudes),
            fit.spot,
            None if alike else wider,
            fit.scattering,
            point(fit.probe, typical) if at_rest else None,
            fit.colour,
        )

    def chosen(self, which: Bool[np.ndarray, " n"]) -> "FittedSeries":
        """Some of the atoms, with what all of them leave."""
        wider = None if self.wider is None else self.wider[which]
        positions, amplitudes = self.positions[which], self.amplitudes[which]
        scattering = self.scattering[which]
        return replace(self, positions=positions, amplitudes=amplitudes, wider=wider, scattering=scattering)

    @property
    def width(self) -> float:
        """Variance (Å²) of the Gaussian whose square has the same integral as that of the spot."""
        return width_of(self.spot)

    @property
    def square(self) -> float:
        """Integral of the square of the spot (1/Å²)."""
        return _square(self.spot)


def width_of(spot: GaussianMixture) -> float:
    """Variance (Å²) of the Gaussian whose square has the same integral as that of an atom's image."""
    return float(spot.weights.sum()) ** 2 / (4 * np.pi * _square(spot))


def _square(spot: GaussianMixture) -> float:
    pairs = spot.variances[:, None] + spot.variances
    return float(spot.weights @ (1 / (2 * np.pi * pairs)) @ spot.weights)
