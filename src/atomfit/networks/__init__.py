"""A network that sees columns in one noisy HRTEM image, and how high they are.

`look` makes an image's columns of it, with calibrated probabilities of heights; weights are read from files
that execute nothing. It imports `atomfit.support` only.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.networks.columns_seen import Calibration as Calibration
    from atomfit.networks.columns_seen import ColumnsSeen as ColumnsSeen
    from atomfit.networks.columns_seen import columns_seen as columns_seen
    from atomfit.networks.columns_seen import credible_sets as credible_sets
    from atomfit.networks.columns_seen import fitted_calibration as fitted_calibration
    from atomfit.networks.looking import ImageSeen as ImageSeen
    from atomfit.networks.looking import look as look
    from atomfit.networks.residual_unet import Architecture as Architecture
    from atomfit.networks.residual_unet import ResidualUNet as ResidualUNet
    from atomfit.networks.weights import TrainedNetwork as TrainedNetwork
    from atomfit.networks.weights import load_weights as load_weights
    from atomfit.networks.weights import save_weights as save_weights
    from atomfit.networks.weights import shipped_weights as shipped_weights
else:
    export(
        __name__,
        {
            "residual_unet": ["Architecture", "ResidualUNet"],
            "columns_seen": [
                "Calibration",
                "ColumnsSeen",
                "columns_seen",
                "credible_sets",
                "fitted_calibration",
            ],
            "weights": ["TrainedNetwork", "load_weights", "save_weights", "shipped_weights"],
            "looking": ["ImageSeen", "look"],
        },
    )
