"""What sums of Gaussians have in closed form: overlaps, information, covariances, bias.

Scattering of one's own is a subclass of `AbstractScattering`. It imports `atomfit.rendering`, `structure`
and `support`.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.gaussians.bounded import BoundedAtoms as BoundedAtoms
    from atomfit.gaussians.bounded import Bounds as Bounds
    from atomfit.gaussians.curvature import Curvature as Curvature
    from atomfit.gaussians.fitted import FittedAtoms as FittedAtoms
    from atomfit.gaussians.scatterers import AbstractScattering as AbstractScattering
    from atomfit.gaussians.scatterers import FormFactors as FormFactors
    from atomfit.gaussians.scatterers import OneGaussian as OneGaussian
    from atomfit.gaussians.scattering_atoms import ScatteringAtoms as ScatteringAtoms
    from atomfit.gaussians.uncertainty import Uncertainty as Uncertainty
    from atomfit.gaussians.uncertainty import uncertainty as uncertainty
else:
    export(
        __name__,
        {
            "scatterers": ["AbstractScattering", "OneGaussian", "FormFactors"],
            "scattering_atoms": ["ScatteringAtoms"],
            "bounded": ["BoundedAtoms", "Bounds"],
            "curvature": ["Curvature"],
            "fitted": ["FittedAtoms"],
            "uncertainty": ["Uncertainty", "uncertainty"],
        },
    )
