"""The result of a fit to a tilt series, as data."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from atomfit.gaussians.scatterers import AbstractScattering, OneGaussian
from atomfit.optimisation.ended import Ended
from atomfit.projection.colour import Colour
from atomfit.projection.model import EachView, spot
from atomfit.projection.probe import Probe
from atomfit.structure.atoms import Atoms
from atomfit.structure.scattering import GaussianMixture


@dataclass(frozen=True, eq=False)
class TiltFit:
    """Atoms refined against a tilt series.

    **Fields:**

    - `atoms`: in the specimen's frame (Å); amplitudes are integrals of images (image units x Å²).
    - `probe`: what a point looks like, by its depth.
    - `views`: numbers of each view, in image units.
    - `images`: of the model, of all views.
    - `history`: objective after each iteration of the last stage.
    - `reason`: how the last stage ended.
    - `correlations`: of image and model, for each view.
    - `r_factors`: the same as relative difference (Ma & Yu, equation 11).
    - `held_out`: views that the fit has not seen, but for their own gain and background.
    - `precisions`: inverse variance of each pixel, as the likelihood has it; zero where it was not fitted.
    - `scattering`: what atoms are at rest, beside their displacements.
    - `colour`: of the noise, if frequencies counted by it.
    """

    atoms: Atoms
    probe: Probe
    views: EachView
    images: Float[np.ndarray, "v rows columns"]
    history: Float[np.ndarray, " i"]
    reason: Ended
    correlations: Float[np.ndarray, " v"]
    r_factors: Float[np.ndarray, " v"]
    held_out: Bool[np.ndarray, " v"]
    precisions: Float[np.ndarray, "v rows columns"]
    scattering: AbstractScattering = field(default_factory=OneGaussian)
    colour: Colour | None = None

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Of the atoms, in the specimen's frame (Å)."""
        return np.asarray(self.atoms.positions)

    @property
    def spot(self) -> GaussianMixture:
        """Image of a typical atom of amplitude 1, at a typical depth."""
        return spot(self.atoms, self.probe, self.scattering)
