"""First atoms of a map: what stands out of its noise, how wide an atom is, and where the maxima are.

`detect` finds the places that a fit starts from, `measure_mean_atom` the width of an atom, `existence`
whether there are any. It imports `atomfit.rendering`, `atomfit.options` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.detection.contrast import Contrast as Contrast
    from atomfit.detection.denoise import denoise as denoise
    from atomfit.detection.detect import Detection as Detection
    from atomfit.detection.detect import detect as detect
    from atomfit.detection.existence import Existence as Existence
    from atomfit.detection.existence import existence as existence
    from atomfit.detection.mean_atom import MeanAtom as MeanAtom
    from atomfit.detection.mean_atom import measure_mean_atom as measure_mean_atom
    from atomfit.detection.peaks import local_maxima as local_maxima
    from atomfit.detection.resolution import MapResolution as MapResolution
    from atomfit.detection.resolution import measure_resolution as measure_resolution
    from atomfit.detection.threshold import ThresholdSearch as ThresholdSearch
    from atomfit.detection.threshold import ThresholdTrial as ThresholdTrial
    from atomfit.detection.validation import Rejected as Rejected
else:
    export(
        __name__,
        {
            "detect": ["Detection", "detect"],
            "validation": ["Rejected"],
            "threshold": ["ThresholdSearch", "ThresholdTrial"],
            "mean_atom": ["MeanAtom", "measure_mean_atom"],
            "peaks": ["local_maxima"],
            "denoise": ["denoise"],
            "existence": ["Existence", "existence"],
            "resolution": ["MapResolution", "measure_resolution"],
            "contrast": ["Contrast"],
        },
    )
