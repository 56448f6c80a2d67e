"""What a user may choose, written once: command line, documentation and Python take it from here.

A dataclass for each job, whose fields are the options of its command and the keywords of its function. It
imports `atomfit.structure` and what lies below, and no JAX before a job runs.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.options.build import BuildOptions as BuildOptions
    from atomfit.options.compare import CompareOptions as CompareOptions
    from atomfit.options.simulation import SeriesOptions as SeriesOptions
    from atomfit.options.simulation import SimulationOptions as SimulationOptions
    from atomfit.options.tilt import TiltOptions as TiltOptions
else:
    export(
        __name__,
        {
            "build": ["BuildOptions"],
            "tilt": ["TiltOptions"],
            "compare": ["CompareOptions"],
            "simulation": ["SimulationOptions", "SeriesOptions"],
        },
    )
