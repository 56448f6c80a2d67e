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
    from atomfit.fitting.ended import Ended as Ended
    from atomfit.fitting.first_order import LBFGS as LBFGS
    from atomfit.fitting.first_order import AbstractOptax as AbstractOptax
    from atomfit.fitting.first_order import Adam as Adam
    from atomfit.fitting.first_order import Evaluated as Evaluated
    from atomfit.fitting.first_order import Optax as Optax
    from atomfit.fitting.fitted import FittedAtoms as FittedAtoms
    from atomfit.fitting.joint import JointFit as JointFit
    from atomfit.fitting.joint import fit_jointly as fit_jointly
    from atomfit.fitting.likelihood import AbstractLoss as AbstractLoss
    from atomfit.fitting.likelihood import PoissonLoss as PoissonLoss
    from atomfit.fitting.likelihood import StudentLoss as StudentLoss
    from atomfit.fitting.logfit import LogFit as LogFit
    from atomfit.fitting.logfit import fit_logarithms as fit_logarithms
    from atomfit.fitting.model import AbstractBackground as AbstractBackground
    from atomfit.fitting.model import ConstantBackground as ConstantBackground
    from atomfit.fitting.model import LinearBackground as LinearBackground
    from atomfit.fitting.model import MapModel as MapModel
    from atomfit.fitting.model import NoBackground as NoBackground
    from atomfit.fitting.newton import Damping as Damping
    from atomfit.fitting.newton import GaussNewton as GaussNewton
    from atomfit.fitting.noise import NoiseSpectrum as NoiseSpectrum
    from atomfit.fitting.noise_sources import measure_noise as measure_noise
    from atomfit.fitting.noise_sources import spectrum_of_half_maps as spectrum_of_half_maps
    from atomfit.fitting.noise_sources import spectrum_of_tilts as spectrum_of_tilts
    from atomfit.fitting.objective import AbstractLeastSquares as AbstractLeastSquares
    from atomfit.fitting.objective import AbstractMisfit as AbstractMisfit
    from atomfit.fitting.objective import LeastSquares as LeastSquares
    from atomfit.fitting.objective import Pointwise as Pointwise
    from atomfit.fitting.objective import Region as Region
    from atomfit.fitting.objective import SpectralLeastSquares as SpectralLeastSquares
    from atomfit.fitting.parameters import AbstractParametrisation as AbstractParametrisation
    from atomfit.fitting.parameters import Bounds as Bounds
    from atomfit.fitting.parameters import Parametrisation as Parametrisation
    from atomfit.fitting.pose import pose as pose
    from atomfit.fitting.posterior import AbstractPosterior as AbstractPosterior
    from atomfit.fitting.posterior import Evaluation as Evaluation
    from atomfit.fitting.posterior import Posterior as Posterior
    from atomfit.fitting.prior import AtomPrior as AtomPrior
    from atomfit.fitting.prior import DisplacementPrior as DisplacementPrior
    from atomfit.fitting.prior import MapAlone as MapAlone
    from atomfit.fitting.problem import JointProblem as JointProblem
    from atomfit.fitting.refinement import FitState as FitState
    from atomfit.fitting.residual_noise import SmoothNoise as SmoothNoise
    from atomfit.fitting.resolution import Resolution as Resolution
    from atomfit.fitting.scatterers import AbstractScattering as AbstractScattering
    from atomfit.fitting.scatterers import FormFactors as FormFactors
    from atomfit.fitting.scatterers import OneGaussian as OneGaussian
    from atomfit.fitting.sensitivity import refined as refined
    from atomfit.fitting.sensitivity import stationary as stationary
    from atomfit.fitting.solvers import AbstractSolver as AbstractSolver
    from atomfit.fitting.solvers import Minimum as Minimum
    from atomfit.fitting.solvers import Step as Step
    from atomfit.fitting.solvers import minimise as minimise
    from atomfit.fitting.tilt_angles import TiltAngles as TiltAngles
    from atomfit.fitting.uncertainty import Uncertainty as Uncertainty
    from atomfit.fitting.uncertainty import uncertainty as uncertainty
    from atomfit.fitting.wedge import Wedge as Wedge
    from atomfit.fitting.wedge import find_wedge as find_wedge
else:
    export(
        __name__,
        {
            "joint": ["JointFit", "fit_jointly"],
            "fitted": ["FittedAtoms"],
            "refinement": ["FitState"],
            "pose": ["pose"],
            "problem": ["JointProblem"],
            "model": [
                "MapModel",
                "AbstractBackground",
                "NoBackground",
                "ConstantBackground",
                "LinearBackground",
            ],
            "scatterers": ["AbstractScattering", "OneGaussian", "FormFactors"],
            "likelihood": ["AbstractLoss", "PoissonLoss", "StudentLoss"],
            "objective": [
                "Region",
                "AbstractMisfit",
                "AbstractLeastSquares",
                "LeastSquares",
                "SpectralLeastSquares",
                "Pointwise",
            ],
            "posterior": ["AbstractPosterior", "Posterior", "Evaluation"],
            "curvature": ["Curvature"],
            "prior": ["AtomPrior", "DisplacementPrior", "MapAlone"],
            "parameters": ["AbstractParametrisation", "Parametrisation", "Bounds"],
            "solvers": ["AbstractSolver", "Minimum", "minimise", "Step"],
            "ended": ["Ended"],
            "newton": ["GaussNewton", "Damping"],
            "first_order": ["AbstractOptax", "Optax", "Adam", "LBFGS", "Evaluated"],
            "sensitivity": ["refined", "stationary"],
            "uncertainty": ["Uncertainty", "uncertainty"],
            "noise": ["NoiseSpectrum"],
            "noise_sources": ["measure_noise", "spectrum_of_half_maps", "spectrum_of_tilts"],
            "residual_noise": ["SmoothNoise"],
            "tilt_angles": ["TiltAngles"],
            "wedge": ["Wedge", "find_wedge"],
            "resolution": ["Resolution"],
            "logfit": ["LogFit", "fit_logarithms"],
        },
    )
