"""The same atoms against images: views, probe, forward model, and what images say of atoms.

A `TiltSeries` holds images, and its `Views` say from where each was taken. It imports `atomfit.inference`
and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.projection.existence import existence_in_images as existence_in_images
    from atomfit.projection.fit import TiltFit as TiltFit
    from atomfit.projection.fitted import FittedSeries as FittedSeries
    from atomfit.projection.half_sets import HalfSets as HalfSets
    from atomfit.projection.half_sets import compare_half_sets as compare_half_sets
    from atomfit.projection.images import Camera as Camera
    from atomfit.projection.images import draw_view as draw_view
    from atomfit.projection.information import ImageUncertainty as ImageUncertainty
    from atomfit.projection.information import measure_uncertainty as measure_uncertainty
    from atomfit.projection.misreadings import Agreement as Agreement
    from atomfit.projection.misreadings import Reading as Reading
    from atomfit.projection.model import Drawn as Drawn
    from atomfit.projection.model import EachView as EachView
    from atomfit.projection.model import TiltModel as TiltModel
    from atomfit.projection.model import refined_views as refined_views
    from atomfit.projection.probe import Probe as Probe
    from atomfit.projection.probe import make_probe as make_probe
    from atomfit.projection.probe import wavelength as wavelength
    from atomfit.projection.reconstruction import reconstruct as reconstruct
    from atomfit.projection.start import Start as Start
    from atomfit.projection.views import TiltSeries as TiltSeries
    from atomfit.projection.views import Views as Views
else:
    export(
        __name__,
        {
            "views": ["Views", "TiltSeries"],
            "fit": ["TiltFit"],
            "start": ["Start"],
            "misreadings": ["Reading", "Agreement"],
            "fitted": ["FittedSeries"],
            "probe": ["Probe", "make_probe", "wavelength"],
            "images": ["Camera", "draw_view"],
            "model": ["TiltModel", "refined_views", "Drawn", "EachView"],
            "information": ["ImageUncertainty", "measure_uncertainty"],
            "reconstruction": ["reconstruct"],
            "half_sets": ["HalfSets", "compare_half_sets"],
            "existence": ["existence_in_images"],
        },
    )
