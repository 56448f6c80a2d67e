"""One HRTEM image in, how many atoms each column of a crystal has out, with probabilities.

A network proposes columns and heights (`networks`); the likelihood of the image, by multislice (`waves`),
decides. `Heights` is what comes out of either; `limit` is what none can surpass, and `imaging_advice` at
which focus that is highest. It imports `atomfit.networks` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.column_heights.advice import ImagingAdvice as ImagingAdvice
    from atomfit.column_heights.advice import ImagingSetup as ImagingSetup
    from atomfit.column_heights.advice import imaging_advice as imaging_advice
    from atomfit.column_heights.by_network import network_for as network_for
    from atomfit.column_heights.by_network import network_heights as network_heights
    from atomfit.column_heights.by_network import seen_by_network as seen_by_network
    from atomfit.column_heights.following import FollowedHeights as FollowedHeights
    from atomfit.column_heights.following import follow_heights as follow_heights
    from atomfit.column_heights.found import Condition as Condition
    from atomfit.column_heights.found import Heights as Heights
    from atomfit.column_heights.gain import FoundGain as FoundGain
    from atomfit.column_heights.gain import find_gain as find_gain
    from atomfit.column_heights.likelihood import likelihood_heights as likelihood_heights
else:
    export(
        __name__,
        {
            "advice": ["ImagingAdvice", "ImagingSetup", "imaging_advice"],
            "by_network": ["network_for", "network_heights", "seen_by_network"],
            "following": ["FollowedHeights", "follow_heights"],
            "found": ["Condition", "Heights"],
            "gain": ["FoundGain", "find_gain"],
            "likelihood": ["likelihood_heights"],
        },
    )
