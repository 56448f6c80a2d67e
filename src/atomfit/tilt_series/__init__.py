"""All atoms of a tilt series fitted together, in stages.

`refine_against` fits atoms to a `TiltSeries`; every stage is an objective (`atomfit.inference`) of one
structure and one `SeriesObservation`. It imports `atomfit.observation` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.tilt_series.parameters import TiltParametrisation as TiltParametrisation
    from atomfit.tilt_series.refinement import refine_against as refine_against
    from atomfit.tilt_series.settings import SeriesSettings as SeriesSettings
else:
    export(
        __name__,
        {
            "refinement": ["refine_against"],
            "settings": ["SeriesSettings"],
            "parameters": ["TiltParametrisation"],
        },
    )
