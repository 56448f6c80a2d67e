"""All atoms of a map fitted together, with bounds, priors and covariances that suit many atoms.

`fit_jointly` does all of it. `pose` puts the same problem (`atomfit.inference`) of one structure and one
map together without solving it, for loops of one's own. Backgrounds, scattering and losses of one's own are
subclasses of the abstract ones. It imports `atomfit.observation` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.fitting.joint import JointFit as JointFit
    from atomfit.fitting.joint import fit_jointly as fit_jointly
    from atomfit.fitting.logfit import LogFit as LogFit
    from atomfit.fitting.logfit import fit_logarithms as fit_logarithms
    from atomfit.fitting.pose import pose as pose
    from atomfit.fitting.prior import DisplacementPrior as DisplacementPrior
    from atomfit.fitting.prior import MapAlone as MapAlone
    from atomfit.fitting.problem import JointProblem as JointProblem
    from atomfit.fitting.problem import MapModel as MapModel
    from atomfit.fitting.refinement import FitState as FitState
    from atomfit.fitting.resolution import Resolution as Resolution
    from atomfit.fitting.settings import MapSettings as MapSettings
else:
    export(
        __name__,
        {
            "joint": ["JointFit", "fit_jointly"],
            "refinement": ["FitState"],
            "settings": ["MapSettings"],
            "pose": ["pose"],
            "problem": ["JointProblem", "MapModel"],
            "prior": ["DisplacementPrior", "MapAlone"],
            "resolution": ["Resolution"],
            "logfit": ["LogFit", "fit_logarithms"],
        },
    )
