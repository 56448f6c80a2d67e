"""All atoms of a map fitted together: model, noise, priors, solvers, and covariances of what was found.

`fit_jointly` does all of it. `pose` puts the same problem together without solving it, for loops of one's
own: `minimise` runs any solver on its posterior, and `refined` is the minimum as a differentiable function
of the data. Backgrounds, scattering and losses of one's own are subclasses of the abstract ones. It imports
`atomfit.detection` and what lies below, and knows nothing of images.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.fitting.curvature import Curvature as Curvature
    from atomfit.fitting.joint import JointFit as JointFit
    from atomfit.fitting.joint import fit_jointly as fit_jointly
    from atomfit.fitting.logfit import LogFit as LogFit
    from atomfit.fitting.logfit import fit_logarithms as fit_logarithms
    from atomfit.fitting.model import MapModel as MapModel
    from atomfit.fitting.objective import AbstractLeastSquares as AbstractLeastSquares
    from atomfit.fitting.objective import AbstractMisfit as AbstractMisfit
    from atomfit.fitting.objective import LeastSquares as LeastSquares
    from atomfit.fitting.objective import Pointwise as Pointwise
    from atomfit.fitting.objective import SpectralLeastSquares as SpectralLeastSquares
    from atomfit.fitting.parameters import Bounds as Bounds
    from atomfit.fitting.parameters import Parametrisation as Parametrisation
    from atomfit.fitting.pose import pose as pose
    from atomfit.fitting.posterior import Posterior as Posterior
    from atomfit.fitting.prior import AtomPrior as AtomPrior
    from atomfit.fitting.prior import DisplacementPrior as DisplacementPrior
    from atomfit.fitting.prior import MapAlone as MapAlone
    from atomfit.fitting.problem import JointProblem as JointProblem
    from atomfit.fitting.refinement import FitState as FitState
    from atomfit.fitting.resolution import Resolution as Resolution
    from atomfit.fitting.sensitivity import refined as refined
    from atomfit.fitting.sensitivity import stationary as stationary
else:
    export(
        __name__,
        {
            "joint": ["JointFit", "fit_jointly"],
            "refinement": ["FitState"],
            "pose": ["pose"],
            "problem": ["JointProblem"],
            "model": [
                "MapModel",
            ],
            "objective": [
                "AbstractMisfit",
                "AbstractLeastSquares",
                "LeastSquares",
                "SpectralLeastSquares",
                "Pointwise",
            ],
            "posterior": ["Posterior"],
            "curvature": ["Curvature"],
            "prior": ["AtomPrior", "DisplacementPrior", "MapAlone"],
            "parameters": ["Parametrisation", "Bounds"],
            "sensitivity": ["refined", "stationary"],
            "resolution": ["Resolution"],
            "logfit": ["LogFit", "fit_logarithms"],
        },
    )
