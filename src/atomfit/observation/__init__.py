"""Maps and tilt series as observations of a structure.

Each knows where its voxels or pixels are, what blurs them and what lies beneath the atoms, and nothing of
how a problem is solved (`atomfit.inference`). It imports `projection`, `inference` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.observation.background import AbstractBackground as AbstractBackground
    from atomfit.observation.background import ConstantBackground as ConstantBackground
    from atomfit.observation.background import LinearBackground as LinearBackground
    from atomfit.observation.background import NoBackground as NoBackground
    from atomfit.observation.map import MapNuisance as MapNuisance
    from atomfit.observation.map import MapObservation as MapObservation
    from atomfit.observation.series import SeriesNuisance as SeriesNuisance
    from atomfit.observation.series import SeriesObservation as SeriesObservation
else:
    export(
        __name__,
        {
            "map": ["MapObservation", "MapNuisance"],
            "background": ["AbstractBackground", "NoBackground", "ConstantBackground", "LinearBackground"],
            "series": ["SeriesObservation", "SeriesNuisance"],
        },
    )
