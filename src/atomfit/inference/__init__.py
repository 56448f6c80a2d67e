"""One structure, its observations, and what is known beforehand, refined together with uncertainties.

A `Problem` holds them, `refine` makes a `Fit` of it, `Fit.uncertainty` says how well everything is known
and `select` which atoms are there. Observations of maps and series are in `atomfit.observation`; what is
here knows neither voxels nor views, and every part of it may be replaced. It imports
`optimisation`, `noise`, `structure` and `support`.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.inference.coloured import SpectralNoise as SpectralNoise
    from atomfit.inference.empirical_bayes import EmpiricalFit as EmpiricalFit
    from atomfit.inference.empirical_bayes import with_empirical_spread as with_empirical_spread
    from atomfit.inference.fit import Fit as Fit
    from atomfit.inference.fit import fit_at as fit_at
    from atomfit.inference.fit import refine as refine
    from atomfit.inference.held_out import Validation as Validation
    from atomfit.inference.held_out import held_out as held_out
    from atomfit.inference.held_out import validate as validate
    from atomfit.inference.local import LocalUncertainty as LocalUncertainty
    from atomfit.inference.local import measure_local_uncertainty as measure_local_uncertainty
    from atomfit.inference.noise import AbstractNoise as AbstractNoise
    from atomfit.inference.noise import AbstractPixelNoise as AbstractPixelNoise
    from atomfit.inference.noise import BrightnessNoise as BrightnessNoise
    from atomfit.inference.noise import KnownPrecision as KnownPrecision
    from atomfit.inference.noise import LossNoise as LossNoise
    from atomfit.inference.noise import WhiteNoise as WhiteNoise
    from atomfit.inference.noise import brightness_noise as brightness_noise
    from atomfit.inference.noise import count_noise as count_noise
    from atomfit.inference.noise import robust_noise as robust_noise
    from atomfit.inference.observation import AbstractObservation as AbstractObservation
    from atomfit.inference.parameters import Follows as Follows
    from atomfit.inference.parameters import Parameters as Parameters
    from atomfit.inference.parameters import Tied as Tied
    from atomfit.inference.parameters import bounded as bounded
    from atomfit.inference.parameters import fixed_where as fixed_where
    from atomfit.inference.parameters import frozen as frozen
    from atomfit.inference.parameters import positive as positive
    from atomfit.inference.parameters import tied as tied
    from atomfit.inference.parameters import with_wrapped as with_wrapped
    from atomfit.inference.priors import AbstractPrior as AbstractPrior
    from atomfit.inference.priors import Alike as Alike
    from atomfit.inference.priors import Correlated as Correlated
    from atomfit.inference.priors import Known as Known
    from atomfit.inference.problem import Objective as Objective
    from atomfit.inference.problem import Problem as Problem
    from atomfit.inference.selection import Selection as Selection
    from atomfit.inference.selection import select as select
    from atomfit.inference.sensitivity import refined as refined
    from atomfit.inference.sensitivity import stationary as stationary
    from atomfit.inference.terms import AbstractTerm as AbstractTerm
    from atomfit.inference.terms import KnownNumbers as KnownNumbers
    from atomfit.inference.uncertainty import Estimate as Estimate
    from atomfit.inference.uncertainty import Uncertainty as Uncertainty
else:
    export(
        __name__,
        {
            "problem": ["Problem", "Objective"],
            "fit": ["refine", "fit_at", "Fit"],
            "uncertainty": ["Uncertainty", "Estimate"],
            "local": ["LocalUncertainty", "measure_local_uncertainty"],
            "empirical_bayes": ["with_empirical_spread", "EmpiricalFit"],
            "held_out": ["held_out", "validate", "Validation"],
            "selection": ["select", "Selection"],
            "sensitivity": ["refined", "stationary"],
            "observation": ["AbstractObservation"],
            "noise": [
                "AbstractNoise",
                "AbstractPixelNoise",
                "WhiteNoise",
                "LossNoise",
                "KnownPrecision",
                "BrightnessNoise",
                "brightness_noise",
                "count_noise",
                "robust_noise",
            ],
            "coloured": ["SpectralNoise"],
            "terms": ["AbstractTerm", "KnownNumbers"],
            "priors": ["AbstractPrior", "Known", "Alike", "Correlated"],
            "parameters": [
                "Parameters",
                "Follows",
                "Tied",
                "frozen",
                "positive",
                "bounded",
                "fixed_where",
                "tied",
                "with_wrapped",
            ],
        },
    )
