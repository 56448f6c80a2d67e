"""How data err: likelihoods of single values, spectra of noise and where these are measured.

Losses of one's own are subclasses of `AbstractLoss`. It imports `atomfit.gaussians`, `detection` and what
lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.noise.likelihood import AbstractLoss as AbstractLoss
    from atomfit.noise.likelihood import PoissonLoss as PoissonLoss
    from atomfit.noise.likelihood import StudentLoss as StudentLoss
    from atomfit.noise.residual import SmoothNoise as SmoothNoise
    from atomfit.noise.sources import measure_noise as measure_noise
    from atomfit.noise.sources import spectrum_of_half_maps as spectrum_of_half_maps
    from atomfit.noise.sources import spectrum_of_tilts as spectrum_of_tilts
    from atomfit.noise.spectrum import NoiseSpectrum as NoiseSpectrum
    from atomfit.noise.tilt_angles import TiltAngles as TiltAngles
    from atomfit.noise.wedge import Wedge as Wedge
    from atomfit.noise.wedge import find_wedge as find_wedge
else:
    export(
        __name__,
        {
            "likelihood": ["AbstractLoss", "PoissonLoss", "StudentLoss"],
            "spectrum": ["NoiseSpectrum"],
            "sources": ["measure_noise", "spectrum_of_half_maps", "spectrum_of_tilts"],
            "residual": ["SmoothNoise"],
            "tilt_angles": ["TiltAngles"],
            "wedge": ["Wedge", "find_wedge"],
        },
    )
